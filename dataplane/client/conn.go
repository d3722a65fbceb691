package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	pb "millrace/api/proto/dataplane/v1"
)

// conn is one connection. Its two goroutines end when it is closed.
type conn struct {
	nc    net.Conn
	stall time.Duration
	out   chan []byte
	done  chan struct{}
	wg    sync.WaitGroup

	mu      sync.Mutex
	err     error
	lastID  uint64
	pending map[uint64]*waiter
}

// waiter is a request whose answer, or whose events, are still to come.
type waiter struct {
	// answer takes the first Response; it has room for it, so that the reader never waits.
	answer chan *pb.Response
	// stream takes what follows; nil for requests with one Response.
	stream *Stream
}

func newConn(nc net.Conn, stall time.Duration) *conn {
	c := &conn{
		nc:      nc,
		stall:   stall,
		out:     make(chan []byte, 16),
		done:    make(chan struct{}),
		pending: make(map[uint64]*waiter),
	}
	c.wg.Add(2)
	go func() { defer c.wg.Done(); c.close(c.read()) }()
	go func() { defer c.wg.Done(); c.write() }()
	return c
}

// close ends the connection for the reason given; the first reason stays.
func (c *conn) close(reason error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = reason
	pending := c.pending
	c.pending = nil
	c.mu.Unlock()
	close(c.done)
	_ = c.nc.Close()
	for _, w := range pending {
		if w.stream != nil {
			w.stream.finish(c.broken())
		}
	}
}

// wait returns when both goroutines ended.
func (c *conn) wait() { c.wg.Wait() }

func (c *conn) broken() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil || errors.Is(c.err, ErrDisconnected) {
		return ErrDisconnected
	}
	return fmt.Errorf("%w: %w", ErrDisconnected, c.err)
}

func (c *conn) read() error {
	r := bufio.NewReaderSize(c.nc, 64<<10)
	var buf []byte
	for {
		frame, err := ReadFrame(r, buf)
		if err != nil {
			if err == io.EOF {
				return errors.New("closed by the data plane")
			}
			return err
		}
		// What proto.Unmarshal keeps it copies, so that the buffer can be used again. One that a large page made grow is not kept.
		if buf = frame; cap(buf) > 1<<20 {
			buf = nil
		}
		m := new(pb.Response)
		if err := proto.Unmarshal(frame, m); err != nil {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		if err := c.deliver(m); err != nil {
			return err
		}
	}
}

func (c *conn) deliver(m *pb.Response) error {
	c.mu.Lock()
	w := c.pending[m.GetId()]
	event := m.GetEvent()
	if w != nil && (w.stream == nil || m.GetError() != nil || event.GetEnd() != nil) {
		delete(c.pending, m.GetId())
	}
	c.mu.Unlock()
	switch {
	case w == nil && m.GetId() == 0 && m.GetError() != nil:
		// Our own ids begin at 1: the data plane could not read a frame of ours.
		return fmt.Errorf("%w: %w", ErrProtocol, fromProto(m.GetError()))
	case w == nil:
		// The caller went away meanwhile.
	case event != nil && w.stream != nil:
		w.stream.push(event)
	default:
		select {
		case w.answer <- m:
		default:
			return fmt.Errorf("%w: request %d was answered twice", ErrProtocol, m.GetId())
		}
	}
	return nil
}

func (c *conn) write() {
	for {
		select {
		case frame := <-c.out:
			_ = c.nc.SetWriteDeadline(time.Now().Add(c.stall))
			if _, err := c.nc.Write(frame); err != nil {
				var ne net.Error
				if errors.As(err, &ne) && ne.Timeout() {
					err = fmt.Errorf("%w: its socket takes nothing", ErrStalled)
				}
				c.close(err)
				return
			}
		case <-c.done:
			return
		}
	}
}

// start sends a request. Its id is in req afterwards.
func (c *conn) start(ctx context.Context, req *pb.Request, s *Stream) (*waiter, error) {
	w := &waiter{answer: make(chan *pb.Response, 1), stream: s}
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil, c.broken()
	}
	c.lastID++
	req.Id = c.lastID
	c.pending[req.Id] = w
	c.mu.Unlock()
	frame, err := AppendFrame(nil, req)
	if err != nil {
		c.forget(req.Id)
		return nil, err
	}
	select {
	case c.out <- frame:
		return w, nil
	case <-c.done:
		return nil, c.broken()
	case <-ctx.Done():
		c.forget(req.Id)
		return nil, context.Cause(ctx)
	}
}

// finish waits for the answer of a request that was started.
func (c *conn) finish(ctx context.Context, id uint64, w *waiter) (*pb.Response, error) {
	select {
	case m := <-w.answer:
		return answered(m)
	case <-ctx.Done():
		c.forget(id)
		return nil, context.Cause(ctx)
	case <-c.done:
	}
	// The answer may have come just before the end.
	select {
	case m := <-w.answer:
		return answered(m)
	default:
		return nil, c.broken()
	}
}

func answered(m *pb.Response) (*pb.Response, error) {
	if e := m.GetError(); e != nil {
		return nil, fromProto(e)
	}
	return m, nil
}

func (c *conn) call(ctx context.Context, req *pb.Request) (*pb.Response, error) {
	w, err := c.start(ctx, req, nil)
	if err != nil {
		return nil, err
	}
	return c.finish(ctx, req.Id, w)
}

func (c *conn) forget(id uint64) {
	c.mu.Lock()
	delete(c.pending, id)
	c.mu.Unlock()
}
