package schema

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Value of a leaf or a leaf-list. The zero Value is none. Values are never changed.
type Value struct {
	// typ took the value: leafrefs and unions are resolved. nil for a leaf-list.
	typ *Type
	// v is int64, uint64, string (string, enumeration, identityref, bits), bool, decimal (decimal64), []byte, struct{} (empty), or
	// []Value (leaf-list).
	v any
}

type decimal int64

// IsZero says that there is no value.
func (v Value) IsZero() bool { return v.v == nil }

// Type that took the value; nil for a leaf-list.
func (v Value) Type() *Type { return v.typ }

// Any is the value as int64, uint64, string, bool, float64 (decimal64), []byte, struct{} (empty) or []Value (leaf-list).
func (v Value) Any() any {
	if d, ok := v.v.(decimal); ok {
		return float64(d) / math.Pow10(int(v.typ.FractionDigits))
	}
	return v.v
}

// List is the elements of a leaf-list.
func (v Value) List() []Value {
	l, _ := v.v.([]Value)
	return l
}

// Uint is the value as a number, if it is one that is not negative.
func (v Value) Uint() (uint64, bool) {
	switch n := v.v.(type) {
	case uint64:
		return n, true
	case int64:
		return uint64(n), n >= 0
	}
	return 0, false
}

// Bool is the value of a boolean.
func (v Value) Bool() (val, ok bool) {
	val, ok = v.v.(bool)
	return val, ok
}

// Text is the canonical text (RFC 7950 section 9), as keys are written. Elements of a leaf-list have blanks between.
func (v Value) Text() string {
	switch x := v.v.(type) {
	case string:
		return x
	case int64:
		return strconv.FormatInt(x, 10)
	case uint64:
		return strconv.FormatUint(x, 10)
	case bool:
		return strconv.FormatBool(x)
	case decimal:
		return formatDecimal(int64(x), v.typ.FractionDigits)
	case []byte:
		return base64.StdEncoding.EncodeToString(x)
	case []Value:
		words := make([]string, len(x))
		for i, e := range x {
			words[i] = e.Text()
		}
		return strings.Join(words, " ")
	}
	return ""
}

// Local is the text of an identity without its module, and of other values as they are.
func (v Value) Local() string {
	s := v.Text()
	if v.typ != nil && v.typ.Base == Identityref {
		_, s, _ = strings.Cut(s, ":")
	}
	return s
}

// Equal says that two values are the same.
func (v Value) Equal(w Value) bool {
	switch x := v.v.(type) {
	case []Value:
		y, ok := w.v.([]Value)
		return ok && slices.EqualFunc(x, y, Value.Equal)
	case []byte:
		y, ok := w.v.([]byte)
		return ok && string(x) == string(y)
	}
	if _, ok := w.v.([]Value); ok {
		return false
	}
	if _, ok := w.v.([]byte); ok {
		return false
	}
	return v.v == w.v
}

// JSON is the value for encoding/json: as RFC 7951 says if ietf, else in gNMI's plain JSON, where wide numbers are numbers and
// identities have no module.
func (v Value) JSON(ietf bool) any {
	switch x := v.v.(type) {
	case []Value:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = e.JSON(ietf)
		}
		return out
	case struct{}:
		return []any{nil}
	case []byte:
		return v.Text()
	case decimal:
		if ietf {
			return v.Text()
		}
		return json.Number(v.Text())
	case int64, uint64:
		if ietf && v.typ.Base.wide() {
			return v.Text()
		}
		return x
	case string:
		if !ietf {
			return v.Local()
		}
		return x
	}
	return v.v
}

// appendJSON writes the value as RFC 7951 or plain JSON has it.
func (v Value) appendJSON(b []byte, ietf bool) []byte {
	switch x := v.v.(type) {
	case []Value:
		b = append(b, '[')
		for i, e := range x {
			if i > 0 {
				b = append(b, ',')
			}
			b = e.appendJSON(b, ietf)
		}
		return append(b, ']')
	case struct{}:
		return append(b, "[null]"...)
	case bool:
		return strconv.AppendBool(b, x)
	case int64, uint64, decimal:
		text := v.Text()
		if ietf && v.typ.Base.wide() {
			return append(append(append(b, '"'), text...), '"')
		}
		return append(b, text...)
	}
	text := v.Text()
	if !ietf {
		text = v.Local()
	}
	return AppendString(b, text)
}

// AppendJSON writes the value as RFC 7951 or plain JSON has it.
func (v Value) AppendJSON(b []byte, ietf bool) []byte { return v.appendJSON(b, ietf) }

