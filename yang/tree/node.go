package tree

import (
	"iter"
	"slices"
	"strings"

	"millrace/yang/schema"
)

// Node of a tree: a container, a list, an entry of a list, a leaf or a leaf-list. Reading a nil Node finds nothing, so that paths can
// be followed without asking at each step.
type Node struct {
	s *schema.Node
	// val of a leaf or leaf-list.
	val schema.Value
	// kids of a container or entry, in the order of the schema.
	kids []*Node
	// entries of a list by id, and the ids in order: the user's if the list is ordered by the user, else that of the keys.
	entries map[string]*Node
	order   []string
	// keys of an entry, in the schema's order; entry says that this is one, and not its list.
	keys  []schema.Value
	entry bool
	// owner may still change the node; nil once it is in a Tree.
	owner *Edit
	// unsorted: entries came to a list that is not in the order of its keys.
	unsorted bool
	// noRefs: in a Tree, no leafref to be checked is set at or below the node.
	noRefs bool
}

// Tree is a version of the configuration. It never changes.
type Tree struct {
	s    *schema.Schema
	root *Node
}

// New makes an empty tree.
func New(s *schema.Schema) *Tree { return &Tree{s: s, root: &Node{s: s.Root}} }

// Schema of the tree.
func (t *Tree) Schema() *schema.Schema { return t.s }

// Root is the top of the tree.
func (t *Tree) Root() *Node { return t.root }

// Get returns the node at a path whose keys are in the schema's order (as Expand and Edit make them); nil if there is none.
func (t *Tree) Get(p Path) *Node { return t.root.get(p) }

func (n *Node) get(p Path) *Node {
	for _, e := range p {
		if n = n.Child(e.Name); n == nil {
			return nil
		}
		if n.isList() && len(e.Keys) > 0 {
			if n = n.entries[elemID(e)]; n == nil {
				return nil
			}
		}
	}
	return n
}

func elemID(e Elem) string {
	if len(e.Keys) == 1 {
		return e.Keys[0].Value
	}
	var b strings.Builder
	for i, k := range e.Keys {
		if i > 0 {
			b.WriteByte(0)
		}
		b.WriteString(k.Value)
	}
	return b.String()
}

func keysID(keys []schema.Value) string {
	if len(keys) == 1 {
		return keys[0].Local()
	}
	s := make([]string, len(keys))
	for i, k := range keys {
		s[i] = k.Local()
	}
	return strings.Join(s, "\x00")
}

// Schema of the node.
func (n *Node) Schema() *schema.Node { return n.s }

func (n *Node) isList() bool { return n.s.Kind == schema.List && !n.entry }

// IsEntry says that the node is an entry of a list.
func (n *Node) IsEntry() bool { return n != nil && n.entry }

// Child of a container or entry; a list is one child. nil if it is not there.
func (n *Node) Child(name string) *Node {
	if n == nil || n.kids == nil {
		return nil
	}
	c := n.s.Child(name)
	if c == nil {
		return nil
	}
	return n.kid(c)
}

func (n *Node) kid(c *schema.Node) *Node {
	if i, ok := n.find(c); ok {
		return n.kids[i]
	}
	return nil
}

func (n *Node) find(c *schema.Node) (int, bool) {
	return slices.BinarySearchFunc(n.kids, c.Index(), func(k *Node, i int) int { return k.s.Index() - i })
}

// At follows names separated by slashes, without keys.
func (n *Node) At(path string) *Node {
	for name := range strings.SplitSeq(path, "/") {
		n = n.Child(name)
	}
	return n
}

// Value of a leaf or leaf-list; the zero Value if the node is not there.
func (n *Node) Value() schema.Value {
	if n == nil {
		return schema.Value{}
	}
	return n.val
}

// Text of the leaf at a path below the node, identities without their module; empty if it is not set.
func (n *Node) Text(path string) string { return n.At(path).Value().Local() }

// Texts of the leaf-list at a path below the node.
func (n *Node) Texts(path string) []string {
	var out []string
	for _, v := range n.At(path).Value().List() {
		out = append(out, v.Local())
	}
	return out
}

// Uint is the number at a path below the node, and whether it is set.
func (n *Node) Uint(path string) (uint64, bool) { return n.At(path).Value().Uint() }

