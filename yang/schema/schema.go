// Package schema is what the management tree may hold: the nodes of the YANG modules that this appliance supports, with their types.
//
// It is read from schema.json, which the generator (yang/gen) makes from the OpenConfig modules, ours, and the deviations. A Schema
// does not change once it is loaded and may be read from anywhere.
package schema

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

//go:embed schema.json
var document []byte

// Kind of a node.
type Kind uint8

// The kinds of nodes.
const (
	Container Kind = iota + 1
	List
	Leaf
	LeafList
)

func (k Kind) String() string {
	return [...]string{"", "container", "list", "leaf", "leaf-list"}[k]
}

// Module is a YANG module.
type Module struct {
	Name         string `json:"name"`
	Namespace    string `json:"namespace"`
	Organization string `json:"organization,omitempty"`
	Revision     string `json:"revision,omitempty"`
	// Version is OpenConfig's semantic version.
	Version string `json:"version,omitempty"`
}

// Node of the schema.
type Node struct {
	Name string
	// Module whose namespace the node is in.
	Module string
	Kind   Kind
	// Config is false for state.
	Config bool
	// Keys of a list, in order. A list without keys can only be state.
	Keys        []string
	Presence    bool
	UserOrdered bool
	Mandatory   bool
	// Atomic: OpenConfig's telemetry-atomic. What is at or below the node is told as a whole.
	Atomic bool
	// Default values, as text; more than one for a leaf-list only.
	Default     []string
	Units       string
	Description string
	// Type of a leaf, or of the elements of a leaf-list.
	Type   *Type
	Parent *Node

	// loose is the type without patterns and lengths, for state: what the appliance itself says has the right form.
	loose    *Type
	index    int
	children []*Node
	byName   map[string]*Node
	path     string
	// refs: there is a leafref to be checked at or below the node; a key that refers to the leaf of its own entry is not one.
	refs bool
}

// Schema is all that the tree may hold.
type Schema struct {
	Modules []Module
	// Root is the container of the top-level nodes; it has no name.
	Root     *Node
	deviated []string
}

// Child by its name, which may be qualified by the module ("openconfig-interfaces:interfaces"); nil if there is none.
func (n *Node) Child(name string) *Node {
	if n == nil {
		return nil
	}
	if c, ok := n.byName[name]; ok {
		return c
	}
	if mod, rest, ok := strings.Cut(name, ":"); ok {
		if c := n.byName[rest]; c != nil && c.Module == mod {
			return c
		}
	}
	return nil
}

// Children in the order of the schema. Not to be changed.
func (n *Node) Children() []*Node { return n.children }

// Path without keys, for example /interfaces/interface/config/mtu.
func (n *Node) Path() string { return n.path }

// Index is the place among the parent's children.
func (n *Node) Index() int { return n.index }

// HasRefs says that a leafref at or below the node has to be checked.
func (n *Node) HasRefs() bool { return n.refs }

// IsKey says that a leaf is a key of its list.
func (n *Node) IsKey() bool {
	return n.Kind == Leaf && n.Parent != nil && n.Parent.Kind == List && slices.Contains(n.Parent.Keys, n.Name)
}

// IsLeaf says that a node has a value: a leaf or a leaf-list.
func (n *Node) IsLeaf() bool { return n.Kind == Leaf || n.Kind == LeafList }

// Qualified is the name as RFC 7951 writes it below a node of another module, and at the top.
func (n *Node) Qualified() string { return n.Module + ":" + n.Name }

// NameIn is the name as RFC 7951 writes it in an object of a module.
func (n *Node) NameIn(module string) string {
	if n.Module == module {
		return n.Name
	}
	return n.Qualified()
}

// Find returns the node at a path without keys; nil if there is none.
func (s *Schema) Find(path string) *Node {
	n := s.Root
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if name == "" {
			continue
		}
		if n = n.Child(name); n == nil {
			return nil
		}
	}
	return n
}

// Deviated says that OpenConfig has a node at a path without keys, or above it, which this appliance does not support.
func (s *Schema) Deviated(path string) bool {
	for path != "" && path != "/" {
		if _, ok := slices.BinarySearch(s.deviated, path); ok {
			return true
		}
		path = path[:strings.LastIndexByte(path, '/')]
	}
	return false
}

// Module by name.
func (s *Schema) Module(name string) (Module, bool) {
	for _, m := range s.Modules {
		if m.Name == name {
			return m, true
		}
	}
	return Module{}, false
}

// Walk calls f for a node and all below it, parents first.
func (n *Node) Walk(f func(*Node)) {
	f(n)
	for _, c := range n.children {
		c.Walk(f)
	}
}

// file is schema.json. Nodes and types are written once each; types refer to others by their number.
type file struct {
	Modules  []Module   `json:"modules"`
	Types    []fileType `json:"types"`
	Nodes    []fileNode `json:"nodes"`
	Deviated []string   `json:"deviated"`
}

