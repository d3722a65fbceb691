package store

import (
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// Entries of lists whose JSON is of such a size are remembered: routes and the like, of which there may be many.
const (
	rememberFrom = 100
	rememberTo   = 8 << 10
)

// encoder writes trees as tree.Tree.JSON does. It remembers the JSON of the entries of lists, so that a tree that shares most of them with
// the one before costs little. One goroutine at a time uses it.
type encoder struct {
	old, now map[*tree.Node][]byte
	size     int
}

func (c *encoder) encode(t *tree.Tree) []byte {
	c.old, c.now = c.now, make(map[*tree.Node][]byte, len(c.now))
	b := c.node(make([]byte, 0, c.size+c.size/8+1024), t.Root(), "")
	c.old, c.size = nil, len(b)
	return b
}

func (c *encoder) node(b []byte, n *tree.Node, module string) []byte {
	s := n.Schema()
	switch {
	case s.IsLeaf():
		return n.Value().AppendJSON(b, true)
	case s.Kind == schema.List && !n.IsEntry():
		b = append(b, '[')
		first := true
		for x := range n.Entries() {
			if !first {
				b = append(b, ',')
			}
			first = false
			b = c.entry(b, x, module)
		}
		return append(b, ']')
	}
	return c.members(b, n, module)
}

func (c *encoder) entry(b []byte, n *tree.Node, module string) []byte {
	j, ok := c.old[n]
	if !ok {
		at := len(b)
		b = c.members(b, n, module)
		if l := len(b) - at; l < rememberFrom || l > rememberTo {
			return b
		}
		c.now[n] = append([]byte(nil), b[at:]...)
		return b
	}
	c.now[n] = j
	return append(b, j...)
}

func (c *encoder) members(b []byte, n *tree.Node, module string) []byte {
	b = append(b, '{')
	first := true
	for k := range n.Children() {
		if !first {
			b = append(b, ',')
		}
		first = false
		s := k.Schema()
		b = append(b, '"')
		if s.Module != module {
			b = append(append(b, s.Module...), ':')
		}
		b = append(append(b, s.Name...), '"', ':')
		b = c.node(b, k, s.Module)
	}
	return append(b, '}')
}
