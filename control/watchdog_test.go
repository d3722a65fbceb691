package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"millrace/internal/sdnotify"
)

// supervisor hears what a program tells of itself.
type supervisor struct {
	t    *testing.T
	conn *net.UnixConn
	name string
}

func newSupervisor(t *testing.T) *supervisor {
	t.Helper()
	name := fmt.Sprintf("@millrace-%d-%s", os.Getpid(), t.Name())
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &supervisor{t, c, name}
}

func (s *supervisor) notifier(watchdog time.Duration) *sdnotify.Notifier {
	s.t.Helper()
	n, err := sdnotify.New(func(name string) string {
		switch name {
		case "NOTIFY_SOCKET":
			return s.name
		case "WATCHDOG_USEC":
			return fmt.Sprint(watchdog.Microseconds())
		}
		return ""
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = n.Close() })
	return n
}

// until waits for a message with a word in it, and returns all before it.
func (s *supervisor) until(word string) (before []string) {
	s.t.Helper()
	b := make([]byte, 4096)
	_ = s.conn.SetReadDeadline(time.Now().Add(time.Minute))
	for {
		n, err := s.conn.Read(b)
		if err != nil {
			s.t.Fatalf("waiting for %s: %v after %q", word, err, before)
		}
		if m := string(b[:n]); strings.Contains(m, word) {
			return before
		} else {
			before = append(before, m)
		}
	}
}

func TestWatchdog(t *testing.T) {
	s := newSupervisor(t)
	var serving, stuck atomic.Bool
	w := &watchdog{
		log: slog.New(slog.DiscardHandler), tell: s.notifier(0), period: 5 * time.Millisecond, answered: map[string]time.Time{},
		probes: []probe{
			{"server", func(context.Context) error {
				if serving.Load() {
					return nil
				}
				return errors.New("not yet")
			}, time.Minute},
			{"store", func(ctx context.Context) error {
				if stuck.Load() {
					<-ctx.Done()
				}
				return ctx.Err()
			}, 50 * time.Millisecond},
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.run(ctx) })
	time.Sleep(20 * time.Millisecond)
	serving.Store(true)
	if before := s.until(sdnotify.Ready); len(before) != 0 {
		t.Errorf("before it was ready: %q", before)
	}
	s.until(sdnotify.Alive)
	s.until(sdnotify.Alive)
	stuck.Store(true)
	s.until("STATUS=no answer from the store")
	stuck.Store(false)
	if before := s.until("STATUS=serving"); len(before) > 1 || len(before) == 1 && before[0] != sdnotify.Alive {
		t.Errorf("while the store was stuck: %q", before)
	}
	s.until(sdnotify.Alive)
	cancel()
	s.until(sdnotify.Stopping)
	wg.Wait()
}

// The daemon tells that it serves, and goes on telling that it is alive, without a data plane.
func TestDaemonTellsSupervisor(t *testing.T) {
	s := newSupervisor(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	file := dir + "/vnf.yaml"
	if err := os.WriteFile(file, []byte("system: {grpc-listen: none, metrics-listen: none}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		ended <- RunDaemon(ctx, DaemonOptions{
			ConfigFile: file, RuntimeDir: dir + "/run", StateDir: dir + "/state", Logger: slog.New(slog.DiscardHandler), Supervisor: s.notifier(3 * time.Second),
		})
	}()
	s.until(sdnotify.Ready)
	s.until(sdnotify.Alive)
	s.until(sdnotify.Alive)
	cancel()
	s.until(sdnotify.Stopping)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
