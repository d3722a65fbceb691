package tree

import (
	"fmt"
	"slices"

	"millrace/yang/schema"
)

// Change of a leaf or leaf-list, or of the order of a list that the user orders.
type Change struct {
	Path   Path
	Schema *schema.Node
	// Old and New are zero where the leaf was not, or is no longer, there; both are for a list that has another order.
	Old, New schema.Value
}

func (c Change) String() string {
	switch {
	case c.Schema.Kind == schema.List:
		return c.Path.String() + ": has another order"
	case c.Old.IsZero():
		return fmt.Sprintf("%s: not set -> %s", c.Path, c.New.Text())
	case c.New.IsZero():
		return fmt.Sprintf("%s: %s -> not set", c.Path, c.Old.Text())
	}
	return fmt.Sprintf("%s: %s -> %s", c.Path, c.Old.Text(), c.New.Text())
}

// Diff calls f for all that differs between two versions of a tree. What they share costs nothing. The paths are f's to keep.
func Diff(a, b *Tree, f func(Change)) { diff(a.root, b.root, nil, f) }

func diff(a, b *Node, at Path, f func(Change)) {
	if a == b {
		return
	}
	some := a
	if some == nil {
		some = b
	}
	if some.s.IsLeaf() {
		if va, vb := a.Value(), b.Value(); !va.Equal(vb) {
			f(Change{at, some.s, va, vb})
		}
		return
	}
	if some.isList() {
		diffList(some.s, a, b, at, f)
		return
	}
	var ka, kb []*Node
	if a != nil {
		ka = a.kids
	}
	if b != nil {
		kb = b.kids
	}
	for len(ka) > 0 || len(kb) > 0 {
		var x, y *Node
		if len(kb) == 0 || len(ka) > 0 && ka[0].s.Index() <= kb[0].s.Index() {
			x = ka[0]
		}
		if len(ka) == 0 || len(kb) > 0 && kb[0].s.Index() <= ka[0].s.Index() {
			y = kb[0]
		}
		name := ""
		if x != nil {
			ka, name = ka[1:], x.s.Name
		}
		if y != nil {
			kb, name = kb[1:], y.s.Name
		}
		if x != y {
			diff(x, y, at.Name(name), f)
		}
	}
}

func diffList(s *schema.Node, a, b *Node, at Path, f func(Change)) {
	up := at[:len(at)-1]
	var kept, now []string
	if a != nil {
		for _, id := range a.order {
			x := a.entries[id]
			var y *Node
			if b != nil {
				y = b.entries[id]
			}
			if y != nil {
				kept = append(kept, id)
			}
			if x != y {
				diff(x, y, up.With(x.Elem()), f)
			}
		}
	}
	if b != nil {
		for _, id := range b.order {
			if y := b.entries[id]; a == nil || a.entries[id] == nil {
				diff(nil, y, up.With(y.Elem()), f)
			} else {
				now = append(now, id)
			}
		}
	}
	if s.UserOrdered && !slices.Equal(kept, now) {
		f(Change{Path: at, Schema: s})
	}
}

// Patch carries over to an edit what differs between two trees: what is in next and not in old or otherwise there is set, what is in
// old only is removed whole, so that nothing is left of an entry that has gone. All else of the edit stays as it is.
func (e *Edit) Patch(old, next *Tree) error { return e.patch(old.root, next.root, nil) }

func (e *Edit) patch(a, b *Node, at Path) error {
	switch {
	case a == b || Same(a, b):
		return nil
	case b == nil:
		return e.Delete(at)
	case b.s.IsLeaf():
		if b.s.IsKey() {
			return nil
		}
		return e.Set(at, b.val)
	case b.isList():
		return e.patchList(a, b, at)
	}
	if a != nil {
		for _, k := range a.kids {
			if b.kid(k.s) == nil && !k.s.IsKey() {
				if err := e.Delete(at.Name(k.s.Name)); err != nil {
					return err
				}
			}
		}
	}
	for _, k := range b.kids {
		if err := e.patch(a.kidOf(k.s), k, at.Name(k.s.Name)); err != nil {
			return err
		}
	}
	return nil
}

func (e *Edit) patchList(a, b *Node, at Path) error {
	up := at[:len(at)-1]
	if a != nil {
		for x := range a.Entries() {
			if b.entries[keysID(x.keys)] == nil {
				if err := e.Delete(up.With(x.Elem())); err != nil {
					return err
				}
			}
		}
	}
	for y := range b.Entries() {
		var x *Node
		if a != nil {
			x = a.entries[keysID(y.keys)]
		}
		if err := e.patch(x, y, up.With(y.Elem())); err != nil {
			return err
		}
		e.reach(up.With(y.Elem())) // an entry of nothing but keys
	}
	if b.s.UserOrdered {
		list := e.reach(at)
		rank := map[string]int{}
		for i, id := range b.order {
			rank[id] = i
		}
		slices.SortStableFunc(list.order, func(p, q string) int {
			i, ok1 := rank[p]
			j, ok2 := rank[q]
			if !ok1 || !ok2 {
				return 0
			}
			return i - j
		})
	}
	return nil
}
