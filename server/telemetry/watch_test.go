package telemetry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"millrace/yang/schema"
	"millrace/yang/tree"
)

// store is a configuration that is committed.
type store struct {
	mu  sync.Mutex
	cur *tree.Tree
	hub *Hub
}

func (s *store) tree() *tree.Tree {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cur
}

func (s *store) commit(t testing.TB, settings ...string) {
	t.Helper()
	s.commitAt(t, time.Now(), settings...)
}

func (s *store) commitAt(t testing.TB, at time.Time, settings ...string) {
	t.Helper()
	old := s.tree()
	next := edit(t, old, settings...)
	s.mu.Lock()
	s.cur = next
	s.mu.Unlock()
	s.hub.Committed(old, next, at)
}

// statusSource tells oper-status, and has counters that are sampled.
type statusSource struct {
	s *schema.Schema
	// told is what Watch passes on.
	told chan Batch
	mu   sync.Mutex
	// up are the ports that are there, pkts the value of their counters.
	up    map[string]bool
	pkts  uint64
	reads int
	live  int
}

func newStatusSource(s *schema.Schema) *statusSource {
	return &statusSource{s: s, told: make(chan Batch), up: map[string]bool{"eth1": true, "eth2": true}}
}

func (p *statusSource) Roots() []string {
	return []string{"/interfaces/interface/state/oper-status", "/interfaces/interface/state/counters"}
}

func (p *statusSource) Sampled(n *schema.Node) bool { return n.Name != "oper-status" }

func (p *statusSource) batch(name string) Batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := "DOWN"
	if p.up[name] {
		st = "UP"
	}
	o := NewObject(p.s, tree.MustPath("/interfaces/interface[name="+name+"]"))
	b, err := o.Set("state/oper-status", st).Set("state/counters/in-pkts", p.pkts).Batch(time.Now())
	if err != nil {
		panic(err)
	}
	return b
}

func (p *statusSource) Read(_ context.Context, m tree.Pattern, emit func(Batch) error) error {
	p.mu.Lock()
	p.reads++
	var names []string
	for name := range p.up {
		names = append(names, name)
	}
	p.mu.Unlock()
	slices.Sort(names)
	for _, name := range names {
		if err := emit(p.batch(name)); err != nil {
			return err
		}
	}
	return nil
}

func (p *statusSource) Watch(ctx context.Context, m tree.Pattern, ready func(), emit func(Batch) error) error {
	p.mu.Lock()
	p.live++
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.live--
		p.mu.Unlock()
	}()
	ready()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b, ok := <-p.told:
			if !ok {
				return fmt.Errorf("the source is broken")
			}
			if err := emit(b); err != nil {
				return err
			}
		}
	}
}

func (p *statusSource) set(name string, up bool, pkts uint64) {
	p.mu.Lock()
	p.up[name], p.pkts = up, pkts
	p.mu.Unlock()
}

func newWatchHub(t testing.TB, src ...Source) (*Hub, *store) {
	t.Helper()
	s := loadSchema(t)
	st := &store{cur: edit(t, tree.New(s), "/interfaces/interface[name=eth1]/config/mtu=1500")}
	h, err := New(Options{Schema: s, Config: st.tree, Sources: src})
	if err != nil {
		t.Fatal(err)
	}
	st.hub = h
	return h, st
}

