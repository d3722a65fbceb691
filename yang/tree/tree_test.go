package tree

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

const two = `{"m:ifs":{"if":[{"name":"eth1","config":{"name":"eth1","vlan":5,"big":"9","kind":"x:LOOP","x:tags":["a","b"],"mixed":7,"dec":"1.5","flag":[null],"raw":"AAE="}},` +
	`{"name":"eth2","config":{"name":"eth2","peer":"eth1","mixed":"abc"},"subs":[{"kind":"m:ETH","id":2,"x:note":"n"},{"kind":"m:ETH","id":10}]}]},` +
	`"m:pols":{"pol":[{"name":"z","config":{"name":"z","use":["z","a"]}},{"name":"a","config":{"name":"a"}}]}}`

func TestRoundTrip(t *testing.T) {
	s := load(t)
	a := parse(t, s, two)
	if got := string(a.JSON()); got != two {
		t.Fatalf("got  %s\nwant %s", got, two)
	}
	b := parse(t, s, string(a.Indented()))
	if !Same(a.Root(), b.Root()) {
		t.Error("the tree read back is another one")
	}
	Diff(a, b, func(c Change) { t.Errorf("differs: %v", c) })
	plain := string(a.Get(MustPath("/ifs/if[name=eth1]/config")).AppendJSON(nil, Format{}))
	if want := `{"name":"eth1","vlan":5,"big":9,"kind":"LOOP","tags":["a","b"],"mixed":7,"dec":1.5,"flag":[null],"raw":"AAE="}`; plain != want {
		t.Errorf("plain JSON:\n%s\nwant\n%s", plain, want)
	}
	if got := string(a.Get(MustPath("/ifs/if[name=eth2]")).AppendJSON(nil, Format{IETF: true, Depth: 1})); got != `{"m:name":"eth2","m:config":{"name":"eth2","peer":"eth1","mixed":"abc"},"m:subs":[{"kind":"m:ETH","id":2,"x:note":"n"},{"kind":"m:ETH","id":10}]}` {
		t.Errorf("one level: %s", got)
	}
}

func TestRead(t *testing.T) {
	a := parse(t, load(t), two)
	e := a.Root().At("ifs/if").Entry("eth1")
	if e.Key("name") != "eth1" || e.Text("config/kind") != "LOOP" || strings.Join(e.Texts("config/tags"), ",") != "a,b" {
		t.Errorf("read %q %q %q", e.Key("name"), e.Text("config/kind"), e.Texts("config/tags"))
	}
	if v, ok := e.Uint("config/vlan"); !ok || v != 5 {
		t.Errorf("vlan is %d, %v", v, ok)
	}
	if _, ok := e.Bool("config/up"); ok || e.Has("config/up") || e.Has("nothing/there") {
		t.Error("found what is not set")
	}
	var ids []string
	for x := range a.Root().At("ifs/if").Entry("eth2").List("subs") {
		ids = append(ids, x.Key("kind")+x.Key("id"))
	}
	if fmt.Sprint(ids) != "[ETH2 ETH10]" {
		t.Errorf("entries %v: numbers are not in order", ids)
	}
	if n := a.Get(MustPath("/ifs/if[name=eth2]/subs[kind=ETH][id=10]")); n == nil || n.Elem().String() != "subs[kind=ETH][id=10]" {
		t.Errorf("entry of two keys: %v", n)
	}
}

