package model

import (
	"reflect"
	"strings"

	"millrace/server/config"
	"millrace/yang/tree"
)

// writer makes a tree of a Config.
type writer struct {
	// C is what is written.
	C *config.Config
	// Hint is the root of the tree in force; nil if there is none.
	Hint *tree.Node

	e    *tree.Edit
	errs tree.Errors
}

// set gives a leaf a value, zero or not. rel is names with slashes between.
func (w *writer) set(at tree.Path, rel string, v any) {
	if err := w.e.Set(below(at, rel), v); err != nil {
		w.add(err)
	}
}

// opt gives a leaf a value if it is set: not zero, not an empty list, no nil pointer and no invalid address.
func (w *writer) opt(at tree.Path, rel string, v any) {
	r := reflect.ValueOf(v)
	switch {
	case r.IsZero(), r.Kind() == reflect.Slice && r.Len() == 0:
		return
	case r.Kind() == reflect.Pointer:
		v = r.Elem().Interface()
	}
	w.set(at, rel, v)
}

func (w *writer) add(err error) {
	if len(w.errs) >= 100 {
		return
	}
	switch e := err.(type) {
	case tree.Error:
		w.errs = append(w.errs, e)
	case tree.Errors:
		w.errs = append(w.errs, e...)
	default:
		w.errs = append(w.errs, tree.Error{Reason: err.Error()})
	}
}

// below adds names, with slashes between, to a path.
func below(at tree.Path, rel string) tree.Path {
	out := at[:len(at):len(at)]
	for name := range strings.SplitSeq(rel, "/") {
		out = append(out, tree.Elem{Name: name})
	}
	return out
}

// entry adds the entry of a list to a path: the names to the list, and pairs of keys and their values.
func entry(at tree.Path, rel string, keys ...string) tree.Path {
	out := below(at, rel)
	e := &out[len(out)-1]
	for i := 0; i < len(keys); i += 2 {
		e.Keys = append(e.Keys, tree.Key{Name: keys[i], Value: keys[i+1]})
	}
	return out
}

// top begins a path: the names, with slashes between, from the top of the tree.
func top(rel string) tree.Path { return below(nil, rel) }
