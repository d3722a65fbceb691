package gnmiserver

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"millrace/yang/schema"
)

// encodings that are answered in.
var encodings = []gpb.Encoding{gpb.Encoding_JSON, gpb.Encoding_PROTO, gpb.Encoding_ASCII, gpb.Encoding_JSON_IETF}

func checkEncoding(e gpb.Encoding) error {
	for _, k := range encodings {
		if k == e {
			return nil
		}
	}
	return status.Errorf(codes.Unimplemented, "encoding: %s is not supported, but JSON, JSON_IETF, PROTO and ASCII are", e)
}

// encode makes the value of a leaf in an encoding that checkEncoding lets pass.
func encode(v schema.Value, e gpb.Encoding) *gpb.TypedValue {
	switch e {
	case gpb.Encoding_JSON_IETF:
		return &gpb.TypedValue{Value: &gpb.TypedValue_JsonIetfVal{JsonIetfVal: v.AppendJSON(nil, true)}}
	case gpb.Encoding_JSON:
		return &gpb.TypedValue{Value: &gpb.TypedValue_JsonVal{JsonVal: v.AppendJSON(nil, false)}}
	case gpb.Encoding_ASCII:
		return &gpb.TypedValue{Value: &gpb.TypedValue_AsciiVal{AsciiVal: v.Text()}}
	}
	return scalar(v)
}

// scalar is the value as gNMI's own types have it. Identities go without their module, as in the keys of paths.
func scalar(v schema.Value) *gpb.TypedValue {
	switch x := v.Any().(type) {
	case int64:
		return &gpb.TypedValue{Value: &gpb.TypedValue_IntVal{IntVal: x}}
	case uint64:
		return &gpb.TypedValue{Value: &gpb.TypedValue_UintVal{UintVal: x}}
	case bool:
		return &gpb.TypedValue{Value: &gpb.TypedValue_BoolVal{BoolVal: x}}
	case float64:
		return &gpb.TypedValue{Value: &gpb.TypedValue_DoubleVal{DoubleVal: x}}
	case []byte:
		return &gpb.TypedValue{Value: &gpb.TypedValue_BytesVal{BytesVal: x}}
	case struct{}:
		return &gpb.TypedValue{Value: &gpb.TypedValue_BoolVal{BoolVal: true}}
	case []schema.Value:
		l := &gpb.ScalarArray{Element: make([]*gpb.TypedValue, len(x))}
		for i, e := range x {
			l.Element[i] = scalar(e)
		}
		return &gpb.TypedValue{Value: &gpb.TypedValue_LeaflistVal{LeaflistVal: l}}
	}
	return &gpb.TypedValue{Value: &gpb.TypedValue_StringVal{StringVal: v.Local()}}
}

// decode makes the value of a leaf or leaf-list out of one of gNMI's own types. JSON and ASCII are not for it.
func decode(n *schema.Node, tv *gpb.TypedValue) (schema.Value, error) {
	if l, ok := tv.GetValue().(*gpb.TypedValue_LeaflistVal); ok {
		if n.Kind != schema.LeafList {
			return schema.Value{}, fmt.Errorf("is no leaf-list, but leaflist_val was given")
		}
		all := make([]any, 0, len(l.LeaflistVal.GetElement()))
		for i, e := range l.LeaflistVal.GetElement() {
			x, err := decodeScalar(n.Type, e)
			if err != nil {
				return schema.Value{}, fmt.Errorf("element %d: %w", i, err)
			}
			all = append(all, x)
		}
		return n.FromJSON(all)
	}
	x, err := decodeScalar(n.Type, tv)
	if err != nil {
		return schema.Value{}, err
	}
	if n.Kind == schema.LeafList {
		return schema.Value{}, fmt.Errorf("is a leaf-list: leaflist_val is needed")
	}
	return n.FromJSON(x)
}

// decodeScalar returns what encoding/json would for the value, if it is of a kind that the type has.
func decodeScalar(t *schema.Type, tv *gpb.TypedValue) (any, error) {
	kinds := kindsOf(t)
	wrong := func(field string) (any, error) {
		return nil, fmt.Errorf("%s is no value for %s", field, t.Describe())
	}
	number := func(field, text string, allowed kind) (any, error) {
		if kinds&allowed == 0 {
			return wrong(field)
		}
		return json.Number(text), nil
	}
	switch v := tv.GetValue().(type) {
	case *gpb.TypedValue_StringVal:
		if kinds&kindText == 0 {
			return wrong("string_val")
		}
		return v.StringVal, nil
	case *gpb.TypedValue_IntVal:
		return number("int_val", strconv.FormatInt(v.IntVal, 10), kindNumber)
	case *gpb.TypedValue_UintVal:
		return number("uint_val", strconv.FormatUint(v.UintVal, 10), kindNumber)
	case *gpb.TypedValue_BoolVal:
		switch {
		case kinds&kindBool != 0:
			return v.BoolVal, nil
		case kinds&kindEmpty != 0 && v.BoolVal:
			return []any{nil}, nil
		}
		return wrong("bool_val")
	case *gpb.TypedValue_BytesVal:
		if kinds&kindBytes == 0 {
			return wrong("bytes_val")
		}
		return base64.StdEncoding.EncodeToString(v.BytesVal), nil
	case *gpb.TypedValue_DoubleVal:
		return float("double_val", v.DoubleVal, 64, number)
	case *gpb.TypedValue_FloatVal:
		//lint:ignore SA1019 clients still send it
		return float("float_val", float64(v.FloatVal), 32, number)
	case *gpb.TypedValue_DecimalVal:
		//lint:ignore SA1019 clients still send it
		d := v.DecimalVal
		if d.GetPrecision() > 18 {
			return nil, fmt.Errorf("decimal_val has the precision %d, more than 18", d.GetPrecision())
		}
		return number("decimal_val", decimal(d.GetDigits(), int(d.GetPrecision())), kindDecimal)
	case *gpb.TypedValue_LeaflistVal:
		return nil, fmt.Errorf("leaflist_val within leaflist_val")
	case nil:
		return nil, fmt.Errorf("has no value")
	}
	return nil, status.Errorf(codes.Unimplemented, "%T is not supported as a value", tv.GetValue())
}

func float(field string, f float64, bits int, number func(field, text string, allowed kind) (any, error)) (any, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("%s is %v", field, f)
	}
	return number(field, strconv.FormatFloat(f, 'f', -1, bits), kindDecimal)
}

func decimal(digits int64, precision int) string {
	sign, u := "", uint64(digits)
	if digits < 0 {
		sign, u = "-", -u
	}
	s := fmt.Sprintf("%0*d", precision+1, u)
	if precision == 0 {
		return sign + s
	}
	return sign + s[:len(s)-precision] + "." + s[len(s)-precision:]
}

// kind of values that a type has.
type kind uint8

const (
	kindText kind = 1 << iota
	kindNumber
	kindDecimal
	kindBool
	kindBytes
	kindEmpty
)

func kindsOf(t *schema.Type) kind {
	t = t.Resolve()
	switch t.Base {
	case schema.String, schema.Enumeration, schema.Identityref, schema.Bits:
		return kindText
	case schema.Boolean:
		return kindBool
	case schema.Binary:
		return kindBytes
	case schema.Empty:
		return kindEmpty
	case schema.Decimal64:
		return kindDecimal | kindNumber
	case schema.Union:
		var k kind
		for _, m := range t.Members {
			k |= kindsOf(m)
		}
		return k
	}
	return kindNumber
}
