package tree

import (
	"fmt"
	"slices"
	"strings"

	"millrace/yang/schema"
)

// Key of a list entry in a path.
type Key struct{ Name, Value string }

// Elem is a step of a path. Keys are empty for what is no list, and for a list as a whole.
type Elem struct {
	Name string
	Keys []Key
}

// Path in the tree, from the top. In patterns, names and the values of keys may be "*", and names "..." for any number of steps.
type Path []Elem

// ParsePath reads a path as gNMI writes it: /interfaces/interface[name=eth1]/config. In values of keys, a backslash stands before "]"
// and "\".
func ParsePath(s string) (Path, error) {
	var p Path
	rest := strings.TrimPrefix(s, "/")
	for rest != "" {
		end := strings.IndexAny(rest, "/[")
		if end < 0 {
			end = len(rest)
		}
		e := Elem{Name: rest[:end]}
		if e.Name == "" {
			return nil, fmt.Errorf("path %q: a name is missing", s)
		}
		rest = rest[end:]
		for strings.HasPrefix(rest, "[") {
			name, after, ok := strings.Cut(rest[1:], "=")
			if !ok || name == "" || strings.ContainsAny(name, "/[]") {
				return nil, fmt.Errorf("path %q: a key after %s is malformed", s, e.Name)
			}
			var val strings.Builder
			i := 0
			for ; i < len(after) && after[i] != ']'; i++ {
				if after[i] == '\\' && i+1 < len(after) {
					i++
				}
				val.WriteByte(after[i])
			}
			if i == len(after) {
				return nil, fmt.Errorf("path %q: key %s of %s has no end", s, name, e.Name)
			}
			if slices.ContainsFunc(e.Keys, func(k Key) bool { return k.Name == name }) {
				return nil, fmt.Errorf("path %q: key %s of %s is there twice", s, name, e.Name)
			}
			e.Keys = append(e.Keys, Key{name, val.String()})
			rest = after[i+1:]
		}
		p = append(p, e)
		if rest == "" {
			break
		}
		if rest[0] != '/' {
			return nil, fmt.Errorf("path %q: %q after the keys of %s", s, rest, e.Name)
		}
		rest = rest[1:]
	}
	return p, nil
}

// MustPath is ParsePath for paths in the program's text.
func MustPath(s string) Path {
	p, err := ParsePath(s)
	if err != nil {
		panic(err)
	}
	return p
}

