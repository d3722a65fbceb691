package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"millrace/appliance/agent"
	"millrace/server/config"
)

// movable is a listener whose address can be changed while it is served. Connections that were accepted before go on.
type movable struct {
	name string
	log  *slog.Logger
	// ns is the network namespace it listens in, where that may not be our own: `vnf run` hands over listeners of the one it was started in.
	ns *os.File
	// agent listens for us, where there is one: in the namespace of the management network, which is not ours.
	agent *agent.Client

	mu     sync.Mutex
	l      net.Listener  // nil: there is none now
	next   chan struct{} // closed when l changes
	closed bool
}

// newMovable takes over a listener; nil: there is none yet.
func newMovable(name string, l net.Listener, log *slog.Logger) *movable {
	m := &movable{name: name, log: log, ns: namespaceOf(l), l: l, next: make(chan struct{})}
	if path := os.Getenv(ListenNetns); m.ns == nil && path != "" {
		f, err := os.Open(path)
		if err != nil {
			log.Error("the network namespace to listen in", "listener", name, "error", err)
		}
		m.ns = f
	}
	return m
}

// namespaceOf is the network namespace of a listener; nil if it cannot be told.
func namespaceOf(l net.Listener) *os.File {
	if l == nil {
		return nil
	}
	var ns *os.File
	_ = withSocket(l, func(fd int) error {
		n, err := unix.IoctlRetInt(fd, unix.SIOCGSKNS)
		if err == nil {
			ns = os.NewFile(uintptr(n), "netns")
		}
		return err
	})
	return ns
}

func withSocket(l net.Listener, f func(fd int) error) error {
	sc, ok := l.(syscall.Conn)
	if !ok {
		return errors.ErrUnsupported
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// dead says that a socket which was handed over does not listen any more, since an earlier run of ours has moved away from it.
func dead(l net.Listener) bool {
	listening := 1
	err := withSocket(l, func(fd int) (err error) {
		listening, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		return err
	})
	return err == nil && listening == 0
}

// Accept waits for a connection, to whatever address is in force.
func (m *movable) Accept() (net.Conn, error) {
	for {
		m.mu.Lock()
		l, next, closed := m.l, m.next, m.closed
		m.mu.Unlock()
		switch {
		case closed:
			return nil, net.ErrClosed
		case l == nil:
			<-next
			continue
		}
		c, err := l.Accept()
		if err == nil {
			return c, nil
		}
		m.mu.Lock()
		moved := m.l != l
		m.mu.Unlock()
		if !moved {
			return nil, err
		}
	}
}

// Close ends it.
func (m *movable) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	close(m.next)
	if m.ns != nil {
		_ = m.ns.Close()
	}
	if m.l == nil {
		return nil
	}
	return m.l.Close()
}

// nowhere is the address of a listener that there is not.
type nowhere struct{}

func (nowhere) Network() string { return "tcp" }
func (nowhere) String() string  { return "none" }

// Addr is the address in force.
func (m *movable) Addr() net.Addr {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.l == nil {
		return nowhere{}
	}
	return m.l.Addr()
}

// address is that in force; empty if there is none.
func (m *movable) address() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.l == nil {
		return ""
	}
	return m.l.Addr().String()
}

// move listens on another address, or, if it is empty, on none. If that cannot be done, it goes on as before.
func (m *movable) move(ctx context.Context, address string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return net.ErrClosed
	}
	old := m.l
	back := ""
	if old != nil {
		back = old.Addr().String()
		// The two may be one port, so the old one has to go first; others may hold the socket as well, so it is not enough to close it.
		_ = withSocket(old, func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) })
	}
	var l net.Listener
	var err error
	if address != "" {
		if l, err = m.listen(ctx, address); err != nil && back != "" {
			var again error
			if l, again = m.listen(ctx, back); again != nil {
				m.log.Error("listening on the old address again", "listener", m.name, "address", back, "error", again)
			}
		}
	}
	m.l = l
	close(m.next)
	m.next = make(chan struct{})
	if old != nil {
		_ = old.Close()
	}
	if l != nil {
		m.log.Info("listens", "listener", m.name, "address", l.Addr().String())
	}
	return err
}

// listen makes a listener in the namespace of the first one.
func (m *movable) listen(ctx context.Context, address string) (net.Listener, error) {
	if m.agent != nil {
		return m.agent.Listen(ctx, address)
	}
	here := func() (net.Listener, error) { return new(net.ListenConfig).Listen(ctx, "tcp", address) }
	const ours = "/proc/thread-self/ns/net"
	if m.ns == nil || sameFile(m.ns, ours) {
		return here()
	}
	runtime.LockOSThread()
	back, err := os.Open(ours)
	if err != nil {
		runtime.UnlockOSThread()
		return nil, err
	}
	defer back.Close()
	if err := unix.Setns(int(m.ns.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("enter the network namespace of the listener: %w", err)
	}
	l, err := here()
	if e := unix.Setns(int(back.Fd()), unix.CLONE_NEWNET); e != nil {
		// The thread stays locked, so that it ends with the goroutine: nothing else may run in that namespace.
		m.log.Error("leave the network namespace of the listener", "listener", m.name, "error", e)
		return l, err
	}
	runtime.UnlockOSThread()
	return l, err
}

func sameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

// sameAddress says that a listener is where a configured address says.
func sameAddress(l net.Listener, address string) bool {
	want, err := net.ResolveTCPAddr("tcp", address)
	have, ok := l.Addr().(*net.TCPAddr)
	if err != nil || !ok || want.Port != have.Port {
		return false
	}
	wild := len(want.IP) == 0 || want.IP.IsUnspecified() && want.IP.To4() == nil
	return wild && have.IP.IsUnspecified() || want.IP.Equal(have.IP)
}

// withListeners brings the listeners of the configuration to it, and then all else.
type withListeners struct {
	*Controller
	moving map[string]*movable
}

// Apply is store.Applier. A listener that cannot be had is refused before anything has changed.
func (w *withListeners) Apply(ctx context.Context, next *config.Config, save func() error) error {
	old := w.Config()
	var moved []string
	undo := func() {
		for _, name := range moved {
			if err := w.moving[name].move(context.WithoutCancel(ctx), ListenAddress(old, name)); err != nil {
				w.log.Error("take a listener back", "listener", name, "error", err)
			}
		}
	}
	for _, name := range []string{ListenGRPC, ListenMetrics} {
		a := ListenAddress(next, name)
		if w.moving[name] == nil || a == ListenAddress(old, name) {
			continue
		}
		if err := w.moving[name].move(ctx, a); err != nil {
			undo()
			return config.Errors{{Path: "system." + name + "-listen", Reason: err.Error()}}
		}
		moved = append(moved, name)
	}
	err := w.Controller.Apply(ctx, next, save)
	if err != nil {
		undo()
	}
	return err
}
