package config

import (
	"reflect"
	"slices"
	"strings"
)

// leaf is a field of a configuration struct.
type leaf struct {
	name  string
	index []int
	key   bool
}

// leaves lists the fields of a struct type, those of embedded structs among them, in their order.
func leaves(t reflect.Type) []leaf {
	var all []leaf
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			for _, l := range leaves(f.Type) {
				l.index = append([]int{i}, l.index...)
				all = append(all, l)
			}
			continue
		}
		name, option, _ := strings.Cut(f.Tag.Get("cfg"), ",")
		all = append(all, leaf{name, []int{i}, option == "key"})
	}
	return all
}

// keyLeaf is the name of the field that tells the elements of a list apart; empty if they have none.
func keyLeaf(t reflect.Type) string {
	if t.Kind() != reflect.Struct {
		return ""
	}
	for i := range t.NumField() {
		if name, option, _ := strings.Cut(t.Field(i).Tag.Get("cfg"), ","); option == "key" {
			return name
		}
	}
	return ""
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// inherit fills in the fields of dst that are not set from src, which is of the same type.
func inherit[T any](dst *T, src T) {
	d, s := reflect.ValueOf(dst).Elem(), reflect.ValueOf(src)
	for i := range d.NumField() {
		if d.Field(i).IsZero() {
			d.Field(i).Set(s.Field(i))
		}
	}
}

// Clone makes a copy that shares nothing with the original.
func (c *Config) Clone() *Config {
	return clone(reflect.ValueOf(c)).Interface().(*Config)
}

func clone(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		n := reflect.New(v.Type().Elem())
		n.Elem().Set(clone(v.Elem()))
		return n
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		if routes, ok := v.Interface().([]StaticRoute); ok { // there may be many of them
			routes = slices.Clone(routes)
			for i := range routes {
				routes[i].NextHops = slices.Clone(routes[i].NextHops)
			}
			return reflect.ValueOf(routes)
		}
		n := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			n.Index(i).Set(clone(v.Index(i)))
		}
		return n
	case reflect.Struct:
		n := reflect.New(v.Type()).Elem()
		n.Set(v)
		if !ours(v.Type()) {
			return n
		}
		for i := range v.NumField() {
			n.Field(i).Set(clone(v.Field(i)))
		}
		return n
	}
	return v
}

// ours says that a struct is part of the tree and not a value such as netip.Addr.
func ours(t reflect.Type) bool { return t.PkgPath() == reflect.TypeFor[Config]().PkgPath() }
