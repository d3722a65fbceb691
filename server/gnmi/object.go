package gnmiserver

import (
	"cmp"
	"slices"
	"strings"

	"millrace/yang/schema"
	"millrace/yang/tree"
)

// object is a node of an answer in JSON: a container, a list, an entry or a leaf.
type object struct {
	s    *schema.Node
	val  schema.Value
	kids []*object
	// entries of a list.
	byID map[string]*object
	keys []schema.Value
	elem tree.Elem
}

// builder gathers leaves under the nodes that a pattern takes.
type builder struct {
	s     *schema.Schema
	depth int
	root  object
	// tops are the nodes that the pattern takes, in the order they came.
	tops map[*object]tree.Path
	list []*object
}

func newBuilder(s *schema.Schema, depth int) *builder {
	b := &builder{s: s, depth: depth, root: object{s: s.Root}, tops: map[*object]tree.Path{}}
	return b
}

// add takes a leaf whose path the pattern covers.
func (b *builder) add(p tree.Path, n *schema.Node, v schema.Value) error {
	at := &b.root
	for i, e := range p {
		if i == b.depth {
			b.top(at, p[:i])
		}
		c := at.s.Child(e.Name)
		var err error
		at = at.kid(c)
		if len(e.Keys) > 0 {
			if at, err = at.entry(e); err != nil {
				return tree.Error{Path: p[:i+1].String(), Reason: err.Error()}
			}
		}
	}
	if len(p) == b.depth {
		b.top(at, p)
	}
	at.val = v
	return nil
}

func (b *builder) top(x *object, p tree.Path) {
	if _, ok := b.tops[x]; !ok {
		b.tops[x] = p.With()
		b.list = append(b.list, x)
	}
}

// each calls f for each node that the pattern takes.
func (b *builder) each(f func(tree.Path, *object)) {
	for _, x := range b.list {
		f(b.tops[x], x)
	}
}

// kid is the child of a node, which is made if there is none. Children are in the order of the schema.
func (o *object) kid(c *schema.Node) *object {
	i, ok := slices.BinarySearchFunc(o.kids, c.Index(), func(k *object, i int) int { return cmp.Compare(k.s.Index(), i) })
	if !ok {
		o.kids = slices.Insert(o.kids, i, &object{s: c})
	}
	return o.kids[i]
}

// entry of a list, which is made, with its keys, if there is none.
func (o *object) entry(e tree.Elem) (*object, error) {
	var id strings.Builder
	for _, k := range e.Keys {
		id.WriteString(k.Value)
		id.WriteByte(0)
	}
	if x := o.byID[id.String()]; x != nil {
		return x, nil
	}
	x := &object{s: o.s, elem: e}
	for _, k := range e.Keys {
		c := o.s.Child(k.Name)
		v, err := c.FromText(k.Value)
		if err != nil {
			return nil, err
		}
		x.keys = append(x.keys, v)
		x.kid(c).val = v
	}
	if o.byID == nil {
		o.byID = map[string]*object{}
	}
	o.byID[id.String()] = x
	o.kids = append(o.kids, x)
	return x, nil
}

// appendJSON writes a node; names have their module where it is not that of what is around them.
func (o *object) appendJSON(b []byte, ietf bool, module string) []byte {
	switch {
	case o.s.IsLeaf():
		return o.val.AppendJSON(b, ietf)
	case o.s.Kind == schema.List && o.elem.Name == "":
		b = append(b, '[')
		for i, x := range o.kids {
			if i > 0 {
				b = append(b, ',')
			}
			b = x.appendJSON(b, ietf, module)
		}
		return append(b, ']')
	}
	b = append(b, '{')
	for i, k := range o.kids {
		if i > 0 {
			b = append(b, ',')
		}
		name := k.s.Name
		if ietf {
			name = k.s.NameIn(module)
		}
		b = append(append(append(b, '"'), name...), '"', ':')
		b = k.appendJSON(b, ietf, k.s.Module)
	}
	return append(b, '}')
}
