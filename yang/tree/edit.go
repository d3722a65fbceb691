package tree

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"millrace/yang/schema"
)

// Edit is a copy of a tree that may be changed. It shares with the tree all that stays as it is. One goroutine at a time uses it.
type Edit struct {
	s    *schema.Schema
	base *Node
	root *Node
	done bool
}

// Edit begins a change of the tree, which itself stays as it is.
func (t *Tree) Edit() *Edit { return &Edit{s: t.s, base: t.root, root: t.root} }

// Schema of the tree.
func (e *Edit) Schema() *schema.Schema { return e.s }

// Root of what the edit has come to. Not to be kept beyond the next change.
func (e *Edit) Root() *Node { return e.root }

// own returns a node that may be changed in the place of n.
func (e *Edit) own(n *Node) *Node {
	if n.owner == e {
		return n
	}
	c := *n
	c.owner, c.noRefs = e, false
	c.kids = slices.Clone(n.kids)
	c.entries = maps.Clone(n.entries)
	c.order = slices.Clone(n.order)
	return &c
}

func (e *Edit) setKid(n, kid *Node) {
	if i, ok := n.find(kid.s); ok {
		n.kids[i] = kid
	} else {
		n.kids = slices.Insert(n.kids, i, kid)
	}
}

func (n *Node) dropKid(c *schema.Node) {
	if i, ok := n.find(c); ok {
		n.kids = slices.Delete(n.kids, i, i+1)
	}
}

// ownKid returns the child, which may be changed, and makes it if there is none. n is owned.
func (e *Edit) ownKid(n *Node, c *schema.Node) *Node {
	k := n.kid(c)
	if k == nil {
		k = &Node{s: c, owner: e}
		if c.Kind == schema.List {
			k.entries = map[string]*Node{}
		}
		e.setKid(n, k)
		return k
	}
	if o := e.own(k); o != k {
		e.setKid(n, o)
		k = o
	}
	return k
}

// ownEntry returns the entry of an owned list, and makes it if there is none. The keys have been checked.
func (e *Edit) ownEntry(list *Node, keys []schema.Value) *Node {
	id := keysID(keys)
	if x := list.entries[id]; x != nil {
		o := e.own(x)
		list.entries[id] = o
		return o
	}
	x := &Node{s: list.s, owner: e, entry: true, keys: keys}
	for i, name := range list.s.Keys {
		e.setKid(x, &Node{s: list.s.Child(name), val: keys[i], owner: e})
	}
	list.entries[id] = x
	list.order = append(list.order, id)
	list.unsorted = true
	return x
}

func (e *Edit) keysOf(c *schema.Node, el Elem) []schema.Value {
	keys := make([]schema.Value, len(el.Keys))
	for i, k := range el.Keys {
		keys[i], _ = c.Child(k.Name).FromText(k.Value) // canonElem has checked it
	}
	return keys
}

// canon checks a path to one node and puts it in order. A list may be named as a whole at the end.
func (e *Edit) canon(p Path) (Path, *schema.Node, error) {
	n := e.s.Root
	out := make(Path, 0, len(p))
	for i, el := range p {
		c := n.Child(el.Name)
		if c == nil {
			return nil, nil, unknown(e.s, n, out, el.Name)
		}
		if c.Kind == schema.List && len(el.Keys) == 0 && i == len(p)-1 {
			return append(out, Elem{Name: c.Name}), c, nil
		}
		el, err := canonElem(c, el, out, false)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, el)
		n = c
	}
	return out, n, nil
}

// reach makes the way to a node and returns it, owned. For a leaf that is its parent.
func (e *Edit) reach(p Path) *Node {
	e.root = e.own(e.root)
	n := e.root
	for _, el := range p {
		c := n.s.Child(el.Name)
		if c.IsLeaf() {
			break
		}
		n = e.ownKid(n, c)
		if c.Kind == schema.List && len(el.Keys) > 0 {
			n = e.ownEntry(n, e.keysOf(c, el))
		}
	}
	return n
}

func writable(s *schema.Node, p Path) error {
	if s != nil && !s.Config {
		return Error{p.String(), "is state and cannot be set"}
	}
	return nil
}

// Set gives a leaf or leaf-list a value of Go (see schema.Node.FromGo).
func (e *Edit) Set(p Path, value any) error {
	return e.set(p, func(s *schema.Node) (schema.Value, error) { return s.FromGo(value) })
}

// SetText gives a leaf the value that a text stands for.
func (e *Edit) SetText(p Path, text string) error {
	return e.set(p, func(s *schema.Node) (schema.Value, error) { return s.FromText(text) })
}

// Put is Set with the path as text, for translators.
func (e *Edit) Put(path string, value any) error {
	p, err := ParsePath(path)
	if err != nil {
		return err
	}
	return e.Set(p, value)
}

func (e *Edit) set(p Path, read func(*schema.Node) (schema.Value, error)) error {
	p, s, err := e.canon(p)
	if err != nil {
		return err
	}
	if err := writable(s, p); err != nil {
		return err
	}
	if !s.IsLeaf() {
		return Error{p.String(), fmt.Sprintf("is a %s, and a single value is no value for it", s.Kind)}
	}
	v, err := read(s)
	if err != nil {
		return Error{p.String(), err.Error()}
	}
	return e.setLeaf(e.reach(p), s, v, p)
}

