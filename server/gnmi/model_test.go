package gnmiserver

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	gpb "github.com/openconfig/gnmi/proto/gnmi"

	"millrace/yang/tree"
)

// leafModel is what the tree should hold, in the simplest form there is: the value in JSON of each leaf by its path.
type leafModel map[string]string

// remove takes away what is at or below a path.
func (m leafModel) remove(path string) {
	for p := range m {
		if p == path || strings.HasPrefix(p, path+"/") || strings.HasPrefix(p, path+"[") {
			delete(m, p)
		}
	}
}

// entries have a leaf for each key, and the leaf in config that it refers to. A path names them all.
func (m leafModel) touch(path string) {
	p := tree.MustPath(path)
	for i, e := range p {
		if len(e.Keys) == 0 {
			continue
		}
		at := p[:i+1].String()
		for _, k := range e.Keys {
			val := `"` + k.Value + `"`
			switch {
			case e.Name == "subinterface":
				val = k.Value
			case k.Name == "identifier":
				val = `"openconfig-policy-types:` + k.Value + `"`
			}
			m[at+"/"+k.Name] = val
			m[at+"/config/"+k.Name] = val
		}
	}
}

// set gives a leaf a value.
func (m leafModel) set(path, val string) {
	m.touch(path)
	m[path] = val
}

// complete says whether the tree means something: the rules of the few nodes that the edits are about.
func (m leafModel) complete() bool {
	for p, v := range m {
		e := tree.MustPath(p)
		at := func(n int, below string) string { return e[:n].String() + below }
		switch {
		case len(e) == 3 && e[0].Name == "interfaces" && e[2].Name == "name":
			if m[at(2, "/config/type")] != `"iana-if-type:softwareLoopback"` {
				return false
			}
		case e[len(e)-1].Name == "ip" && e[len(e)-2].Name == "address":
			if m[at(len(e)-1, "/config/prefix-length")] == "" {
				return false
			}
		case e[len(e)-1].Name == "prefix" && e[len(e)-2].Name == "static":
			found := false
			for i := range 3 {
				found = found || m[at(len(e)-1, fmt.Sprintf("/next-hops/next-hop[index=%d]/config/next-hop", i))] != ""
			}
			if !found {
				return false
			}
		case e[len(e)-1].Name == "index" && e[len(e)-2].Name == "next-hop":
			nh := m[at(len(e)-1, "/config/next-hop")]
			if nh == "" {
				return false
			}
			for i := range 3 { // none twice
				other := at(len(e)-2, fmt.Sprintf("/next-hop[index=%d]/config/next-hop", i))
				if other != at(len(e)-1, "/config/next-hop") && m[other] == nh {
					return false
				}
			}
		case len(e) == 5 && e[3].Name == "interface" && e[4].Name == "id":
			ref := strings.Trim(m[at(4, "/config/interface")], `"`)
			if ref == "" || ref != strings.Trim(v, `"`) || m["/interfaces/interface[name="+ref+"]/name"] == "" {
				return false
			}
		}
	}
	return true
}

// world makes random edits of loopbacks with addresses, static routes, an instance and the host's name.
type world struct {
	r *rand.Rand
}

func (w world) pick(all ...string) string { return all[w.r.IntN(len(all))] }

func (w world) loopback() string { return fmt.Sprintf("/interfaces/interface[name=lo%d]", w.r.IntN(4)) }

func (w world) address(lo string) string {
	n := lo[len(lo)-2] - '0'
	return fmt.Sprintf("%s/subinterfaces/subinterface[index=0]/ipv4/addresses/address[ip=203.0.%d.%d]", lo, n, w.r.IntN(3)+1)
}

func (w world) route() string {
	return fmt.Sprintf("%s/static[prefix=10.%d.0.0/16]", static, w.r.IntN(4))
}

func (w world) hop(route string) string {
	return fmt.Sprintf("%s/next-hops/next-hop[index=%d]", route, w.r.IntN(3))
}

func (w world) member() string {
	return fmt.Sprintf("%s/interfaces/interface[id=lo%d]", vrf, w.r.IntN(4))
}

// leaf and a value for it, which may be wrong.
func (w world) leaf() (path, val string, ok bool) {
	lo := w.loopback()
	ok = w.r.IntN(12) > 0
	wrong := func(good, bad string) string {
		if ok {
			return good
		}
		return bad
	}
	switch w.r.IntN(8) {
	case 0:
		return lo + "/config/description", wrong(fmt.Sprintf(`"text %d"`, w.r.IntN(5)), w.pick("5", `["x"]`, `"\u0001"`)), ok
	case 1:
		return lo + "/config/enabled", wrong(w.pick("true", "false"), w.pick(`"true"`, "1", "null")), ok
	case 2, 3:
		return lo + "/config/type", wrong(`"iana-if-type:softwareLoopback"`, w.pick(`"softwareLoop"`, "24")), ok
	case 4:
		return w.address(lo) + "/config/prefix-length", wrong("32", w.pick("33", `"32"`, "-1")), ok
	case 5:
		return w.hop(w.route()) + "/config/next-hop", wrong(fmt.Sprintf(`"192.0.2.%d"`, w.r.IntN(4)+1), w.pick(`"192.0.2"`, "1", "{}")), ok
	case 6:
		m := w.member()
		return m + "/config/interface", `"` + tree.MustPath(m)[3].Keys[0].Value + `"`, true
	}
	return "/system/config/hostname", wrong(fmt.Sprintf(`"box%d"`, w.r.IntN(3)), w.pick("7", `""`)), ok
}