// drained is all that a watch has, as text; duplicates stand behind an x.
func drained(t testing.TB, w *Watch) string {
	t.Helper()
	var out []string
	if err := w.Drain(context.Background(), func(e *Event) error {
		for _, d := range e.Deleted {
			out = append(out, "-"+d.String())
		}
		for i, l := range e.Leaves {
			s := fmt.Sprintf("%s=%s", l.Path, l.Value.Text())
			if n := e.dup(i); n > 0 {
				s += fmt.Sprintf("x%d", n)
			}
			out = append(out, s)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.Join(out, " "), "/interfaces/interface", "")
}

func watch(t testing.TB, h *Hub, add func(*Watch)) *Watch {
	t.Helper()
	w := h.Watch()
	add(w)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWatchCommits(t *testing.T) {
	h, st := newWatchHub(t, newStatusSource(loadSchema(t)))
	for _, c := range []struct {
		path   string
		commit []string
		want   string
	}{
		{"/interfaces/interface/config", []string{"/interfaces/interface[name=eth1]/config/mtu=1600"}, "[name=eth1]/config/mtu=1600"},
		{"/interfaces/interface/state/mtu", []string{"/interfaces/interface[name=eth1]/config/mtu=1700"}, "[name=eth1]/state/mtu=1700"},
		{"/interfaces/interface[name=eth1]/*/mtu", []string{"-/interfaces/interface[name=eth1]/config/mtu"}, "-[name=eth1]/config/mtu -[name=eth1]/state/mtu"},
		{"/interfaces/interface/state/enabled", []string{"/interfaces/interface[name=eth1]/config/enabled=true"}, ""}, // the default
		{"/interfaces/interface/state/enabled", []string{"/interfaces/interface[name=eth1]/config/enabled=false"}, "[name=eth1]/state/enabled=false"},
		{"/interfaces/interface[name=eth9]", []string{"/interfaces/interface[name=eth8]/config/mtu=1500"}, ""},
		{"/interfaces/interface[name=eth8]", []string{"-/interfaces/interface[name=eth8]"},
			"-[name=eth8]/name -[name=eth8]/config -[name=eth8]/state/name -[name=eth8]/state/mtu -[name=eth8]/state/enabled"},
	} {
		w := watch(t, h, func(w *Watch) {
			for _, m := range patterns(t, h.Schema(), c.path) {
				w.OnChange(m, false)
			}
		})
		st.commit(t, c.commit...)
		got, want := strings.Fields(drained(t, w)), strings.Fields(c.want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s after %s:\n got %s\nwant %s", c.path, c.commit, got, want)
		}
		w.Close()
	}
}

// TestWatchCommitsTogether has more commits than a watch keeps: it gets the last value, of one change.
func TestWatchCommitsTogether(t *testing.T) {
	h, st := newWatchHub(t)
	w := watch(t, h, func(w *Watch) { w.OnChange(patterns(t, h.Schema(), "/interfaces")[0], false) })
	defer w.Close()
	for i := range 50 {
		st.commit(t, fmt.Sprintf("/interfaces/interface[name=eth1]/config/mtu=%d", 1501+i))
	}
	got := strings.Fields(drained(t, w))
	if len(got) != 2*maxCommits || got[len(got)-1] != "[name=eth1]/state/mtu=1550" {
		t.Errorf("%d leaves: %s", len(got), got)
	}
}

func TestWatchSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newStatusSource(loadSchema(t))
		h, _ := newWatchHub(t, src)
		m := patterns(t, h.Schema(), "/interfaces/interface[name=*]/state")[0]
		first := watch(t, h, func(w *Watch) { w.OnChange(m, false) })
		second := watch(t, h, func(w *Watch) { w.OnChange(m, true) })
		synctest.Wait()
		if src.live != 1 {
			t.Errorf("%d watches of the source for two watchers of the same", src.live)
		}
		src.set("eth1", false, 5)
		src.told <- src.batch("eth1")
		synctest.Wait()
		if got := drained(t, first); got != "[name=eth1]/state/oper-status=DOWN" {
			t.Errorf("told: %s", got)
		}
		time.Sleep(3 * time.Second)
		if got := drained(t, first); got != "" {
			t.Errorf("told, without counters: %s", got)
		}
		if got, want := drained(t, second), "[name=eth1]/state/oper-status=DOWN [name=eth1]/state/counters/in-pkts=5 [name=eth2]/state/counters/in-pkts=5"; got != want {
			t.Errorf("told, with counters:\n got %s\nwant %s", got, want)
		}
		first.Close()
		second.Close()
		synctest.Wait()
		if src.live != 0 || len(h.feeds) != 0 || len(h.watches) != 0 {
			t.Errorf("after all have gone: %d watches of the source, %d feeds, %d watches", src.live, len(h.feeds), len(h.watches))
		}
	})
}

