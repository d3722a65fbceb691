package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"millrace/server/config"
	"millrace/yang/tree"
)

// simple is a tree as a test thinks of it: the leaves of loopback interfaces by name.
type simple map[string]map[string]string

func (m simple) clone() simple {
	c := simple{}
	for k, v := range m {
		c[k] = maps.Clone(v)
	}
	return c
}

func (m simple) String() string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		for _, l := range slices.Sorted(maps.Keys(m[k])) {
			fmt.Fprintf(&b, "%s.%s=%s\n", k, l, m[k][l])
		}
	}
	return b.String()
}

func simplified(t *tree.Tree) simple {
	m := simple{}
	for x := range t.Root().List("interfaces/interface") {
		leaves := map[string]string{}
		for l := range x.At("config").Children() {
			leaves[l.Schema().Name] = l.Value().Local()
		}
		m[x.Key("name")] = leaves
	}
	return m
}

// randomStep changes both a tree and what a test thinks of it.
func randomStep(r *rand.Rand, e *tree.Edit, m simple) (err error) {
	name := fmt.Sprintf("lo%d", r.IntN(6))
	at := "/interfaces/interface[name=" + name + "]"
	make1 := func() {
		if m[name] == nil {
			m[name] = map[string]string{"name": name, "type": "softwareLoopback"}
		}
	}
	put := func(leaf, v string) {
		err = errors.Join(err, e.Put(at+"/config/type", "softwareLoopback"), e.Put(at+"/config/"+leaf, v))
		make1()
		m[name]["type"], m[name][leaf] = "softwareLoopback", v
	}
	switch r.IntN(9) {
	case 0:
		err = e.Delete(tree.MustPath(at))
		delete(m, name)
	case 1:
		put("description", fmt.Sprint(r.IntN(50)))
	case 2:
		put("mtu", fmt.Sprint(1280+r.IntN(50)))
	case 3: // too small for config.Config
		put("mtu", fmt.Sprint(r.IntN(60)+1))
	case 4: // not of the type
		if e.Put(at+"/config/mtu", "many") == nil {
			err = errors.New("a word was taken for a number")
		}
	case 5: // no such leaf
		if e.Put(at+"/config/color", "red") == nil {
			err = errors.New("a leaf that is not in the schema was set")
		}
	case 6: // not of the kind that the model takes
		err = e.Put(at+"/config/type", "ethernetCsmacd")
		make1()
		m[name]["type"] = "ethernetCsmacd"
	case 7:
		err = e.Delete(tree.MustPath(at + "/config/description"))
		if m[name] != nil {
			delete(m[name], "description")
		}
	case 8:
		err = e.Replace(tree.MustPath("/interfaces"), []byte(`{"openconfig-interfaces:interface":[{"name":"`+name+`","config":{"name":"`+name+`","type":"iana-if-type:softwareLoopback"}}]}`))
		clear(m)
		make1()
	}
	return err
}

// right says whether the store takes what a test thinks of.
func right(m simple) bool {
	for _, l := range m {
		if l["type"] != "softwareLoopback" || len(l["mtu"]) < 4 && l["mtu"] != "" {
			return false
		}
	}
	return true
}

// TestRandomEdits makes right and wrong commits, with starts, confirmations and refusals of the system between, and holds the tree, the
// configuration, the system and the files against what it thinks.
func TestRandomEdits(t *testing.T) {
	ctx := context.Background()
	b := open(t)
	r := rand.New(rand.NewPCG(7, 11))
	m, before := simple{}, simple{}
	made, refused := 0, 0
	check := func(what string) {
		t.Helper()
		if got := simplified(b.Tree()).String(); got != m.String() {
			t.Fatalf("%s: in force is\n%s\nwant\n%s", what, got, m)
		}
		if n := len(b.Config().Interfaces); n != len(m) || b.sys.cfg != nil && len(b.sys.cfg.Interfaces) != n {
			t.Fatalf("%s: %d interfaces in the configuration, want %d", what, n, len(m))
		}
	}
	for n := range 600 {
		if p, ok := b.Pending(); ok {
			switch r.IntN(3) {
			case 0:
				if err := b.Confirm(ctx, Request{}, p.ID); err != nil {
					t.Fatal(err)
				}
			case 1:
				if _, err := b.Cancel(ctx, Request{}, p.ID); err != nil {
					t.Fatal(err)
				}
				m = before
			case 2:
				b = b.again()
				check("a start with a commit to be confirmed")
				continue
			}
		}
		if n%97 == 0 {
			b = b.again()
			check("a start")
		}
		next := m.clone()
		fail := r.IntN(10) == 0
		if fail {
			b.sys.fault = fmt.Errorf("%w", config.Errors{{Path: "interfaces[lo1]", Reason: "no"}})
		}
		req := Request{Who: "random"}
		if r.IntN(15) == 0 {
			req.Confirm = 1 << 40
		}
		was, _, _ := b.Current()
		_, err := b.Commit(ctx, req, func(e *tree.Edit) error {
			for range 1 + r.IntN(4) {
				if err := randomStep(r, e, next); err != nil {
					return err
				}
			}
			return nil
		})
		b.sys.fault = nil
		now, _, _ := b.Current()
		same := next.String() == m.String()
		switch {
		case err == nil && !right(next):
			t.Fatalf("taken:\n%s", next)
		case err == nil:
			if same && req.Confirm == 0 && now.ID != was.ID {
				t.Fatal("a commit of nothing")
			}
			if now.ID != was.ID {
				made++
			}
			before, m = m, next
		case fail || !right(next):
			refused++
			if now.ID != was.ID {
				t.Fatal("a refused commit counts")
			}
		default:
			t.Fatalf("refused: %v\n%s", err, next)
		}
		check("a commit")
	}
	if made < 100 || refused < 60 {
		t.Errorf("%d commits, %d refusals", made, refused)
	}
	b = b.again()
	check("the last start")
	for _, e := range b.History() {
		if _, _, err := b.Get(e.ID); err != nil {
			t.Errorf("commit %d: %v", e.ID, err)
		}
	}
}