var keyEscape = strings.NewReplacer(`\`, `\\`, `]`, `\]`)

func (e Elem) String() string {
	var b strings.Builder
	e.write(&b)
	return b.String()
}

func (e Elem) write(b *strings.Builder) {
	b.WriteString(e.Name)
	for _, k := range e.Keys {
		b.WriteByte('[')
		b.WriteString(k.Name)
		b.WriteByte('=')
		b.WriteString(keyEscape.Replace(k.Value))
		b.WriteByte(']')
	}
}

func (p Path) String() string {
	if len(p) == 0 {
		return "/"
	}
	var b strings.Builder
	for _, e := range p {
		b.WriteByte('/')
		e.write(&b)
	}
	return b.String()
}

// With returns the path with more steps; p is not changed, even where it has room.
func (p Path) With(more ...Elem) Path { return append(p[:len(p):len(p)], more...) }

// Name returns the path with a step without keys.
func (p Path) Name(name string) Path { return p.With(Elem{Name: name}) }

// Equal says that two paths are the same.
func (p Path) Equal(q Path) bool { return slices.EqualFunc(p, q, elemEqual) }

func elemEqual(a, b Elem) bool { return a.Name == b.Name && slices.Equal(a.Keys, b.Keys) }

// Under says that p is q or below it.
func (p Path) Under(q Path) bool { return len(p) >= len(q) && p[:len(q)].Equal(q) }

// Key is the value of a key in the step with a name; empty if there is none.
func (p Path) Key(elem, key string) string {
	for _, e := range p {
		if e.Name == elem {
			for _, k := range e.Keys {
				if k.Name == key {
					return k.Value
				}
			}
		}
	}
	return ""
}

// SchemaPath is the path without keys.
func (p Path) SchemaPath() string {
	var b strings.Builder
	for _, e := range p {
		b.WriteByte('/')
		b.WriteString(e.Name)
	}
	return b.String()
}

// Pattern is a path to nodes of one place in the schema: its names are those of the schema, in keys "*" stands for any value, and all
// keys are there in their order, except for the last step of a whole list.
type Pattern struct {
	Path   Path
	Schema *schema.Node
}

// Match says whether the pattern takes a path, all of whose keys are there in order.
func (m Pattern) Match(p Path) bool { return len(p) == len(m.Path) && m.Covers(p) }

// Covers says whether a path is one the pattern takes, or below one.
func (m Pattern) Covers(p Path) bool {
	if len(p) < len(m.Path) {
		return false
	}
	for i, e := range m.Path {
		if e.Name != p[i].Name {
			return false
		}
		for j, k := range e.Keys {
			if k.Value != "*" && (j >= len(p[i].Keys) || p[i].Keys[j].Value != k.Value) {
				return false
			}
		}
	}
	return true
}

// Touches says whether the pattern takes something at or below a path, or the path is below one it takes.
func (m Pattern) Touches(p Path) bool {
	for i := range min(len(p), len(m.Path)) {
		e := m.Path[i]
		if e.Name != p[i].Name {
			return false
		}
		for j, k := range e.Keys {
			if k.Value != "*" && j < len(p[i].Keys) && p[i].Keys[j].Value != "*" && p[i].Keys[j].Value != k.Value {
				return false
			}
		}
	}
	return true
}

// Wild says that the pattern can take more than one node.
func (m Pattern) Wild() bool {
	for i, e := range m.Path {
		for _, k := range e.Keys {
			if k.Value == "*" {
				return true
			}
		}
		if i == len(m.Path)-1 && m.Schema.Kind == schema.List && len(e.Keys) == 0 {
			return true
		}
	}
	return false
}

// Expand turns a path of a client into patterns: "*" and "..." in names are resolved, keys put in order, those left out become "*", and
// modules in names are taken off. An error is an Error that names the path. The top of the tree is one pattern, with an empty path.
func Expand(s *schema.Schema, p Path) ([]Pattern, error) {
	x := expander{s: s, whole: p, seen: map[string]bool{}}
	if err := x.step(s.Root, nil, p); err != nil {
		return nil, err
	}
	if len(x.out) == 0 {
		return nil, Error{p.String(), "nothing in the schema is taken by this path"}
	}
	return x.out, nil
}

type expander struct {
	s     *schema.Schema
	whole Path
	out   []Pattern
	seen  map[string]bool
}

func (x *expander) step(n *schema.Node, at, rest Path) error {
	if len(rest) == 0 {
		if text := at.String(); !x.seen[text] {
			x.seen[text] = true
			x.out = append(x.out, Pattern{at, n})
		}
		return nil
	}
	e := rest[0]
	switch e.Name {
	case "*":
		for _, c := range n.Children() {
			if el, err := canonElem(c, e, at, true); err == nil {
				if err := x.tolerate(x.step(c, at.With(el), rest[1:])); err != nil {
					return err
				}
			}
		}
		return nil
	case "...":
		if len(rest) == 1 {
			// All below: the node itself stands for it.
			return x.step(n, at, nil)
		}
		if err := x.tolerate(x.step(n, at, rest[1:])); err != nil {
			return err
		}
		for _, c := range n.Children() {
			if c.IsLeaf() && len(rest) > 2 {
				continue
			}
			el, err := canonElem(c, Elem{Name: c.Name}, at, true)
			if err != nil {
				return err
			}
			if err := x.tolerate(x.step(c, at.With(el), rest)); err != nil {
				return err
			}
		}
		return nil
	}
	c := n.Child(e.Name)
	if c == nil {
		return unknown(x.s, n, at, e.Name)
	}
	last := len(rest) == 1
	if last && c.Kind == schema.List && len(e.Keys) == 0 {
		return x.step(c, at.With(Elem{Name: c.Name}), nil)
	}
	el, err := canonElem(c, e, at, true)
	if err != nil {
		return err
	}
	return x.step(c, at.With(el), rest[1:])
}

// tolerate lets a branch that a wildcard opened end in nothing.
func (x *expander) tolerate(err error) error {
	if e, ok := err.(Error); ok && e.unknown() {
		return nil
	}
	return err
}

const (
	reasonUnknown  = "is not in the schema"
	reasonDeviated = "is not supported by this appliance (vnf-deviations)"
)

func (e Error) unknown() bool { return e.Reason == reasonUnknown || e.Reason == reasonDeviated }

// unknown is the error for a name that a node has not.
func unknown(s *schema.Schema, n *schema.Node, at Path, name string) Error {
	if mod, local, ok := strings.Cut(name, ":"); ok {
		if c := n.Child(local); c != nil {
			return Error{at.Name(name).String(), fmt.Sprintf("is of module %s, not %s", c.Module, mod)}
		}
		name = local
	}
	reason := reasonUnknown
	if s.Deviated(n.Path() + "/" + name) {
		reason = reasonDeviated
	}
	return Error{at.Name(name).String(), reason}
}

// canonElem puts the keys of a step in order and checks them. Keys left out become "*" in a pattern and are an error else.
func canonElem(c *schema.Node, e Elem, at Path, pattern bool) (Elem, error) {
	out := Elem{Name: c.Name}
	if c.Kind != schema.List {
		if len(e.Keys) > 0 {
			return out, Error{at.With(e).String(), "has no keys: it is no list"}
		}
		return out, nil
	}
	for _, k := range e.Keys {
		local := k.Name
		if i := strings.IndexByte(local, ':'); i >= 0 {
			local = local[i+1:]
		}
		if !slices.Contains(c.Keys, local) {
			return out, Error{at.With(e).String(), fmt.Sprintf("has no key %s, but %s", k.Name, strings.Join(c.Keys, ", "))}
		}
	}
	for _, name := range c.Keys {
		val, found := "*", false
		for _, k := range e.Keys {
			local := k.Name
			if i := strings.IndexByte(local, ':'); i >= 0 {
				local = local[i+1:]
			}
			if local == name {
				val, found = k.Value, true
			}
		}
		if !pattern && (!found || val == "*") {
			return out, Error{at.With(e).String(), fmt.Sprintf("key %s is missing", name)}
		}
		if val != "*" {
			v, err := c.Child(name).FromText(val)
			if err != nil {
				return out, Error{at.With(e).String(), fmt.Sprintf("key %s: %v", name, err)}
			}
			val = v.Local()
		}
		out.Keys = append(out.Keys, Key{name, val})
	}
	return out, nil
}
