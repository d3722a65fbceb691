package gribi

import (
	"context"
	"fmt"
	"time"

	spb "github.com/openconfig/gribi/v1/proto/service"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"millrace/server/auth"
)

// agreePatience is how long a client with other parameters than those of a
// session still there waits for that to end: it may be the same client's last
// one, whose end is on its way.
const agreePatience = 300 * time.Millisecond

// modifyError ends a Modify stream.
func modifyError(c codes.Code, r spb.ModifyRPCErrorDetails_Reason, format string, args ...any) error {
	st := status.Newf(c, format, args...)
	if d, err := st.WithDetails(&spb.ModifyRPCErrorDetails{Reason: r}); err == nil {
		st = d
	}
	return st.Err()
}

// negotiate takes a client's parameters.
func (ses *session) negotiate(ctx context.Context, in *spb.SessionParameters) error {
	if ses.began {
		return modifyError(codes.FailedPrecondition, spb.ModifyRPCErrorDetails_MODIFY_NOT_ALLOWED,
			"params: may be sent once, and before anything else")
	}
	p, err := decodeParams(in)
	if err != nil {
		return modifyError(codes.Unimplemented, spb.ModifyRPCErrorDetails_UNSUPPORTED_PARAMS, "params.%v", err)
	}
	end := time.Now().Add(agreePatience)
	for {
		other, ok := ses.srv.join(ses, p)
		if ok {
			break
		}
		if time.Now().After(end) {
			return modifyError(codes.FailedPrecondition, spb.ModifyRPCErrorDetails_PARAMS_DIFFER_FROM_OTHER_CLIENTS,
				"params: %s, other clients have %s", p, other)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
	ses.say(&spb.ModifyResponse{SessionParamsResult: &spb.SessionParametersResult{Status: spb.SessionParametersResult_OK}})
	return nil
}

// begin gives a client that did not negotiate the default parameters.
func (ses *session) begin() error {
	if ses.began {
		return nil
	}
	if other, ok := ses.srv.join(ses, params{}); !ok {
		return modifyError(codes.FailedPrecondition, spb.ModifyRPCErrorDetails_PARAMS_DIFFER_FROM_OTHER_CLIENTS,
			"params: %s (the default), other clients have %s", params{}, other)
	}
	return nil
}

// join has a session take part with its parameters, unless others have other ones.
func (s *Server) join(ses *session, p params) (other params, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ses.left {
		return p, true
	}
	for o := range s.sessions {
		if o != ses && o.began && o.params != p {
			return o.params, false
		}
	}
	ses.params, ses.began = p, true
	s.mode = &p
	id, _ := auth.FromContext(ses.stream.Context())
	s.log.Info("gRIBI: session", "client", id.Name, "params", p)
	return p, true
}

// elect takes the ID of an election that the client has won, or so it thinks.
func (ses *session) elect(in *spb.Uint128) error {
	if err := ses.begin(); err != nil {
		return err
	}
	if !ses.params.single {
		return modifyError(codes.FailedPrecondition, spb.ModifyRPCErrorDetails_ELECTION_ID_IN_ALL_PRIMARY,
			"election_id: there are no elections in ALL_PRIMARY")
	}
	id := decodeElection(in)
	if id == (electionID{}) {
		return status.Error(codes.InvalidArgument, "election_id: is 0")
	}
	ses.say(&spb.ModifyResponse{ElectionId: encodeElection(ses.srv.elected(ses, id))})
	return nil
}

// elected notes an election ID and returns the highest known.
func (s *Server) elected(ses *session, id electionID) electionID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ses.left || id.less(ses.election) {
		return s.highest // a client's ID only grows
	}
	ses.election = id
	if id.less(s.highest) {
		return s.highest
	}
	if s.primary != ses && s.primary != nil {
		s.log.Info("gRIBI: another primary", "election_id", id)
		s.supersede(s.primary)
	}
	s.highest, s.primary = id, ses
	return id
}

// supersede ends the operations of a primary that are not done; it gets no
// answers to them any more.
func (s *Server) supersede(old *session) {
	s.table.dropWaiting(func(w *waiter) bool { return w.s == old })
	old.mu.Lock()
	old.nAcks -= len(old.acks)
	old.acks, old.parked = nil, nil
	old.wake()
	old.mu.Unlock()
}

// mayWrite says why an operation of a client in SINGLE_PRIMARY must be refused.
func (s *Server) mayWrite(ses *session, op *operation) error {
	switch {
	case op.election == (electionID{}):
		return fmt.Errorf("election_id: is missing")
	case op.election != ses.election:
		return fmt.Errorf("election_id: %s is not the ID that this client advertised, %s", op.election, ses.election)
	case s.primary != ses:
		return fmt.Errorf("election_id: %s is not that of the primary client, %s, or another client advertised it later", op.election, s.highest)
	}
	return nil
}

// leave ends a session: what waits is forgotten and, unless it asked for its
// entries to be preserved, these go.
func (s *Server) leave(ses *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, ses)
	ses.left = true
	s.table.dropWaiting(func(w *waiter) bool { return w.s == ses })
	if s.primary == ses {
		s.primary = nil // the highest ID stays
	}
	if ses.began && !ses.params.preserve {
		s.table.disown(ses)
	}
}
