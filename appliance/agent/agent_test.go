package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// box is an agent whose programs note what they were called with.
type box struct {
	*Client
	dir   string
	names []string // hostnames set
	mu    sync.Mutex
}

func script(t *testing.T, path, body string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func newBox(t *testing.T, o Options) *box {
	t.Helper()
	dir := t.TempDir()
	b := &box{dir: dir}
	o.Machine = &Machine{
		Systemctl:    script(t, filepath.Join(dir, "systemctl"), `echo "$@" >>`+dir+`/calls; test ! -e `+dir+`/fail || { echo 'Unit not found.' >&2; exit 5; }`),
		Journalctl:   script(t, filepath.Join(dir, "journalctl"), `echo "$@" >>`+dir+`/calls; cat `+dir+`/journal`),
		HostnameFile: filepath.Join(dir, "hostname"),
		SetHostname: func(name string) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.names = append(b.names, name)
			return nil
		},
	}
	path := filepath.Join(dir, Socket)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- NewServer(o).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if b.Client = Find(dir); b.Client == nil {
		t.Fatal("the agent's socket is not found")
	}
	return b
}

func (b *box) calls(t *testing.T) string {
	t.Helper()
	c, err := os.ReadFile(filepath.Join(b.dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	return string(c)
}

func TestListen(t *testing.T) {
	b := newBox(t, Options{})
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	// In use: the field is named.
	if _, err = b.Listen(t.Context(), address); err == nil || !strings.Contains(err.Error(), "address: ") || !strings.Contains(err.Error(), "in use") {
		t.Errorf("in use: %v", err)
	}
	_ = free.Close()
	l, err := b.Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if l.Addr().String() != address {
		t.Errorf("listens on %s, not %s", l.Addr(), address)
	}
	go func() {
		if c, err := net.Dial("tcp", address); err == nil {
			_, _ = c.Write([]byte("hello"))
			_ = c.Close()
		}
	}()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); string(got) != "hello" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	_ = c.Close()
}

func TestHostname(t *testing.T) {
	b := newBox(t, Options{})
	if err := b.Hostname(t.Context(), "r1.example.net"); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(filepath.Join(b.dir, "hostname"))
	if err != nil || string(kept) != "r1.example.net\n" || len(b.names) != 1 || b.names[0] != "r1.example.net" {
		t.Errorf("kept %q, set %q, %v", kept, b.names, err)
	}
}

func TestUnits(t *testing.T) {
	b := newBox(t, Options{})
	ctx := t.Context()
	for _, err := range []error{b.Reboot(ctx, "a test"), b.RestartDataplane(ctx), b.SignalDataplane(ctx, "ABRT"), b.FactoryReset(ctx)} {
		if err != nil {
			t.Error(err)
		}
	}
	want := "start --no-block --job-mode=replace-irreversibly reboot.target\nrestart --no-block vnf-dataplane.service\n" +
		"kill --kill-whom=main --signal=SIGABRT vnf-dataplane.service\nstart --no-block vnf-reset.service\n"
	if got := b.calls(t); got != want {
		t.Errorf("called:\n%s", got)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "fail"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var e *Error
	if err := b.FactoryReset(ctx); !errors.As(err, &e) || e.Field != "" || !strings.Contains(e.Reason, "Unit not found.") {
		t.Errorf("a command that fails: %v", err)
	}
}

func TestJournal(t *testing.T) {
	b := newBox(t, Options{})
	var text strings.Builder
	for i := range 100000 {
		fmt.Fprintf(&text, "line %d \"with\" <all> kinds of\tcharacters\n", i)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "journal"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := b.Journal(t.Context(), 500)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(text.String(), got) || !strings.HasPrefix(got, "line ") || len(got) < 1<<20 {
		t.Errorf("%d bytes that begin with %.40q", len(got), got)
	}
	if c := b.calls(t); !strings.Contains(c, "--lines=500 --unit=vnf.service --unit=vnf-dataplane.service") {
		t.Errorf("called: %s", c)
	}
}

func TestLatest(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
		want string
	}{
		{"", 10, ""}, {"a\nb\n", 100, "a\nb\n"}, {"aaaa\nb\n", 6, "b\n"}, {"aaaa", 2, ""}, {"aaa\n\x01\x01\n", 14, ""}, {"aaa\n\x01\n", 12, "\x01\n"},
	} {
		if got := latest([]byte(c.text), c.most); got != c.want {
			t.Errorf("%q in %d: %q", c.text, c.most, got)
		}
	}
}

// raw sends bytes and returns what comes back.
func (b *box) raw(t *testing.T, request string) string {
	t.Helper()
	nc, err := net.Dial("unix", b.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	_, _ = nc.Write([]byte(request))
	_ = nc.(*net.UnixConn).CloseWrite()
	got, _ := io.ReadAll(nc)
	return string(got)
}

func TestBadRequests(t *testing.T) {
	b := newBox(t, Options{})
	for request, want := range map[string]string{
		"\n":                              `no JSON object`,
		"[]\n":                            `no JSON object`,
		"null\n":                          `"field":"op"`,
		`{"op":"listen"} {}` + "\n":       `no JSON object`,
		`{"op":"format"}` + "\n":          `"field":"op"`,
		`{"op":"listen","x":1}` + "\n":    `unknown field`,
		`{"op":"reboot","reason":5}`:      "",
		`{"op":"reboot","lines":5}`:       "",
		`{"op":"reboot","lines":5}\n`:     "",
		strings.Repeat("x", 2*MaxRequest): `4096 bytes at most`,
	} {
		got := b.raw(t, request)
		if want == "" && got != "" || want != "" && !strings.Contains(got, want) || strings.Contains(got, "\n") && strings.Count(got, "\n") != 1 {
			t.Errorf("%.40q: %q", request, got)
		}
	}
	if _, err := os.Stat(filepath.Join(b.dir, "calls")); err == nil {
		t.Errorf("something was done: %s", b.calls(t))
	}
}

func TestParseRequest(t *testing.T) {
	for text, field := range map[string]string{
		`{"op":"listen","address":"127.0.0.1:1"}`:                      "ok",
		`{"op":"listen","address":":9339"}`:                            "ok",
		`{"op":"listen","address":"[fe80::1%eth0]:9339"}`:              "ok",
		`{"op":"listen"}`:                                              "address",
		`{"op":"listen","address":"localhost:1"}`:                      "address",
		`{"op":"listen","address":"127.0.0.1:0"}`:                      "address",
		`{"op":"listen","address":"127.0.0.1:70000"}`:                  "address",
		`{"op":"listen","address":"[fe80::1%abcdefghijklmnop]:1"}`:     "address",
		`{"op":"listen","address":":1","name":"x"}`:                    "name",
		`{"op":"listen","Address":":1"}`:                               "Address",
		`{"op":"hostname","name":"r-1.example"}`:                       "ok",
		`{"op":"hostname"}`:                                            "name",
		`{"op":"hostname","name":"-r"}`:                                "name",
		`{"op":"hostname","name":"r_1"}`:                               "name",
		`{"op":"hostname","name":"a..b"}`:                              "name",
		`{"op":"hostname","name":"r1\nroot"}`:                          "name",
		`{"op":"hostname","name":"` + strings.Repeat("a.", 32) + `a"}`: "name",
		`{"op":"hostname","name":7}`:                                   "name",
		`{"op":"reboot"}`:                                              "ok",
		`{"op":"reboot","reason":"` + strings.Repeat("a", 1025) + `"}`: "reason",
		`{"op":"restart-dataplane"}`:                                   "ok",
		`{"op":"restart-dataplane","signal":"KILL"}`:                   "signal",
		`{"op":"signal-dataplane","signal":"KILL"}`:                    "ok",
		`{"op":"signal-dataplane","signal":"STOP"}`:                    "signal",
		`{"op":"signal-dataplane","signal":"KILL --kill-whom=all"}`:    "signal",
		`{"op":"factory-reset"}`:                                       "ok",
		`{"op":"journal","lines":20000}`:                               "ok",
		`{"op":"journal","lines":20001}`:                               "lines",
		`{"op":"journal","lines":0}`:                                   "lines",
		`{"op":"journal","lines":-1}`:                                  "lines",
		`{"op":"journal","lines":1.5}`:                                 "lines",
		`{"op":5}`:                                                     "op",
	} {
		_, err := ParseRequest([]byte(text))
		got := "ok"
		var e *Error
		if errors.As(err, &e) {
			got = e.Field
		} else if err != nil {
			t.Errorf("%s: an error of another kind: %v", text, err)
		}
		if got != field {
			t.Errorf("%s: %q (%v), want %q", text, got, err, field)
		}
	}
}

func TestOthersAreRefused(t *testing.T) {
	b := newBox(t, Options{})
	refused := make(chan error, 1)
	go func() {
		if os.Getuid() == 0 {
			for dir := b.dir; dir != os.TempDir(); dir = filepath.Dir(dir) {
				if err := os.Chmod(dir, 0o755); err != nil {
					refused <- err
					return
				}
			}
			if err := os.Chmod(b.Path, 0o666); err != nil {
				refused <- err
				return
			}
			// The raw call is about this thread alone, which ends with the goroutine. The kernel notes who connects by it.
			runtime.LockOSThread()
			const nobody = 65534
			if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); e != 0 {
				refused <- e
				return
			}
		}
		refused <- b.RestartDataplane(t.Context())
	}()
	if err := <-refused; err == nil || !strings.Contains(err.Error(), "may not use the agent") {
		t.Error(err)
	}
	if calls, err := os.ReadFile(filepath.Join(b.dir, "calls")); err == nil {
		t.Errorf("it was done all the same: %s", calls)
	}
}

func TestIdle(t *testing.T) {
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, Socket), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- NewServer(Options{Idle: 10 * time.Millisecond, Machine: &Machine{}}).Serve(t.Context(), l)
	}()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if Find(dir) == nil {
		t.Error("the socket is gone, which the supervisor listens on")
	}
}

