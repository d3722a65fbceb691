package telemetry

import (
	"context"

	"millrace/yang/schema"
	"millrace/yang/tree"
)

// reader goes through a tree of configuration for what a path takes, and for the state that mirrors it.
type reader struct {
	hub  *Hub
	ctx  context.Context
	what What
	// emit gets the leaves of one entry of a list, without those of lists in it.
	emit func([]Leaf) error
}

func (r *reader) tree(t *tree.Tree, p tree.Path) error { return r.object(t.Root(), nil, p) }

// object gathers the leaves of an entry, or of the top.
func (r *reader) object(n *tree.Node, at, rest tree.Path) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	var all []Leaf
	if err := r.walk(n, at, rest, &all); err != nil || len(all) == 0 {
		return err
	}
	return r.emit(all)
}

func (r *reader) walk(n *tree.Node, at, rest tree.Path, out *[]Leaf) error {
	s := n.Schema()
	if s.IsLeaf() {
		if r.hub.Takes(r.what, s) {
			*out = append(*out, Leaf{at, s, n.Value()})
		}
		return nil
	}
	if len(rest) == 0 {
		for c := range n.Children() {
			if err := r.child(c, at, nil, rest, out); err != nil {
				return err
			}
		}
		r.mirrors(n, at, nil, out)
		return nil
	}
	el := rest[0]
	if c := n.Child(el.Name); c != nil {
		return r.child(c, at, el.Keys, rest[1:], out)
	}
	if el.Name == "state" {
		r.mirrors(n, at, rest[1:], out)
	}
	return nil
}

// child goes on with a child: for a list with the entries that keys take, nil taking all.
func (r *reader) child(c *tree.Node, at tree.Path, keys []tree.Key, rest tree.Path, out *[]Leaf) error {
	if !isList(c) {
		return r.walk(c, at.Name(c.Schema().Name), rest, out)
	}
	return eachEntry(c, keys, func(x *tree.Node) error { return r.object(x, at.With(x.Elem()), rest) })
}

func isList(n *tree.Node) bool { return n.Schema().Kind == schema.List && !n.IsEntry() }

// eachEntry calls f for the entries of a list that keys take; "*" and no keys at all take every value.
func eachEntry(list *tree.Node, keys []tree.Key, f func(*tree.Node) error) error {
	exact := len(keys) > 0
	texts := make([]string, len(keys))
	for i, k := range keys {
		exact = exact && k.Value != "*"
		texts[i] = k.Value
	}
	if exact {
		if x := list.Entry(texts...); x != nil {
			return f(x)
		}
		return nil
	}
entries:
	for x := range list.Entries() {
		for _, k := range keys {
			if k.Value != "*" && x.Key(k.Name) != k.Value {
				continue entries
			}
		}
		if err := f(x); err != nil {
			return err
		}
	}
	return nil
}

// mirrors adds the leaves of state that have the values of configuration in a node which is in the tree: what is applied is what is
// configured, or the default.
func (r *reader) mirrors(n *tree.Node, at, rest tree.Path, out *[]Leaf) {
	if r.what == Config || r.what == Operational {
		return
	}
	st := n.Schema().Child("state")
	if st == nil || st.Config || st.Kind != schema.Container {
		return
	}
	r.mirrorsIn(st, n.Child("config"), at.Name("state"), rest, out)
}

func (r *reader) mirrorsIn(st *schema.Node, config *tree.Node, at, rest tree.Path, out *[]Leaf) {
	for _, s := range st.Children() {
		if len(rest) > 0 && rest[0].Name != s.Name {
			continue
		}
		next := rest
		if len(rest) > 0 {
			next = rest[1:]
		}
		if s.Kind == schema.Container {
			r.mirrorsIn(s, config.Child(s.Name), at.Name(s.Name), next, out)
			continue
		}
		if r.hub.mirror[s] == nil || r.hub.owner[s] != nil {
			continue
		}
		v := config.Child(s.Name).Value()
		if v.IsZero() {
			v = r.hub.preset[s]
		}
		if !v.IsZero() {
			*out = append(*out, Leaf{at.Name(s.Name), s, v})
		}
	}
}