// AppendString writes a string of JSON.
func AppendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x7f {
			q, err := json.Marshal(s)
			if err != nil { // strings always marshal
				return append(b, `""`...)
			}
			return append(b, q...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// FromText reads a value as keys and command lines have it.
func (n *Node) FromText(s string) (Value, error) {
	if n.Kind == LeafList {
		return n.list([]any{s}, func(t *Type, x any) (Value, error) { return t.fromText(x.(string)) })
	}
	return n.Type.fromText(s)
}

// FromJSON reads a value that encoding/json decoded with UseNumber: RFC 7951, and plain JSON as far as it is not ambiguous.
func (n *Node) FromJSON(x any) (Value, error) {
	if n.Kind == LeafList {
		l, ok := x.([]any)
		if !ok {
			return Value{}, fmt.Errorf("is not an array")
		}
		return n.list(l, (*Type).fromJSON)
	}
	return n.Type.fromJSON(x)
}

// FromGo takes a value of Go: strings, numbers, booleans, []byte, what has a String method, pointers to these; slices for a
// leaf-list. Of a leaf of state, which the appliance itself tells, patterns and lengths of strings are not checked.
func (n *Node) FromGo(x any) (Value, error) {
	if v, ok := x.(Value); ok {
		x = v.v
	}
	if n.Kind != LeafList {
		return n.loose.fromGo(x)
	}
	read := func(_ *Type, x any) (Value, error) { return n.loose.fromGo(x) }
	if l, ok := x.([]Value); ok {
		all := make([]any, len(l))
		for i, e := range l {
			all[i] = e.v
		}
		return n.list(all, read)
	}
	r := reflect.ValueOf(x)
	if r.Kind() != reflect.Slice {
		return Value{}, fmt.Errorf("is not a list of values")
	}
	all := make([]any, r.Len())
	for i := range all {
		all[i] = r.Index(i).Interface()
	}
	return n.list(all, read)
}

func (n *Node) list(l []any, read func(*Type, any) (Value, error)) (Value, error) {
	out := make([]Value, 0, len(l))
	for i, x := range l {
		v, err := read(n.Type, x)
		if err != nil {
			return Value{}, fmt.Errorf("element %d: %w", i, err)
		}
		if n.Config && slices.ContainsFunc(out, v.Equal) {
			return Value{}, fmt.Errorf("element %d: %s is there twice", i, v.Text())
		}
		out = append(out, v)
	}
	return Value{v: out}, nil
}

func (t *Type) fromGo(x any) (Value, error) {
	switch g := x.(type) {
	case string:
		return t.fromText(g)
	case bool:
		return t.take(g)
	case uint64:
		return t.take(g)
	case int64:
		return t.take(g)
	case []byte:
		return t.take(g)
	case decimal:
		return t.fromText(formatDecimal(int64(g), t.Resolve().FractionDigits))
	case struct{}:
		return t.take(g)
	case fmt.Stringer:
		return t.fromText(g.String())
	case float64:
		return t.fromText(strconv.FormatFloat(g, 'f', -1, 64))
	case nil:
		return Value{}, fmt.Errorf("is nothing")
	}
	r := reflect.ValueOf(x)
	switch {
	case r.Kind() == reflect.Pointer && !r.IsNil():
		return t.fromGo(r.Elem().Interface())
	case r.CanInt():
		return t.take(r.Int())
	case r.CanUint():
		return t.take(r.Uint())
	case r.Kind() == reflect.String:
		return t.fromText(r.String())
	case r.Kind() == reflect.Bool:
		return t.take(r.Bool())
	case r.CanFloat():
		return t.fromGo(r.Float())
	}
	return Value{}, fmt.Errorf("%T is no value for %s", x, t.Base)
}

// members tries the types of a union in order; the error is that of the last if all are alike, else says what was tried.
func (t *Type) members(try func(*Type) (Value, error), shown string) (Value, error) {
	for _, m := range t.Members {
		if v, err := try(m); err == nil {
			return v, nil
		}
	}
	return Value{}, fmt.Errorf("%s is none of %s", shown, t.Describe())
}

func show(x any) string {
	s := fmt.Sprint(x)
	if q, ok := x.(string); ok {
		s = strconv.Quote(q)
	}
	if len(s) > 80 {
		s = s[:77] + "..."
	}
	return s
}

// take checks a value that has the right Go type already: int64, uint64, bool, []byte, struct{}, or a string.
func (t *Type) take(x any) (Value, error) {
	t = t.Resolve()
	wrong := func() (Value, error) { return Value{}, fmt.Errorf("%s is not of type %s", show(x), t.Base) }
	if t.Base == Union {
		return t.members(func(m *Type) (Value, error) { return m.take(x) }, show(x))
	}
	switch g := x.(type) {
	case bool:
		if t.Base != Boolean {
			return wrong()
		}
		return Value{t, g}, nil
	case struct{}:
		if t.Base != Empty {
			return wrong()
		}
		return Value{t, g}, nil
	case []byte:
		if t.Base != Binary {
			return wrong()
		}
		return t.length(Value{t, g}, len(g))
	case int64:
		switch {
		case t.Base.signed():
			return t.int(g)
		case t.Base.unsigned() && g >= 0:
			return t.uint(uint64(g))
		case t.Base == Decimal64:
			return t.fromText(strconv.FormatInt(g, 10))
		case t.Base.unsigned():
			return Value{}, fmt.Errorf("%d is not %s", g, t.numbers())
		}
	case uint64:
		switch {
		case t.Base.unsigned():
			return t.uint(g)
		case t.Base.signed() && g <= math.MaxInt64:
			return t.int(int64(g))
		case t.Base.signed():
			return Value{}, fmt.Errorf("%d is not %s", g, t.numbers())
		case t.Base == Decimal64:
			return t.fromText(strconv.FormatUint(g, 10))
		}
	case string:
		switch t.Base {
		case String:
			return t.string(g)
		case Enumeration:
			if slices.Contains(t.Values, g) {
				return Value{t, g}, nil
			}
			return Value{}, fmt.Errorf("%s is none of %s", show(g), t.words())
		case Identityref:
			return t.identity(g)
		case Bits:
			return t.bits(g)
		}
	}
	return wrong()
}

func (t *Type) words() string {
	if len(t.Values) > 20 {
		return strings.Join(t.Values[:20], ", ") + ", ..."
	}
	return strings.Join(t.Values, ", ")
}

// numbers says which are allowed.
func (t *Type) numbers() string {
	if len(t.ranges) > 0 {
		return t.rangeText()
	}
	b := t.Base.bits()
	if t.Base.signed() {
		return fmt.Sprintf("%d..%d", int64(-1)<<(b-1), int64(1)<<(b-1)-1)
	}
	return fmt.Sprintf("0..%d", uint64(math.MaxUint64)>>(64-b))
}

func (t *Type) int(i int64) (Value, error) {
	b := t.Base.bits()
	in := i >= int64(-1)<<(b-1) && i <= int64(math.MaxInt64)>>(64-b)
	if len(t.ranges) > 0 && in {
		in = slices.ContainsFunc(t.ranges, func(r span) bool { return i >= r.min && i <= r.max })
	}
	if !in {
		return Value{}, fmt.Errorf("%d is not %s", i, t.numbers())
	}
	return Value{t, i}, nil
}

func (t *Type) uint(u uint64) (Value, error) {
	in := u <= uint64(math.MaxUint64)>>(64-t.Base.bits())
	if len(t.ranges) > 0 && in {
		in = slices.ContainsFunc(t.ranges, func(r span) bool { return u >= r.umin && u <= r.umax })
	}
	if !in {
		return Value{}, fmt.Errorf("%d is not %s", u, t.numbers())
	}
	return Value{t, u}, nil
}

func (t *Type) length(v Value, n int) (Value, error) {
	if len(t.ranges) == 0 || slices.ContainsFunc(t.ranges, func(r span) bool { return uint64(n) >= r.umin && uint64(n) <= r.umax }) {
		return v, nil
	}
	return Value{}, fmt.Errorf("has the length %d, which is not %s", n, t.rangeText())
}

func (t *Type) string(s string) (Value, error) {
	if !utf8.ValidString(s) {
		return Value{}, fmt.Errorf("is not UTF-8")
	}
	for _, r := range s {
		if r == 0 || r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff { // RFC 7950 section 9.4
			return Value{}, fmt.Errorf("holds the control character %U", r)
		}
	}
	for _, p := range t.patterns {
		if p.re.MatchString(s) == p.invert {
			name := t.Name
			if name == "" {
				name = p.re.String()
			}
			return Value{}, fmt.Errorf("%s does not have the form of %s", show(s), name)
		}
	}
	return t.length(Value{t, s}, utf8.RuneCountInString(s))
}

// identity takes the name of an identity with or without the module; another prefix than the module's name is not known here.
func (t *Type) identity(s string) (Value, error) {
	if slices.Contains(t.Values, s) {
		return Value{t, s}, nil
	}
	if !strings.Contains(s, ":") {
		for _, v := range t.Values {
			if _, local, _ := strings.Cut(v, ":"); local == s {
				return Value{t, v}, nil
			}
		}
	}
	return Value{}, fmt.Errorf("%s is none of the identities %s", show(s), t.words())
}

func (t *Type) bits(s string) (Value, error) {
	set := strings.Fields(s)
	var out []string
	for _, b := range t.Values {
		if slices.Contains(set, b) {
			out = append(out, b)
		}
	}
	if len(out) != len(set) {
		return Value{}, fmt.Errorf("%s are not bits of %s", show(s), t.words())
	}
	return Value{t, strings.Join(out, " ")}, nil
}

func (t *Type) fromText(s string) (Value, error) {
	t = t.Resolve()
	wrong := func() (Value, error) { return Value{}, fmt.Errorf("%s is not of type %s", show(s), t.Base) }
	switch {
	case t.Base == Union:
		return t.members(func(m *Type) (Value, error) { return m.fromText(s) }, show(s))
	case t.Base.signed():
		i, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return wrong()
		}
		return t.int(i)
	case t.Base.unsigned():
		u, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			if _, err := strconv.ParseInt(s, 10, 64); err == nil {
				return Value{}, fmt.Errorf("%s is not %s", s, t.numbers())
			}
			return wrong()
		}
		return t.uint(u)
	}
	switch t.Base {
	case Boolean:
		if s != "true" && s != "false" {
			return wrong()
		}
		return Value{t, s == "true"}, nil
	case Empty:
		if s != "" {
			return wrong()
		}
		return Value{t, struct{}{}}, nil
	case Binary:
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return Value{}, fmt.Errorf("%s is not base64", show(s))
		}
		return t.take(b)
	case Decimal64:
		d, err := parseDecimal(s, t.FractionDigits)
		if err != nil {
			return Value{}, fmt.Errorf("%s: %w", show(s), err)
		}
		if len(t.ranges) > 0 && !slices.ContainsFunc(t.ranges, func(r span) bool { return d >= r.min && d <= r.max }) {
			return Value{}, fmt.Errorf("%s is not %s", s, t.rangeText())
		}
		return Value{t, decimal(d)}, nil
	}
	return t.take(s)
}

