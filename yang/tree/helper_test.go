package tree

import (
	"testing"

	"millrace/yang/schema"
)

// small is a schema with all kinds of nodes.
const small = `{
"modules":[{"name":"m","namespace":"urn:m"},{"name":"x","namespace":"urn:x"}],
"types":[
 {"base":"string"},
 {"base":"uint16","ranges":["1..4094"]},
 {"base":"leafref","ref-path":"/ifs/if/config/name"},
 {"base":"boolean"},
 {"base":"uint64"},
 {"base":"enumeration","values":["UP","DOWN"]},
 {"base":"identityref","values":["m:ETH","x:LOOP"]},
 {"base":"union","members":[9,10]},
 {"base":"uint32"},
 {"base":"string","name":"word","patterns":["[a-z]+"],"ranges":["1..5"]},
 {"base":"decimal64","fraction-digits":2,"ranges":["-1.5..10"]},
 {"base":"empty"},
 {"base":"binary","ranges":["0..4"]},
 {"base":"leafref","ref-path":"/pols/pol/config/name"},
 {"base":"int8"}
],
"nodes":[
 {"name":"ifs","module":"m","kind":"container"},
 {"parent":1,"name":"if","module":"m","kind":"list","keys":["name"]},
 {"parent":2,"name":"name","module":"m","kind":"leaf","type":3},
 {"parent":2,"name":"config","module":"m","kind":"container"},
 {"parent":4,"name":"name","module":"m","kind":"leaf","type":1},
 {"parent":4,"name":"vlan","module":"m","kind":"leaf","type":2},
 {"parent":4,"name":"up","module":"m","kind":"leaf","type":4,"default":["true"]},
 {"parent":4,"name":"big","module":"m","kind":"leaf","type":5},
 {"parent":4,"name":"kind","module":"m","kind":"leaf","type":7},
 {"parent":4,"name":"peer","module":"m","kind":"leaf","type":3},
 {"parent":4,"name":"tags","module":"x","kind":"leaf-list","type":10},
 {"parent":4,"name":"mixed","module":"m","kind":"leaf","type":8},
 {"parent":4,"name":"dec","module":"m","kind":"leaf","type":11},
 {"parent":4,"name":"flag","module":"m","kind":"leaf","type":12},
 {"parent":4,"name":"raw","module":"m","kind":"leaf","type":13},
 {"parent":4,"name":"tiny","module":"m","kind":"leaf","type":15},
 {"parent":2,"name":"state","module":"m","kind":"container","state":true},
 {"parent":17,"name":"status","module":"m","kind":"leaf","state":true,"type":6},
 {"parent":2,"name":"subs","module":"m","kind":"list","keys":["kind","id"]},
 {"parent":19,"name":"kind","module":"m","kind":"leaf","type":7},
 {"parent":19,"name":"id","module":"m","kind":"leaf","type":9},
 {"parent":19,"name":"note","module":"x","kind":"leaf","type":1},
 {"name":"pols","module":"m","kind":"container"},
 {"parent":23,"name":"pol","module":"m","kind":"list","keys":["name"],"user-ordered":true},
 {"parent":24,"name":"name","module":"m","kind":"leaf","type":14},
 {"parent":24,"name":"config","module":"m","kind":"container"},
 {"parent":26,"name":"name","module":"m","kind":"leaf","type":1},
 {"parent":26,"name":"use","module":"m","kind":"leaf-list","user-ordered":true,"type":14}
],
"deviated":["/ifs/if/aggregation"]
}`

func load(t testing.TB) *schema.Schema {
	t.Helper()
	s, err := schema.Parse([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func parse(t testing.TB, s *schema.Schema, doc string) *Tree {
	t.Helper()
	r, err := Parse(s, []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return r
}