func TestEdit(t *testing.T) {
	s := load(t)
	a := parse(t, s, two)
	for _, c := range []struct {
		name string
		do   func(*Edit) error
		want []string
	}{
		{"set", func(e *Edit) error { return e.Put("/ifs/if[name=eth1]/config/vlan", 6) }, []string{"/ifs/if[name=eth1]/config/vlan: 5 -> 6"}},
		{"same", func(e *Edit) error { return e.Put("/ifs/if[name=eth1]/config/vlan", uint8(5)) }, nil},
		{"new entry has its key in config", func(e *Edit) error { return e.Put("/ifs/if[name=eth3]/config/up", false) },
			[]string{"/ifs/if[name=eth3]/name: not set -> eth3", "/ifs/if[name=eth3]/config/name: not set -> eth3", "/ifs/if[name=eth3]/config/up: not set -> false"}},
		{"delete a leaf", func(e *Edit) error { return e.Delete(MustPath("/ifs/if[name=eth1]/config/vlan")) }, []string{"/ifs/if[name=eth1]/config/vlan: 5 -> not set"}},
		{"delete by wildcard", func(e *Edit) error { return e.Delete(MustPath("/ifs/if[name=*]/config/mixed")) },
			[]string{"/ifs/if[name=eth1]/config/mixed: 7 -> not set", "/ifs/if[name=eth2]/config/mixed: abc -> not set"}},
		{"delete what is not there", func(e *Edit) error { return e.Delete(MustPath("/ifs/if[name=eth9]/config/mixed")) }, nil},
		{"delete the last entries", func(e *Edit) error { return e.Delete(MustPath("/ifs/if[name=eth2]/subs")) },
			[]string{"/ifs/if[name=eth2]/subs[kind=ETH][id=2]/kind: m:ETH -> not set", "/ifs/if[name=eth2]/subs[kind=ETH][id=2]/id: 2 -> not set",
				"/ifs/if[name=eth2]/subs[kind=ETH][id=2]/note: n -> not set", "/ifs/if[name=eth2]/subs[kind=ETH][id=10]/kind: m:ETH -> not set",
				"/ifs/if[name=eth2]/subs[kind=ETH][id=10]/id: 10 -> not set"}},
		{"update merges", func(e *Edit) error {
			return e.Update(MustPath("/ifs/if[name=eth1]"), []byte(`{"config":{"vlan":7,"x:tags":["c"]}}`))
		}, []string{"/ifs/if[name=eth1]/config/vlan: 5 -> 7", "/ifs/if[name=eth1]/config/tags: a b -> c"}},
		{"replace removes", func(e *Edit) error {
			return e.Replace(MustPath("/ifs/if[name=eth2]"), []byte(`{"m:config":{"mixed":"abc"}}`))
		}, []string{"/ifs/if[name=eth2]/config/peer: eth1 -> not set", "/ifs/if[name=eth2]/subs[kind=ETH][id=2]/kind: m:ETH -> not set",
			"/ifs/if[name=eth2]/subs[kind=ETH][id=2]/id: 2 -> not set", "/ifs/if[name=eth2]/subs[kind=ETH][id=2]/note: n -> not set",
			"/ifs/if[name=eth2]/subs[kind=ETH][id=10]/kind: m:ETH -> not set", "/ifs/if[name=eth2]/subs[kind=ETH][id=10]/id: 10 -> not set"}},
		{"replace a list", func(e *Edit) error {
			return e.Replace(MustPath("/pols/pol"), []byte(`[{"name":"a"},{"name":"z","config":{"use":["z","a"]}}]`))
		}, []string{"/pols/pol: has another order"}},
		{"identities without their module", func(e *Edit) error { return e.Put("/ifs/if[name=eth1]/config/kind", "ETH") },
			[]string{"/ifs/if[name=eth1]/config/kind: x:LOOP -> m:ETH"}},
		{"delete all", func(e *Edit) error { return e.Delete(nil) }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := a.Edit()
			if err := c.do(e); err != nil {
				t.Fatal(err)
			}
			b, err := e.Commit()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			Diff(a, b, func(c Change) { got = append(got, c.String()) })
			if c.name == "delete all" {
				if string(b.JSON()) != "{}" {
					t.Errorf("left: %s", b.JSON())
				}
			} else if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
				t.Errorf("differs\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			if len(got) == 0 && a.Root() != b.Root() {
				t.Error("nothing changed, and yet it is another tree")
			}
			if string(a.JSON()) != two {
				t.Error("the tree before has changed")
			}
			// Patch takes a third tree the same way.
			p := a.Edit()
			if err := p.Patch(a, b); err != nil {
				t.Fatal(err)
			}
			if q, err := p.Commit(); err != nil || string(q.JSON()) != string(b.JSON()) {
				t.Errorf("patched: %v\n%s\nwant\n%s", err, q.JSON(), b.JSON())
			}
		})
	}
}

