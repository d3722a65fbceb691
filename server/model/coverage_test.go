package model

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"millrace/server/config"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// What is said here of all leaves is found out by trying: testdata/coverage.yaml is a configuration with an entry of every list. Each leaf
// in turn is given values in it, and taken away.

// oneValue are leaves of configuration that can have one value only, so that none can be seen to change anything; but another is refused,
// by name.
var oneValue = map[string]string{
	"/interfaces/interface/subinterfaces/subinterface/ipv4/config/enabled": "true: the family is there when it has addresses",
	"/interfaces/interface/subinterfaces/subinterface/ipv6/config/enabled": "true: the family is there when it has addresses",
	"/network-instances/network-instance/config/type":                      "which its name says",
	"/routing-policy/defined-sets/prefix-sets/prefix-set/config/mode":      "that of the prefixes",
	"/system/aaa/authentication/users/user/config/password":                "is hashed before it is committed",
}

var errOneValue = errors.New("has one value")

// noLeaf are fields of Config that it refuses to have set: types that several of its parts share.
var noLeaf = map[string]bool{
	"tcp.pools.options.fast-open": true, "tcp.pools.options.syn-cookies-always": true, "tcp.pools.options.synack-retries": true,
}

// coverage is the configuration of testdata/coverage.yaml and what has been seen while trying.
type coverage struct {
	s    *schema.Schema
	m    *Model
	base *tree.Tree
	c    *config.Config
	// seen are the fields of Config that had a value at some time.
	seen map[string]bool
	// trips are the errors of what did not survive the way back into the tree and out again, by leaf.
	trips map[string]string
}

