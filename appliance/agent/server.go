package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/sdnotify"
)

const (
	// maxClients is how many are served at one time.
	maxClients = 16
	// readPatience is how long a client may take to send its request, and to take the answer.
	readPatience = 10 * time.Second
)

// Options of a Server. Machine has to be given.
type Options struct {
	Machine *Machine
	// Users who may ask, beside root.
	Users []uint32
	// Idle ends the server when it had nothing to do for so long; 0: never.
	Idle   time.Duration
	Logger *slog.Logger
	// Tell is the supervisor; nil: there is none.
	Tell *sdnotify.Notifier
}

// Server is the agent.
type Server struct {
	opt Options
	log *slog.Logger

	mu     sync.Mutex
	active int
	last   time.Time // when there was something to do
}

// NewServer makes a server that does not listen yet.
func NewServer(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{opt: o, log: o.Logger, last: time.Now()}
}

// Serve answers requests until ctx ends or there is nothing to do any more, and closes the listener. Who connects after that is for the next
// one who has the socket.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	l.SetUnlinkOnClose(false)
	defer l.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	s.tell(sdnotify.Ready)
	for {
		s.tell(sdnotify.Alive)
		if d, ok := s.deadline(); ok {
			if err := l.SetDeadline(d); err != nil && ctx.Err() == nil {
				return err
			}
		}
		nc, err := l.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = nc.Close()
			}
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			if s.idle() {
				return nil
			}
			continue
		case err != nil:
			return fmt.Errorf("agent: accept: %w", err)
		}
		if !s.begin() {
			_ = nc.Close()
			s.log.Warn("refused a connection", "reason", "too many clients")
			continue
		}
		wg.Go(func() {
			defer s.end()
			s.client(ctx, nc)
		})
	}
}

func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active == maxClients {
		return false
	}
	s.active++
	s.last = time.Now()
	return true
}

func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	s.last = time.Now()
}

func (s *Server) tell(state string) {
	if err := s.opt.Tell.Send(state); err != nil {
		s.log.Warn("the supervisor is not told", "error", err)
	}
}

// deadline is when to look again whether there is something to do, or to tell the supervisor that we are alive.
func (s *Server) deadline() (t time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opt.Idle > 0 {
		if t = s.last.Add(s.opt.Idle); s.active > 0 {
			t = time.Now().Add(s.opt.Idle)
		}
	}
	if w := s.opt.Tell.Watchdog(); w > 0 {
		if again := time.Now().Add(w / 3); t.IsZero() || again.Before(t) {
			t = again
		}
	}
	return t, !t.IsZero()
}

func (s *Server) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opt.Idle > 0 && s.active == 0 && time.Since(s.last) >= s.opt.Idle
}

// client serves one connection.
func (s *Server) client(ctx context.Context, nc *net.UnixConn) {
	defer nc.Close()
	uid, pid, err := peer(nc)
	if err != nil {
		s.log.Error("who connects", "error", err)
		return
	}
	_ = nc.SetReadDeadline(time.Now().Add(readPatience))
	line, err := bufio.NewReaderSize(io.LimitReader(nc, MaxRequest), MaxRequest).ReadBytes('\n')
	// Only now: a client that is still writing would not get to read the answer.
	if uid != 0 && !slices.Contains(s.opt.Users, uid) {
		s.log.Warn("refused", "uid", uid, "pid", pid)
		s.send(nc, answer{Error: &Error{Reason: fmt.Sprintf("user %d may not use the agent", uid)}}, nil)
		return
	}
	switch {
	case len(line) == MaxRequest && err != nil:
		s.send(nc, answer{Error: &Error{Reason: fmt.Sprintf("a request has %d bytes at most", MaxRequest)}}, nil)
		return
	case err != nil:
		s.log.Warn("no request", "uid", uid, "pid", pid, "error", err)
		return
	}
	r, err := ParseRequest(line)
	var a answer
	var l *os.File
	if err == nil {
		a, l, err = s.do(ctx, r)
	}
	if l != nil {
		defer l.Close()
	}
	if err != nil {
		s.log.Warn("not done", "op", string(r.Op), "uid", uid, "pid", pid, "error", err)
		a = answer{Error: &Error{Reason: err.Error()}}
		var e *Error
		if errors.As(err, &e) {
			a.Error = e
		}
		s.send(nc, a, nil)
		return
	}
	if r.Op != Journal {
		s.log.Info("done", "audit", true, "op", string(r.Op), "uid", uid, "pid", pid, "address", r.Address, "name", r.Name, "signal", r.Signal, "reason", r.Reason)
	}
	s.send(nc, a, l)
}

// do does what a request asks for. What can be answered comes back, for "listen" with the socket.
func (s *Server) do(ctx context.Context, r Request) (a answer, l *os.File, err error) {
	m := s.opt.Machine
	switch r.Op {
	case Listen:
		l, a.Address, err = m.listen(ctx, r.Address)
	case Hostname:
		err = m.hostname(r.Name)
	case Reboot:
		err = m.reboot(ctx)
	case RestartDataplane:
		err = m.restartDataplane(ctx)
	case SignalDataplane:
		err = m.signalDataplane(ctx, r.Signal)
	case FactoryReset:
		err = m.factoryReset(ctx)
	case Journal:
		a.Text, err = m.journal(ctx, r.Lines)
	default:
		err = bad("op", "%q is no operation", r.Op)
	}
	return a, l, err
}

func (s *Server) send(nc *net.UnixConn, a answer, f *os.File) {
	b, err := json.Marshal(a)
	if err != nil {
		s.log.Error("answer", "error", err)
		return
	}
	b = append(b, '\n')
	_ = nc.SetWriteDeadline(time.Now().Add(readPatience))
	if f == nil {
		_, err = nc.Write(b)
	} else {
		// Such an answer is short: it goes out at once.
		_, _, err = nc.WriteMsgUnix(b, unix.UnixRights(int(f.Fd())), nil)
	}
	if err != nil {
		s.log.Warn("answer", "error", err)
	}
}

// peer is the user and the process at the other end.
func peer(nc *net.UnixConn) (uid uint32, pid int32, err error) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	var cred *unix.Ucred
	var inner error
	if err := raw.Control(func(fd uintptr) { cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, 0, err
	}
	if inner != nil {
		return 0, 0, inner
	}
	return cred.Uid, cred.Pid, nil
}

// Open makes the agent's socket in the runtime directory, for root and a group, in the place of one that nobody listens on any more. It is for
// machines without a supervisor that does.
func Open(runtimeDir string, gid int) (*net.UnixListener, error) {
	path := filepath.Join(runtimeDir, Socket)
	if nc, err := net.Dial("unix", path); err == nil {
		_ = nc.Close()
		return nil, fmt.Errorf("another agent listens on %s", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove a stale socket: %w", err)
	}
	// Made under a name nobody looks for, so that there is no moment in which others may connect.
	dir, err := os.MkdirTemp(runtimeDir, ".agent-*")
	if err != nil {
		return nil, fmt.Errorf("agent's socket: %w", err)
	}
	defer os.RemoveAll(dir)
	tmp := filepath.Join(dir, Socket)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: tmp, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("agent's socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chown(tmp, -1, gid), os.Chmod(tmp, 0o660), os.Rename(tmp, path)); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("agent's socket: %w", err)
	}
	return l, nil
}
