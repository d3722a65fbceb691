package bgp

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// A speaker under test runs in a network namespace. A goroutine cannot enter one alone (GoBGP starts its own), so the
// test binary runs itself there and is told what to do over its standard input, one JSON object a line.

const helperEnv = "MILLRACE_BGP_TEST_SPEAKER"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		speakerMain()
		return
	}
	os.Exit(m.Run())
}

type request struct {
	Op       string
	Config   *Config        `json:",omitempty"`
	Neighbor netip.Addr     `json:",omitzero"`
	Family   Family         `json:",omitempty"`
	Cursor   netip.Prefix   `json:",omitzero"`
	Limit    int            `json:",omitempty"`
	Text     string         `json:",omitempty"`
	Add      []netip.Prefix `json:",omitempty"`
	Remove   []netip.Prefix `json:",omitempty"`
}

type sinkRoute struct {
	Prefix netip.Prefix
	PathSet
}

type reply struct {
	Error     string          `json:",omitempty"`
	Routes    []sinkRoute     `json:",omitempty"`
	Neighbors []NeighborState `json:",omitempty"`
	EORs      []string        `json:",omitempty"`
	Converged int
	Upserts   int
	Withdrawn int
	Page      *Page    `json:",omitempty"`
	Events    []string `json:",omitempty"`
}

// testSink keeps what the speaker gives it.
type testSink struct {
	mu        sync.Mutex
	routes    map[netip.Prefix]PathSet
	eors      []string
	converged int
	upserts   int
	withdrawn int
	hold      chan struct{}
}

func (t *testSink) Upsert(_ context.Context, _ string, rs []Route) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range rs {
		t.routes[r.Prefix] = *r.PathSet
		t.upserts++
	}
	return nil
}

func (t *testSink) Withdraw(_ context.Context, _ string, ps []netip.Prefix) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range ps {
		delete(t.routes, p)
		t.withdrawn++
	}
	return nil
}

func (t *testSink) EndOfRIB(_ context.Context, _ string, n netip.Addr, f Family) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.eors = append(t.eors, fmt.Sprintf("%s %s", n, f))
}

func (t *testSink) Converged(ctx context.Context, _ string) {
	t.mu.Lock()
	t.converged++
	hold := t.hold
	t.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
}

func speakerMain() {
	ctx := context.Background()
	sink := &testSink{routes: make(map[netip.Prefix]PathSet)}
	s, err := New(ctx, Options{
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Sink: sink,
	})
	if err != nil {
		panic(err)
	}
	var evMu sync.Mutex
	var events []string
	go func() {
		for e := range s.Events(ctx) {
			evMu.Lock()
			events = append(events, fmt.Sprintf("%s %s", e.Neighbor, e.State))
			evMu.Unlock()
		}
	}()
	in := bufio.NewReader(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			os.Exit(0)
		}
		var q request
		var r reply
		if err = json.Unmarshal(line, &q); err == nil {
			switch q.Op {
			case "apply":
				err = s.Apply(ctx, *q.Config)
			case "routes":
				sink.mu.Lock()
				for p, x := range sink.routes {
					r.Routes = append(r.Routes, sinkRoute{p, x})
				}
				r.EORs, r.Converged = append(r.EORs, sink.eors...), sink.converged
				r.Upserts, r.Withdrawn = sink.upserts, sink.withdrawn
				sink.mu.Unlock()
				evMu.Lock()
				r.Events = append(r.Events, events...)
				evMu.Unlock()
			case "neighbors":
				r.Neighbors, err = s.Neighbors(ctx, q.Neighbor, true)
			case "received", "accepted", "advertised", "table":
				f := s.Received
				switch q.Op {
				case "accepted":
					f = s.Accepted
				case "advertised":
					f = s.Advertised
				case "table":
					f = func(ctx context.Context, _ netip.Addr, f Family, c netip.Prefix, l int) (Page, error) {
						return s.Table(ctx, f, c, l)
					}
				}
				var p Page
				if p, err = f(ctx, q.Neighbor, q.Family, q.Cursor, q.Limit); err == nil {
					r.Page = &p
				}
			case "reset":
				err = s.Reset(ctx, q.Neighbor, q.Text)
			case "soft":
				err = s.SoftReset(ctx, q.Neighbor, Both)
			case "enable":
				err = s.Enable(ctx, q.Neighbor)
			case "disable":
				err = s.Disable(ctx, q.Neighbor, q.Text)
			case "resync":
				err = s.Resync(ctx)
			case "redistribute":
				var add []RedistributedRoute
				for _, p := range q.Add {
					add = append(add, RedistributedRoute{Prefix: p})
				}
				err = s.Redistribute(ctx, add, q.Remove)
			case "hold":
				sink.mu.Lock()
				sink.hold = make(chan struct{})
				sink.mu.Unlock()
			case "release":
				sink.mu.Lock()
				close(sink.hold)
				sink.mu.Unlock()
			case "close":
				s.Close()
			default:
				err = fmt.Errorf("unknown op %q", q.Op)
			}
		}
		if err != nil {
			r.Error = err.Error()
		}
		if out.Encode(&r) != nil {
			os.Exit(0)
		}
	}
}

