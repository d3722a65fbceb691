package tree

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"millrace/yang/schema"
)

// Update merges a value of JSON into the node at a path: what it does not name stays. For a container or entry it is an object, for a
// list an array of entries, for a leaf its value.
func (e *Edit) Update(p Path, doc []byte) error { return e.json(p, doc, false) }

// Replace makes the node at a path hold just what a value of JSON says.
func (e *Edit) Replace(p Path, doc []byte) error { return e.json(p, doc, true) }

func (e *Edit) json(p Path, doc []byte, replace bool) error {
	x, err := decode(doc)
	if err != nil {
		return Error{p.String(), err.Error()}
	}
	p, s, err := e.canon(p)
	if err != nil {
		return err
	}
	if err := writable(s, p); err != nil {
		return err
	}
	if s.IsLeaf() {
		v, err := s.FromJSON(x)
		if err != nil {
			return Error{p.String(), err.Error()}
		}
		return e.setLeaf(e.reach(p), s, v, p)
	}
	whole := s.Kind == schema.List && len(p[len(p)-1].Keys) == 0
	if replace {
		if err := e.clear(p, s, whole); err != nil {
			return err
		}
	}
	var errs Errors
	if whole {
		l, ok := x.([]any)
		if !ok {
			return Error{p.String(), "is a list, and its value is no array"}
		}
		n := e.reach(p)
		e.mergeList(n, l, p, &errs)
	} else {
		o, ok := x.(map[string]any)
		if !ok {
			return Error{p.String(), fmt.Sprintf("is a %s, and its value is no object", s.Kind)}
		}
		e.merge(e.reach(p), o, p, &errs)
	}
	return errs.Err()
}

// maxNesting bounds the levels of a document; no model comes near.
const maxNesting = 64

// decode reads one value of I-JSON (RFC 7493), which RFC 7951 asks for: with a name twice in an object nobody can know what is meant.
func decode(doc []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	x, err := decodeValue(d, 0)
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("is not JSON: there is more after the value")
	}
	return x, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := t.(json.Delim)
	switch {
	case !ok:
		return t, nil
	case depth >= maxNesting:
		return nil, fmt.Errorf("more than %d levels", maxNesting)
	case delim == '[':
		l := []any{}
		for d.More() {
			x, err := decodeValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			l = append(l, x)
		}
		_, err = d.Token()
		return l, err
	}
	o := map[string]any{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string) // an object's names are strings, or Token would have failed
		if _, ok := o[name]; ok {
			return nil, fmt.Errorf("the name %s is there twice in one object", name)
		}
		if o[name], err = decodeValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err = d.Token()
	return o, err
}

// clear empties a node that is about to be replaced; an entry stays where it is in a list that the user orders.
func (e *Edit) clear(p Path, s *schema.Node, whole bool) error {
	if len(p) == 0 {
		e.root = &Node{s: s, owner: e}
		return nil
	}
	n := e.reach(p)
	n.kids = nil
	if whole {
		n.entries, n.order = map[string]*Node{}, nil
	}
	for i, k := range n.keys {
		e.setKid(n, &Node{s: s.Child(s.Keys[i]), val: k, owner: e})
	}
	return nil
}

// merge takes the members of an object into an owned container or entry.
func (e *Edit) merge(n *Node, o map[string]any, at Path, errs *Errors) {
	names := make([]string, 0, len(o))
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.HasPrefix(name, "@") {
			errs.add(at.Name(name), "metadata (RFC 7952) are not supported")
			continue
		}
		c := n.s.Child(name)
		if c == nil {
			if len(*errs) < maxErrors {
				*errs = append(*errs, unknown(e.s, n.s, at, name))
			}
			continue
		}
		p := at.Name(c.Name)
		if _, twice := o[c.Qualified()]; twice && name == c.Name {
			errs.add(p, "is there twice, with and without its module")
			continue
		}
		if err := writable(c, p); err != nil {
			errs.add(p, err.(Error).Reason)
			continue
		}
		e.mergeKid(n, c, o[name], p, errs)
	}
}