// setLeaf sets a leaf of an owned container or entry. A leaf-list without elements is not there.
func (e *Edit) setLeaf(parent *Node, s *schema.Node, v schema.Value, p Path) error {
	if s.IsKey() {
		if have := parent.kid(s); have == nil || !have.val.Equal(v) {
			return Error{p.String(), fmt.Sprintf("%s is not the key of the entry, %s", v.Text(), have.Value().Text())}
		}
		return nil
	}
	if s.Kind == schema.LeafList && len(v.List()) == 0 {
		parent.dropKid(s)
		return nil
	}
	e.setKid(parent, &Node{s: s, val: v, owner: e})
	return nil
}

// Delete removes all nodes that a pattern of a client takes. That there are none is no error; a path that the schema has not is.
func (e *Edit) Delete(p Path) error {
	pats, err := Expand(e.s, p)
	if err != nil {
		return err
	}
	for _, m := range pats {
		if !m.Schema.Config && len(pats) == 1 {
			return writable(m.Schema, p)
		}
		if m.Schema.IsKey() && len(pats) == 1 {
			return Error{p.String(), "is a key: delete the entry"}
		}
	}
	for _, m := range pats {
		if len(m.Path) == 0 {
			e.root = &Node{s: e.s.Root, owner: e}
			continue
		}
		if !m.Schema.Config || m.Schema.IsKey() || !e.root.reaches(m.Path) {
			continue
		}
		e.root = e.own(e.root)
		e.remove(e.root, m.Path)
	}
	return nil
}

// reaches says that there may be something for remove to do.
func (n *Node) reaches(p Path) bool {
	found := false
	n.match(nil, p, func(Path, *Node) bool {
		found = true
		return false
	})
	return found
}

// remove takes away what a pattern takes below an owned node.
func (e *Edit) remove(n *Node, p Path) {
	el := p[0]
	c := n.s.Child(el.Name)
	k := n.kid(c)
	if k == nil {
		return
	}
	if c.Kind != schema.List || len(el.Keys) == 0 {
		if len(p) == 1 {
			n.dropKid(c)
			return
		}
		e.remove(e.ownKid(n, c), p[1:])
		return
	}
	list := e.ownKid(n, c)
	gone := false
	take := func(id string, x *Node) {
		if len(p) == 1 {
			delete(list.entries, id)
			gone = true
			return
		}
		if x.reaches(p[1:]) {
			o := e.own(x)
			list.entries[id] = o
			e.remove(o, p[1:])
		}
	}
	exact := !slices.ContainsFunc(el.Keys, func(k Key) bool { return k.Value == "*" })
	if exact {
		id := elemID(el)
		if x := list.entries[id]; x != nil {
			take(id, x)
		}
	} else {
		for id, x := range list.entries {
			ok := true
			for i, key := range el.Keys {
				ok = ok && (key.Value == "*" || x.keys[i].Local() == key.Value)
			}
			if ok {
				take(id, x)
			}
		}
	}
	if gone {
		list.order = slices.DeleteFunc(list.order, func(id string) bool { return list.entries[id] == nil })
	}
}

// Commit checks what the edit has come to and makes a tree of it: entries have what their keys say, leafrefs have targets, containers
// and lists that hold nothing are gone, and what is the same as before is shared with it. After an error the edit may be changed and
// committed again; after success it is over. The error is Errors.
func (e *Edit) Commit() (*Tree, error) {
	if e.done {
		return nil, Error{"/", "the edit is over"}
	}
	var errs Errors
	e.tidy(e.root, nil, &errs)
	if len(errs) == 0 {
		checkRefs(e.root, &errs)
	}
	if err := errs.Err(); err != nil {
		return nil, err
	}
	e.done = true
	return &Tree{s: e.s, root: e.freeze(e.root, e.base)}, nil
}

// tidy completes and checks the nodes that the edit owns. It says whether the node holds anything.
func (e *Edit) tidy(n *Node, at Path, errs *Errors) bool {
	if n.owner != e || n.s.IsLeaf() {
		return true
	}
	if n.isList() {
		for _, x := range n.entries {
			if x.owner == e {
				e.tidyEntry(x, append(at[:len(at)-1:len(at)-1], x.Elem()), errs)
			}
		}
		if n.unsorted && !n.s.UserOrdered {
			n.unsorted = false
			slices.SortFunc(n.order, func(a, b string) int { return compareKeys(n.entries[a].keys, n.entries[b].keys) })
		}
		return len(n.entries) > 0
	}
	n.kids = slices.DeleteFunc(n.kids, func(k *Node) bool { return !e.tidy(k, at.Name(k.s.Name), errs) })
	return len(n.kids) > 0 || n.entry || n.s.Presence || n.s.Parent == nil
}