// remote is a speaker in a namespace, seen from the test.
type remote struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	mu  sync.Mutex
}

func startSpeaker(t *testing.T, ns string) *remote {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", ns, self, "-test.run=^$")
	cmd.Env = append(os.Environ(), helperEnv+"=1")
	log, err := os.Create(fmt.Sprintf("%s/speaker-%d.log", t.TempDir(), time.Now().UnixNano()))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	r := &remote{t: t, cmd: cmd}
	if r.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.out = bufio.NewReaderSize(out, 1<<20)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.kill()
		log.Close()
		if b, err := os.ReadFile(log.Name()); err == nil {
			checkRaces(t, string(b))
			if t.Failed() {
				t.Logf("speaker in %s:\n%s", ns, tail(string(b), 6000))
			}
		}
	})
	return r
}

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}

// kill ends the speaker without a word to its neighbours.
func (r *remote) kill() {
	if r.cmd.ProcessState == nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
	}
}

func (r *remote) call(q request) (reply, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, err := json.Marshal(q)
	if err != nil {
		return reply{}, err
	}
	if _, err := r.in.Write(append(b, '\n')); err != nil {
		return reply{}, err
	}
	line, err := r.out.ReadBytes('\n')
	if err != nil {
		return reply{}, fmt.Errorf("speaker ended: %w", err)
	}
	var a reply
	if err := json.Unmarshal(line, &a); err != nil {
		return reply{}, fmt.Errorf("%s: %w", line, err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("%s: %s", q.Op, a.Error)
	}
	return a, nil
}

func (r *remote) must(q request) reply {
	r.t.Helper()
	a, err := r.call(q)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func (r *remote) apply(c Config) { r.t.Helper(); r.must(request{Op: "apply", Config: &c}) }

func (r *remote) routes() map[string]PathSet {
	r.t.Helper()
	out := make(map[string]PathSet)
	for _, x := range r.must(request{Op: "routes"}).Routes {
		out[x.Prefix.String()] = x.PathSet
	}
	return out
}

func (r *remote) neighbor(a string) NeighborState {
	r.t.Helper()
	n := r.must(request{Op: "neighbors", Neighbor: addr(a)}).Neighbors
	if len(n) != 1 {
		r.t.Fatalf("neighbour %s: got %d", a, len(n))
	}
	return n[0]
}

// patience is how long is waited for what has to come: much longer than it takes.
const patience = 2 * time.Minute

// waitFor polls until ok says nothing is wrong.
func waitFor(t *testing.T, what string, ok func() error) {
	t.Helper()
	end := time.Now().Add(patience)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not after %s: %v", what, patience, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (r *remote) waitUp(neighbors ...string) {
	r.t.Helper()
	for _, n := range neighbors {
		waitFor(r.t, "session with "+n, func() error {
			a, err := r.call(request{Op: "neighbors", Neighbor: addr(n)})
			if err == nil && a.Neighbors[0].State != Established {
				err = fmt.Errorf("%s, last error %q", a.Neighbors[0].State, a.Neighbors[0].LastError)
			}
			return err
		})
	}
}

// waitHops waits until a route has exactly these next hops; none: until it is gone.
func (r *remote) waitHops(prefix string, hops ...string) PathSet {
	r.t.Helper()
	var got PathSet
	waitFor(r.t, "route "+prefix, func() error {
		x, ok := r.routes()[prefix]
		if !ok && len(hops) == 0 {
			return nil
		}
		if len(x.NextHops) != len(hops) {
			return fmt.Errorf("next hops %v, want %v", x.NextHops, hops)
		}
		for i, h := range hops {
			if x.NextHops[i].String() != h {
				return fmt.Errorf("next hops %v, want %v", x.NextHops, hops)
			}
		}
		got = x
		return nil
	})
	return got
}

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func yes() *bool                   { b := true; return &b }

func prefixes(list ...string) (out []netip.Prefix) {
	for _, p := range list {
		out = append(out, prefix(p))
	}
	return out
}
