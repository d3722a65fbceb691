package model

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"millrace/server/config"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// Most leaves of vnf-tcp-termination have the names of config.TCP's fields, and differ from these in the form of their values only:
// words are in capitals with underscores, times are numbers in the units of the schema. So both directions are told by the types.

// tcpLeafName is the leaf of a field.
func tcpLeafName(of reflect.Type, tag string) string {
	switch of {
	case reflect.TypeFor[config.TCPPool]():
		if tag == "source-addresses" {
			return "source-address"
		}
	case reflect.TypeFor[config.TCPBackend]():
		if tag == "admin" {
			return "admin-state"
		}
	case reflect.TypeFor[config.TCPHTTP]():
		if tag == "methods" {
			return "method"
		}
	}
	return tag
}

// tcpLeaves calls f for each field of a struct that is a leaf or a leaf-list. The others are containers and lists.
func tcpLeaves(v reflect.Value, f func(leaf string, field reflect.Value)) {
	t := v.Type()
	for i := range t.NumField() {
		ft := t.Field(i).Type
		if ft.Kind() == reflect.Slice || ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		if ft.Kind() == reflect.Struct && ft != reflect.TypeFor[netip.Addr]() && ft != reflect.TypeFor[netip.Prefix]() {
			continue
		}
		if t == reflect.TypeFor[config.VIP]() && t.Field(i).Name == "Interface" {
			continue // two leaves
		}
		tag, _, _ := strings.Cut(t.Field(i).Tag.Get("cfg"), ",")
		f(tcpLeafName(t, tag), v.Field(i))
	}
}

// tcpChoice is a field of which only certain words are allowed.
type tcpChoice interface{ Values() []string }

// tcpWord is how the schema writes a word of the configuration.
func tcpWord(s string) string {
	if s == "5-tuple" {
		return "FIVE_TUPLE"
	}
	return strings.ToUpper(strings.ReplaceAll(s, "-", "_"))
}

// readLeaves fills a struct from a container.
func (x *reader) readLeaves(at tree.Path, n *tree.Node, into any) {
	tcpLeaves(reflect.ValueOf(into).Elem(), func(leaf string, field reflect.Value) {
		l := n.Child(leaf)
		if l == nil {
			return
		}
		switch field.Kind() {
		case reflect.Slice:
			for _, v := range l.Value().List() {
				e := reflect.New(field.Type().Elem()).Elem()
				x.readLeaf(at.Name(leaf), l.Schema(), v, e)
				field.Set(reflect.Append(field, e))
			}
		case reflect.Pointer:
			e := reflect.New(field.Type().Elem())
			x.readLeaf(at.Name(leaf), l.Schema(), l.Value(), e.Elem())
			field.Set(e)
		default:
			x.readLeaf(at.Name(leaf), l.Schema(), l.Value(), field)
		}
	})
}

func (x *reader) readLeaf(at tree.Path, s *schema.Node, v schema.Value, into reflect.Value) {
	switch p := into.Addr().Interface().(type) {
	case *netip.Addr:
		a, err := netip.ParseAddr(v.Local())
		if err != nil {
			x.fail(at, "%s is not an address", v.Local())
		}
		*p = a
		return
	case *netip.Prefix:
		a, err := netip.ParsePrefix(v.Local())
		if err != nil {
			x.fail(at, "%s is not a prefix", v.Local())
		}
		*p = a
		return
	case *config.Duration:
		u, _ := v.Uint()
		*p = config.Duration(time.Duration(u) * tcpUnit(s))
		return
	case tcpChoice:
		words := p.Values()
		if i := slices.IndexFunc(words, func(w string) bool { return tcpWord(w) == v.Local() }); i >= 0 {
			into.SetString(words[i])
		} else {
			x.fail(at, "%s is not supported", v.Local())
		}
		return
	}
	switch into.Kind() {
	case reflect.String:
		into.SetString(v.Local())
	case reflect.Bool:
		b, _ := v.Bool()
		into.SetBool(b)
	default:
		u, _ := v.Uint()
		if into.OverflowUint(u) {
			x.fail(at, "%d is too large", u)
			return
		}
		into.SetUint(u)
	}
}

// tcpUnit is what a time is counted in.
func tcpUnit(s *schema.Node) time.Duration {
	if s.Units == "seconds" {
		return time.Second
	}
	return time.Millisecond
}

// writeLeaves fills a container from a struct. Fields that are not set are left out.
func (w *writer) writeLeaves(at tree.Path, from any) {
	s := w.e.Schema().Find(at.SchemaPath())
	tcpLeaves(reflect.ValueOf(from).Elem(), func(leaf string, field reflect.Value) {
		switch {
		case field.IsZero():
		case field.Kind() == reflect.Slice:
			var list []any
			for i := range field.Len() {
				// A set of values may have one twice in a file.
				if v := tcpValue(s.Child(leaf), field.Index(i)); !slices.Contains(list, v) {
					list = append(list, v)
				}
			}
			if len(list) > 0 {
				w.set(at, leaf, list)
			}
		case field.Kind() == reflect.Pointer:
			w.set(at, leaf, tcpValue(s.Child(leaf), field.Elem()))
		default:
			w.set(at, leaf, tcpValue(s.Child(leaf), field))
		}
	})
}

// tcpValue is what FromGo takes for a field.
func tcpValue(s *schema.Node, field reflect.Value) any {
	switch v := field.Interface().(type) {
	case config.Duration:
		if s != nil {
			return uint64(time.Duration(v) / tcpUnit(s))
		}
	case tcpChoice:
		return tcpWord(field.String())
	case netip.Addr:
		return v.String()
	case netip.Prefix:
		return v.String()
	}
	return field.Interface()
}
