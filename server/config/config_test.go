package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestTestdataParsesAndRoundTrips(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		c, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		y, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(y)
		if err != nil {
			t.Fatalf("%s does not read back: %v\n%s", file, err, y)
		}
		if !reflect.DeepEqual(c, again) {
			t.Errorf("%s: not the same after YAML:\n%s", file, y)
		}
		j, err := c.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if again, err = Parse(j); err != nil || !reflect.DeepEqual(c, again) {
			t.Errorf("%s: not the same after JSON: %v\n%s", file, err, j)
		}
		if n := c.Clone(); !reflect.DeepEqual(c, n) {
			t.Errorf("%s: the clone differs", file)
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	c, err := Load("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n := c.Clone()
	n.Interfaces[0].Addresses[0] = n.Interfaces[0].Addresses[1]
	*n.Interfaces[0].RouterAdvertisements.RouterLifetime = 1
	n.NetworkInstances[0].BGP.Neighbors[0].PeerGroup = "x"
	n.NetworkInstances[0].BGP.PeerGroups[0].Families[0].PrefixLimit = 1
	if again, _ := Load("testdata/full.yaml"); !reflect.DeepEqual(c, again) {
		t.Error("the original changed with its clone")
	}
}

func TestResolve(t *testing.T) {
	c, err := Load("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	b := c.NetworkInstances[0].BGP
	if o := b.Resolve(b.Neighbors[0]); o.RemoteAS != 65010 || o.Password != "secret" || len(o.Families) != 2 {
		t.Errorf("%+v", o)
	}
	if id := c.RouterID("default").String(); id != "198.51.100.1" {
		t.Errorf("router id %s", id)
	}
}

// Each case changes one text of a good file and expects exactly these errors.
func TestFaults(t *testing.T) {
	full, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct{ old, new, want string }{
		{"hostname: millrace1", "hostnam: x", `system.hostnam: unknown field`},
		{"log-level: info", "log-level: loud", `system.log-level: loud is none of debug, info, warn, error`},
		{"log-level: info", "log_level: info", `system.log_level: unknown field, did you mean "log-level"?`},
		{"workers: 2", "workers: 0.5", `system.dataplane.workers: 0.5 is not a whole number from 0 to 4294967295`},
		{"workers: 2", "workers: 3", `system.dataplane.cpus: 3 CPUs for 3 workers and the control thread: give 4`},
		{"cpus: [0, 1, 2]", "cpus: [0, 1, 1]", `system.dataplane.cpus[2]: 1 is there twice`},
		{"127.0.0.1:9273", "127.0.0.1", `system.metrics-listen: 127.0.0.1 is not host:port`},
		{"exception-netns: millrace", "exception-netns: ../x", `system.dataplane.exception-netns: ../x is not a name of a network namespace`},
		{"addresses: [192.0.2.1/24, ", "addresses: [192.0.2.300/24, ", `interfaces[eth1].addresses[0]: 192.0.2.300/24 is not an address with a prefix length
`},
		{"addresses: [192.0.2.1/24, ", "addresses: [192.0.2.255/24, ", `interfaces[eth1].addresses[0]: 192.0.2.255/24 is the broadcast address of its network`},
		{"addresses: [192.0.2.1/24, ", "addresses: [192.0.2.0/24, ", `interfaces[eth1].addresses[0]: 192.0.2.0/24 is the address of the network, not of a host`},
		{"addresses: [192.0.2.1/24, ", "addresses: [192.0.2.1/24, 192.0.2.1/25, ", `interfaces[eth1].addresses[1]: 192.0.2.1 is there twice`},
		{"addresses: [203.0.113.1/31]", "addresses: [203.0.113.1/31, 198.51.100.1/24]", `interfaces[lo0].addresses[0]: 198.51.100.1 is also the address of interface eth2.200 in network instance default`},
		{"addresses: [203.0.113.1/31]", "addresses: [203.0.113.1/31, 192.0.3.1/23]", `interfaces[eth1].addresses[0]: 192.0.2.0/24 overlaps 192.0.2.0/23 of interface eth2.200 in network instance default`},
		{"name: eth2.100", "name: eth2-that-is-far-too-long", `interfaces[eth2-that-is-far-too-long]: the name is not 1 to 15 characters of [A-Za-z0-9._-], or is one of . .. lo all default`},
		{"name: eth2.200", "name: eth2.100", `interfaces[eth2.100]: is there twice`},
		{"vlan-id: 200", "vlan-id: 100", `interfaces[eth2.200].vlan-id: 100 is taken on eth2 by interface eth2.100`},
		{"name: eth2.200", "name: eth2-200", `interfaces[eth2-200].name: is not the parent's name, a point and an index, such as eth2.200`},
		{"name: eth2.200", "name: eth2.0", `interfaces[eth2.0].name: is not the parent's name, a point and an index, such as eth2.200`},
		{"name: eth2.200", "name: eth2.0200", `interfaces[eth2.0200].name: is not the parent's name, a point and an index, such as eth2.200`},
		{"vlan-id: 200", "vlan-id: 4095", `interfaces[eth2.200].vlan-id: 4095 is not from 1 to 4094`},
		{"vlan-id: 200", "vlan-id: 200\n    mtu: 9000\n    mac: \"02:00:00:00:00:01\"", `interfaces[eth2.200].mac: does not belong to a vlan interface`},
		{"    mtu: 9000", "    mtu: 9001", `interfaces[eth2].mtu: 9001 is not from 68 to 9000`},
		{"mtu: 1500", "mtu: 1000", `interfaces[eth1].mtu: 1000 is less than the 1280 that IPv6 needs (RFC 8200 section 5)`},
		{"network-instance: red", "network-instance: blue", `interfaces[eth2.100].network-instance: there is no network instance blue`},
		{`mac: "02:00:00:00:00:02"`, `mac: "01:00:00:00:00:02"`, `interfaces[eth2].mac: 01:00:00:00:00:02 is a group address`},
		{`mac: "02:00:00:00:00:02"`, `mac: "02:00:00:00:02"`, `interfaces[eth2].mac: 02:00:00:00:02 is not a MAC address such as 02:00:00:00:00:01`},
		{`device: "0000:00:06.0"`, `device: "0000:00:06.0"` + "\n    iface: x", `interfaces[eth2]: device and iface exclude each other`},
		{`device: "0000:00:06.0"`, `iface: ens5`, `interfaces[eth2]: uses the device of interface eth1`},
		{"192.0.2.77, mac", "192.0.3.77, mac", `interfaces[eth1].neighbors[192.0.3.77].address: 192.0.3.77 is in no network of the interface`},
		{"router-lifetime: 90", "router-lifetime: 20", `interfaces[eth1].router-advertisements.router-lifetime: 20 is neither 0 nor from 30 (max-interval) to 9000`},
		{"prefix: 10.0.0.0/8", "prefix: 10.0.0.1/8", `network-instances[default].static-routes[10.0.0.1/8].prefix: 10.0.0.1/8 has bits set past its length: 10.0.0.0/8?`},
		{"action: blackhole", "action: blackhole\n        next-hops: [{interface: eth1}]", `network-instances[default].static-routes[10.0.0.0/8].next-hops: do not go with action blackhole`},
		{`address: "fe80::1", interface: eth1}]`, `address: "fe80::1"}]`, `network-instances[default].static-routes[2001:db8:ff::/48].next-hops[0].interface: is missing: fe80::1 is a link-local address`},
		{`address: "fe80::1", interface: eth1}]`, `address: 192.0.2.9}]`, `network-instances[default].static-routes[2001:db8:ff::/48].next-hops[0].address: 192.0.2.9 is an IPv4 next hop of an IPv6 route`},
		{"192.0.2.253, interface: eth1", "192.0.2.253, interface: eth2.100", `network-instances[default].static-routes[0.0.0.0/0].next-hops[1].interface: eth2.100 is in network instance red, not default`},
		{"192.0.2.253, interface: eth1", "192.0.2.1, interface: eth1", `network-instances[default].static-routes[0.0.0.0/0].next-hops[1].address: 192.0.2.1 is our own address on interface eth1`},
		{"weight: 3", "weight: 256", `network-instances[default].static-routes[0.0.0.0/0].next-hops[0].weight: 256 is not a whole number from 0 to 255`},
		{"ipv4-routes: 1000\n", "bgp: {asn: 65001}\n", `network-instances[red].bgp: BGP runs in the default instance only`},
		{"asn: 65001", "asn: 23456", `network-instances[default].bgp.asn: 23456 is a reserved AS number
network-instances[default].bgp.neighbors[203.0.113.0].route-reflector-client: is for iBGP peers; this one is in AS 65001`},
		{"peer-group: transit\n        - address", "peer-group: transi\n        - address", `network-instances[default].bgp.neighbors[192.0.2.254].peer-group: there is no peer group transi
network-instances[default].bgp.neighbors[192.0.2.254].remote-as: is missing`},
		{"remote-as: 65012", "hold-time: 30", `network-instances[default].bgp.dynamic-neighbors[192.0.2.128/26].peer-group: the group has no remote-as, which is that of dynamic neighbours`},
		{"remote-as: 65012", "remote-as: 65012\n          allow-own-as: 1\n          families: [{name: ipv4-unicast, prefix-limit: 5}]",
			`network-instances[default].bgp.dynamic-neighbors[192.0.2.128/26].peer-group: the group has allow-own-as, which dynamic neighbours cannot have
network-instances[default].bgp.dynamic-neighbors[192.0.2.128/26].peer-group: the group has prefix limits, which dynamic neighbours cannot have`},
		{"ttl-security: 1", "ttl-security: 1\n          multihop: 3", `network-instances[default].bgp.neighbors[192.0.2.254].ttl-security: excludes multihop: its number of hops is given here`},
		{"hold-time: 9", "hold-time: 2", `network-instances[default].bgp.neighbors[fe80::1].hold-time: 2 is not from 3 to 65535
network-instances[default].bgp.neighbors[fe80::1].keepalive: 3 is not less than the hold time of 2`},
		{"hold-time: 9", "route-reflector-client: true", `network-instances[default].bgp.neighbors[fe80::1].route-reflector-client: is for iBGP peers; this one is in AS 65011`},
		{"import-policies: [from-transit]", "import-policies: [nope]", `network-instances[default].bgp.neighbors[192.0.2.254].import-policies[0]: there is no policy nope
network-instances[default].bgp.peer-groups[transit].import-policies[0]: there is no policy nope`},
		{"- name: ipv6-unicast", "- name: ipv6-multicast", `network-instances[default].bgp.peer-groups[transit].families[ipv6-multicast].name: ipv6-multicast is none of ipv4-unicast, ipv6-unicast`},
		{"patterns: [_64999_]", `patterns: ["(64999"]`, "routing-policy.as-path-sets[through-64999].patterns[0]: (64999 is not a regular expression: missing closing ): `(64999`"},
		{`"65010:666", no`, `"65010:66666", no`, `routing-policy.community-sets[backup].communities[0]: 65010:66666 is not a community`},
		{"max: 32}", "max: 33}", `routing-policy.prefix-sets[ours].prefixes[198.51.100.0/24]: lengths from 24 to 33 are not between 24 and 32`},
		{"{prefix-set: ours}", "{prefix-set: theirs}", `routing-policy.policies[from-transit].statements[own].match.prefix-set: there is no prefix set theirs`},
		{"result: reject", "result: refuse", `routing-policy.policies[from-transit].statements[own].actions.result: refuse is none of accept, reject, next`},
		{"neighbor-limit: 8192", "neighbor-limit: 100000", `settings.neighbor-limit: 100000 is not from 1 to 65536`},
		{"hostname: millrace1\n", "hostname: [a]\n", "system.hostname: a list is not text"},
		{"settings:\n", "settings: 5\nx:\n", "settings: 5 is not a set of fields\nx: unknown field"},
		{"hostname: millrace1\n", "pki-directory: pki\n", "system.pki-directory: pki is not an absolute path"},
		{"description: to the transit", "description: 7", ""},
		{"urpf: strict", "urpf: off", ""},
		{"ipv4-routes: 1000000", "ipv4-routes: 1e6", ""},
	}
	for _, c := range cases {
		if strings.Count(string(full), c.old) < 1 {
			t.Errorf("%q is not in the file", c.old)
			continue
		}
		_, err := Parse([]byte(strings.Replace(string(full), c.old, c.new, 1)))
		got := ""
		if err != nil {
			got = err.Error()
			var es Errors
			if !errors.As(err, &es) {
				t.Errorf("%q: %T is not Errors", c.new, err)
			}
		}
		want := strings.TrimSuffix(c.want, "\n")
		if !sameLines(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", c.new, got, want)
		}
	}
}

func sameLines(a, b string) bool {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	set := map[string]bool{}
	for _, s := range x {
		set[s] = true
	}
	for _, s := range y {
		if !set[s] {
			return false
		}
	}
	return len(x) == len(y)
}

func TestNotAFile(t *testing.T) {
	for in, want := range map[string]string{
		"a: [":               "configuration is not YAML",
		"a: 1\na: 2":         "configuration is not YAML",
		"- x":                ": a list is not a set of fields",
		"interfaces: [null]": "interfaces[0]: is empty",
	} {
		_, err := Parse([]byte(in))
		if err == nil || !strings.Contains(": "+err.Error(), want) {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
	if c, err := Parse(nil); err != nil || c == nil {
		t.Errorf("empty file: %v", err)
	}
}

func TestSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	c, err := Load("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st.Mode(), err)
	}
	if again, err := Load(path); err != nil || !reflect.DeepEqual(c, again) {
		t.Error("not the same after Save", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"testdata/full.yaml", "testdata/minimal.yaml"} {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"interfaces":[{"name":"a","type":"vlan","addresses":["::1/0",null]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		c, err := Parse(b)
		if err != nil {
			return
		}
		// What is accepted can be written, and means the same when it is read again.
		y, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(y)
		if err != nil {
			t.Fatalf("does not read back: %v\n%s", err, y)
		}
		z, err := again.YAML()
		if err != nil || string(y) != string(z) {
			t.Fatalf("not stable: %v\n%s\n%s", err, y, z)
		}
	})
}

// The reference in docs names every field.
func TestDocsAreComplete(t *testing.T) {
	b, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || !ours(typ) || seen[typ] {
			return
		}
		seen[typ] = true
		for _, l := range leaves(typ) {
			text := string(b)
			if !strings.Contains(text, "`"+l.name) && !strings.Contains(text, "."+l.name+"`") {
				t.Errorf("docs/config.md does not name %s of %s", l.name, typ.Name())
			}
			walk(typ.FieldByIndex(l.index).Type)
		}
	}
	walk(reflect.TypeFor[Config]())
}