func TestRefused(t *testing.T) {
	s := load(t)
	a := parse(t, s, two)
	put := func(path string, v any) func(*Edit) error {
		return func(e *Edit) error { return e.Put(path, v) }
	}
	doc := func(path, doc string) func(*Edit) error {
		return func(e *Edit) error { return e.Update(MustPath(path), []byte(doc)) }
	}
	for _, c := range []struct {
		do   func(*Edit) error
		want string
	}{
		{put("/ifs/if[name=eth1]/config/vlan", 4095), "/ifs/if[name=eth1]/config/vlan: 4095 is not 1..4094"},
		{put("/ifs/if[name=eth1]/config/vlan", -1), "/ifs/if[name=eth1]/config/vlan: -1 is not 1..4094"},
		{put("/ifs/if[name=eth1]/config/vlan", true), "/ifs/if[name=eth1]/config/vlan: true is not of type uint16"},
		{put("/ifs/if[name=eth1]/config/tiny", 128), "/ifs/if[name=eth1]/config/tiny: 128 is not -128..127"},
		{put("/ifs/if[name=eth1]/config/dec", "1.234"), `/ifs/if[name=eth1]/config/dec: "1.234": has more than 2 digits behind the point`},
		{put("/ifs/if[name=eth1]/config/dec", "11"), "/ifs/if[name=eth1]/config/dec: 11 is not -1.5..10"},
		{put("/ifs/if[name=eth1]/config/tags", []string{"a", "A"}), `/ifs/if[name=eth1]/config/tags: element 1: "A" does not have the form of word`},
		{put("/ifs/if[name=eth1]/config/tags", []string{"a", "a"}), "/ifs/if[name=eth1]/config/tags: element 1: a is there twice"},
		{put("/ifs/if[name=eth1]/config/kind", "TOKEN"), `/ifs/if[name=eth1]/config/kind: "TOKEN" is none of the identities m:ETH, x:LOOP`},
		{put("/ifs/if[name=eth1]/config/mixed", "ABC"), `/ifs/if[name=eth1]/config/mixed: "ABC" is none of uint32 | word`},
		{put("/ifs/if[name=eth1]/config/raw", []byte("12345")), "/ifs/if[name=eth1]/config/raw: has the length 5, which is not 0..4"},
		{put("/ifs/if[name=eth1]/config/name", "eth2"), "/ifs/if[name=eth1]/config/name: eth2 is not the key of the entry, eth1"},
		{put("/ifs/if[name=eth1]/state/status", "UP"), "/ifs/if[name=eth1]/state/status: is state and cannot be set"},
		{put("/ifs/if[name=eth1]/config", "UP"), "/ifs/if[name=eth1]/config: is a container, and a single value is no value for it"},
		{put("/ifs/if[name=eth1]/aggregation", "UP"), "/ifs/if[name=eth1]/aggregation: is not supported by this appliance (vnf-deviations)"},
		{put("/ifs/if[name=eth1]/config/nothing", "UP"), "/ifs/if[name=eth1]/config/nothing: is not in the schema"},
		{put("/ifs/if[name=eth1]/x:config", "UP"), "/ifs/if[name=eth1]/x:config: is of module m, not x"},
		{put("/ifs/if/config/vlan", 1), "/ifs/if: key name is missing"},
		{put("/ifs/if[no=eth1]/config/vlan", 1), "/ifs/if[no=eth1]: has no key no, but name"},
		{put("/ifs[name=x]/if[name=eth1]/config/vlan", 1), "/ifs[name=x]: has no keys: it is no list"},
		{put("/ifs/if[name=eth1]/subs[kind=ETH][id=x]/note", "n"), `/ifs/if[name=eth1]/subs[kind=ETH][id=x]: key id: "x" is not of type uint32`},
		{put("/ifs/if[name=eth1]/config/peer", "eth7"), "/ifs/if[name=eth1]/config/peer: eth7 refers to nothing: there is no such /ifs/if/config/name"},
		{func(e *Edit) error { return e.Delete(MustPath("/ifs/if[name=eth1]")) }, "/ifs/if[name=eth2]/config/peer: eth1 refers to nothing: there is no such /ifs/if/config/name"},
		{func(e *Edit) error { return e.Delete(MustPath("/ifs/if[name=eth1]/state")) }, "/ifs/if[name=eth1]/state: is state and cannot be set"},
		{func(e *Edit) error { return e.Delete(MustPath("/ifs/if[name=eth1]/name")) }, "/ifs/if[name=eth1]/name: is a key: delete the entry"},
		{func(e *Edit) error { return e.Delete(MustPath("/ifs/of")) }, "/ifs/of: is not in the schema"},
		{doc("/ifs", `{"if":[{"config":{"name":"q"}}]}`), "/ifs/if: element 0: the key name is missing"},
		{doc("/ifs", `{"if":[{"name":"q"},{"name":"q"}]}`), "/ifs/if: element 1: the entry q is there twice"},
		{doc("/ifs", `{"if":{"name":"q"}}`), "/ifs/if: is a list, and its value is no array"},
		{doc("/ifs", `[]`), "/ifs: is a container, and its value is no object"},
		{doc("/ifs", `{"if":[{"name":"q","config":{"vlan":"5"}}]}`), `/ifs/if[name=q]/config/vlan: "5" is not of type uint16`},
		{doc("/ifs", `{"if":[{"name":"q","config":{"big":true,"@vlan":{},"flag":null}}]}`), "/ifs/if[name=q]/config/@vlan: metadata (RFC 7952) are not supported\n/ifs/if[name=q]/config/big: true is not of type uint64\n/ifs/if[name=q]/config/flag: null is not of type empty"},
		{doc("/ifs", `{"if":`), "/ifs: is not JSON: unexpected EOF"},
		{doc("/ifs", `{"if":[],"if":[]}`), "/ifs: is not JSON: the name if is there twice in one object"},
		{doc("/ifs", strings.Repeat("[", 70)), "/ifs: is not JSON: more than 64 levels"},
		{doc("/ifs", ``), "/ifs: is not JSON: unexpected EOF"},
		{doc("/ifs", `{"if":[1 2]}`), "/ifs: is not JSON: invalid character '2' after array element"},
		{doc("/ifs", `{"if":[],"m:if":[{"name":"q"}]}`), "/ifs/if: is there twice, with and without its module"},
		{doc("/ifs", `{} {}`), "/ifs: is not JSON: there is more after the value"},
		{doc("/ifs/if[name=eth1]/state", `{}`), "/ifs/if[name=eth1]/state: is state and cannot be set"},
	} {
		e := a.Edit()
		err := c.do(e)
		if err == nil {
			_, err = e.Commit()
		}
		if err == nil || err.Error() != c.want {
			t.Errorf("said  %v\nwant  %s", err, c.want)
		}
		var one Error
		var all Errors
		if !errors.As(err, &one) && !errors.As(err, &all) {
			t.Errorf("%v is a %T", err, err)
		}
		if string(a.JSON()) != two {
			t.Fatal("the tree has changed")
		}
	}
}

