package model

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"millrace/internal/leaftest"
	"millrace/server/config"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// What is said here of all leaves is found out by trying: package leaftest has a configuration with an entry of every list. Each leaf
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

// coverage is the configuration of leaftest.Document and what has been seen while trying.
type coverage struct {
	leaftest.Base
	m *Model
	c *config.Config
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
	c, err := config.Parse(leaftest.Document)
	if err != nil {
		t.Fatal(err)
	}
	base, err := New(s).FromConfig(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &coverage{Base: leaftest.Base{Schema: s, Tree: base}, m: New(s), seen: map[string]bool{}, trips: map[string]string{}}
	if v.c, err = v.accept(base); err != nil {
		t.Fatalf("leaftest.Document is refused: %v", err)
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
	e := v.Tree.Edit()
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

// leaf says what is wrong with a leaf; nil if it takes effect.
func (v *coverage) leaf(n *schema.Node) error {
	places := v.Places(n)
	if len(places) == 0 {
		return errors.New("is in a list that leaftest.Document has no entry of")
	}
	accepted, named := false, false
	var refusals []string
	for _, at := range places {
		now := v.Tree.Get(at).Value().Local()
		for _, text := range v.Candidates(n) {
			if n.Kind == schema.Leaf && text == now {
				continue
			}
			changed, err := v.try(n.Path(), func(e *tree.Edit) error {
				return leaftest.Set(e, at, n, text)
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
		if v.Tree.Get(at) == nil {
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

// TestEveryLeafTakesEffect fails for each leaf of configuration that the schema has and no translator reads, and for each that is
// never accepted: that one belongs among the deviations.
func TestEveryLeafTakesEffect(t *testing.T) {
	v := newCoverage(t)
	tried := 0
	for _, n := range v.Leaves() {
		tried++
		err := v.leaf(n)
		_, one := oneValue[n.Path()]
		switch {
		case err == nil && one:
			t.Errorf("%s is listed as having one value, and has more", n.Path())
		case err != nil && err != errOneValue:
			t.Errorf("%s %v", n.Path(), err)
		}
	}
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
	v.Schema.Root.Walk(func(n *schema.Node) {
		if !n.Config || n.Kind != schema.List {
			return
		}
		places := v.Places(n)
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
	for name, hint := range map[string]*tree.Tree{"with": v.Tree, "without": nil} {
		if err := v.roundTrip(v.c, hint); err != nil {
			t.Errorf("%s a hint: %v", name, err)
		}
	}
	// With the hint, the tree comes back as it was but for what only the tree has.
	again, err := v.m.FromConfig(v.c, v.Tree)
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
