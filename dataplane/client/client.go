package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	pb "millrace/api/proto/dataplane/v1"
)

// Options of a Client. Socket, Owner and Epoch have to be given.
type Options struct {
	// Socket is the path of the data plane's unix socket.
	Socket string
	// Owner of what this client writes, 1 to 31 characters of [a-z0-9-].
	Owner string
	// Epoch is asked before each Hello for an epoch larger than any before; see NextEpoch. As each session has its own, whatever
	// was written in one before, and is not written again in this one, can be swept.
	Epoch func() (uint64, error)
	// Version of this program, for the data plane's log.
	Version string
	Logger  *slog.Logger
	// CallTimeout bounds each call whose context has no nearer deadline; default 30 s.
	CallTimeout time.Duration
	// KeepAlive is the pause between two checks of an idle connection; default 5 s. A check not answered within CallTimeout ends
	// the connection.
	KeepAlive time.Duration
	// BackoffMin and BackoffMax bound the pause between two dials; default 100 ms and 5 s.
	BackoffMin, BackoffMax time.Duration
	// OnSession is called after each Hello, in a goroutine of its own whose context ends with the connection. The next dial
	// waits until it returned.
	OnSession func(ctx context.Context, s Session)
	// OnLost is called when a connection that had said Hello broke.
	OnLost func(err error)
}

// Session describes a connection after its Hello.
type Session struct {
	// Version of the data plane.
	Version string
	BootID  uint64
	// Epoch is the one that this session writes with.
	Epoch uint64
	// NewBoot is true if the data plane is another process than in this Client's session before, or there was none before:
	// it has nothing of what this one wrote.
	NewBoot bool
	// PreviousEpoch is the epoch that was in force for the owner before this Hello; 0 if the data plane knew nothing of it.
	PreviousEpoch uint64
	// Since is when the session began.
	Since time.Time
	// PID of the data plane; 0 if the kernel does not tell.
	PID int
}

// Client is a connection to the data plane that comes back by itself.
type Client struct {
	opt Options
	log *slog.Logger

	mu      sync.Mutex
	cur     *conn
	session Session
	lastErr error
	// up is closed while there is a connection, and made anew when it breaks.
	up chan struct{}
	// spaces are those of FIB batches, for use again.
	spaces []*opSpace
}