func newCoverage(t *testing.T) *coverage {
	t.Helper()
	s, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/coverage.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	base, err := New(s).FromConfig(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &coverage{s: s, m: New(s), base: base, seen: map[string]bool{}, trips: map[string]string{}}
	if v.c, err = v.accept(base); err != nil {
		t.Fatalf("testdata/coverage.yaml is refused: %v", err)
	}
	return v
}

// accept reads a tree and checks what it says.
func (v *coverage) accept(t *tree.Tree) (*config.Config, error) {
	c, err := v.m.ToConfig(t)
	if err != nil {
		return nil, err
	}
	c = c.Clone()
	if err := c.Validate(); err != nil {
		return nil, v.m.Errors(err, c, t)
	}
	mark(reflect.ValueOf(*c), "", v.seen)
	return c, nil
}

// try a change of the configuration. changed says that it was accepted and that Config differs.
func (v *coverage) try(what string, change func(*tree.Edit) error) (changed bool, err error) {
	e := v.base.Edit()
	if err := change(e); err != nil {
		return false, err
	}
	t, err := e.Commit()
	if err != nil {
		return false, err
	}
	c, err := v.accept(t)
	if err != nil || reflect.DeepEqual(c, v.c) {
		return false, err
	}
	for name, hint := range map[string]*tree.Tree{"": t, " (without a hint)": nil} {
		if err := v.roundTrip(c, hint); err != nil {
			v.trips[what+name] = err.Error()
		}
	}
	return true, nil
}

// roundTrip writes a Config as a tree and reads that.
func (v *coverage) roundTrip(c *config.Config, hint *tree.Tree) error {
	t, err := v.m.FromConfig(c, hint)
	if err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	back, err := v.m.ToConfig(t)
	if err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	if !reflect.DeepEqual(back.Clone(), c) {
		return errors.New(difference(reflect.ValueOf(*c), reflect.ValueOf(*back), "config"))
	}
	return nil
}

// places are the paths in the configuration at which a node of the schema is or could be.
func (v *coverage) places(n *schema.Node) []tree.Path {
	var chain []*schema.Node
	for up := n; up.Parent != nil; up = up.Parent {
		chain = append(chain, up)
	}
	slices.Reverse(chain)
	type place struct {
		at   tree.Path
		node *tree.Node
	}
	now := []place{{node: v.base.Root()}}
	for _, c := range chain {
		var next []place
		for _, p := range now {
			child := p.node.Child(c.Name)
			if c.Kind != schema.List {
				next = append(next, place{p.at.Name(c.Name), child})
				continue
			}
			for x := range child.Entries() {
				next = append(next, place{p.at.With(x.Elem()), x})
			}
		}
		now = next
	}
	paths := make([]tree.Path, len(now))
	for i, p := range now {
		paths[i] = p.at
	}
	return paths
}

// leaf says what is wrong with a leaf; nil if it takes effect.
func (v *coverage) leaf(n *schema.Node) error {
	places := v.places(n)
	if len(places) == 0 {
		return errors.New("is in a list that testdata/coverage.yaml has no entry of")
	}
	// Where the leaf or its neighbours are set, a value is most likely to make sense.
	slices.SortStableFunc(places, func(a, b tree.Path) int { return v.setAt(b) - v.setAt(a) })
	accepted, named := false, false
	var refusals []string
	for _, at := range places {
		now := v.base.Get(at).Value().Local()
		for _, text := range v.candidates(n) {
			if n.Kind == schema.Leaf && text == now {
				continue
			}
			changed, err := v.try(n.Path(), func(e *tree.Edit) error {
				if n.Kind == schema.LeafList {
					return e.Set(at, strings.Split(text, ","))
				}
				return e.SetText(at, text)
			})
			if changed {
				return nil
			}
			named = named || names(err, at)
			if err == nil {
				accepted = true
			} else if len(refusals) < 3 {
				refusals = append(refusals, fmt.Sprintf("%q: %v", text, err))
			}
		}
		if v.base.Get(at) == nil {
			continue
		}
		// Without it something is different, or is said to be missing.
		changed, err := v.try(n.Path(), func(e *tree.Edit) error { return e.Delete(at) })
		if changed || names(err, at) {
			return nil
		}
	}
	if _, one := oneValue[n.Path()]; one && named {
		return errOneValue
	}
	if accepted {
		return errors.New("is accepted and changes nothing")
	}
	return fmt.Errorf("is always refused: %s", strings.Join(refusals, "; "))
}

// setAt is 2 where a leaf is set, 1 where another one of its container is.
func (v *coverage) setAt(at tree.Path) int {
	switch {
	case v.base.Get(at) != nil:
		return 2
	case v.base.Get(at[:len(at)-1]) != nil:
		return 1
	}
	return 0
}

// names says that an error is about a path.
func names(err error, at tree.Path) bool {
	var list tree.Errors
	if errors.As(err, &list) {
		for _, e := range list {
			if e.Path == at.String() {
				return true
			}
		}
	}
	var one tree.Error
	return errors.As(err, &one) && one.Path == at.String()
}

// texts are values for strings: names that testdata/coverage.yaml has, and something of every form that leaves ask for.
var texts = strings.Fields(`lab eth1 eth1.10 eth2 lo0 red default in out all x 192.0.2.77 2001:db8::77 192.0.2.0/24 198.51.100.0/24 2001:db8:77::/48
	02:00:00:00:00:77 65000:77 65000:1:77 192.0.2.77:8080 [2001:db8::77]:8080 127.0.0.1:9339 :9000 127.0.0.1 0.0.0.0 :: none /pki
	/var/lib/pki 10s 1m 24..28 exact ^65001 _65001_ www.example.org *.example.org / /x HTTP GET net_pcap0,iface=v77 0000:00:07.0 192.0.2.1
	a@b secret77 77 /interfaces`)

// numbers are values for numbers.
var numbers = strings.Fields(`1 0 2 3 5 7 8 10 16 20 30 32 50 60 64 77 90 100 120 128 150 179 200 250 300 500 512 600 1000 1024 1280 1400 1500 1700 2000
	2048 3000 4000 4096 5000 8080 8192 9000 9339 10000 16384 20000 32768 50000 60000 64512 65000 65001 65536 100000 131072 262144 1000000 1048576
	-1 0.5 1.5 10.5 0,1`)

// candidates are values to try: some will be refused.
func (v *coverage) candidates(n *schema.Node) []string { return v.ofType(n.Type) }

func (v *coverage) ofType(t *schema.Type) []string {
	switch t.Base {
	case schema.Boolean:
		return []string{"true", "false"}
	case schema.Enumeration, schema.Identityref, schema.Bits:
		return t.Values
	case schema.Leafref:
		var out []string
		for _, at := range v.places(t.Target()) {
			if s := v.base.Get(at).Value().Text(); s != "" && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
		return out
	case schema.Union:
		var out []string
		for _, m := range t.Members {
			out = append(out, v.ofType(m)...)
		}
		return out
	case schema.String:
		return texts
	case schema.Binary:
		return []string{"AQIDBA=="}
	case schema.Empty:
		return []string{""}
	}
	return numbers
}

// TestEveryLeafTakesEffect fails for each leaf of configuration that the schema has and no translator reads, and for each that is
// never accepted: that one belongs among the deviations.
func TestEveryLeafTakesEffect(t *testing.T) {
	v := newCoverage(t)
	tried := 0
	v.s.Root.Walk(func(n *schema.Node) {
		if !n.Config || !n.IsLeaf() || isKeyOrTwin(n) {
			return
		}
		tried++
		err := v.leaf(n)
		_, one := oneValue[n.Path()]
		switch {
		case err == nil && one:
			t.Errorf("%s is listed as having one value, and has more", n.Path())
		case err != nil && err != errOneValue:
			t.Errorf("%s %v", n.Path(), err)
		}
	})
	for _, path := range slices.Sorted(maps.Keys(v.trips)) {
		t.Errorf("changing %s: what is written is not read back: %s", path, v.trips[path])
	}
	t.Logf("%d leaves", tried)

	// Every field of Config comes from somewhere.
	all := map[string]bool{}
	fields(reflect.TypeFor[config.Config](), "", all)
	for _, f := range slices.Sorted(maps.Keys(all)) {
		if !v.seen[f] && !noLeaf[f] {
			t.Errorf("no leaf sets %s of Config", f)
		}
	}
}

// TestEveryListTakesEffect fails for lists whose entries can go without a difference.
func TestEveryListTakesEffect(t *testing.T) {
	v := newCoverage(t)
	v.s.Root.Walk(func(n *schema.Node) {
		if !n.Config || n.Kind != schema.List {
			return
		}
		places := v.places(n)
		for _, at := range places { // and all entries of one list together
			if all := at[:len(at)-1].Name(n.Name); !slices.ContainsFunc(places, all.Equal) {
				places = append(places, all)
			}
		}
		for _, at := range places {
			changed, err := v.try(n.Path(), func(e *tree.Edit) error { return e.Delete(at) })
			if changed || err != nil { // what refers to it, or needs it, is named
				return
			}
		}
		t.Errorf("%s: entries can be taken away and nothing changes", n.Path())
	})
}

func TestCoverageRoundTrip(t *testing.T) {
	v := newCoverage(t)
	for name, hint := range map[string]*tree.Tree{"with": v.base, "without": nil} {
		if err := v.roundTrip(v.c, hint); err != nil {
			t.Errorf("%s a hint: %v", name, err)
		}
	}
	// With the hint, the tree comes back as it was but for what only the tree has.
	again, err := v.m.FromConfig(v.c, v.base)
	if err != nil {
		t.Fatal(err)
	}
	twice, err := v.m.FromConfig(v.c, again)
	if err != nil {
		t.Fatal(err)
	}
	if string(twice.JSON()) != string(again.JSON()) {
		t.Error("writing twice gives two trees")
	}
}

// isKeyOrTwin says that a leaf is a key of a list, or the leaf of `config` that the key refers to.
func isKeyOrTwin(n *schema.Node) bool {
	if n.IsKey() {
		return true
	}
	list := n.Parent.Parent
	return list != nil && list.Kind == schema.List && n.Parent.Name == "config" && slices.Contains(list.Keys, n.Name)
}

// isOurs says that a struct has fields of its own in Config, and is not a value as netip.Addr is.
func isOurs(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.PkgPath() == reflect.TypeFor[config.Config]().PkgPath()
}

// eachField calls f for the fields of a struct type that have a name in Config.
func eachField(t reflect.Type, path string, f func(i int, path string)) {
	for i := range t.NumField() {
		sf := t.Field(i)
		name, _, _ := strings.Cut(sf.Tag.Get("cfg"), ",")
		switch {
		case sf.Anonymous:
			f(i, path)
		case name != "" && sf.IsExported():
			f(i, strings.TrimPrefix(path+"."+name, "."))
		}
	}
}

// fields gathers the paths of a type's leaves.
func fields(t reflect.Type, path string, out map[string]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice && isOurs(t.Elem()) {
		t = t.Elem()
	}
	if !isOurs(t) || t.NumField() == 0 {
		out[path] = true
		return
	}
	named := false
	eachField(t, path, func(i int, p string) {
		named = true
		fields(t.Field(i).Type, p, out)
	})
	if !named { // a value with fields of its own
		out[path] = true
	}
}

// mark notes the leaves that have a value.
func mark(v reflect.Value, path string, seen map[string]bool) {
	if v.IsZero() {
		return
	}
	switch {
	case v.Kind() == reflect.Pointer:
		seen[path] = true
		mark(v.Elem(), path, seen)
	case v.Kind() == reflect.Slice && isOurs(v.Type().Elem()):
		for i := range v.Len() {
			mark(v.Index(i), path, seen)
		}
	case isOurs(v.Type()):
		seen[path] = true
		eachField(v.Type(), path, func(i int, p string) { mark(v.Field(i), p, seen) })
	default:
		seen[path] = true
	}
}

// difference names the first place where two values differ.
func difference(a, b reflect.Value, path string) string {
	switch {
	case a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil():
		return difference(a.Elem(), b.Elem(), path)
	case a.Kind() == reflect.Slice && a.Len() == b.Len():
		for i := range a.Len() {
			if !reflect.DeepEqual(a.Index(i).Interface(), b.Index(i).Interface()) {
				return difference(a.Index(i), b.Index(i), fmt.Sprintf("%s[%d]", path, i))
			}
		}
	case isOurs(a.Type()):
		for i := range a.NumField() {
			if a.Type().Field(i).IsExported() && !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
				return difference(a.Field(i), b.Field(i), path+"."+a.Type().Field(i).Name)
			}
		}
	}
	return fmt.Sprintf("%s was %+v and came back as %+v", path, a, b)
}
