package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/appliance/agent"
	"millrace/server/config"
)

// serveEcho answers lines on a listener until it is closed.
func serveEcho(t *testing.T, l net.Listener) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("accept: %v", err)
				}
				return
			}
			wg.Go(func() {
				defer c.Close()
				s := bufio.NewScanner(c)
				for s.Scan() {
					fmt.Fprintln(c, s.Text())
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
}

func echoes(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintln(c, "x"); err != nil {
		return err
	}
	_, err := bufio.NewReader(c).ReadString('\n')
	return err
}

func answers(address string) error {
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	return echoes(c)
}

func TestMovable(t *testing.T) {
	ctx := context.Background()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// Somebody else has the socket too, as the parent process does.
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := newMovable("grpc", l, slog.New(slog.DiscardHandler))
	serveEcho(t, m)
	first := m.address()
	old, err := net.Dial("tcp", first)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = old.Close() })
	if err := echoes(old); err != nil {
		t.Fatal(err)
	}
	// The same port on all addresses, which the first socket would be in the way of.
	_, port, _ := net.SplitHostPort(first)
	if err := m.move(ctx, ":"+port); err != nil {
		t.Fatal(err)
	}
	if err := answers("127.0.0.2:" + port); err != nil {
		t.Errorf("after the move: %v", err)
	}
	if err := echoes(old); err != nil {
		t.Errorf("a connection of before: %v", err)
	}
	inherited, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	if !dead(inherited) || dead(m.l) {
		t.Error("the socket that was left is not told from one that listens")
	}
	_ = inherited.Close()
	// An address that is taken, or is not ours: it stays where it is.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, a := range []string{taken.Addr().String(), "192.0.2.1:" + port} {
		if err := m.move(ctx, a); err == nil {
			t.Errorf("it listens on %s", a)
		}
		if err := answers("127.0.0.1:" + port); err != nil {
			t.Errorf("after a move that failed: %v", err)
		}
	}
	// None at all, and back.
	if err := m.move(ctx, ""); err != nil || m.address() != "" {
		t.Errorf("no listener: %v, %q", err, m.address())
	}
	if err := answers("127.0.0.1:" + port); err == nil {
		t.Error("it still answers")
	}
	if err := m.move(ctx, first); err != nil {
		t.Fatal(err)
	}
	if err := answers(first); err != nil {
		t.Error(err)
	}
	if !sameAddress(m, first) || sameAddress(m, "127.0.0.1:1") || sameAddress(m, "[::]:"+port) || sameAddress(m, "0.0.0.0:"+port) {
		t.Error("addresses are not told apart")
	}
}

// A listener that was made in another network namespace moves within that.
func TestMovableNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes a network namespace")
	}
	name := fmt.Sprintf("movable%d", os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Skipf("ip netns add: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", name).Run() })
	if out, err := exec.Command("ip", "-n", name, "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	in := func(f func() error) error {
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // the thread ends with the goroutine
			ns, err := os.Open("/var/run/netns/" + name)
			if err == nil {
				err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
				_ = ns.Close()
			}
			if err == nil {
				err = f()
			}
			done <- err
		}()
		return <-done
	}
	var l net.Listener
	if err := in(func() (err error) {
		l, err = net.Listen("tcp", "127.0.0.1:5001")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	m := newMovable("grpc", l, slog.New(slog.DiscardHandler))
	serveEcho(t, m)
	if err := m.move(context.Background(), "127.0.0.1:5002"); err != nil {
		t.Fatal(err)
	}
	if err := in(func() error { return answers("127.0.0.1:5002") }); err != nil {
		t.Errorf("in its namespace: %v", err)
	}
	if err := answers("127.0.0.1:5002"); err == nil {
		t.Error("it listens in ours")
	}
	_ = m.Close()

	t.Setenv(ListenNetns, "/var/run/netns/"+name)
	m = newMovable("grpc", nil, slog.New(slog.DiscardHandler))
	serveEcho(t, m)
	if err := m.move(context.Background(), "127.0.0.1:5003"); err != nil {
		t.Fatal(err)
	}
	if err := in(func() error { return answers("127.0.0.1:5003") }); err != nil {
		t.Errorf("in the namespace of the environment: %v", err)
	}
}

// A change of the configuration moves the listeners, and is refused whole where that cannot be done.
func TestListenersFollowConfiguration(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	first := l.Addr().String()
	m := newMovable("grpc", l, slog.New(slog.DiscardHandler))
	serveEcho(t, m)
	cfg := func(listen string) *config.Config { return &config.Config{System: config.System{GRPCListen: listen}} }
	c, err := New(Options{Config: cfg(first), Socket: t.TempDir() + "/none", Epoch: func() (uint64, error) { return 1, nil }})
	if err != nil {
		t.Fatal(err)
	}
	w := &withListeners{c, map[string]*movable{ListenGRPC: m}}
	err = w.Apply(t.Context(), cfg("192.0.2.1:9339"), func() error { return nil })
	if err == nil || !strings.HasPrefix(err.Error(), "system.grpc-listen: ") {
		t.Errorf("an address that is not ours: %v", err)
	}
	if err := answers(first); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
	failed := errors.New("the disk is full")
	if err := w.Apply(t.Context(), cfg("none"), func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("a commit that is not written: %v", err)
	}
	if err := answers(first); err != nil {
		t.Errorf("after a commit that was not written: %v", err)
	}
	if err := w.Apply(t.Context(), cfg("none"), func() error { return nil }); err != nil || m.address() != "" {
		t.Errorf("no listener: %v, %q", err, m.address())
	}
}

// With an agent, it is the agent who listens.
func TestMovableByAgent(t *testing.T) {
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, agent.Socket), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- agent.NewServer(agent.Options{Machine: agent.NewMachine()}).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	m := newMovable("grpc", nil, slog.New(slog.DiscardHandler))
	m.agent = agent.Find(dir)
	serveEcho(t, m)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := m.move(t.Context(), address); err == nil || !strings.Contains(err.Error(), "address: ") {
		t.Errorf("an address in use: %v", err)
	}
	_ = free.Close()
	if err := m.move(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	if err := answers(address); err != nil {
		t.Error(err)
	}
}