func TestExpand(t *testing.T) {
	s := load(t)
	for _, c := range []struct{ in, want string }{
		{"/", "[/]"},
		{"/ifs/if", "[/ifs/if]"},
		{"/ifs/if/config/vlan", "[/ifs/if[name=*]/config/vlan]"},
		{"/m:ifs/m:if[name=eth1]/x:config/..", "/ifs/if[name=eth1]/x:config: is of module m, not x"},
		{"/ifs/if[name=eth1]/*/name", "[/ifs/if[name=eth1]/config/name]"},
		{"/ifs/if/subs[id=3]", "[/ifs/if[name=*]/subs[kind=*][id=3]]"},
		{"/.../vlan", "[/ifs/if[name=*]/config/vlan]"},
		{"/.../name", "[/ifs/if[name=*]/name /ifs/if[name=*]/config/name /pols/pol[name=*]/name /pols/pol[name=*]/config/name]"},
		{"/ifs/...", "[/ifs]"},
		{"/.../nothing", "/.../nothing: nothing in the schema is taken by this path"},
		{"/ifs/nothing", "/ifs/nothing: is not in the schema"},
	} {
		m, err := Expand(s, MustPath(c.in))
		var paths []string
		for _, x := range m {
			paths = append(paths, x.Path.String())
		}
		got := fmt.Sprint(paths)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s\nwant %s", c.in, got, c.want)
		}
	}
}

