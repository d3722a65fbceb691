package config

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// MaxFile is the largest configuration file, in bytes.
const MaxFile = 16 << 20

// Parse reads a configuration file, YAML or JSON, and validates it. The error is of type Errors if the file is readable but not
// right; it names every fault found.
func Parse(data []byte) (*Config, error) { return new(Config).read(data, decoder{}) }

// Merge reads a configuration file into a copy: what the file does not name stays, lists whose entries have keys are merged by them, and
// other lists are replaced. The result is validated; the error is as that of Parse.
func (c *Config) Merge(data []byte) (*Config, error) {
	return c.Clone().read(data, decoder{merge: true})
}

func (c *Config) read(data []byte, dec decoder) (*Config, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("configuration of %d bytes, at most %d are allowed", len(data), MaxFile)
	}
	j, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, fmt.Errorf("configuration is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var tree any
	d := json.NewDecoder(strings.NewReader(string(j)))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("configuration is not YAML: %w", err)
	}
	if tree != nil {
		dec.value(reflect.ValueOf(c).Elem(), tree, "")
	}
	if err := dec.errs.err(); err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// decoder writes a tree of maps, lists and scalars into the model.
type decoder struct {
	errs Errors
	// merge keeps what the model has already.
	merge bool
}

func (d *decoder) value(v reflect.Value, in any, path string) {
	if in == nil {
		return // `key:` without a value is not set
	}
	switch p := v.Addr().Interface().(type) {
	case *netip.Addr:
		d.text(in, path, func(s string) (err error) {
			if *p, err = netip.ParseAddr(s); err != nil {
				return fmt.Errorf("is not an address")
			}
			return nil
		})
		return
	case *netip.Prefix:
		d.text(in, path, func(s string) (err error) {
			if *p, err = netip.ParsePrefix(s); err != nil {
				return fmt.Errorf("is not an address with a prefix length")
			}
			return nil
		})
		return
	case *MAC:
		d.text(in, path, func(s string) (err error) { *p, err = ParseMAC(s); return err })
		return
	case *Duration:
		switch n, isNumber := in.(json.Number); {
		case isNumber && n != "0":
			d.errs.addf(path, "%s lacks a unit: s, m, h or ms", n)
		case !isNumber:
			d.text(in, path, func(s string) (err error) { *p, err = ParseDuration(s); return err })
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		n := reflect.New(v.Type().Elem())
		if d.merge && !v.IsNil() {
			n.Elem().Set(v.Elem())
		}
		d.value(n.Elem(), in, path)
		v.Set(n)
	case reflect.Struct:
		d.object(v, in, path)
	case reflect.Slice:
		d.list(v, in, path)
	case reflect.Bool:
		if b, ok := in.(bool); ok {
			v.SetBool(b)
		} else {
			d.errs.addf(path, "%s is not true or false", show(in))
		}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		d.number(v, in, path)
	case reflect.String:
		d.string(v, in, path)
	default:
		d.errs.addf(path, "cannot hold %s", v.Type())
	}
}

func (d *decoder) text(in any, path string, parse func(string) error) {
	s, ok := in.(string)
	if !ok {
		d.errs.addf(path, "%s is not text", show(in))
		return
	}
	if err := parse(s); err != nil {
		d.errs.addf(path, "%s %s", show(s), err)
	}
}

func (d *decoder) string(v reflect.Value, in any, path string) {
	s, ok := in.(string)
	if n, isNumber := in.(json.Number); isNumber && !isEnum(v) {
		s, ok = n.String(), true // a name or password made of digits
	}
	if b, isBool := in.(bool); isBool && !b && isEnum(v) && slices.Contains(v.Interface().(enum).Values(), "off") {
		s, ok = "off", true // YAML 1.1 takes the word off for false
	}
	if !ok {
		d.errs.addf(path, "%s is not text", show(in))
		return
	}
	v.SetString(s)
}

func isEnum(v reflect.Value) bool { _, ok := v.Interface().(enum); return ok }

func (d *decoder) number(v reflect.Value, in any, path string) {
	n, ok := in.(json.Number)
	if !ok {
		d.errs.addf(path, "%s is not a number", show(in))
		return
	}
	most := uint64(1)<<v.Type().Bits() - 1
	u, err := strconv.ParseUint(n.String(), 10, 64)
	if f, ferr := n.Float64(); err != nil && ferr == nil && f >= 0 && f <= float64(most) && f < 1<<64 && f == math.Trunc(f) {
		u, err = uint64(f), nil // 1e6
	}
	if err != nil || u > most {
		d.errs.addf(path, "%s is not a whole number from 0 to %d", n, most)
		return
	}
	v.SetUint(u)
}

func (d *decoder) object(v reflect.Value, in any, path string) {
	m, ok := in.(map[string]any)
	if !ok {
		d.errs.addf(path, "%s is not a set of fields", show(in))
		return
	}
	fields := leaves(v.Type())
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		i := slices.IndexFunc(fields, func(l leaf) bool { return l.name == name })
		if i < 0 {
			d.errs.addf(join(path, name), "unknown field%s", suggest(name, fields))
			continue
		}
		d.value(v.FieldByIndex(fields[i].index), m[name], join(path, name))
	}
}

