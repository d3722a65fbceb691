package gnmiserver

import (
	"fmt"
	"strings"
	"testing"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	epb "github.com/openconfig/gnmi/proto/gnmi_ext"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// bad is a Set that is refused.
type bad struct {
	name  string
	req   *gpb.SetRequest
	code  codes.Code
	words []string
}

func badUpdate(name, path, json string, code codes.Code, words ...string) bad {
	return bad{name, &gpb.SetRequest{Update: []*gpb.Update{update(path, json)}}, code, words}
}

func badValue(name, path string, v *gpb.TypedValue, code codes.Code, words ...string) bad {
	return bad{name, &gpb.SetRequest{Update: []*gpb.Update{{Path: pathOf(path), Val: v}}}, code, words}
}

func badReplace(name, path, json string, code codes.Code, words ...string) bad {
	return bad{name, &gpb.SetRequest{Replace: []*gpb.Update{update(path, json)}}, code, words}
}

func badDelete(name, path string, code codes.Code, words ...string) bad {
	return bad{name, &gpb.SetRequest{Delete: []*gpb.Path{pathOf(path)}}, code, words}
}

const (
	sub0   = eth1 + "/subinterfaces/subinterface[index=0]"
	sub7   = eth1 + "/subinterfaces/subinterface[index=7]"
	vrf    = "/network-instances/network-instance[name=red]"
	static = "/network-instances/network-instance[name=default]/protocols/protocol[identifier=STATIC][name=static]/static-routes"
	bgp    = "/network-instances/network-instance[name=default]/protocols/protocol[identifier=BGP][name=bgp]"
	route  = static + "/static[prefix=10.0.0.0/8]"
)

func strVal(s string) *gpb.TypedValue {
	return &gpb.TypedValue{Value: &gpb.TypedValue_StringVal{StringVal: s}}
}
func uintVal(n uint64) *gpb.TypedValue {
	return &gpb.TypedValue{Value: &gpb.TypedValue_UintVal{UintVal: n}}
}
func intVal(n int64) *gpb.TypedValue {
	return &gpb.TypedValue{Value: &gpb.TypedValue_IntVal{IntVal: n}}
}
func list(all ...*gpb.TypedValue) *gpb.TypedValue {
	return &gpb.TypedValue{Value: &gpb.TypedValue_LeaflistVal{LeaflistVal: &gpb.ScalarArray{Element: all}}}
}

const invalidArgument, notFound, unimplemented = codes.InvalidArgument, codes.NotFound, codes.Unimplemented

// badPaths are wrong before any value is looked at.
var badPaths = []bad{
	badUpdate("unknown at the top", "/interface", `{}`, notFound, "/interface"),
	badUpdate("unknown leaf", eth1+"/config/nmae", `"x"`, notFound, "config/nmae", "schema"),
	badUpdate("unknown below a leaf", eth1+"/config/mtu/x", `1`, notFound, "config/mtu/x"),
	badUpdate("deviated leaf", eth1+"/config/loopback-mode", `"FACILITY"`, notFound, "loopback-mode", "not supported"),
	badUpdate("deviated container", eth1+"/hold-time/config", `{"up": 1}`, notFound, "hold-time", "not supported"),
	badUpdate("wrong module", "/openconfig-system:interfaces", `{}`, notFound, "openconfig-system:interfaces"),
	badUpdate("key is missing", "/interfaces/interface/config/mtu", `1500`, invalidArgument, "key name is missing"),
	badUpdate("wildcard key", "/interfaces/interface[name=*]/config/mtu", `1500`, invalidArgument, "key name is missing"),
	badUpdate("wildcard name", eth1+"/*/mtu", `1500`, notFound, "*"),
	badUpdate("wildcard any", "/.../mtu", `1500`, notFound, "..."),
	badUpdate("one of two keys", "/network-instances/network-instance[name=default]/protocols/protocol[name=static]/config/name", `"static"`,
		invalidArgument, "key identifier is missing"),
	badUpdate("unknown key", "/interfaces/interface[id=eth1]/config/mtu", `1500`, invalidArgument, "no key id"),
	badUpdate("one key too many", "/interfaces/interface[name=eth1][id=1]/config/mtu", `1500`, invalidArgument, "no key id"),
	badUpdate("key of a container", "/interfaces[name=eth1]", `{}`, invalidArgument, "no keys"),
	badUpdate("key out of range", eth1+"/subinterfaces/subinterface[index=4294967296]/config/description", `"x"`, invalidArgument, "index"),
	badUpdate("key that is no number", eth1+"/subinterfaces/subinterface[index=one]/config/description", `"x"`, invalidArgument, "index"),
	badUpdate("key that is no prefix", static+"/static[prefix=10.0.0.0]/config", `{}`, invalidArgument, "prefix"),
	badUpdate("key that is no identity", "/network-instances/network-instance[name=default]/protocols/protocol[identifier=RIPNG][name=x]", `{}`, invalidArgument, "RIPNG"),
	badUpdate("state", eth1+"/state/mtu", `1500`, invalidArgument, "state"),
	badUpdate("list of state", "/system/alarms/alarm", `[]`, invalidArgument, "state"),
	badUpdate("container of state", eth1+"/state", `{}`, invalidArgument, "state"),
	badUpdate("counters", eth1+"/state/counters/in-octets", `"5"`, invalidArgument, "state"),
	badReplace("unknown path", "/nothing", `{}`, notFound, "/nothing"),
	badReplace("state", "/system/state", `{}`, invalidArgument, "state"),
	badDelete("unknown path", "/interfaces/nothing", notFound, "/interfaces/nothing"),
	badDelete("deviated", eth1+"/hold-time", notFound, "hold-time"),
	badDelete("state", eth1+"/state/mtu", invalidArgument, "state"),
	badDelete("a key", eth1+"/name", invalidArgument, "key"),
	badDelete("wildcard that takes nothing", "/interfaces/*/nothing", invalidArgument, "nothing"),
	badDelete("unknown key", "/interfaces/interface[x=y]", invalidArgument, "no key x"),
	{"origin cli", &gpb.SetRequest{Update: []*gpb.Update{{Path: &gpb.Path{Origin: "cli"}, Val: &gpb.TypedValue{Value: &gpb.TypedValue_AsciiVal{AsciiVal: "x"}}}}}, invalidArgument, []string{`"cli"`, "update[0].path"}},
	{"origin of a prefix", &gpb.SetRequest{Prefix: &gpb.Path{Origin: "native"}}, invalidArgument, []string{`"native"`}},
	{"two origins", &gpb.SetRequest{Prefix: &gpb.Path{Origin: "openconfig"}, Delete: []*gpb.Path{{Origin: "x"}}}, invalidArgument, []string{`"x"`}},
	{"target in a path", &gpb.SetRequest{Delete: []*gpb.Path{{Target: "x"}}}, invalidArgument, []string{"target"}},
	{"step without name", &gpb.SetRequest{Delete: []*gpb.Path{{Elem: []*gpb.PathElem{{}}}}}, invalidArgument, []string{"delete[0].path"}},
	{"deprecated steps", &gpb.SetRequest{Delete: []*gpb.Path{{Element: []string{"interfaces"}}}}, invalidArgument, []string{"deprecated"}},
	{"too deep", &gpb.SetRequest{Delete: []*gpb.Path{pathOf(strings.Repeat("/x", maxElems+1))}}, invalidArgument, []string{"64"}},
	{"long key", &gpb.SetRequest{Delete: []*gpb.Path{pathOf("/interfaces/interface[name=" + strings.Repeat("x", maxKeyBytes+1) + "]")}}, invalidArgument, []string{"4096"}},
}

// badValues do not go with the type of the node.
var badValues = []bad{
	{"no value", &gpb.SetRequest{Update: []*gpb.Update{{Path: pathOf(eth1 + "/config/mtu")}}}, invalidArgument, []string{"config/mtu", "no value"}},
	{"empty value", &gpb.SetRequest{Replace: []*gpb.Update{{Path: pathOf(eth1 + "/config/mtu"), Val: &gpb.TypedValue{}}}}, invalidArgument, []string{"config/mtu", "no value"}},
	//lint:ignore SA1019 it is refused
	{"deprecated value", &gpb.SetRequest{Update: []*gpb.Update{{Path: pathOf(eth1 + "/config/mtu"), Value: &gpb.Value{Value: []byte("1500")}}}}, invalidArgument, []string{"deprecated"}},
	badValue("string for a number", eth1+"/config/mtu", strVal("1500"), invalidArgument, "config/mtu", "string_val"),
	badValue("number for a string", eth1+"/config/description", uintVal(5), invalidArgument, "config/description", "uint_val"),
	badValue("string for a boolean", eth1+"/config/enabled", strVal("true"), invalidArgument, "config/enabled"),
	badValue("number for a boolean", eth1+"/config/enabled", intVal(1), invalidArgument, "config/enabled"),
	badValue("boolean for a number", eth1+"/config/mtu", &gpb.TypedValue{Value: &gpb.TypedValue_BoolVal{BoolVal: true}}, invalidArgument, "bool_val"),
	badValue("double for a number", eth1+"/config/mtu", &gpb.TypedValue{Value: &gpb.TypedValue_DoubleVal{DoubleVal: 1500}}, invalidArgument, "double_val"),
	badValue("bytes for a string", eth1+"/config/description", &gpb.TypedValue{Value: &gpb.TypedValue_BytesVal{BytesVal: []byte("x")}}, invalidArgument, "bytes_val"),
	badValue("list for a leaf", eth1+"/config/mtu", list(uintVal(1500)), invalidArgument, "leaflist_val"),
	badValue("leaf for a list", "/system/grpc-servers/grpc-server[name=DEFAULT]/config/listen-addresses", strVal("192.0.2.1"), invalidArgument, "leaflist_val"),
	badValue("list in a list", "/system/grpc-servers/grpc-server[name=DEFAULT]/config/listen-addresses", list(list(strVal("192.0.2.1"))), invalidArgument, "element 0"),
	badValue("wrong element", "/system/grpc-servers/grpc-server[name=DEFAULT]/config/listen-addresses", list(strVal("192.0.2.1"), uintVal(1)), invalidArgument, "element 1"),
	badValue("element twice", "/system/grpc-servers/grpc-server[name=DEFAULT]/config/listen-addresses", list(strVal("192.0.2.1"), strVal("192.0.2.1")), invalidArgument, "twice"),
	badValue("any", eth1+"/config/mtu", &gpb.TypedValue{Value: &gpb.TypedValue_AnyVal{AnyVal: &anypb.Any{}}}, unimplemented, "config/mtu"),
	badValue("proto bytes", eth1+"/config/mtu", &gpb.TypedValue{Value: &gpb.TypedValue_ProtoBytes{ProtoBytes: []byte{1}}}, unimplemented, "config/mtu"),
	badValue("scalar for a container", eth1+"/config", strVal("x"), invalidArgument, "container"),
	badValue("ASCII for a container", eth1+"/config", &gpb.TypedValue{Value: &gpb.TypedValue_AsciiVal{AsciiVal: "mtu 1500"}}, invalidArgument, "container"),
	badValue("scalar for the root", "/", strVal("x"), invalidArgument, "JSON"),
	badValue("ASCII that is no number", eth1+"/config/mtu", &gpb.TypedValue{Value: &gpb.TypedValue_AsciiVal{AsciiVal: "big"}}, invalidArgument, "big"),
	badValue("too big", eth1+"/config/mtu", uintVal(65536), invalidArgument, "65536", "0..65535"),
	badValue("negative", eth1+"/config/mtu", intVal(-1), invalidArgument, "-1"),
	badValue("out of its range", sub7+"/vlan/match/single-tagged/config/vlan-id", uintVal(4095), invalidArgument, "1..4094"),
	badValue("no such enumeration", sub0+"/config/urpf", strVal("SOMETIMES"), invalidArgument, "SOMETIMES"),
	badValue("no such identity", eth1+"/config/type", strVal("iana-if-type:tokenRing2"), invalidArgument, "tokenRing2"),
	badValue("identity of another module", eth1+"/config/type", strVal("openconfig-types:IPV4"), invalidArgument, "IPV4"),
	badValue("no UTF-8", eth1+"/config/description", &gpb.TypedValue{Value: &gpb.TypedValue_JsonIetfVal{JsonIetfVal: []byte("\"a\xff\"x")}}, invalidArgument, "description"),
	badValue("control character", eth1+"/config/description", strVal("a\x00b"), invalidArgument, "control"),
	badUpdate("no JSON", eth1+"/config", `{`, invalidArgument, "JSON"),
	badUpdate("empty JSON", eth1+"/config", ``, invalidArgument, "JSON"),
	badUpdate("two values", eth1+"/config/mtu", `1500 1501`, invalidArgument, "more after"),
	badUpdate("null", eth1+"/config/mtu", `null`, invalidArgument, "null"),
	badUpdate("quoted number", eth1+"/config/mtu", `"1500"`, invalidArgument, "config/mtu"),
	badUpdate("fraction", eth1+"/config/mtu", `1500.5`, invalidArgument, "config/mtu"),
	badUpdate("exponent", eth1+"/config/mtu", `1e3`, invalidArgument, "config/mtu"),
	badUpdate("quoted boolean", eth1+"/config/enabled", `"true"`, invalidArgument, "config/enabled"),
	badUpdate("object for a leaf", eth1+"/config/mtu", `{}`, invalidArgument, "object"),
	badUpdate("array for a leaf", eth1+"/config/mtu", `[1500]`, invalidArgument, "array"),
	badUpdate("array for a container", eth1+"/config", `[]`, invalidArgument, "no object"),
	badUpdate("leaf for a container", eth1+"/config", `5`, invalidArgument, "no object"),
	badUpdate("object for a list", "/interfaces", `{"interface": {}}`, invalidArgument, "no array"),
	badUpdate("list without its keys", "/interfaces/interface", `[{"name": "lo1", "config": {"type": "softwareLoopback"}}]`, invalidArgument, "key name is missing"),
	badReplace("list without its keys, replaced", "/interfaces/interface", `[]`, invalidArgument, "key name is missing"),
	badUpdate("array of numbers", "/interfaces", `{"interface": [1]}`, invalidArgument, "element 0"),
	badUpdate("entry without its key", "/interfaces", `{"interface": [{"config": {}}]}`, invalidArgument, "key name is missing"),
	badUpdate("entry twice", "/interfaces", `{"interface": [{"name": "a"}, {"name": "a"}]}`, invalidArgument, "twice"),
	badUpdate("entry with another key", eth1, `{"name": "eth2"}`, invalidArgument, "eth2"),
	badUpdate("key in config is another", eth1+"/config", `{"name": "eth2"}`, invalidArgument, "eth2", "not the key"),
	badUpdate("unknown member", eth1+"/config", `{"mtu": 1500, "speed": "x"}`, invalidArgument, "config/speed"),
	badUpdate("deviated member", eth1, `{"hold-time": {"config": {"up": 1}}}`, invalidArgument, "hold-time", "not supported"),
	badUpdate("member of another module", eth1, `{"openconfig-system:config": {}}`, invalidArgument, "openconfig-system"),
	badUpdate("state within", eth1, `{"config": {"mtu": 1400}, "state": {"mtu": 1400}}`, invalidArgument, "state"),
	badUpdate("metadata", eth1+"/config", `{"@mtu": {}}`, invalidArgument, "@mtu"),
	badUpdate("bad address", sub0+"/ipv4/addresses", `{"address": [{"ip": "192.0.2.256", "config": {"prefix-length": 24}}]}`, invalidArgument, "192.0.2.256"),
	badUpdate("bad length", sub0+"/ipv4/addresses", `{"address": [{"ip": "192.0.2.5", "config": {"prefix-length": 33}}]}`, invalidArgument, "33"),
	badUpdate("IPv6 among IPv4", sub0+"/ipv4/addresses", `{"address": [{"ip": "2001:db8::1", "config": {"prefix-length": 24}}]}`, invalidArgument, "2001:db8::1"),
}

// badMeanings are of the right types and cannot be done.
var badMeanings = []bad{
	badUpdate("reference to nothing", vrf+"/interfaces/interface[id=x]/config", `{"interface": "eth9"}`, invalidArgument, "eth9"),
	badDelete("what is referred to", "/interfaces/interface[name=eth1]", invalidArgument, "eth1"),
	badUpdate("address without length", sub0+"/ipv4/addresses/address[ip=192.0.2.77]/config", `{"ip": "192.0.2.77"}`, invalidArgument, "192.0.2.77"),
	badUpdate("overlapping addresses", "/interfaces/interface[name=eth2]/subinterfaces/subinterface[index=0]/ipv4/addresses/address[ip=192.0.2.200]/config",
		`{"prefix-length": 25}`, invalidArgument, "192.0.2.200"),
	badUpdate("same address again", "/interfaces/interface[name=eth2]/subinterfaces/subinterface[index=0]/ipv4/addresses/address[ip=192.0.2.1]/config",
		`{"prefix-length": 24}`, invalidArgument, "192.0.2.1"),
	badUpdate("port without device", "/interfaces/interface[name=eth5]/config", `{"type": "ethernetCsmacd"}`, invalidArgument, "eth5"),
	badUpdate("interface without type", "/interfaces/interface[name=eth5]/config", `{"name": "eth5"}`, invalidArgument, "eth5"),
	badUpdate("type that is not there", "/interfaces/interface[name=eth5]/config", `{"type": "tunnel"}`, invalidArgument, "eth5"),
	badUpdate("MTU too small", eth1+"/config/mtu", `10`, invalidArgument, "eth1"),
	badUpdate("subinterface without VLAN", eth1+"/subinterfaces/subinterface[index=9]/config", `{"description": "x"}`, invalidArgument, "index=9"),
	badUpdate("same VLAN twice", eth1+"/subinterfaces/subinterface[index=9]", `{"index": 9, "vlan": {"match": {"single-tagged": {"config": {"vlan-id": 7}}}}}`, invalidArgument, "7"),
	badUpdate("description of subinterface 0", sub0+"/config/description", `"x"`, invalidArgument, "description"),
	badUpdate("VLAN of subinterface 0", sub0+"/vlan/match/single-tagged/config/vlan-id", `9`, invalidArgument, "index=0"),
	badUpdate("VLAN on a loopback", "/interfaces/interface[name=lo0]/subinterfaces/subinterface[index=3]", `{"vlan": {"match": {"single-tagged": {"config": {"vlan-id": 3}}}}}`, invalidArgument, "lo0"),
	badUpdate("interface of two instances", "/network-instances/network-instance[name=blue]",
		`{"config": {"type": "L3VRF"}, "interfaces": {"interface": [{"id": "eth1.7", "config": {"interface": "eth1", "subinterface": 7}}]}}`, invalidArgument, "eth1.7"),
	badUpdate("type of an instance", vrf+"/config/type", `"L2VSI"`, invalidArgument, "red"),
	badUpdate("default is no VRF", "/network-instances/network-instance[name=default]/config/type", `"L3VRF"`, invalidArgument, "default"),
	badUpdate("host bits", static+"/static[prefix=10.1.2.3/8]", `{"next-hops": {"next-hop": [{"index": "0", "config": {"next-hop": "198.51.100.10"}}]}}`, invalidArgument, "10.1.2.3/8"),
	badUpdate("route without next hop", static+"/static[prefix=10.9.0.0/16]/config", `{"prefix": "10.9.0.0/16"}`, invalidArgument, "10.9.0.0/16"),
	badUpdate("next hop that is nothing", route+"/next-hops/next-hop[index=0]/config/next-hop", `"somewhere"`, invalidArgument, "somewhere"),
	badUpdate("two protocols STATIC", "/network-instances/network-instance[name=default]/protocols/protocol[identifier=STATIC][name=other]",
		`{"static-routes": {"static": [{"prefix": "10.9.0.0/16", "next-hops": {"next-hop": [{"index": "0", "config": {"next-hop": "198.51.100.10"}}]}}]}}`, invalidArgument, "STATIC"),
	badUpdate("protocol that is not there", "/network-instances/network-instance[name=default]/protocols/protocol[identifier=OSPF][name=o]/config/name", `"o"`, invalidArgument, "OSPF"),
	badUpdate("BGP without AS", bgp+"/bgp/global/config", `{"router-id": "203.0.113.1"}`, invalidArgument, "bgp"),
	badUpdate("neighbor without AS", bgp+"/bgp", `{"global": {"config": {"as": 65000, "router-id": "203.0.113.1"}}, "neighbors": {"neighbor": [{"neighbor-address": "192.0.2.10"}]}}`, invalidArgument, "192.0.2.10"),
	badUpdate("neighbor of no group", bgp+"/bgp", `{"global": {"config": {"as": 65000, "router-id": "203.0.113.1"}}, "neighbors": {"neighbor": [{"neighbor-address": "192.0.2.10", "config": {"peer-group": "none"}}]}}`, invalidArgument, "none"),
	badUpdate("policy that is not there", bgp+"/bgp", `{"global": {"config": {"as": 65000, "router-id": "203.0.113.1"}}, "neighbors": {"neighbor": [{"neighbor-address": "192.0.2.10", "config": {"peer-as": 65001}, "apply-policy": {"config": {"import-policy": ["none"]}}}]}}`, invalidArgument, "none"),
	badUpdate("hostname", "/system/config/hostname", `"not a name!"`, invalidArgument, "hostname"),
	badUpdate("listener without address", "/tcp-termination/listeners/listener[name=x]/config", `{"port": 80}`, invalidArgument, "x"),
	badUpdate("pool that is not there", "/tcp-termination/listeners/listener[name=x]", `{"config": {"address": ["192.0.2.1"], "port": 80, "service": "PROXY"}, "proxy": {"config": {"pool": "none"}}}`, invalidArgument, "none"),
	badDelete("an instance's interfaces", "/interfaces", invalidArgument, "eth1"),
	{"half of it is right", &gpb.SetRequest{Update: []*gpb.Update{update("/system/config/hostname", `"other"`), update(eth1+"/config/mtu", `10`)}}, invalidArgument, []string{"eth1"}},
	{"deleted and referred to", &gpb.SetRequest{Delete: []*gpb.Path{pathOf(sub7)}, Update: []*gpb.Update{update("/system/config/hostname", `"other"`)}}, invalidArgument, []string{"7"}},
}

// badExtensions ask for what there is not.
var badExtensions = []bad{
	{"depth", &gpb.SetRequest{Extension: depth(1)}, unimplemented, []string{"depth"}},
	{"history", &gpb.SetRequest{Extension: []*epb.Extension{{Ext: &epb.Extension_History{}}}}, unimplemented, []string{"history"}},
	{"unknown", &gpb.SetRequest{Extension: []*epb.Extension{{}}}, unimplemented, []string{"extension[0]"}},
	{"registered", &gpb.SetRequest{Extension: []*epb.Extension{{Ext: &epb.Extension_RegisteredExt{RegisteredExt: &epb.RegisteredExtension{}}}}}, unimplemented, []string{"registered"}},
	{"too long to roll back", &gpb.SetRequest{Extension: commitExt(&epb.Commit{Id: "x", Action: &epb.Commit_Commit{
		Commit: &epb.CommitRequest{RollbackDuration: durationpb.New(maxRollback + 1)}}})}, invalidArgument, []string{"rollback_duration"}},
	{"long id", &gpb.SetRequest{Extension: commitExt(&epb.Commit{Id: strings.Repeat("x", 256), Action: &epb.Commit_Confirm{}})}, invalidArgument, []string{"commit.id"}},
}

// A hundred kinds of wrong Sets leave the tree as it is, byte for byte, and name the place.
func TestBadSets(t *testing.T) {
	b := newBed(t, bedOptions{})
	b.replaceAll(routerDocument)
	before, runs := b.document(), b.applier.runs
	count := 0
	for _, list := range [][]bad{badPaths, badValues, badMeanings, badExtensions} {
		for _, c := range list {
			count++
			t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
				_, err := b.client.Set(b.ctx, c.req)
				wantError(t, err, c.code, c.words...)
				if err == nil || b.document() != before {
					t.Errorf("the tree is now %s", b.document())
					b.replaceAll(before)
					runs = b.applier.runs
				}
			})
		}
	}
	if b.applier.runs != runs {
		t.Errorf("the system was touched %d times", b.applier.runs-runs)
	}
	if count < 100 {
		t.Errorf("only %d kinds", count)
	}
	t.Logf("%d kinds", count)
}

// An error about many places fits into the trailer of a call.
func TestManyFaults(t *testing.T) {
	b := newBed(t, bedOptions{})
	var all []string
	for i := range 300 {
		all = append(all, fmt.Sprintf(`{"name": "%s%d", "config": {"mtu": 99999}}`, strings.Repeat("é", 60), i))
	}
	_, err := b.client.Set(b.ctx, &gpb.SetRequest{Update: []*gpb.Update{update("/interfaces", `{"interface": [`+strings.Join(all, ",")+`]}`)}})
	wantError(t, err, codes.InvalidArgument, "99999", "more")
	if n := proto.Size(status.Convert(err).Proto()); n > 6000 {
		t.Errorf("the status has %d bytes", n)
	}
	if len(violations(err)) < 3 {
		t.Errorf("details name %v", violations(err))
	}
}
