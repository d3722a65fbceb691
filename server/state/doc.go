// Package state holds the sources of state of the management tree (telemetry.Source), by subject: they ask the data plane, the routing
// and the machine for what a request takes, and no more.
package state

import (
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// places are nodes of the schema by their names in a source.
type places map[string]*schema.Node

func findPlaces(s *schema.Schema, paths map[string]string) places {
	p := places{}
	for name, path := range paths {
		p[name] = s.Find(path)
	}
	return p
}

// wants says that a pattern takes something at or below a place.
func (p places) wants(m tree.Pattern, name string) bool { return related(p[name], m.Schema) }

// related says that one node is the other or above it.
func related(a, b *schema.Node) bool { return a != nil && b != nil && (isBelow(a, b) || isBelow(b, a)) }

func isBelow(n, top *schema.Node) bool {
	for ; n != nil; n = n.Parent {
		if n == top {
			return true
		}
	}
	return false
}

// keyOf is the value that a pattern wants a key to have; empty for any.
func keyOf(m tree.Pattern, elem, key string) string {
	if v := m.Path.Key(elem, key); v != "*" {
		return v
	}
	return ""
}

// entryPath adds the entry of a list with one key to a path.
func entryPath(at tree.Path, list, elem, key, val string) tree.Path {
	if list != "" {
		at = at.Name(list)
	}
	return at.With(tree.Elem{Name: elem, Keys: []tree.Key{{Name: key, Value: val}}})
}

// nonZero is a value, or nil, which telemetry.Object leaves out, for the zero value.
func nonZero[T comparable](v T) any {
	var none T
	if v == none {
		return nil
	}
	return v
}