// TestWatchSourceBreaks has a source's watch end: what happened in between is found by reading anew.
func TestWatchSourceBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newStatusSource(loadSchema(t))
		h, _ := newWatchHub(t, src)
		w := watch(t, h, func(w *Watch) {
			w.OnChange(patterns(t, h.Schema(), "/interfaces/interface[name=eth2]/state/oper-status")[0], false)
		})
		defer w.Close()
		close(src.told)
		synctest.Wait()
		time.Sleep(restartDelay + time.Millisecond)
		synctest.Wait()
		if got := drained(t, w); got != "-[name=eth2]/state/oper-status [name=eth2]/state/oper-status=UP" {
			t.Errorf("after the source's watch broke: %s", got)
		}
	})
}

// pollOnly takes Watch away from a source.
type pollOnly struct{ Source }

func TestPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newStatusSource(loadSchema(t))
		h, _ := newWatchHub(t, pollOnly{src})
		m := patterns(t, h.Schema(), "/interfaces/interface/state")[0]
		all := watch(t, h, func(w *Watch) { w.OnChange(m, true) })
		steady := watch(t, h, func(w *Watch) { w.OnChange(m, false) })
		again := watch(t, h, func(w *Watch) { w.OnChange(m, true) })
		again.Close()
		defer all.Close()
		defer steady.Close()
		src.set("eth1", false, 9)
		time.Sleep(pollInterval + time.Millisecond)
		synctest.Wait()
		if got := drained(t, steady); got != "[name=eth1]/state/oper-status=DOWN" {
			t.Errorf("without counters: %s", got)
		}
		if got, want := drained(t, all), "[name=eth1]/state/oper-status=DOWN [name=eth1]/state/counters/in-pkts=9 [name=eth2]/state/counters/in-pkts=9"; got != want {
			t.Errorf("with counters:\n got %s\nwant %s", got, want)
		}
		src.mu.Lock()
		delete(src.up, "eth2")
		src.mu.Unlock()
		time.Sleep(pollInterval)
		synctest.Wait()
		if got := drained(t, steady); got != "-[name=eth2]/state/oper-status" {
			t.Errorf("after one has gone: %s", got)
		}
	})
}

func TestSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newStatusSource(loadSchema(t))
		h, _ := newWatchHub(t, src)
		m := patterns(t, h.Schema(), "/interfaces/interface/state/counters")[0]
		var all []*Watch
		for range 10 {
			all = append(all, watch(t, h, func(w *Watch) { w.Sample(m, time.Second, false) }))
		}
		src.set("eth1", true, 1)
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		if src.reads != 1 {
			t.Errorf("the source was read %d times for ten samples of the same", src.reads)
		}
		want := "[name=eth1]/state/counters/in-pkts=1 [name=eth2]/state/counters/in-pkts=1"
		for _, w := range all[1:] {
			if got := drained(t, w); got != want {
				t.Fatalf("sampled %s, want %s", got, want)
			}
		}
		src.mu.Lock()
		delete(src.up, "eth2")
		src.mu.Unlock()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got, want := drained(t, all[0]), "-[name=eth2]/state/counters/in-pkts [name=eth1]/state/counters/in-pkts=1x2"; got != want {
			t.Errorf("a slow one got %s, want %s", got, want)
		}
		for _, w := range all {
			w.Close()
		}
	})
}

// TestSampleBig has more than is shared: watchers read it themselves.
func TestSampleBig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newStatusSource(loadSchema(t))
		for i := range maxRound + 1 {
			src.up[fmt.Sprint("p", i)] = true
		}
		h, _ := newWatchHub(t, src)
		w := watch(t, h, func(w *Watch) {
			w.Sample(patterns(t, h.Schema(), "/interfaces/interface/state/counters")[0], time.Second, true)
		})
		defer w.Close()
		for range 2 {
			time.Sleep(time.Second + time.Millisecond)
			synctest.Wait()
			if got := len(strings.Fields(drained(t, w))); got != maxRound+3 {
				t.Errorf("%d leaves of %d", got, maxRound+3)
			}
		}
	})
}
