package model

import (
	"fmt"
	"net/netip"

	"millrace/server/config"
	"millrace/yang/tree"
)

// reader makes a Config of a tree.
type reader struct {
	// Root of the tree.
	Root *tree.Node
	// C is what has been read so far.
	C *config.Config

	errs      tree.Errors
	failures  int // how many errors there were, those among them that are too many to be told
	old, memo map[string]remembered
	members   []member // of network instances
}

// fail refuses something at a place in the tree.
func (x *reader) fail(at tree.Path, format string, args ...any) {
	x.failures++
	if len(x.errs) < 100 {
		x.errs = append(x.errs, tree.Error{Path: at.String(), Reason: fmt.Sprintf(format, args...)})
	}
}

// failAt is fail below a place: rel is names with slashes between.
func (x *reader) failAt(at tree.Path, rel, format string, args ...any) {
	x.fail(below(at, rel), format, args...)
}

// addr is the address in a leaf; not valid if it is not set.
func (x *reader) addr(n *tree.Node, at tree.Path, rel string) netip.Addr {
	s := n.Text(rel)
	if s == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		x.failAt(at, rel, "%s is not an address", s)
	}
	return a
}

// prefix is the prefix in a leaf; not valid if it is not set.
func (x *reader) prefix(n *tree.Node, at tree.Path, rel string) netip.Prefix {
	s := n.Text(rel)
	if s == "" {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		x.failAt(at, rel, "%s is not a prefix", s)
	}
	return p
}

// num is the number in a leaf, 0 if it is not set. One that T cannot hold is refused.
func num[T uint8 | uint16 | uint32 | uint64](x *reader, n *tree.Node, at tree.Path, rel string) T {
	u, ok := n.Uint(rel)
	if ok && uint64(T(u)) != u {
		x.failAt(at, rel, "%d is more than %d", u, ^T(0))
	}
	return T(u)
}

// flag is the boolean in a leaf; nil if it is not set.
func flag(n *tree.Node, rel string) *bool {
	if b, ok := n.Bool(rel); ok {
		return &b
	}
	return nil
}

// isTrue says that a boolean is set and true.
func isTrue(n *tree.Node, rel string) bool {
	b, _ := n.Bool(rel)
	return b
}

// remembered is what was made of the entries of one list.
type remembered struct {
	list  *tree.Node
	all   any // []T
	parts any // map[*tree.Node]T
}

// entries converts the entries of a list. What was made of an entry that the tree before had as well is used again; so convert must
// depend on the entry alone, and what it returns must not be changed. What is made of entries with errors is not kept.
func entries[T any](x *reader, list *tree.Node, at tree.Path, convert func(tree.Path, *tree.Node) T) []T {
	if list.Len() == 0 {
		return nil
	}
	id := at.String()
	before := x.old[id]
	if all, ok := before.all.([]T); ok && before.list == list {
		x.memo[id] = before
		return all
	}
	parts, _ := before.parts.(map[*tree.Node]T)
	now := make(map[*tree.Node]T, list.Len())
	all := make([]T, 0, list.Len())
	up := at[:len(at)-1]
	errs := x.failures
	for n := range list.Entries() {
		v, ok := parts[n]
		if !ok {
			have := x.failures
			if v = convert(up.With(n.Elem()), n); x.failures == have {
				now[n] = v
			}
		} else {
			now[n] = v
		}
		all = append(all, v)
	}
	r := remembered{parts: now}
	if x.failures == errs {
		r.list, r.all = list, all
	}
	x.memo[id] = r
	return all
}

// pos is num for what cannot be 0: that is refused where it is set.
func pos[T uint8 | uint16 | uint32 | uint64](x *reader, n *tree.Node, at tree.Path, rel string) T {
	v := num[T](x, n, at, rel)
	if v == 0 && n.Has(rel) {
		x.failAt(at, rel, "0 is not allowed")
	}
	return v
}
