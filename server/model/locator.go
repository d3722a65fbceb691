package model

import (
	"strconv"
	"strings"

	"millrace/server/config"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// step of a path of config.Error: `name`, or `name[key]`.
type step struct {
	Name, Key string
}

// index is the key as a number; -1 if it is none.
func (s step) index() int {
	n, err := strconv.Atoi(s.Key)
	if err != nil {
		return -1
	}
	return n
}

// parseSteps splits a path of config.Error. Keys may have dots and brackets may not.
func parseSteps(path string) []step {
	var out []step
	for path != "" {
		end := strings.IndexAny(path, ".[")
		if end < 0 {
			return append(out, step{Name: path})
		}
		s := step{Name: path[:end]}
		if path[end] == '[' {
			key, rest, ok := strings.Cut(path[end+1:], "]")
			if !ok {
				return append(out, s)
			}
			s.Key, path = key, rest
		} else {
			path = path[end:]
		}
		path = strings.TrimPrefix(path, ".")
		out = append(out, s)
	}
	return out
}

// locator finds places of the tree.
type locator struct {
	C *config.Config
	// Tree is the root of the tree that C was read from; nil if there is none.
	Tree *tree.Node
	s    *schema.Schema
}

// fit cuts a path to what the schema has.
func (l *locator) fit(p tree.Path) tree.Path {
	n := l.s.Root
	for i, e := range p {
		if n = n.Child(e.Name); n == nil {
			return p[:i]
		}
	}
	return p
}

// stepAt is the step at a position; empty beyond the end.
func stepAt(steps []step, i int) step {
	if i < len(steps) {
		return steps[i]
	}
	return step{}
}
