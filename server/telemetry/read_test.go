package telemetry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/yang/schema"
	"millrace/yang/tree"
)

var loaded = sync.OnceValues(schema.Load)

// loadSchema returns one schema to all, since nodes of two are not the same.
func loadSchema(t testing.TB) *schema.Schema {
	t.Helper()
	s, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// edit makes a tree of another one and settings PATH=VALUE; a path with a leading "-" is deleted.
func edit(t testing.TB, from *tree.Tree, settings ...string) *tree.Tree {
	t.Helper()
	e := from.Edit()
	for _, one := range settings {
		var err error
		if p, ok := strings.CutPrefix(one, "-"); ok {
			err = e.Delete(tree.MustPath(p))
		} else {
			i := strings.LastIndexByte(one, '=')
			err = e.SetText(tree.MustPath(one[:i]), one[i+1:])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	out, err := e.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// patterns of a client's path.
func patterns(t testing.TB, s *schema.Schema, path string) []tree.Pattern {
	t.Helper()
	ms, err := tree.Expand(s, tree.MustPath(path))
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

func lines(b Batch) (out []string) {
	for _, l := range b.Leaves {
		out = append(out, fmt.Sprintf("%s=%s", l.Path, l.Value.Text()))
	}
	for _, d := range b.Deleted {
		out = append(out, "-"+d.String())
	}
	return out
}

// portSource knows state of interfaces: what a test puts in.
type portSource struct {
	s     *schema.Schema
	roots []string
	ports []string
	asked int
}

func (p *portSource) Roots() []string { return p.roots }

func (p *portSource) Read(_ context.Context, m tree.Pattern, emit func(Batch) error) error {
	p.asked++
	for _, name := range p.ports {
		o := NewObject(p.s, tree.MustPath("/interfaces/interface[name="+name+"]"))
		o.Set("state/oper-status", "UP").Set("state/counters/in-pkts", uint64(7)).Set("state/counters/in-octets", uint64(448))
		b, err := o.Batch(time.Unix(5, 0))
		if err != nil {
			return err
		}
		if err := emit(b); err != nil {
			return err
		}
	}
	return nil
}

func newPortHub(t testing.TB) (*Hub, *portSource, *tree.Tree) {
	t.Helper()
	s := loadSchema(t)
	src := &portSource{s: s, roots: []string{"/interfaces/interface/state/oper-status", "/interfaces/interface/state/counters"}, ports: []string{"eth1", "eth2"}}
	cfg := edit(t, tree.New(s), "/interfaces/interface[name=eth1]/config/mtu=1500", "/interfaces/interface[name=eth1]/config/type=ethernetCsmacd",
		"/interfaces/interface[name=eth3]/config/enabled=false")
	h, err := New(Options{Schema: s, Config: func() *tree.Tree { return cfg }, Sources: []Source{src}, Since: time.Unix(3, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return h, src, cfg
}

func readAll(t testing.TB, h *Hub, path string, what What) []string {
	t.Helper()
	var out []string
	for _, m := range patterns(t, h.Schema(), path) {
		if err := h.Read(context.Background(), m, what, func(b Batch) error {
			out = append(out, lines(b)...)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(out)
	return out
}

func TestRead(t *testing.T) {
	h, src, _ := newPortHub(t)
	for _, c := range []struct {
		path string
		what What
		want string
	}{
		{"/interfaces/interface[name=eth1]/config/mtu", All, "/interfaces/interface[name=eth1]/config/mtu=1500"},
		{"/interfaces/interface[name=*]/state/mtu", All, "/interfaces/interface[name=eth1]/state/mtu=1500"},
		{"/interfaces/interface/state/enabled", All, "/interfaces/interface[name=eth1]/state/enabled=true /interfaces/interface[name=eth3]/state/enabled=false"},
		{"/interfaces/interface[name=eth2]", All, "/interfaces/interface[name=eth2]/state/counters/in-octets=448 " +
			"/interfaces/interface[name=eth2]/state/counters/in-pkts=7 /interfaces/interface[name=eth2]/state/oper-status=UP"},
		{"/interfaces/interface[name=eth1]/state/counters/in-pkts", Operational, "/interfaces/interface[name=eth1]/state/counters/in-pkts=7"},
		{"/interfaces/interface[name=eth1]/*/mtu", Operational, ""},
		{"/interfaces/interface[name=eth3]", Config, "/interfaces/interface[name=eth3]/config/enabled=false " +
			"/interfaces/interface[name=eth3]/config/name=eth3 /interfaces/interface[name=eth3]/name=eth3"},
		{"/interfaces/interface[name=none]", All, ""},
		{".../oper-status", State, "/interfaces/interface[name=eth1]/state/oper-status=UP /interfaces/interface[name=eth2]/state/oper-status=UP"},
	} {
		if got := strings.Join(readAll(t, h, c.path, c.what), " "); got != c.want {
			t.Errorf("%s as %d:\n got %s\nwant %s", c.path, c.what, got, c.want)
		}
	}
	src.asked = 0
	readAll(t, h, "/system", All)
	readAll(t, h, "/interfaces/interface/config", All)
	readAll(t, h, "/interfaces", Config)
	if src.asked != 0 {
		t.Errorf("the source was asked %d times in vain", src.asked)
	}
	if all := readAll(t, h, "/", All); len(all) < 15 {
		t.Errorf("the whole tree has only %d leaves: %s", len(all), all)
	}
}

func TestReadEnds(t *testing.T) {
	h, _, _ := newPortHub(t)
	stop := fmt.Errorf("enough")
	m := patterns(t, h.Schema(), "/interfaces")[0]
	if err := h.Read(context.Background(), m, All, func(Batch) error { return stop }); err != stop {
		t.Errorf("emit's error became %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.Read(ctx, m, All, func(Batch) error { return nil }); err == nil {
		t.Error("a read after its context has ended succeeds")
	}
}

func TestSourcesOverlap(t *testing.T) {
	s := loadSchema(t)
	t0 := tree.New(s)
	for _, c := range [][]string{
		{"/interfaces/interface/state", "/interfaces/interface/state/counters"},
		{"/interfaces/interface/nothing"},
	} {
		var all []Source
		for _, root := range c {
			all = append(all, &portSource{s: s, roots: []string{root}})
		}
		if _, err := New(Options{Schema: s, Config: func() *tree.Tree { return t0 }, Sources: all}); err == nil {
			t.Errorf("sources with the roots %s are taken", c)
		}
	}
}
