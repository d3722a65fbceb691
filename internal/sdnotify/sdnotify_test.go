package sdnotify

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for _, p := range pairs {
			if v, ok := strings.CutPrefix(p, name+"="); ok {
				return v
			}
		}
		return ""
	}
}

func supervisor(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func heard(t *testing.T, l *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 4096)
	n, err := l.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestSend(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@millrace-sdnotify-%d", os.Getpid())} {
		l := supervisor(t, name)
		n, err := New(env("NOTIFY_SOCKET="+name, "WATCHDOG_USEC=30000000", fmt.Sprintf("WATCHDOG_PID=%d", os.Getpid())))
		if err != nil {
			t.Fatal(err)
		}
		if n.Watchdog() != 30*time.Second {
			t.Errorf("watchdog %s", n.Watchdog())
		}
		if err := n.Send(Ready, Status("two\nlines of %d", 2)); err != nil {
			t.Error(err)
		}
		if got := heard(t, l); got != "READY=1\nSTATUS=two lines of 2" {
			t.Errorf("heard %q", got)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestNone(t *testing.T) {
	n, err := New(env("WATCHDOG_USEC=1000"))
	if n != nil || err != nil {
		t.Fatalf("%v, %v", n, err)
	}
	if n.Send(Ready) != nil || n.Close() != nil || n.Watchdog() != 0 {
		t.Error("without a supervisor something is done")
	}
}

func TestWatchdogOfOthers(t *testing.T) {
	name := fmt.Sprintf("@millrace-sdnotify-others-%d", os.Getpid())
	supervisor(t, name)
	for _, c := range []struct {
		pid, usec string
		want      time.Duration
	}{
		{"1", "1000000", 0}, {"", "1000000", time.Second}, {"", "", 0}, {"", "-1", 0}, {"", "1s", 0}, {"", "4000000000000000000", time.Hour},
	} {
		n, err := New(env("NOTIFY_SOCKET="+name, "WATCHDOG_USEC="+c.usec, "WATCHDOG_PID="+c.pid))
		if err != nil {
			t.Fatal(err)
		}
		if n.Watchdog() != c.want {
			t.Errorf("%+v: %s", c, n.Watchdog())
		}
		_ = n.Close()
	}
}

func TestBadAddress(t *testing.T) {
	for _, name := range []string{"/", "@", "run/x", "vsock:1:2", "/no/such/socket", "/" + strings.Repeat("x", 200)} {
		if n, err := New(env("NOTIFY_SOCKET=" + name)); err == nil || n != nil {
			t.Errorf("%q is taken", name)
		}
	}
}
