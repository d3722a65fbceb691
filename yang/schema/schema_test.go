package schema

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
)

// TestBuiltIn reads the schema that is built in.
func TestBuiltIn(t *testing.T) {
	s, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	n := s.Find("/interfaces/interface/config/mtu")
	if n == nil || n.Module != "openconfig-interfaces" || !n.Config || n.Path() != "/interfaces/interface/config/mtu" {
		t.Fatalf("the MTU is %+v", n)
	}
	if list := s.Find("/interfaces/interface"); list.Kind != List || strings.Join(list.Keys, " ") != "name" || !list.Child("name").IsKey() {
		t.Errorf("interface is %+v", list)
	}
	if c := s.Find("/interfaces/interface/state/counters/in-octets"); c == nil || c.Config {
		t.Errorf("a counter is %+v", c)
	}
	if s.Find("/interfaces/nothing") != nil || !s.Deviated("/network-instances/network-instance/protocols/protocol/isis") {
		t.Error("what is not there")
	}
	s.Root.Walk(func(n *Node) {
		switch {
		case n.IsLeaf() && n.Type.Resolve().Base == Leafref:
			t.Errorf("%s refers to nothing", n.Path())
		case n.Kind == List && n.Config && len(n.Keys) == 0:
			t.Errorf("%s has no keys", n.Path())
		case n.Parent != nil && !n.Parent.Config && n.Config:
			t.Errorf("%s is configuration below state", n.Path())
		}
		for _, d := range n.Default {
			if _, err := n.FromText(d); err != nil && n.Kind == Leaf {
				t.Errorf("%s: the default: %v", n.Path(), err)
			}
		}
	})
}

func TestMalformedSchemas(t *testing.T) {
	for _, doc := range []string{
		``, `[]`,
		`{"nodes":[{"name":"a","kind":"leaf"}]}`,
		`{"nodes":[{"name":"a","kind":"thing"}]}`,
		`{"types":[{"base":"string"}],"nodes":[{"name":"a","kind":"container","type":1}]}`,
		`{"nodes":[{"name":"a","kind":"container","parent":2}]}`,
		`{"nodes":[{"name":"a","kind":"container"},{"name":"a","kind":"container"}]}`,
		`{"types":[{"base":"text"}]}`,
		`{"types":[{"base":"union","members":[1]}]}`,
		`{"types":[{"base":"string","patterns":["("]}]}`,
		`{"types":[{"base":"uint8","ranges":["a..b"]}]}`,
		`{"types":[{"base":"leafref","ref-path":"/b"}],"nodes":[{"name":"a","kind":"leaf","type":1}]}`,
	} {
		if _, err := Parse([]byte(doc)); err == nil {
			t.Errorf("taken: %s", doc)
		}
	}
}

func TestValues(t *testing.T) {
	s, err := Parse([]byte(`{"types":[
		{"base":"uint64"},{"base":"int64","ranges":["-5..5"]},{"base":"uint8"},{"base":"decimal64","fraction-digits":3},{"base":"boolean"},
		{"base":"union","members":[3,7]},{"base":"string","ranges":["2..3"],"patterns":["!x.*"]},{"base":"bits","values":["a","b"]},
		{"base":"identityref","values":["m:ONE","m:TWO"]},{"base":"binary"}],
	"nodes":[
		{"name":"u64","module":"m","kind":"leaf","type":1},{"name":"i64","module":"m","kind":"leaf","type":2},{"name":"u8","module":"m","kind":"leaf","type":3},
		{"name":"dec","module":"m","kind":"leaf","type":4},{"name":"bool","module":"m","kind":"leaf","type":5},{"name":"union","module":"m","kind":"leaf","type":6},
		{"name":"str","module":"m","kind":"leaf","type":7},{"name":"bits","module":"m","kind":"leaf","type":8},{"name":"id","module":"m","kind":"leaf","type":9},
		{"name":"bin","module":"m","kind":"leaf","type":10},{"name":"list","module":"m","kind":"leaf-list","type":3}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		leaf string
		in   any // of Go
		ietf string
		text string
	}{
		{"u64", uint64(1<<64 - 1), `"18446744073709551615"`, "18446744073709551615"},
		{"u64", "7", `"7"`, "7"},
		{"i64", int8(-5), `"-5"`, "-5"},
		{"u8", uint64(255), `255`, "255"},
		{"dec", 1.5, `"1.5"`, "1.5"},
		{"dec", "-0.125", `"-0.125"`, "-0.125"},
		{"dec", 3, `"3.0"`, "3.0"},
		{"bool", true, `true`, "true"},
		{"union", 9, `9`, "9"},
		{"union", "ab", `"ab"`, "ab"},
		{"str", netip.MustParseAddr("::"), `"::"`, "::"},
		{"str", "é\"", `"é\""`, "é\""},
		{"bits", "b a", `"a b"`, "a b"},
		{"id", "TWO", `"m:TWO"`, "m:TWO"},
		{"bin", []byte{0, 255}, `"AP8="`, "AP8="},
		{"list", []uint8{3, 1}, `[3,1]`, "3 1"},
	} {
		n := s.Find("/" + c.leaf)
		v, err := n.FromGo(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.leaf, err)
			continue
		}
		if got := string(v.AppendJSON(nil, true)); got != c.ietf || v.Text() != c.text {
			t.Errorf("%s: %v is %s and %q, want %s and %q", c.leaf, c.in, got, v.Text(), c.ietf, c.text)
		}
		if m, err := json.Marshal(v.JSON(true)); err != nil || string(m) != c.ietf {
			t.Errorf("%s: by encoding/json %s, %v", c.leaf, m, err)
		}
		// What is written is read, in both forms of JSON.
		for _, ietf := range []bool{true, false} {
			d := json.NewDecoder(strings.NewReader(string(v.AppendJSON(nil, ietf))))
			d.UseNumber()
			var x any
			if err := d.Decode(&x); err != nil {
				t.Fatal(err)
			}
			if back, err := n.FromJSON(x); err != nil || !back.Equal(v) {
				t.Errorf("%s: read back as %q, %v", c.leaf, back.Text(), err)
			}
		}
	}
	for _, c := range []struct {
		leaf string
		in   any
	}{
		{"u64", -1}, {"i64", 6}, {"u8", 256}, {"u8", "x"}, {"u8", nil}, {"dec", "1.2345"}, {"dec", "."}, {"dec", "+1"}, {"bool", "yes"},
		{"union", 300}, {"str", "a"}, {"str", "abcd"}, {"str", "xy"}, {"str", "a\x01"}, {"str", "\xff\xff"}, {"bits", "c"}, {"bits", "a a"}, {"id", "o:TWO"},
		{"bin", "!"}, {"list", []int{1, 1}}, {"list", 1}, {"u64", struct{ a int }{}},
	} {
		if v, err := s.Find("/" + c.leaf).FromGo(c.in); err == nil {
			t.Errorf("%s: %v is taken as %q", c.leaf, c.in, v.Text())
		}
	}
	for leaf, x := range map[string]any{"u8": "5", "bool": "true", "u64": true, "dec": map[string]any{}, "str": json.Number("5"), "list": "5", "id": nil} {
		if v, err := s.Find("/" + leaf).FromJSON(x); err == nil {
			t.Errorf("%s: the JSON %v is taken as %q", leaf, x, v.Text())
		}
	}
}