// New checks the options. Nothing happens before Run.
func New(o Options) (*Client, error) {
	if o.Socket == "" {
		return nil, errors.New("data plane client: no socket given")
	}
	if !validOwner(o.Owner) {
		return nil, fmt.Errorf("data plane client: owner %q is not 1 to 31 characters of [a-z0-9-]", o.Owner)
	}
	if o.Epoch == nil {
		return nil, errors.New("data plane client: no epoch given")
	}
	setDefault(&o.CallTimeout, 30*time.Second)
	setDefault(&o.KeepAlive, 5*time.Second)
	setDefault(&o.BackoffMin, 100*time.Millisecond)
	setDefault(&o.BackoffMax, 5*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Client{opt: o, log: o.Logger, up: make(chan struct{})}, nil
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d <= 0 {
		*d = v
	}
}

func validOwner(s string) bool {
	if len(s) < 1 || len(s) > 31 {
		return false
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return true
}

// Run keeps the connection until ctx ends, and returns its cause then.
func (c *Client) Run(ctx context.Context) error {
	pause := c.opt.BackoffMin
	for ctx.Err() == nil {
		began := time.Now()
		err := c.serve(ctx)
		if ctx.Err() != nil {
			break
		}
		c.noteError(err)
		if time.Since(began) > c.opt.BackoffMax {
			pause = c.opt.BackoffMin
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		pause = min(2*pause, c.opt.BackoffMax)
	}
	return context.Cause(ctx)
}

// noteError logs the reason of a failed attempt once, however often it repeats.
func (c *Client) noteError(err error) {
	c.mu.Lock()
	same := c.lastErr != nil && err != nil && c.lastErr.Error() == err.Error()
	c.lastErr = err
	c.mu.Unlock()
	if !same {
		c.log.Warn("no data plane", "socket", c.opt.Socket, "error", err)
	}
}

// serve makes one connection and returns when it is over.
func (c *Client) serve(ctx context.Context) error {
	dialCtx, cancelDial := context.WithTimeout(ctx, c.opt.CallTimeout)
	defer cancelDial()
	var d net.Dialer
	nc, err := d.DialContext(dialCtx, "unix", c.opt.Socket)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	k := newConn(nc, c.opt.CallTimeout)
	defer k.wait()
	defer k.close(ErrDisconnected)
	epoch, err := c.opt.Epoch()
	if err != nil {
		return err
	}
	m, err := k.call(dialCtx, &pb.Request{Op: &pb.Request_Hello{Hello: &pb.Hello{
		Owner: c.opt.Owner, Epoch: epoch, ClientVersion: c.opt.Version,
	}}})
	if err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	h := m.GetHello()
	if h == nil {
		return fmt.Errorf("hello: %w: answered with %T", ErrProtocol, m.GetResult())
	}
	return c.hold(ctx, k, h, epoch)
}

// hold serves a connection that said Hello.
func (c *Client) hold(ctx context.Context, k *conn, h *pb.HelloResult, epoch uint64) error {
	c.mu.Lock()
	s := Session{
		Version: h.GetVersion(), BootID: h.GetBootId(), Epoch: epoch, PreviousEpoch: h.GetPreviousEpoch(), Since: time.Now(),
		PID:     peerPID(k.nc),
		NewBoot: c.session.Since.IsZero() || c.session.BootID != h.GetBootId(),
	}
	c.session, c.cur, c.lastErr = s, k, nil
	close(c.up)
	c.mu.Unlock()
	c.log.Info("data plane connected", "version", s.Version, "boot_id", s.BootID, "new_boot", s.NewBoot,
		"previous_epoch", s.PreviousEpoch, "epoch", s.Epoch)

	sessionCtx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { c.keepAlive(sessionCtx, k) })
	if c.opt.OnSession != nil {
		wg.Go(func() { c.opt.OnSession(sessionCtx, s) })
	}
	select {
	case <-k.done:
	case <-ctx.Done():
		k.close(context.Cause(ctx))
	}
	err := k.broken()
	c.mu.Lock()
	c.cur = nil
	c.up = make(chan struct{})
	c.mu.Unlock()
	cancel(err)
	wg.Wait()
	if ctx.Err() == nil && c.opt.OnLost != nil {
		c.opt.OnLost(err)
	}
	return err
}

func (c *Client) keepAlive(ctx context.Context, k *conn) {
	t := time.NewTicker(c.opt.KeepAlive)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		checkCtx, cancel := context.WithTimeout(ctx, c.opt.CallTimeout)
		_, err := k.call(checkCtx, &pb.Request{Op: &pb.Request_GetInfo{GetInfo: &pb.GetInfo{}}})
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			k.close(fmt.Errorf("%w: no answer for %s", ErrStalled, c.opt.CallTimeout))
			return
		}
	}
}

// Connected reports whether there is a connection that said Hello.
func (c *Client) Connected() bool { return c.conn() != nil }

// Session returns the present session, or the last one, and whether it is up.
func (c *Client) Session() (s Session, up bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session, c.cur != nil
}

// LastError is why the last attempt to connect failed; nil while connected.
func (c *Client) LastError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastErr
}

// Wait returns when there is a connection, or with the cause of ctx.
func (c *Client) Wait(ctx context.Context) error {
	c.mu.Lock()
	up := c.up
	c.mu.Unlock()
	select {
	case <-up:
		return nil
	case <-ctx.Done():
		if err := c.LastError(); err != nil {
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		return context.Cause(ctx)
	}
}

func (c *Client) conn() *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cur
}

// do sends one request and waits for its answer, CallTimeout plus extra at most.
func (c *Client) do(ctx context.Context, req *pb.Request, extra time.Duration) (*pb.Response, error) {
	k := c.conn()
	if k == nil {
		return nil, c.noConn()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.opt.CallTimeout+extra, ErrStalled)
	defer cancel()
	return k.call(ctx, req)
}

func (c *Client) noConn() error {
	if err := c.LastError(); err != nil {
		return fmt.Errorf("%w: %w", ErrDisconnected, err)
	}
	return ErrDisconnected
}

func unexpected(what string, m *pb.Response) error {
	return fmt.Errorf("%s: %w: answered with %T", what, ErrProtocol, m.GetResult())
}