func (e *Edit) mergeKid(n *Node, c *schema.Node, x any, p Path, errs *Errors) {
	switch c.Kind {
	case schema.Leaf, schema.LeafList:
		v, err := c.FromJSON(x)
		if err != nil {
			errs.add(p, err.Error())
			return
		}
		if err := e.setLeaf(n, c, v, p); err != nil {
			errs.add(p, err.(Error).Reason)
		}
	case schema.Container:
		o, ok := x.(map[string]any)
		if !ok {
			errs.add(p, "is a container, and its value is no object")
			return
		}
		k := e.ownKid(n, c)
		e.merge(k, o, p, errs)
	case schema.List:
		l, ok := x.([]any)
		if !ok {
			errs.add(p, "is a list, and its value is no array")
			return
		}
		e.mergeList(e.ownKid(n, c), l, p, errs)
	}
}

// mergeList takes the elements of an array into an owned list.
func (e *Edit) mergeList(list *Node, l []any, at Path, errs *Errors) {
	seen := map[string]bool{}
	up := at[:len(at)-1]
	for i, x := range l {
		o, ok := x.(map[string]any)
		if !ok {
			errs.add(at, fmt.Sprintf("element %d is no object", i))
			continue
		}
		keys := make([]schema.Value, 0, len(list.s.Keys))
		for _, name := range list.s.Keys {
			k := list.s.Child(name)
			val, found := o[name]
			if !found {
				val, found = o[k.Qualified()]
			}
			if !found {
				errs.add(at, fmt.Sprintf("element %d: the key %s is missing", i, name))
				break
			}
			v, err := k.FromJSON(val)
			if err != nil {
				errs.add(at, fmt.Sprintf("element %d: key %s: %v", i, name, err))
				break
			}
			keys = append(keys, v)
		}
		if len(keys) != len(list.s.Keys) {
			continue
		}
		id := keysID(keys)
		if seen[id] {
			errs.add(at, fmt.Sprintf("element %d: the entry %s is there twice", i, strings.ReplaceAll(id, "\x00", " ")))
			continue
		}
		seen[id] = true
		n := e.ownEntry(list, keys)
		e.merge(n, o, up.With(n.Elem()), errs)
	}
}

// Format of JSON.
type Format struct {
	// IETF is RFC 7951; else names have no module and wide numbers are numbers.
	IETF bool
	// Omit leaves a node out, and all below it; nil: nothing is.
	Omit func(*schema.Node) bool
	// Depth is how many levels of nodes are written; 0: all.
	Depth int
}

// JSON of the whole tree in RFC 7951: the same for equal trees.
func (t *Tree) JSON() []byte { return t.root.AppendJSON(nil, Format{IETF: true}) }

// Indented is JSON for people.
func (t *Tree) Indented() []byte {
	var b bytes.Buffer
	if json.Indent(&b, t.JSON(), "", "  ") != nil {
		return t.JSON()
	}
	b.WriteByte('\n')
	return b.Bytes()
}

// AppendJSON writes the value of a node. Names in the outermost object have their module.
func (n *Node) AppendJSON(b []byte, f Format) []byte {
	depth := f.Depth
	if depth == 0 {
		depth = -1
	}
	return n.appendJSON(b, &f, "", depth)
}

func (n *Node) appendJSON(b []byte, f *Format, module string, depth int) []byte {
	switch {
	case n == nil:
		return append(b, "{}"...)
	case n.s.IsLeaf():
		return n.val.AppendJSON(b, f.IETF)
	case n.isList():
		b = append(b, '[')
		first := true
		for x := range n.Entries() {
			if !first {
				b = append(b, ',')
			}
			first = false
			b = x.appendJSON(b, f, module, depth)
		}
		return append(b, ']')
	}
	b = append(b, '{')
	first := true
	for _, k := range n.kids {
		if f.Omit != nil && f.Omit(k.s) || depth == 0 && !k.s.IsLeaf() {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		name := k.s.Name
		if f.IETF {
			name = k.s.NameIn(module)
		}
		b = append(append(append(b, '"'), name...), '"', ':')
		next := depth
		if depth > 0 && !k.s.IsLeaf() {
			next--
		}
		b = k.appendJSON(b, f, k.s.Module, next)
	}
	return append(b, '}')
}

// Parse makes a tree of a document of RFC 7951.
func Parse(s *schema.Schema, doc []byte) (*Tree, error) {
	e := New(s).Edit()
	if err := e.Replace(nil, doc); err != nil {
		return nil, err
	}
	return e.Commit()
}