func (t *Type) fromJSON(x any) (Value, error) {
	t = t.Resolve()
	if t.Base == Union {
		return t.members(func(m *Type) (Value, error) { return m.fromJSON(x) }, show(x))
	}
	switch j := x.(type) {
	case json.Number:
		if t.Base.signed() || t.Base.unsigned() || t.Base == Decimal64 {
			return t.fromText(string(j))
		}
	case string:
		if t.Base == Boolean || !t.Base.wide() && (t.Base.signed() || t.Base.unsigned()) {
			break // RFC 7951 section 6.1: these are no strings
		}
		return t.fromText(j)
	case bool:
		return t.take(j)
	case []any:
		if t.Base == Empty && len(j) == 1 && j[0] == nil {
			return Value{t, struct{}{}}, nil
		}
	case nil:
		return Value{}, fmt.Errorf("null is not of type %s", t.Base)
	}
	switch x.(type) {
	case map[string]any:
		return Value{}, fmt.Errorf("an object is not of type %s", t.Base)
	case []any:
		return Value{}, fmt.Errorf("an array is not of type %s", t.Base)
	}
	return Value{}, fmt.Errorf("%s is not of type %s", show(x), t.Base)
}

func parseDecimal(s string, digits uint8) (int64, error) {
	whole, frac, _ := strings.Cut(s, ".")
	if len(frac) > int(digits) {
		return 0, fmt.Errorf("has more than %d digits behind the point", digits)
	}
	frac += strings.Repeat("0", int(digits)-len(frac))
	if whole == "" || whole == "-" || strings.HasPrefix(whole, "+") {
		return 0, fmt.Errorf("is not a decimal number")
	}
	d, err := strconv.ParseInt(whole+frac, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("is not a decimal number")
	}
	return d, nil
}

func formatDecimal(d int64, digits uint8) string {
	sign := ""
	u := uint64(d)
	if d < 0 {
		sign, u = "-", -u
	}
	s := fmt.Sprintf("%0*d", int(digits)+1, u)
	whole, frac := s[:len(s)-int(digits)], strings.TrimRight(s[len(s)-int(digits):], "0")
	if frac == "" {
		frac = "0" // RFC 7950 section 9.3.2
	}
	return sign + whole + "." + frac
}
