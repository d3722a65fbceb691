package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openconfig/goyang/pkg/yang"
)

// source is where the modules are.
type source struct {
	models  string
	modules []string // of the models, by name
	own     []string // files
}

// files of all modules that are asked for; those they import are found in the folder of the models.
func (s source) files() []string {
	var files []string
	for _, m := range s.modules {
		files = append(files, filepath.Join(s.models, m+".yang"))
	}
	return append(files, s.own...)
}

// models are the loaded modules as one tree of data nodes.
type models struct {
	modules []*yang.Module // sorted by name
	own     map[string]bool
	asked   []string
	root    *node
	// readOnly are made state by the deviations, in the order of the lists.
	readOnly []*node
}

// node is a data node: choices and cases are left out of the tree.
type node struct {
	name     string
	module   string // whose namespace it is in
	prefix   string
	entry    *yang.Entry
	parent   *node
	children []*node // sorted by name, keys first
	schemaID string  // the path that a deviation names it by: with prefixes, choices and cases

	supported bool
	by        string // the line that supports it
}

func (s source) load() (*models, error) {
	ms := yang.NewModules()
	ms.AddPath(s.models)
	for _, f := range s.files() {
		if err := ms.Read(f); err != nil {
			return nil, err
		}
	}
	if errs := ms.Process(); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	m := &models{own: map[string]bool{}, asked: s.modules, root: &node{supported: true}}
	for _, f := range s.own {
		m.own[strings.TrimSuffix(filepath.Base(f), ".yang")] = true
	}
	seen := map[string]bool{}
	for _, mod := range ms.Modules {
		if !seen[mod.Name] {
			seen[mod.Name] = true
			m.modules = append(m.modules, mod)
		}
	}
	slices.SortFunc(m.modules, func(a, b *yang.Module) int { return strings.Compare(a.Name, b.Name) })
	for _, mod := range m.modules {
		e := yang.ToEntry(mod)
		if errs := e.GetErrors(); len(errs) > 0 {
			return nil, errors.Join(errs...)
		}
		if err := m.add(m.root, e, ""); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// add puts the data nodes in e below parent; id is the schema path so far.
func (m *models) add(parent *node, e *yang.Entry, id string) error {
	for _, c := range e.Dir {
		if c.RPC != nil || c.Kind == yang.NotificationEntry {
			continue
		}
		name, err := c.InstantiatingModule()
		if err != nil {
			return err
		}
		mod := m.module(name)
		if mod == nil {
			return fmt.Errorf("%s: module %s is not loaded", c.Path(), name)
		}
		prefix := mod.Prefix.Name
		cid := id + "/" + prefix + ":" + c.Name
		if c.IsChoice() || c.IsCase() {
			if err := m.add(parent, c, cid); err != nil {
				return err
			}
			continue
		}
		n := &node{name: c.Name, module: name, prefix: prefix, entry: c, parent: parent, schemaID: cid}
		parent.children = append(parent.children, n)
		if err := m.add(n, c, cid); err != nil {
			return err
		}
	}
	keys := parent.keys()
	rank := func(n *node) int {
		if i := slices.Index(keys, n.name); i >= 0 {
			return i
		}
		return len(keys)
	}
	slices.SortFunc(parent.children, func(a, b *node) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.name, b.name), m.foreign(a)-m.foreign(b), strings.Compare(a.module, b.module))
	})
	return nil
}

// foreign is 1 for a node of a module that is loaded only because others import it: it comes after one of the same name that was asked for,
// as ietf-interfaces' /interfaces after OpenConfig's.
func (m *models) foreign(n *node) int {
	if m.own[n.module] || slices.Contains(m.asked, n.module) {
		return 0
	}
	return 1
}

func (m *models) module(name string) *yang.Module {
	for _, mod := range m.modules {
		if mod.Name == name {
			return mod
		}
	}
	return nil
}

// keys of a list, in order.
func (n *node) keys() []string {
	if n.entry == nil || !n.entry.IsList() {
		return nil
	}
	return strings.Fields(n.entry.Key)
}

func (n *node) leaf() bool { return n.entry != nil && (n.entry.IsLeaf() || n.entry.IsLeafList()) }

func (n *node) presence() bool {
	return n.entry != nil && n.entry.IsContainer() && len(n.entry.Extra["presence"]) > 0
}

func (n *node) child(name string) *node {
	for _, c := range n.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// find the data node at an absolute path without keys; prefixes are not looked at.
func (m *models) find(path string) *node {
	n := m.root
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if _, rest, ok := strings.Cut(part, ":"); ok {
			part = rest
		}
		if n = n.child(part); n == nil {
			return nil
		}
	}
	return n
}

// path without keys and prefixes.
func (n *node) path() string {
	if n.parent == nil {
		return ""
	}
	return n.parent.path() + "/" + n.name
}

// walk visits a node and those below it, parents first.
func (n *node) walk(f func(*node)) {
	f(n)
	for _, c := range n.children {
		c.walk(f)
	}
}

// leafrefs of a type, also within unions.
func leafrefs(t *yang.YangType) []string {
	if t.Kind == yang.Yleafref {
		return []string{t.Path}
	}
	var refs []string
	for _, u := range t.Type {
		refs = append(refs, leafrefs(u)...)
	}
	return refs
}

// target of a leafref's path, from the leaf n.
func (m *models) target(n *node, path string) (*node, error) {
	plain := withoutPredicates(path)
	at := n
	if strings.HasPrefix(plain, "/") {
		at = m.root
	}
	for part := range strings.SplitSeq(strings.Trim(plain, "/"), "/") {
		part = strings.TrimSpace(part)
		if _, rest, ok := strings.Cut(part, ":"); ok {
			part = rest
		}
		switch part {
		case "", ".", "current()":
		case "..":
			at = at.parent
		default:
			at = at.child(part)
		}
		if at == nil {
			return nil, fmt.Errorf("%s: leafref %q leads nowhere at %q", n.path(), path, part)
		}
	}
	if !at.leaf() {
		return nil, fmt.Errorf("%s: leafref %q leads to %s, which is not a leaf", n.path(), path, at.path())
	}
	return at, nil
}

// withoutPredicates drops [...] from an XPath.
func withoutPredicates(path string) string {
	var b strings.Builder
	depth := 0
	for _, r := range path {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}