func (d *decoder) list(v reflect.Value, in any, path string) {
	items, ok := in.([]any)
	if !ok {
		d.errs.addf(path, "%s is not a list", show(in))
		return
	}
	key := keyLeaf(v.Type().Elem())
	if d.merge && key != "" {
		d.mergeList(v, items, key, path)
		return
	}
	list := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		at := strconv.Itoa(i)
		if m, ok := item.(map[string]any); ok && key != "" {
			if s, ok := m[key].(string); ok && s != "" {
				at = s
			}
		}
		p := fmt.Sprintf("%s[%s]", path, at)
		if item == nil {
			d.errs.addf(p, "is empty")
			continue
		}
		d.value(list.Index(i), item, p)
	}
	v.Set(list)
}

// mergeList reads elements into those of the same key, and appends the others.
func (d *decoder) mergeList(v reflect.Value, items []any, key, path string) {
	at := map[string]int{}
	for i := range v.Len() {
		at[keyValue(v.Index(i), key)] = i
	}
	list := reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, v.Len()+len(items)), v)
	for n, item := range items {
		p := fmt.Sprintf("%s[%d]", path, n)
		if m, ok := item.(map[string]any); ok {
			if s, ok := m[key].(string); ok && s != "" {
				p = fmt.Sprintf("%s[%s]", path, s)
			}
		}
		if item == nil {
			d.errs.addf(p, "is empty")
			continue
		}
		fresh := reflect.New(v.Type().Elem()).Elem()
		plain := decoder{}
		plain.value(fresh, item, p)
		i, ok := at[keyValue(fresh, key)]
		if !ok {
			d.errs = append(d.errs, plain.errs...)
			at[keyValue(fresh, key)] = list.Len()
			list = reflect.Append(list, fresh)
			continue
		}
		d.value(list.Index(i), item, p)
	}
	v.Set(list)
}

// suggest names the known field that is nearest to an unknown one.
func suggest(name string, fields []leaf) string {
	plain := strings.NewReplacer("-", "", "_", "")
	low := strings.ToLower(plain.Replace(name))
	for _, f := range fields {
		have := plain.Replace(f.name)
		if have == low || have == low+"s" || have+"s" == low {
			return fmt.Sprintf(", did you mean %q?", f.name)
		}
	}
	return ""
}

// show writes a value as it is in the file, cut to a readable length.
func show(in any) string {
	var s string
	switch x := in.(type) {
	case string:
		s = x
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			s = strconv.Quote(s)
		}
	case map[string]any:
		return "a set of fields"
	case []any:
		return "a list"
	default:
		s = fmt.Sprint(x)
	}
	if len(s) > 80 {
		s = s[:77] + "..."
	}
	return s
}
