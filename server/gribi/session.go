package gribi

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	spb "github.com/openconfig/gribi/v1/proto/service"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// chunk is how many operations are carried out in one hold of the lock.
	chunk = 1024
	// answersPerMessage bounds a ModifyResponse.
	answersPerMessage = 2048
	// lingerPatience is how long a client that has ended its side waits for the
	// answers to what it sent.
	lingerPatience = 5 * time.Second
)

// session is one Modify stream, which is what the specification calls a client.
type session struct {
	srv    *Server
	stream grpc.BidiStreamingServer[spb.ModifyRequest, spb.ModifyResponse]

	// Guarded by the server's mutex, once the session is known to others.
	params   params
	began    bool       // has sent something
	election electionID // last advertised
	left     bool       // its stream has ended: nothing that it sent is carried out any more

	mu     sync.Mutex
	out    []*spb.ModifyResponse // other than results
	res    []result
	acks   []ack         // to be answered when the FIB has
	parked []ack         // whose next hops don't resolve
	moved  chan struct{} // closed and replaced when one of these becomes shorter or work comes
	nAcks  int           // acks, with those that the acker has in hand
}

// Modify implements gRIBI.
func (s *Server) Modify(stream grpc.BidiStreamingServer[spb.ModifyRequest, spb.ModifyResponse]) error {
	ses := &session{srv: s, stream: stream, moved: make(chan struct{})}
	s.mu.Lock()
	if len(s.sessions) >= s.opt.Limits.Sessions {
		s.mu.Unlock()
		return status.Errorf(codes.ResourceExhausted, "there are %d Modify sessions, more are not allowed", s.opt.Limits.Sessions)
	}
	s.sessions[ses] = struct{}{}
	s.mu.Unlock()

	ctx, cancel := context.WithCancel(stream.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := ses.send(ctx); err != nil {
			cancel()
		}
	})
	wg.Go(func() { ses.acknowledge(ctx) })
	// Recv does not end with ctx, which ends when the server stops, but only with the call: the reader must not hold that up.
	received := make(chan error, 1)
	go func() { received <- ses.receive(ctx) }()
	var err error
	select {
	case err = <-received:
		if err == nil {
			ses.linger(ctx)
		}
	case <-ctx.Done():
		err = status.FromContextError(ctx.Err()).Err()
	}
	s.leave(ses)
	cancel()
	wg.Wait()
	return err
}

// receive reads until the client ends the stream (nil) or breaks the rules.
func (ses *session) receive(ctx context.Context) error {
	for {
		m, err := ses.stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := ses.handle(ctx, m); err != nil {
			return err
		}
	}
}

func (ses *session) handle(ctx context.Context, m *spb.ModifyRequest) error {
	if err := ses.room(ctx); err != nil {
		return err
	}
	n := 0
	for _, has := range []bool{m.GetParams() != nil, m.GetElectionId() != nil, len(m.GetOperation()) > 0} {
		if has {
			n++
		}
	}
	switch {
	case n == 0:
		return status.Error(codes.InvalidArgument, "one of operation, params and election_id is needed")
	case n > 1:
		return status.Error(codes.InvalidArgument, "only one of operation, params and election_id may be given at a time")
	case m.GetParams() != nil:
		return ses.negotiate(ctx, m.GetParams())
	case m.GetElectionId() != nil:
		return ses.elect(m.GetElectionId())
	}
	return ses.modify(ctx, m.GetOperation())
}

func (ses *session) modify(ctx context.Context, in []*spb.AFTOperation) error {
	if err := ses.begin(); err != nil {
		return err
	}
	for len(in) > 0 {
		if err := ses.room(ctx); err != nil {
			return err
		}
		n := min(len(in), chunk)
		ops := make([]operation, n)
		for i, o := range in[:n] {
			if o.GetElectionId() != nil && !ses.params.single {
				return modifyError(codes.FailedPrecondition, spb.ModifyRPCErrorDetails_ELECTION_ID_IN_ALL_PRIMARY,
					"operation %d: election_id: there are no elections in ALL_PRIMARY", o.GetId())
			}
			ops[i] = decodeOp(o)
		}
		in = in[n:]
		ses.srv.carryOut(ses, ops)
	}
	return nil
}

// carryOut applies operations of a client, and answers all that have a result.
func (s *Server) carryOut(ses *session, ops []operation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ses.left {
		return
	}
	if ses.params.single {
		for i := range ops {
			if why := s.mayWrite(ses, &ops[i]); why != nil {
				ops[i].bad = why
			}
		}
	}
	s.answer(s.table.apply(ses, ops))
}

// answer hands results to the sessions that they are for.
func (s *Server) answer(done []applied) {
	at := now()
	for i := 0; i < len(done); {
		ses := done[i].s
		ses.mu.Lock()
		for ; i < len(done) && done[i].s == ses; i++ {
			d := &done[i]
			if d.err != nil {
				ses.res = append(ses.res, result{d.op.id, statusFailed, d.err.Error(), at})
				continue
			}
			ses.res = append(ses.res, result{id: d.op.id, status: statusRIB, at: at})
			if ses.params.fibACK {
				ses.acks = append(ses.acks, ack{id: d.op.id, verb: d.op.verb, key: d.op.key})
				ses.nAcks++
			}
		}
		ses.wake()
		ses.mu.Unlock()
	}
}

// wake tells who waits that something has changed; ses.mu is held.
func (ses *session) wake() {
	close(ses.moved)
	ses.moved = make(chan struct{})
}

// room waits until the client has taken enough of its answers.
func (ses *session) room(ctx context.Context) error {
	return ses.until(ctx, func() bool { return len(ses.out)+len(ses.res)+ses.nAcks < ses.srv.opt.Limits.Unsettled })
}

// until waits for a condition, which is looked at with ses.mu held.
func (ses *session) until(ctx context.Context, ok func() bool) error {
	for {
		ses.mu.Lock()
		done, moved := ok(), ses.moved
		ses.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// linger lets a client that has said all have its answers.
func (ses *session) linger(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lingerPatience)
	defer cancel()
	_ = ses.until(ctx, func() bool { return len(ses.out)+len(ses.res)+ses.nAcks == 0 })
}

func (ses *session) say(m *spb.ModifyResponse) {
	ses.mu.Lock()
	ses.out = append(ses.out, m)
	ses.wake()
	ses.mu.Unlock()
}

// send writes answers to the stream until ctx ends.
func (ses *session) send(ctx context.Context) error {
	for {
		err := ses.until(ctx, func() bool { return len(ses.out)+len(ses.res) > 0 })
		if err != nil {
			return err
		}
		ses.mu.Lock()
		out := ses.out
		n := min(len(ses.res), answersPerMessage)
		var res []result
		if len(out) == 0 {
			res = append(res, ses.res[:n]...)
		}
		ses.mu.Unlock()
		for _, m := range out {
			if err := ses.stream.Send(m); err != nil {
				return err
			}
		}
		if len(res) > 0 {
			if err := ses.stream.Send(encodeResults(res)); err != nil {
				return err
			}
		}
		ses.mu.Lock()
		ses.out = ses.out[len(out):]
		if ses.res = ses.res[len(res):]; len(ses.res) == 0 {
			ses.res = nil
		}
		ses.wake()
		ses.mu.Unlock()
	}
}