// Bool is the boolean at a path below the node, and whether it is set.
func (n *Node) Bool(path string) (val, ok bool) { return n.At(path).Value().Bool() }

// Has says that something is set at a path below the node.
func (n *Node) Has(path string) bool { return n.At(path) != nil }

// Key of an entry as text, identities without their module.
func (n *Node) Key(name string) string {
	if n != nil {
		for i, k := range n.s.Keys {
			if k == name && i < len(n.keys) {
				return n.keys[i].Local()
			}
		}
	}
	return ""
}

// Elem is the step of a path that leads to the node from its parent, or, for an entry, from its list's parent. Identities in keys have
// no module, as gNMI's clients write them.
func (n *Node) Elem() Elem {
	e := Elem{Name: n.s.Name}
	if n.entry {
		for i, k := range n.s.Keys {
			e.Keys = append(e.Keys, Key{k, n.keys[i].Local()})
		}
	}
	return e
}

// Len is the number of entries of a list.
func (n *Node) Len() int {
	if n == nil {
		return 0
	}
	return len(n.entries)
}

// List goes through the entries of the list at a path below the node, in order.
func (n *Node) List(path string) iter.Seq[*Node] { return n.At(path).Entries() }

// Entries goes through the entries of a list, in order.
func (n *Node) Entries() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		if n == nil {
			return
		}
		for _, id := range n.order {
			if !yield(n.entries[id]) {
				return
			}
		}
	}
}

// Entry of the list, by the texts of its keys.
func (n *Node) Entry(keys ...string) *Node {
	if n == nil {
		return nil
	}
	return n.entries[strings.Join(keys, "\x00")]
}

// Children goes through what a container or entry holds, in the order of the schema; for a list, through its entries.
func (n *Node) Children() iter.Seq[*Node] {
	if n != nil && n.isList() {
		return n.Entries()
	}
	return func(yield func(*Node) bool) {
		if n == nil {
			return
		}
		for _, k := range n.kids {
			if !yield(k) {
				return
			}
		}
	}
}

// Walk calls f for each leaf and leaf-list at or below the node, whose path is given. It stops when f returns false, and says whether
// it came to the end. The path is only good during the call.
func (n *Node) Walk(at Path, f func(Path, *Node) bool) bool {
	if n == nil {
		return true
	}
	if n.s.IsLeaf() {
		return f(at, n)
	}
	for c := range n.Children() {
		next := at
		if n.isList() {
			next = at[:len(at)-1] // the list's own step becomes the entry's
		}
		if !c.Walk(append(next[:len(next):len(next)], c.Elem()), f) {
			return false
		}
	}
	return true
}

// Match calls f for each node the pattern takes; entries of a list that is the pattern's last step are taken one by one. The path is
// f's to keep.
func (t *Tree) Match(m Pattern, f func(Path, *Node) bool) bool {
	return t.root.match(nil, m.Path, f)
}

func (n *Node) match(at, rest Path, f func(Path, *Node) bool) bool {
	if n == nil {
		return true
	}
	if len(rest) == 0 {
		return f(at, n)
	}
	e := rest[0]
	c := n.Child(e.Name)
	if c == nil {
		return true
	}
	if !c.isList() {
		return c.match(at.Name(e.Name), rest[1:], f)
	}
	exact := len(e.Keys) > 0
	for _, k := range e.Keys {
		exact = exact && k.Value != "*"
	}
	if exact {
		return c.entries[elemID(e)].match(at.With(e), rest[1:], f)
	}
entries:
	for x := range c.Entries() {
		for i, k := range e.Keys {
			if k.Value != "*" && x.keys[i].Local() != k.Value {
				continue entries
			}
		}
		if !x.match(at.With(x.Elem()), rest[1:], f) {
			return false
		}
	}
	return true
}

// Same says that two nodes hold the same.
func Same(a, b *Node) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil || a.s != b.s || a.entry != b.entry || len(a.kids) != len(b.kids) || len(a.entries) != len(b.entries) ||
		!a.val.Equal(b.val) || !slices.EqualFunc(a.keys, b.keys, schema.Value.Equal) || !slices.Equal(a.order, b.order) {
		return false
	}
	for i := range a.kids {
		if !Same(a.kids[i], b.kids[i]) {
			return false
		}
	}
	for id, x := range a.entries {
		if !Same(x, b.entries[id]) {
			return false
		}
	}
	return true
}
