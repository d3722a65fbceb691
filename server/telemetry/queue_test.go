package telemetry

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"millrace/yang/schema"
	"millrace/yang/tree"
)

// leafAt makes a leaf of one list of numbered interfaces.
func leafAt(t testing.TB, s *schema.Schema, port int, value uint64) Leaf {
	all, err := NewObject(s, tree.MustPath(fmt.Sprintf("/interfaces/interface[name=eth%d]", port))).Set("state/counters/in-pkts", value).Leaves()
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

// TestBacklog holds a backlog that is taken from at random against what a client would have that had been told all at once.
func TestBacklog(t *testing.T) {
	s := loadSchema(t)
	r := rand.New(rand.NewPCG(1, 2))
	const ports = 30
	var b backlog
	want, got := map[string]uint64{}, map[string]uint64{}
	told, heard := map[string]uint64{}, map[string]uint64{}
	drop := func(m map[string]uint64, p tree.Path) {
		for key := range m {
			if tree.MustPath(key).Under(p) {
				delete(m, key)
			}
		}
	}
	hear := func(all []*Event) {
		for _, e := range all {
			for _, p := range e.Deleted {
				drop(got, p)
			}
			for i, l := range e.Leaves {
				v, _ := l.Value.Uint()
				got[l.Path.String()] = v
				heard[l.Path.String()] += uint64(e.dup(i)) + 1
			}
		}
	}
	deleted := false
	for i := range 20_000 {
		l := leafAt(t, s, r.IntN(ports), uint64(i))
		switch r.IntN(20) {
		case 0:
			p := l.Path[:2+r.IntN(len(l.Path)-1)]
			b.add(&Event{Batch: Batch{Time: time.Unix(0, 0), Deleted: []tree.Path{p}}})
			drop(want, p)
			deleted = true
		case 1:
			hear(b.take(r.IntN(10)))
		default:
			b.add(&Event{Batch: Batch{Time: time.Unix(int64(i), 0), Leaves: []Leaf{l}}})
			want[l.Path.String()] = uint64(i)
			told[l.Path.String()]++
		}
		if b.live > 2*ports*4 || len(b.ops) > 2*b.live+2048 {
			t.Fatalf("%d operations of %d are kept for %d leaves", b.live, len(b.ops), ports)
		}
	}
	for b.live > 0 {
		hear(b.take(7))
	}
	if !deleted || len(want) == 0 || fmt.Sprint(want) != fmt.Sprint(got) {
		t.Errorf("the watcher has %v, want %v", got, want)
	}
}

func TestBacklogCounts(t *testing.T) {
	s := loadSchema(t)
	var b backlog
	for i := range 1000 {
		b.add(&Event{Batch: Batch{Time: time.Unix(int64(i), 0), Leaves: []Leaf{leafAt(t, s, i%10, uint64(i))}}})
	}
	all := b.take(100)
	n := 0
	for _, e := range all {
		for i := range e.Leaves {
			n++
			if e.dup(i) != 99 {
				t.Errorf("%s: %d duplicates, want 99", e.Leaves[i].Path, e.dup(i))
			}
		}
	}
	if n != 10 {
		t.Errorf("%d leaves, want 10", n)
	}
}

func TestQueueOverflow(t *testing.T) {
	s := loadSchema(t)
	var q queue
	l := leafAt(t, s, 1, 1)
	for i := range 2 * maxBacklog {
		p := slices.Clone(l.Path)
		p[1].Keys = []tree.Key{{Name: "name", Value: fmt.Sprint(i)}}
		q.push(&Event{Batch: Batch{Leaves: []Leaf{{p, l.Schema, l.Value}}}})
	}
	if all, lost := q.pop(); !lost || len(all) != 0 {
		t.Errorf("%d events, lost %v", len(all), lost)
	}
	if !q.empty() {
		t.Error("the queue is not empty after its loss was told")
	}
}

// TestObjectsStayWhole has an object that is told as a whole wait: it is replaced as one.
func TestObjectsStayWhole(t *testing.T) {
	s := loadSchema(t)
	h, err := New(Options{Schema: s, Config: func() *tree.Tree { return tree.New(s) }})
	if err != nil {
		t.Fatal(err)
	}
	at := "/network-instances/network-instance[name=default]/afts/ipv4-unicast/ipv4-entry"
	m := patterns(t, s, at)[0]
	var b backlog
	var made []*Event
	for i := range 3 {
		var all []Leaf
		for _, prefix := range []string{"10.0.0.0/8", "11.0.0.0/8"} {
			o := NewObject(s, tree.MustPath(at+"[prefix="+prefix+"]")).Set("prefix", prefix).Set("state/prefix", prefix)
			if i < 2 {
				o.Set("state/next-hop-group", uint64(i))
			}
			more, err := o.Leaves()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, more...)
		}
		h.events(m, Batch{Time: time.Unix(int64(i), 0), Leaves: all}, func(e *Event) {
			made = append(made, e)
			b.add(e)
		})
	}
	if len(made) != 6 {
		t.Fatalf("%d events of three batches of two objects", len(made))
	}
	out := b.take(100)
	if len(out) != 2 || out[0].Object == nil || len(out[0].Leaves) != 2 || out[0].dup(1) != 2 {
		t.Errorf("%d events, the first with %d leaves, object %s", len(out), len(out[0].Leaves), out[0].Object)
	}
}