// place is a path that can be deleted: a leaf, a container or an entry.
func (w world) place() string {
	lo := w.loopback()
	return w.pick(lo, lo+"/config", lo+"/config/description", lo+"/subinterfaces", w.address(lo), w.address(lo)+"/config/prefix-length", w.route(),
		w.route()+"/next-hops", w.hop(w.route()), w.hop(w.route())+"/config/next-hop", w.member(), vrf+"/interfaces", "/system", static, lo+"/config/type")
}

// edit adds an operation to a request and carries it out on a model, which says whether it is right in itself.
func (w world) edit(req *gpb.SetRequest, dels, reps, ups *[]func(leafModel)) (ok bool) {
	switch w.r.IntN(6) {
	case 0:
		p := w.place()
		req.Delete = append(req.Delete, pathOf(p))
		*dels = append(*dels, func(m leafModel) {
			had := m.under(p)
			m.remove(p)
			m.mend(p, had)
		})
		return true
	case 1:
		// A loopback as a whole, with one or no address.
		lo := w.loopback()
		addr := w.address(lo)
		doc := map[string]any{"config": map[string]any{"type": "softwareLoopback", "description": "whole"}}
		with := w.r.IntN(2) == 0
		if with {
			doc["subinterfaces"] = map[string]any{"subinterface": []any{map[string]any{"index": 0, "ipv4": map[string]any{"addresses": map[string]any{
				"address": []any{map[string]any{"ip": tree.MustPath(addr)[6].Keys[0].Value, "config": map[string]any{"prefix-length": 32}}}}}}}}
		}
		b, _ := json.Marshal(doc)
		req.Replace = append(req.Replace, update(lo, string(b)))
		*reps = append(*reps, func(m leafModel) {
			m.remove(lo)
			m.set(lo+"/config/type", `"iana-if-type:softwareLoopback"`)
			m.set(lo+"/config/description", `"whole"`)
			if with {
				m.set(addr+"/config/prefix-length", "32")
			}
		})
		return true
	}
	p, v, ok := w.leaf()
	req.Update = append(req.Update, update(p, v))
	*ups = append(*ups, func(m leafModel) { m.set(p, v) })
	return ok
}

func (m leafModel) under(path string) bool {
	for p := range m {
		if strings.HasPrefix(p, path+"/") || p == path {
			return true
		}
	}
	return false
}

// mend puts back what an entry above a deleted path always has.
func (m leafModel) mend(path string, had bool) {
	p := tree.MustPath(path)
	for i := range p {
		at := p[:i+1].String()
		if len(p[i].Keys) > 0 && had && m[at+"/"+p[i].Keys[0].Name] != "" {
			m.touch(at)
		}
	}
}

func (b *bed) leaves() leafModel {
	out := leafModel{}
	b.store.Tree().Root().Walk(nil, func(p tree.Path, n *tree.Node) bool {
		out[p.String()] = string(n.Value().AppendJSON(nil, true))
		return true
	})
	return out
}

// Ten thousand random edits, right and wrong, leave in the tree what they leave in a map of leaves.
func TestRandomEdits(t *testing.T) {
	edits := 10_000
	if testing.Short() {
		edits = 1000
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := world{rand.New(rand.NewPCG(seed, 1))}
	o := bedOptions{}
	// In memory, where there is such a place: this is not about the disk.
	if dir, err := os.MkdirTemp("/dev/shm", "millrace-edits-*"); err == nil {
		o.dir = dir
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
	}
	b := newBed(t, o)
	b.replaceAll(`{"openconfig-network-instance:network-instances": {"network-instance": [
		{"name": "default", "config": {"type": "DEFAULT_INSTANCE"}, "protocols": {"protocol": [{"identifier": "STATIC", "name": "static"}]}},
		{"name": "red", "config": {"type": "L3VRF"}}]}}`)
	m := b.leaves()
	taken, refused := 0, 0
	for i := range edits {
		req := &gpb.SetRequest{}
		var dels, reps, ups []func(leafModel)
		want := true
		for range 1 + w.r.IntN(4) {
			want = w.edit(req, &dels, &reps, &ups) && want
		}
		next := maps.Clone(m)
		for _, f := range slices.Concat(dels, reps, ups) {
			f(next)
		}
		want = want && next.complete()
		before := b.store.Tree()
		_, err := b.server.Set(b.ctx, req)
		if (err == nil) != want {
			t.Fatalf("edit %d: %v\nerror %v, but the model says %v\n%s", i, req, err, want, b.document())
		}
		if err != nil {
			refused++
			if b.store.Tree() != before {
				t.Fatalf("edit %d was refused and changed the tree", i)
			}
			continue
		}
		taken++
		m = next
		if got := b.leaves(); !maps.Equal(got, m) {
			t.Fatalf("edit %d: %v\n%s", i, req, difference(got, m))
		}
	}
	t.Logf("%d edits taken, %d refused", taken, refused)
	if taken < edits/10 || refused < edits/10 {
		t.Errorf("%d edits taken, %d refused: neither should be rare", taken, refused)
	}
	if got := b.one("/", gpb.GetRequest_CONFIG); got != b.document() {
		t.Errorf("Get gives %s, the store has %s", got, b.document())
	}
}

func difference(got, want leafModel) string {
	var b strings.Builder
	for p, v := range got {
		if want[p] != v {
			fmt.Fprintf(&b, "%s is %s, the model has %q\n", p, v, want[p])
		}
	}
	for p, v := range want {
		if _, ok := got[p]; !ok {
			fmt.Fprintf(&b, "%s is not there, the model has %s\n", p, v)
		}
	}
	return b.String()
}