// tidyEntry gives an entry the leaf that its key refers to, as OpenConfig has it in `config`, and holds it against the key.
func (e *Edit) tidyEntry(x *Node, at Path, errs *Errors) {
	for i, name := range x.s.Keys {
		t := x.s.Child(name).Type.Target()
		if t == nil || !t.Config || t.Parent.Parent != x.s {
			continue
		}
		have := x.kid(t.Parent).kidOf(t)
		switch {
		case have == nil:
			c := e.ownKid(x, t.Parent)
			v, err := t.FromGo(x.keys[i])
			if err != nil {
				errs.add(at, err.Error())
				continue
			}
			e.setKid(c, &Node{s: t, val: v, owner: e})
		case have.val.Text() != x.keys[i].Text():
			errs.add(at.Name(t.Parent.Name).Name(t.Name), fmt.Sprintf("%s is not the key of the entry, %s", have.val.Text(), x.keys[i].Text()))
		}
	}
	e.tidy(x, at, errs)
}

func (n *Node) kidOf(c *schema.Node) *Node {
	if n == nil {
		return nil
	}
	return n.kid(c)
}

func compareKeys(a, b []schema.Value) int {
	for i := range a {
		x, ok1 := a[i].Uint()
		y, ok2 := b[i].Uint()
		c := 0
		if ok1 && ok2 {
			c = cmp.Compare(x, y)
		} else {
			c = cmp.Compare(a[i].Text(), b[i].Text())
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// freeze gives up the nodes of the edit, and returns in their place those of before that hold the same.
func (e *Edit) freeze(n, before *Node) *Node {
	if n == before || n.owner != e {
		return n
	}
	same := before != nil && before.s == n.s && before.entry == n.entry
	for i, k := range n.kids {
		var b *Node
		if before != nil {
			b = before.kid(k.s)
		}
		n.kids[i] = e.freeze(k, b)
		same = same && n.kids[i] == b
	}
	for id, x := range n.entries {
		var b *Node
		if before != nil {
			b = before.entries[id]
		}
		if f := e.freeze(x, b); f != x {
			n.entries[id] = f
			x = f
		}
		same = same && x == b
	}
	if same && len(n.kids) == len(before.kids) && slices.Equal(n.order, before.order) && n.val.Equal(before.val) {
		return before
	}
	n.owner, n.noRefs = nil, !n.setsRefs()
	return n
}

// setsRefs says that a leafref is set at or below a node whose children are all in a tree.
func (n *Node) setsRefs() bool {
	if !n.s.HasRefs() {
		return false
	}
	if n.s.IsLeaf() {
		return true
	}
	for k := range n.Children() {
		if !k.noRefs {
			return true
		}
	}
	return false
}

// checkRefs finds leafrefs of the configuration whose target is not there.
func checkRefs(root *Node, errs *Errors) {
	c := refs{root: root, known: map[*schema.Node]map[string]bool{}, errs: errs}
	c.node(root, nil)
}

type refs struct {
	root  *Node
	known map[*schema.Node]map[string]bool
	errs  *Errors
}

// way is the nodes from the top: a path is made of it only where something is wrong.
type way struct {
	up *way
	n  *Node
}

func (w *way) path() Path {
	if w.n.s.Parent == nil {
		return nil
	}
	if w.n.isList() {
		return w.up.path()
	}
	return w.up.path().With(w.n.Elem())
}

func (c *refs) node(n *Node, up *way) {
	if n.noRefs || !n.s.HasRefs() {
		return
	}
	w := &way{up, n}
	if !n.s.IsLeaf() {
		for k := range n.Children() {
			c.node(k, w)
		}
		return
	}
	t := n.s.Type.Target()
	if t == nil {
		return
	}
	vals := n.val.List()
	if n.s.Kind == schema.Leaf {
		vals = []schema.Value{n.val}
	}
	for _, v := range vals {
		if !c.has(t, v.Text()) {
			c.errs.add(w.path(), fmt.Sprintf("%s refers to nothing: there is no such %s", v.Text(), t.Path()))
		}
	}
}

// has says that a leaf has a value anywhere. Leafrefs of OpenConfig that go through several lists with predicates are taken for this
// weaker rule; what matters of theirs is checked where the configuration is validated.
func (c *refs) has(t *schema.Node, text string) bool {
	m := c.known[t]
	if m == nil {
		m = map[string]bool{}
		c.collect(c.root, chain(t), m)
		c.known[t] = m
	}
	return m[text]
}

func chain(t *schema.Node) []*schema.Node {
	var out []*schema.Node
	for n := t; n.Parent != nil; n = n.Parent {
		out = append(out, n)
	}
	slices.Reverse(out)
	return out
}

func (c *refs) collect(n *Node, way []*schema.Node, out map[string]bool) {
	if len(way) == 0 {
		if n.s.Kind == schema.LeafList {
			for _, v := range n.val.List() {
				out[v.Text()] = true
			}
		}
		out[n.val.Text()] = true
		return
	}
	k := n.kid(way[0])
	if k == nil {
		return
	}
	if k.isList() {
		for x := range k.Entries() {
			c.collect(x, way[1:], out)
		}
		return
	}
	c.collect(k, way[1:], out)
}
