package schema

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Base is a built-in type of YANG (RFC 7950 section 4.2.4).
type Base uint8

// The built-in types.
const (
	Int8 Base = iota + 1
	Int16
	Int32
	Int64
	Uint8
	Uint16
	Uint32
	Uint64
	String
	Boolean
	Enumeration
	Identityref
	Union
	Leafref
	Decimal64
	Binary
	Bits
	Empty
)

var baseNames = map[string]Base{
	"int8": Int8, "int16": Int16, "int32": Int32, "int64": Int64, "uint8": Uint8, "uint16": Uint16, "uint32": Uint32, "uint64": Uint64,
	"string": String, "boolean": Boolean, "enumeration": Enumeration, "identityref": Identityref, "union": Union, "leafref": Leafref,
	"decimal64": Decimal64, "binary": Binary, "bits": Bits, "empty": Empty,
}

func (b Base) String() string {
	for name, v := range baseNames {
		if v == b {
			return name
		}
	}
	return "?"
}

func (b Base) signed() bool   { return b >= Int8 && b <= Int64 }
func (b Base) unsigned() bool { return b >= Uint8 && b <= Uint64 }
func (b Base) bits() int      { return 8 << ((b - 1) % 4) }

// wide numbers are strings in RFC 7951.
func (b Base) wide() bool { return b == Int64 || b == Uint64 || b == Decimal64 }

// Type of a leaf.
type Type struct {
	Base Base
	// Name of the typedef; empty for a built-in type used as it is.
	Name string
	// Values are those of an enumeration, the bits, or the identities as MODULE:NAME.
	Values []string
	// Members of a union, in order.
	Members []*Type
	// RefPath is the path, without keys, of a leafref's target; RefExpr the expression of the module.
	RefPath, RefExpr string
	FractionDigits   uint8

	ranges   []span // in text order; of numbers, or of lengths
	patterns []pattern
	target   *Node
}

type span struct {
	min, max int64
	// Beyond int64: the whole of uint64's upper half.
	umin, umax uint64
	text       string
}

type pattern struct {
	re     *regexp.Regexp
	invert bool
}

// Target of a leafref.
func (t *Type) Target() *Node { return t.target }

// Resolve follows leafrefs to the type that values have.
func (t *Type) Resolve() *Type {
	for t.Base == Leafref && t.target != nil {
		t = t.target.Type
	}
	return t
}

// Describe a type for people: "uint16 1..4094", "enumeration a | b".
func (t *Type) Describe() string {
	var s string
	switch t.Base {
	case Leafref:
		return "leafref " + t.RefPath
	case Union:
		words := make([]string, len(t.Members))
		for i, m := range t.Members {
			words[i] = m.Describe()
		}
		return strings.Join(words, " | ")
	case Enumeration, Bits, Identityref:
		s = t.Base.String()
		if len(t.Values) <= 12 {
			s += " " + strings.Join(t.Values, " | ")
		}
		return s
	}
	s = t.Base.String()
	if t.Name != "" {
		s = t.Name
	}
	if len(t.ranges) > 0 && t.Base != String && t.Base != Binary {
		s += " " + t.rangeText()
	}
	return s
}

func (t *Type) rangeText() string {
	words := make([]string, len(t.ranges))
	for i, r := range t.ranges {
		words[i] = r.text
	}
	return strings.Join(words, " | ")
}

// fileType is a type in schema.json.
type fileType struct {
	Base   string   `json:"base"`
	Name   string   `json:"name,omitempty"`
	Values []string `json:"values,omitempty"`
	// Members are numbers in types, from 1.
	Members []int `json:"members,omitempty"`
	// Ranges of numbers, or of lengths of strings and binaries: "1..10", "5", "-1.5..2".
	Ranges   []string `json:"ranges,omitempty"`
	Patterns []string `json:"patterns,omitempty"` // RE2, anchored by the reader; a leading "!" inverts
	// RefPath is absolute and without keys.
	RefPath        string `json:"ref-path,omitempty"`
	RefExpr        string `json:"ref-expr,omitempty"`
	FractionDigits uint8  `json:"fraction-digits,omitempty"`
}

func parseTypes(in []fileType) ([]*Type, error) {
	out := make([]*Type, len(in))
	for i := range in {
		out[i] = new(Type)
	}
	for i := range in {
		d, t := &in[i], out[i]
		t.Base, t.Name, t.Values, t.RefPath, t.RefExpr = baseNames[d.Base], d.Name, d.Values, d.RefPath, d.RefExpr
		t.FractionDigits = d.FractionDigits
		if t.Base == 0 {
			return nil, fmt.Errorf("schema: type %d has the unknown base %q", i, d.Base)
		}
		for _, m := range d.Members {
			if m < 1 || m > len(out) || m == i+1 {
				return nil, fmt.Errorf("schema: type %d has no member %d", i, m)
			}
			t.Members = append(t.Members, out[m-1])
		}
		for _, r := range d.Ranges {
			sp, err := parseSpan(r, t)
			if err != nil {
				return nil, fmt.Errorf("schema: type %d: range %q: %w", i, r, err)
			}
			t.ranges = append(t.ranges, sp)
		}
		for _, p := range d.Patterns {
			invert := strings.HasPrefix(p, "!")
			re, err := regexp.Compile(`^(?:` + strings.TrimPrefix(p, "!") + `)$`)
			if err != nil {
				return nil, fmt.Errorf("schema: type %d: pattern: %w", i, err)
			}
			t.patterns = append(t.patterns, pattern{re, invert})
		}
	}
	return out, nil
}

func parseSpan(s string, t *Type) (span, error) {
	lo, hi, ok := strings.Cut(s, "..")
	if !ok {
		hi = lo
	}
	r := span{text: s}
	number := func(text string) (int64, uint64, error) {
		text = strings.TrimSpace(text)
		switch {
		case text == "min":
			return math.MinInt64, 0, nil
		case text == "max":
			return math.MaxInt64, math.MaxUint64, nil
		case t.Base == Decimal64:
			d, err := parseDecimal(text, t.FractionDigits)
			return d, 0, err
		}
		if u, err := strconv.ParseUint(text, 10, 64); err == nil {
			return int64(min(u, math.MaxInt64)), u, nil
		}
		i, err := strconv.ParseInt(text, 10, 64)
		return i, 0, err
	}
	var err error
	if r.min, r.umin, err = number(lo); err != nil {
		return r, err
	}
	r.max, r.umax, err = number(hi)
	return r, err
}