func TestNoAgent(t *testing.T) {
	c := Find(t.TempDir())
	if c != nil {
		t.Fatal("found one")
	}
	if err := c.RestartDataplane(t.Context()); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
	gone := &Client{Path: filepath.Join(t.TempDir(), "none")}
	if _, err := gone.Journal(t.Context(), 5); err == nil {
		t.Error("an agent that is not there answers")
	}
}

// A server that does not answer as it should must not take the client with it.
func TestBadAnswers(t *testing.T) {
	for name, answer := range map[string]string{"nothing": "", "cut off": `{"text":`, "no JSON": "hello\n", "of a wrong type": `{"text":5}` + "\n", "no descriptor": "{}\n"} {
		path := filepath.Join(t.TempDir(), Socket)
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if nc, err := l.Accept(); err == nil {
				_, _ = nc.Read(make([]byte, 4096))
				_, _ = nc.Write([]byte(answer))
				_ = nc.Close()
			}
		}()
		if _, err := (&Client{Path: path}).Listen(t.Context(), "127.0.0.1:1"); err == nil {
			t.Errorf("%s: no error", name)
		}
		_ = l.Close()
	}
	// One that does not answer at all: the context ends it.
	path := filepath.Join(t.TempDir(), Socket)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := (&Client{Path: path}).RestartDataplane(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// FuzzParseRequest has whatever is taken be what the agent may do.
func FuzzParseRequest(f *testing.F) {
	for _, s := range []string{
		`{"op":"listen","address":"[::]:9339"}`, `{"op":"hostname","name":"r1"}`, `{"op":"reboot","reason":"x"}`, `{"op":"signal-dataplane","signal":"TERM"}`,
		`{"op":"journal","lines":10}`, `{"op":"factory-reset"}`, `{"op":"restart-dataplane"} x`, `{"OP":"reboot"}`, `[`, `{"op":"listen","address":":1","address":":0"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRequest(b)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Reason == "" || r != (Request{}) && r.Op == "" {
				t.Errorf("%q: %v", b, err)
			}
			return
		}
		if strings.ContainsAny(r.Name+r.Address+r.Signal, "\n\x00 ") {
			t.Errorf("%q is taken", b)
		}
		// What is taken is what a client could have sent.
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(again) < MaxRequest {
			if r2, err := ParseRequest(again); err != nil || r2 != r {
				t.Errorf("%q: %+v, and once more %+v, %v", b, r, r2, err)
			}
		}
	})
}