// fileNode is a node whose parent comes before it; parent 0 is the root, node number i+1 is nodes[i].
type fileNode struct {
	Parent      int      `json:"parent,omitempty"`
	Name        string   `json:"name"`
	Module      string   `json:"module"`
	Kind        string   `json:"kind"`
	State       bool     `json:"state,omitempty"` // config false
	Keys        []string `json:"keys,omitempty"`
	Presence    bool     `json:"presence,omitempty"`
	UserOrdered bool     `json:"user-ordered,omitempty"`
	Mandatory   bool     `json:"mandatory,omitempty"`
	Atomic      bool     `json:"atomic,omitempty"`
	Default     []string `json:"default,omitempty"`
	Units       string   `json:"units,omitempty"`
	Description string   `json:"description,omitempty"`
	Type        int      `json:"type,omitempty"` // number in types, from 1
}

// Load reads the schema that is built into the program. It takes some milliseconds: callers keep it.
func Load() (*Schema, error) { return Parse(document) }

// Parse reads a schema.
func Parse(doc []byte) (*Schema, error) {
	var f file
	if err := json.Unmarshal(doc, &f); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	types, err := parseTypes(f.Types)
	if err != nil {
		return nil, err
	}
	root := &Node{Kind: Container, Config: true, byName: map[string]*Node{}, path: ""}
	s := &Schema{Modules: f.Modules, Root: root, deviated: f.Deviated}
	slices.Sort(s.deviated)
	nodes := make([]*Node, 1, len(f.Nodes)+1)
	nodes[0] = root
	kinds := map[string]Kind{"container": Container, "list": List, "leaf": Leaf, "leaf-list": LeafList}
	for i := range f.Nodes {
		d := &f.Nodes[i]
		n := &Node{
			Name: d.Name, Module: d.Module, Kind: kinds[d.Kind], Config: !d.State, Keys: d.Keys, Presence: d.Presence,
			UserOrdered: d.UserOrdered, Mandatory: d.Mandatory, Atomic: d.Atomic, Default: d.Default, Units: d.Units, Description: d.Description,
		}
		if n.Kind == 0 || d.Parent < 0 || d.Parent >= len(nodes) || d.Type < 0 || d.Type > len(types) || n.IsLeaf() != (d.Type != 0) {
			return nil, fmt.Errorf("schema: node %d (%s) is malformed", i, d.Name)
		}
		if d.Type != 0 {
			n.Type = types[d.Type-1]
		}
		p := nodes[d.Parent]
		n.Parent, n.path = p, p.path+"/"+n.Name
		if !n.IsLeaf() {
			n.byName = map[string]*Node{}
		}
		if p.IsLeaf() || p.byName[n.Name] != nil {
			return nil, fmt.Errorf("schema: node %d (%s) is there twice or below a leaf", i, n.path)
		}
		n.index = len(p.children)
		p.byName[n.Name] = n
		p.children = append(p.children, n)
		nodes = append(nodes, n)
	}
	for _, n := range nodes[1:] {
		if n.IsLeaf() {
			if err := s.bind(n); err != nil {
				return nil, err
			}
		}
	}
	for _, n := range nodes[1:] {
		if n.loose = n.Type; n.IsLeaf() && !n.Config {
			n.loose = n.Type.loosened() // all leafrefs have their targets now
		}
	}
	return s, nil
}

// bind finds the targets of a leaf's leafrefs, those in a union among them, and marks the nodes above.
func (s *Schema) bind(n *Node) error {
	t, err := s.bindType(n, n.Type)
	if err != nil {
		return err
	}
	n.Type = t
	if t.Base != Leafref || !n.Config || n.IsKey() && t.target.Parent.Parent == n.Parent {
		return nil
	}
	for up := n; up != nil; up = up.Parent {
		up.refs = true
	}
	return nil
}

// bindType returns a type whose leafrefs have targets: a copy if there are any, since a type may be shared.
func (s *Schema) bindType(n *Node, t *Type) (*Type, error) {
	switch t.Base {
	case Leafref:
		c := *t
		if c.target = s.Find(t.RefPath); c.target == nil || !c.target.IsLeaf() {
			return nil, fmt.Errorf("schema: leafref %s has no target at %s", n.path, t.RefPath)
		}
		return &c, nil
	case Union:
		c := *t
		c.Members = nil
		for _, m := range t.Members {
			b, err := s.bindType(n, m)
			if err != nil {
				return nil, err
			}
			c.Members = append(c.Members, b)
		}
		return &c, nil
	}
	return t, nil
}

// loosened is the type without what is costly to check.
func (t *Type) loosened() *Type {
	t = t.Resolve()
	if t.Base != String && t.Base != Union {
		return t
	}
	c := *t
	c.patterns, c.Members = nil, nil
	if t.Base == String {
		c.ranges = nil
	}
	for _, m := range t.Members {
		c.Members = append(c.Members, m.loosened())
	}
	return &c
}
