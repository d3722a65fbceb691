package client

import (
	"context"
	"io"
	"iter"
	"sync"

	pb "millrace/api/proto/dataplane/v1"
)

// Events kept for a reader that is slow.
const streamDepth = 4096

// Stream is a sequence of events that the data plane pushes. It ends with the connection: a reader that wants to go on opens a
// new one, and reads the state afresh.
type Stream struct {
	k     *conn
	id    uint64
	depth int
	// state is true for Subscribe: what was lost cannot be made good, so that on overflow all that waits is dropped and one
	// Overflow event tells the reader. Records of a trace or packets of a capture are dropped at the end of the queue.
	state bool

	mu      sync.Mutex
	queue   []*pb.Event
	dropped uint64
	err     error
	reason  string
	ready   chan struct{}
}

// push takes an event from the connection's reader; it never waits.
func (s *Stream) push(e *pb.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return
	case e.GetEnd() != nil:
		s.err, s.reason = io.EOF, e.GetEnd().GetReason()
	case len(s.queue) < s.depth:
		s.queue = append(s.queue, e)
	case s.state:
		s.dropped += uint64(len(s.queue)) + 1
		clear(s.queue)
		s.queue = s.queue[:0]
	default:
		s.dropped += max(1, uint64(len(e.GetCaptured().GetPackets())))
	}
	s.wake()
}

func (s *Stream) wake() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

func (s *Stream) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.wake()
}

// Next waits for an event. It returns io.EOF when a trace or capture came to its end (see Reason), ErrDisconnected when the
// connection broke, and the cause of ctx when that ended. Events that had come before the end are returned first. Only one
// goroutine may call it.
func (s *Stream) Next(ctx context.Context) (*pb.Event, error) {
	for {
		if e, err := s.take(); e != nil || err != nil {
			return e, err
		}
		select {
		case <-s.ready:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (s *Stream) take() (*pb.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state && s.dropped > 0 {
		e := &pb.Event{Event: &pb.Event_Overflow{Overflow: &pb.Overflow{Dropped: s.dropped}}}
		s.dropped = 0
		return e, nil
	}
	if len(s.queue) > 0 {
		e := s.queue[0]
		s.queue[0] = nil
		if s.queue = s.queue[1:]; len(s.queue) == 0 {
			s.queue = nil
		}
		if c := e.GetCaptured(); c != nil {
			c.Dropped += s.dropped
		}
		return e, nil
	}
	return nil, s.err
}

// All walks the events until the end, yielding an error last unless the end was a regular one.
func (s *Stream) All(ctx context.Context) iter.Seq2[*pb.Event, error] {
	return func(yield func(*pb.Event, error) bool) {
		for {
			e, err := s.Next(ctx)
			if err == io.EOF || !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Reason says why a trace or capture ended, in the data plane's words.
func (s *Stream) Reason() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

// Close tells the data plane to stop. It does not wait.
func (s *Stream) Close() {
	s.k.mu.Lock()
	_, live := s.k.pending[s.id]
	delete(s.k.pending, s.id)
	s.k.mu.Unlock()
	s.finish(io.EOF)
	if !live {
		return
	}
	// A connection whose queue is full for good is ended by its write deadline; then the stream ends as well.
	frame, err := AppendFrame(nil, &pb.Request{Op: &pb.Request_Cancel{Cancel: &pb.Cancel{RequestId: s.id}}, Id: s.k.takeID()})
	if err != nil {
		return
	}
	select {
	case s.k.out <- frame:
	default:
		go func() {
			select {
			case s.k.out <- frame:
			case <-s.k.done:
			}
		}()
	}
}

func (c *conn) takeID() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastID++
	return c.lastID
}

func (c *Client) stream(ctx context.Context, req *pb.Request, state bool) (*Stream, error) {
	k := c.conn()
	if k == nil {
		return nil, c.noConn()
	}
	s := &Stream{k: k, depth: streamDepth, state: state, ready: make(chan struct{}, 1)}
	ctx, cancel := context.WithTimeoutCause(ctx, c.opt.CallTimeout, ErrStalled)
	defer cancel()
	w, err := k.start(ctx, req, s)
	if err != nil {
		return nil, err
	}
	s.id = req.GetId()
	if _, err := k.finish(ctx, req.GetId(), w); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Subscribe asks for events. When it returned, every later change is told. Events of kind Overflow say that some were lost, here
// or in the data plane: the state has to be read afresh.
func (c *Client) Subscribe(ctx context.Context) (*Stream, error) {
	return c.stream(ctx, &pb.Request{Op: &pb.Request_Subscribe{Subscribe: &pb.Subscribe{}}}, true)
}

// Trace records the way of packets; events are of kind TraceRecord.
func (c *Client) Trace(ctx context.Context, t *pb.Trace) (*Stream, error) {
	return c.stream(ctx, &pb.Request{Op: &pb.Request_Trace{Trace: t}}, false)
}

// Capture copies packets; events are of kind CapturedPackets, whose `dropped` includes what was lost here.
func (c *Client) Capture(ctx context.Context, p *pb.Capture) (*Stream, error) {
	return c.stream(ctx, &pb.Request{Op: &pb.Request_Capture{Capture: p}}, false)
}