func TestPathText(t *testing.T) {
	for _, s := range []string{"/", "/a", "/a/b[k=v]", `/a[k=x\]y\\z]/b`, "/a[k=1/2][l=]/c"} {
		p, err := ParsePath(s)
		if err != nil || p.String() != s {
			t.Errorf("%s: %v, %v", s, p, err)
		}
	}
	for _, s := range []string{"//a", "/a[", "/a[k", "/a[k=v", "/a[k=v]b", "/a[=v]", "/a[k=1][k=2]"} {
		if p, err := ParsePath(s); err == nil {
			t.Errorf("%s is taken: %v", s, p)
		}
	}
}

// TestRandom holds edits against a map of leaves.
func TestRandom(t *testing.T) {
	s := load(t)
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		cur := New(s)
		model := map[string]string{}
		for range 60 {
			e := cur.Edit()
			next := map[string]string{}
			for k, v := range model {
				next[k] = v
			}
			for range 1 + r.IntN(4) {
				name := fmt.Sprintf("eth%d", r.IntN(4))
				base := fmt.Sprintf("/ifs/if[name=%s]", name)
				switch r.IntN(4) {
				case 0, 1:
					v := r.IntN(5000)
					if err := e.Put(base+"/config/vlan", v); (err == nil) != (v >= 1 && v <= 4094) {
						t.Fatalf("seed %d: vlan %d: %v", seed, v, err)
					} else if err == nil {
						next[base+"/name"], next[base+"/config/name"], next[base+"/config/vlan"] = name, name, fmt.Sprint(v)
					}
				case 2:
					if err := e.Delete(MustPath(base)); err != nil {
						t.Fatal(err)
					}
					for k := range next {
						if strings.HasPrefix(k, base+"/") {
							delete(next, k)
						}
					}
				case 3:
					if err := e.Delete(MustPath("/ifs/if/config/vlan")); err != nil {
						t.Fatal(err)
					}
					for k := range next {
						if strings.HasSuffix(k, "/vlan") {
							delete(next, k)
						}
					}
				}
			}
			b, err := e.Commit()
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			got := map[string]string{}
			b.Root().Walk(nil, func(p Path, n *Node) bool {
				got[p.String()] = n.Value().Text()
				return true
			})
			if fmt.Sprint(got) != fmt.Sprint(next) {
				t.Fatalf("seed %d: the tree has\n%v\nwant\n%v", seed, got, next)
			}
			cur, model = b, next
		}
	}
}

func BenchmarkLeafIn10000(b *testing.B) {
	s := load(b)
	e := New(s).Edit()
	for i := range 10000 {
		if err := e.Put(fmt.Sprintf("/ifs/if[name=e%d]/config/vlan", i), 1+i%4094); err != nil {
			b.Fatal(err)
		}
	}
	t, err := e.Commit()
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		e := t.Edit()
		if err := e.Put("/ifs/if[name=e77]/config/vlan", 1+i%4094); err != nil {
			b.Fatal(err)
		}
		if _, err := e.Commit(); err != nil {
			b.Fatal(err)
		}
	}
}
