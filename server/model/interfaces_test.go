package model

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"millrace/server/config"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// boxSections are the sections of this file's tests: interfaces, system and data plane.
func boxSections() []section {
	return []section{interfacesSection(), systemSection(), dataplaneSection()}
}

func testSchema(t testing.TB) *schema.Schema {
	t.Helper()
	s, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// readBox reads a tree by boxSections.
func readBox(tr *tree.Tree) (*config.Config, error) {
	x := &reader{Root: tr.Root(), C: new(config.Config), memo: map[string]remembered{}}
	for _, s := range boxSections() {
		s.read(x)
	}
	return x.C, x.errs.Err()
}

// writeBox makes a tree by boxSections.
func writeBox(t testing.TB, s *schema.Schema, c *config.Config, hint *tree.Tree) *tree.Tree {
	t.Helper()
	w := &writer{C: c, e: tree.New(s).Edit()}
	if hint != nil {
		w.Hint = hint.Root()
	}
	for _, sec := range boxSections() {
		sec.write(w)
	}
	if err := w.errs.Err(); err != nil {
		t.Fatal(err)
	}
	tr, err := w.e.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// plant makes a tree of lines "path value".
func plant(t testing.TB, s *schema.Schema, lines string) *tree.Tree {
	t.Helper()
	e := tree.New(s).Edit()
	for line := range strings.Lines(lines) {
		path, val, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		p, err := tree.ParsePath(path)
		if err == nil {
			err = e.SetText(p, val)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	tr, err := e.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func lines(tr *tree.Tree) string {
	var b strings.Builder
	tr.Root().Walk(nil, func(p tree.Path, n *tree.Node) bool {
		if !n.Schema().IsKey() {
			fmt.Fprintf(&b, "%s %s\n", p, n.Value().Text())
		}
		return true
	})
	return b.String()
}

const eth1 = "/interfaces/interface[name=eth1]"
const sub0 = eth1 + "/subinterfaces/subinterface[index=0]"
const sub7 = eth1 + "/subinterfaces/subinterface[index=7]"
const port = eth1 + "/config/type ethernetCsmacd\n" + eth1 + "/port/config/iface tap1\n"

func on(b bool) *bool { return &b }

// Each case is what a tree says and what that means, from the leaf to the field.
func TestReadInterfaces(t *testing.T) {
	s := testSchema(t)
	base := config.Interface{Name: "eth1", Type: config.Port, Iface: "tap1"}
	vlan := config.Interface{Name: "eth1.7", Type: config.VLAN, Parent: "eth1", VLANID: 70}
	lifetime := uint32(0)
	cases := []struct {
		name, tree string
		want       func(f, v *config.Interface)
	}{
		{"port", "", nil},
		{"description", eth1 + "/config/description to the transit", func(f, _ *config.Interface) { f.Description = "to the transit" }},
		{"disabled", eth1 + "/config/enabled false", func(f, _ *config.Interface) { f.Enabled = on(false) }},
		{"enabled", eth1 + "/config/enabled true", func(f, _ *config.Interface) { f.Enabled = on(true) }},
		{"mtu with the header", eth1 + "/config/mtu 1514", func(f, _ *config.Interface) { f.MTU = 1500 }},
		{"mac", eth1 + "/ethernet/config/mac-address 02:00:00:00:00:AA", func(f, _ *config.Interface) { f.MAC = config.MAC{2, 0, 0, 0, 0, 0xaa} }},
		{"driver", eth1 + "/port/config/driver AF_XDP", func(f, _ *config.Interface) { f.Driver = "af_xdp" }},
		{"queues", eth1 + "/port/config/rx-queues 2\n" + eth1 + "/port/config/tx-queues 3\n" + eth1 + "/port/config/rx-descriptors 64\n" + eth1 +
			"/port/config/tx-descriptors 128", func(f, _ *config.Interface) {
			f.RxQueues, f.TxQueues, f.RxDescriptors, f.TxDescriptors = 2, 3, 64, 128
		}},
		{"promiscuous", eth1 + "/port/config/promiscuous true", func(f, _ *config.Interface) { f.Promiscuous = true }},
		{"urpf", sub0 + "/config/urpf STRICT", func(f, _ *config.Interface) { f.URPF = "strict" }},
		{"subinterface 0", sub0 + "/config/enabled true\n" + sub0 + "/ipv4/config/enabled true\n" + sub0 + "/ipv6/config/enabled true", nil},
		{"addresses", sub0 + "/ipv4/addresses/address[ip=192.0.2.1]/config/prefix-length 24\n" + sub0 +
			"/ipv6/addresses/address[ip=2001:DB8::1]/config/prefix-length 64", func(f, _ *config.Interface) {
			f.Addresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")}
		}},
		{"neighbours", sub0 + "/ipv4/neighbors/neighbor[ip=192.0.2.9]/config/link-layer-address 02:00:00:00:00:09\n" + sub0 +
			"/ipv6/neighbors/neighbor[ip=fe80::9]/config/link-layer-address 02:00:00:00:00:09", func(f, _ *config.Interface) {
			mac := config.MAC{2, 0, 0, 0, 0, 9}
			f.Neighbors = []config.StaticNbr{{Address: netip.MustParseAddr("192.0.2.9"), MAC: mac}, {Address: netip.MustParseAddr("fe80::9"), MAC: mac}}
		}},
		{"router advertisements", sub0 + "/ipv6/router-advertisement/config/enable true", func(f, _ *config.Interface) {
			f.RouterAdvertisements = &config.RouterAdvertisements{}
		}},
		{"router advertisements without enable", sub0 + "/ipv6/router-advertisement/config/interval 30\n" + sub0 +
			"/ipv6/router-advertisement/config/lifetime 0", func(f, _ *config.Interface) {
			f.RouterAdvertisements = &config.RouterAdvertisements{MaxInterval: 30, RouterLifetime: &lifetime}
		}},
		{"router advertisements not sent", sub0 + "/ipv6/router-advertisement/config/enable false\n" + sub0 +
			"/ipv6/router-advertisement/config/managed true", func(f, _ *config.Interface) {
			f.RouterAdvertisements = &config.RouterAdvertisements{Enabled: on(false), Managed: true}
		}},
		{"all of router advertisements", strings.ReplaceAll("R/min-interval 4\nR/other-config true\nR/valid-lifetime 10\n"+
			"R/preferred-lifetime 9\nR/suppress-prefixes true\nR/send-mtu true", "R", sub0+"/ipv6/router-advertisement/config"),
			func(f, _ *config.Interface) {
				f.RouterAdvertisements = &config.RouterAdvertisements{
					MinInterval: 4, OtherConfig: true, ValidLifetime: 10, PreferredLifetime: 9, SuppressPrefixes: true, SendMTU: true,
				}
			}},
		{"vlan", sub7 + "/vlan/match/single-tagged/config/vlan-id 70\n" + sub7 + "/config/description x\n" + sub7 + "/config/enabled false\n" + sub7 +
			"/config/mtu 1400\n" + sub7 + "/config/urpf LOOSE\n" + sub7 + "/ipv4/addresses/address[ip=192.0.2.1]/config/prefix-length 24",
			func(_, v *config.Interface) {
				*v = vlan
				v.Description, v.Enabled, v.MTU, v.URPF = "x", on(false), 1400, "loose"
				v.Addresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}
			}},
	}
	for _, c := range cases {
		got, err := readBox(plant(t, s, port+c.tree))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		f, v := base, config.Interface{}
		if c.want != nil {
			c.want(&f, &v)
		}
		want := []config.Interface{f}
		if v.Name != "" {
			want = append(want, v)
		}
		if !reflect.DeepEqual(got.Interfaces, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, got.Interfaces, want)
		}
	}
}

// Each tree is refused at one path.
func TestRefusedInterfaces(t *testing.T) {
	s := testSchema(t)
	for _, c := range []struct{ tree, want string }{
		{eth1 + "/config/description x", eth1 + "/config/type: is missing: ethernetCsmacd or softwareLoopback"},
		{port + eth1 + "/config/type l3ipvlan", eth1 + "/config/type: l3ipvlan is neither ethernetCsmacd nor softwareLoopback"},
		{port + eth1 + "/config/mtu 81", eth1 + "/config/mtu: 81 is not from 82 to 9014 (the IP packet and a link header of 14)"},
		{port + eth1 + "/config/mtu 9015", eth1 + "/config/mtu: 9015 is not from 82 to 9014 (the IP packet and a link header of 14)"},
		{port + sub0 + "/config/enabled false", sub0 + "/config/enabled: subinterface 0 is the interface itself: disable that"},
		{port + sub0 + "/config/description x", sub0 + "/config/description: subinterface 0 is the interface itself and has none of its own"},
		{port + sub0 + "/config/mtu 1400", sub0 + "/config/mtu: subinterface 0 is the interface itself and has none of its own"},
		{port + sub0 + "/vlan/match/single-tagged/config/vlan-id 7", sub0 +
			"/vlan/match/single-tagged/config/vlan-id: subinterface 0 is the interface itself and has none of its own"},
		{port + sub7 + "/config/description x", sub7 + "/vlan/match/single-tagged/config/vlan-id: is missing: only subinterface 0 has no tag"},
		{port + sub0 + "/ipv4/config/enabled false", sub0 +
			"/ipv4/config/enabled: cannot be false: an interface without addresses of the family takes no packets for itself"},
		{port + sub0 + "/ipv4/addresses/address[ip=192.0.2.1]/config/ip 192.0.2.1", sub0 +
			"/ipv4/addresses/address[ip=192.0.2.1]/config/prefix-length: is missing"},
		{port + sub0 + "/ipv4/neighbors/neighbor[ip=192.0.2.1]/config/ip 192.0.2.1", sub0 +
			"/ipv4/neighbors/neighbor[ip=192.0.2.1]/config/link-layer-address: is missing"},
		{port + sub0 + "/ipv4/neighbors/neighbor[ip=192.0.2.1]/config/link-layer-address 02:00", sub0 +
			"/ipv4/neighbors/neighbor[ip=192.0.2.1]/config/link-layer-address: 02:00 is not a MAC address such as 02:00:00:00:00:01"},
		{port + sub0 + "/ipv6/router-advertisement/config/interval 0", sub0 + "/ipv6/router-advertisement/config/interval: 0 is no interval"},
		{"/system/grpc-servers/grpc-server[name=a]/config/port 1\n/system/grpc-servers/grpc-server[name=b]/config/port 2",
			"/system/grpc-servers/grpc-server[name=b]: there can be only one gRPC server"},
		{"/system/logging/console/selectors/selector[facility=ALL][severity=ALERT]/config/severity ALERT",
			"/system/logging/console/selectors/selector[facility=ALL][severity=ALERT]/config/severity: ALERT is none of DEBUG, INFORMATIONAL, WARNING, ERROR"},
		{"/system/logging/console/selectors/selector[facility=KERNEL][severity=ERROR]/config/severity ERROR",
			"/system/logging/console/selectors/selector[facility=KERNEL][severity=ERROR]/config/facility: KERNEL is not told apart: only ALL"},
	} {
		_, err := readBox(plant(t, s, c.tree))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.tree, err, c.want)
		}
	}
}

// Rules between fields are config's; its paths are found in the tree.
func TestLocateBox(t *testing.T) {
	s := testSchema(t)
	c, err := config.Load("../config/testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	hint := plant(t, s, "/interfaces/interface[name=eth1]/subinterfaces/subinterface[index=0]/ipv6/addresses/address[ip=2001:DB8:1::1]/config/prefix-length 64")
	l := &locator{C: c, Tree: hint.Root(), s: s}
	vlan := "/interfaces/interface[name=eth2]/subinterfaces/subinterface[index=200]"
	for path, want := range map[string]string{
		"interfaces":                                          "/interfaces",
		"interfaces[eth1]":                                    eth1,
		"interfaces[0].name":                                  eth1,
		"interfaces[eth1].mtu":                                eth1 + "/config/mtu",
		"interfaces[eth1].mac":                                eth1 + "/ethernet/config/mac-address",
		"interfaces[eth1].device":                             eth1 + "/port/config/devargs",
		"interfaces[eth1].rx-queues":                          eth1 + "/port/config/rx-queues",
		"interfaces[eth1].urpf":                               sub0 + "/config/urpf",
		"interfaces[eth1].addresses[0]":                       sub0 + "/ipv4/addresses/address[ip=192.0.2.1]",
		"interfaces[eth1].addresses[1]":                       sub0 + "/ipv6/addresses/address[ip=2001:DB8:1::1]",
		"interfaces[eth1].neighbors[fe80::7].mac":             sub0 + "/ipv6/neighbors/neighbor[ip=fe80::7]/config/link-layer-address",
		"interfaces[eth1].router-advertisements":              sub0 + "/ipv6/router-advertisement/config",
		"interfaces[eth1].router-advertisements.max-interval": sub0 + "/ipv6/router-advertisement/config/interval",
		"interfaces[eth1].router-advertisements.min-interval": sub0 + "/ipv6/router-advertisement/config/min-interval",
		"interfaces[eth2.200].vlan-id":                        vlan + "/vlan/match/single-tagged/config/vlan-id",
		"interfaces[eth2.200].mtu":                            vlan + "/config/mtu",
		"interfaces[eth2.200].parent":                         vlan,
		"interfaces[eth2.100].network-instance":               "/network-instances/network-instance[name=red]/interfaces/interface[id=eth2.100]",
		"system.hostname":                                     "/system/config/hostname",
		"system.grpc-listen":                                  "/system/grpc-servers/grpc-server[name=DEFAULT]",
		"system.metrics-listen":                               "/system/service/config/metrics-listen",
		"system.dataplane.cpus[1]":                            "/dataplane/config/cpus",
		"system.dataplane.groups":                             "/dataplane/config/next-hop-groups",
		"settings.punt-rate":                                  "/dataplane/settings/config/punt-rate",
	} {
		steps := parseSteps(path)
		for _, sec := range boxSections() {
			if slices.Contains(sec.names, steps[0].Name) {
				if got := sec.locate(l, steps).String(); got != want || len(l.fit(sec.locate(l, steps))) != len(sec.locate(l, steps)) {
					t.Errorf("%s: %s, want %s", path, got, want)
				}
			}
		}
	}
}

func TestSystemRoundTrip(t *testing.T) {
	s := testSchema(t)
	for _, c := range []struct{ listen, tree, back string }{
		{"[::]:9339", "enable true|port 9339|listen-addresses ANY", "[::]:9339"},
		{":1", "enable true|port 1|listen-addresses ANY", "[::]:1"},
		{"0.0.0.0:5", "enable true|port 5|listen-addresses 0.0.0.0", "0.0.0.0:5"},
		{"[2001:db8::1]:5", "enable true|port 5|listen-addresses 2001:db8::1", "[2001:db8::1]:5"},
		{"localhost:5", "enable true|port 5|listen-addresses 127.0.0.1", "127.0.0.1:5"},
		{"none", "enable false", "none"},
	} {
		tr := writeBox(t, s, &config.Config{System: config.System{GRPCListen: c.listen}}, nil)
		n := tr.Root().At("system/grpc-servers/grpc-server").Entry("DEFAULT")
		for want := range strings.SplitSeq(c.tree, "|") {
			leaf, val, _ := strings.Cut(want, " ")
			if got := n.At("config/" + leaf).Value().Text(); got != val {
				t.Errorf("%s: %s is %q, want %q", c.listen, leaf, got, val)
			}
		}
		back, err := readBox(tr)
		if err != nil || back.System.GRPCListen != c.back {
			t.Errorf("%s: back %q, %v", c.listen, back.System.GRPCListen, err)
		}
	}
	hint := plant(t, s, "/system/grpc-servers/grpc-server[name=mgmt]/config/port 5")
	tr := writeBox(t, s, &config.Config{System: config.System{GRPCListen: "none"}}, hint)
	if got := lines(tr); !strings.Contains(got, "grpc-server[name=mgmt]/config/enable false") {
		t.Errorf("the server's name is not kept: %s", got)
	}
}

// Random configurations come back from the tree as they were.
func TestBoxRoundTrip(t *testing.T) {
	s := testSchema(t)
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 4))
		c := randomBox(r)
		tr := writeBox(t, s, c, nil)
		got, err := readBox(tr)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, lines(tr))
		}
		sortBox(c)
		sortBox(got)
		if !reflect.DeepEqual(got, c) {
			t.Fatalf("seed %d:\n got %+v\nwant %+v\n%s", seed, got, c, lines(tr))
		}
		if again := writeBox(t, s, got, tr); lines(again) != lines(tr) {
			t.Fatalf("seed %d: written again, the tree differs", seed)
		}
	}
}

func sortBox(c *config.Config) {
	slices.SortFunc(c.Interfaces, func(a, b config.Interface) int { return strings.Compare(a.Name, b.Name) })
	for i := range c.Interfaces {
		f := &c.Interfaces[i]
		slices.SortFunc(f.Addresses, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
		slices.SortFunc(f.Neighbors, func(a, b config.StaticNbr) int { return a.Address.Compare(b.Address) })
	}
}

func randomBox(r *rand.Rand) *config.Config {
	c := &config.Config{}
	maybe := func(n uint32) uint32 {
		if r.IntN(2) == 0 {
			return 0
		}
		return n
	}
	boolean := func() *bool {
		if r.IntN(3) == 0 {
			return nil
		}
		return on(r.IntN(2) == 0)
	}
	common := func(f *config.Interface, n byte) {
		f.Enabled, f.URPF = boolean(), []config.URPF{"", "off", "loose", "strict"}[r.IntN(4)]
		f.MTU = maybe(1280 + r.Uint32N(7000))
		if r.IntN(2) == 0 {
			f.Description = fmt.Sprintf("number %d / [x]", r.Uint32())
		}
		for i := range byte(r.IntN(4)) {
			f.Addresses = append(f.Addresses, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, n, i, 1}), 1+r.IntN(32)),
				netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, n, i, 15: 1}), 1+r.IntN(128)))
			f.Neighbors = append(f.Neighbors, config.StaticNbr{Address: netip.AddrFrom4([4]byte{10, n, i, 2}), MAC: config.MAC{2, n, i}},
				config.StaticNbr{Address: netip.AddrFrom16([16]byte{0xfe, 0x80, 14: n, 15: i}), MAC: config.MAC{2, n, i, 6}})
		}
		if r.IntN(2) == 0 {
			ra := &config.RouterAdvertisements{
				MaxInterval: maybe(4 + r.Uint32N(1797)), MinInterval: maybe(3 + r.Uint32N(1348)),
				Managed: r.IntN(2) == 0, OtherConfig: r.IntN(2) == 0, ValidLifetime: maybe(r.Uint32()), PreferredLifetime: maybe(r.Uint32()),
				SuppressPrefixes: r.IntN(2) == 0, SendMTU: r.IntN(2) == 0,
			}
			if r.IntN(2) == 0 {
				ra.Enabled = on(false)
			}
			if r.IntN(2) == 0 {
				l := r.Uint32N(9001)
				ra.RouterLifetime = &l
			}
			f.RouterAdvertisements = ra
		}
	}
	for i := range byte(r.IntN(5)) {
		p := config.Interface{Name: fmt.Sprintf("eth%d", i), Type: config.Port, Promiscuous: r.IntN(2) == 0}
		if r.IntN(2) == 0 {
			p.Device = fmt.Sprintf("0000:00:%02x.0", i)
		} else {
			p.Iface, p.Driver = fmt.Sprintf("tap%d", i), []config.IfaceDriver{"", "af_packet", "af_xdp"}[r.IntN(3)]
		}
		if r.IntN(2) == 0 {
			p.MAC = config.MAC{2, i, 0xff}
		}
		p.RxQueues, p.TxQueues = maybe(1+r.Uint32N(64)), maybe(1+r.Uint32N(64))
		p.RxDescriptors, p.TxDescriptors = maybe(32+r.Uint32N(1000)), maybe(32+r.Uint32N(1000))
		common(&p, 10*i)
		c.Interfaces = append(c.Interfaces, p)
		for j := range byte(r.IntN(3)) {
			v := config.Interface{Name: fmt.Sprintf("%s.%d", p.Name, 1+uint32(j)*4000000), Type: config.VLAN, Parent: p.Name, VLANID: 1 + r.Uint32N(4094)}
			common(&v, 10*i+j+1)
			c.Interfaces = append(c.Interfaces, v)
		}
	}
	if r.IntN(2) == 0 {
		lo := config.Interface{Name: "lo0", Type: config.Loopback}
		common(&lo, 250)
		c.Interfaces = append(c.Interfaces, lo)
	}
	if r.IntN(2) == 0 {
		c.System = config.System{
			Hostname: "box-1.example.net", LogLevel: []config.LogLevel{"", "debug", "info", "warn", "error"}[r.IntN(5)],
			MetricsListen: "none", GRPCListen: []string{"", "none", "10.0.0.1:9339", "[::]:1"}[r.IntN(4)], PKIDirectory: "/etc/pki",
			Dataplane: config.Dataplane{
				CPUs: []uint32{3, 1, 2}, Hugepages: boolean(), Memory: maybe(1024), ExceptionNetns: "x", Poll: r.IntN(2) == 0, EAL: "-l 1 --x",
			},
		}
	}
	for _, n := range append(startNumbers(&c.System.Dataplane), settingsNumbers(&c.Settings)...) {
		limits := testSchemaLimits[n.leaf]
		*n.field = maybe(limits)
	}
	return c
}

// testSchemaLimits are values that the leaves take.
var testSchemaLimits = map[string]uint32{
	"workers": 32, "memory": 4096, "mbufs": 100000, "mbuf-size": 2176, "ipv4-routes": 2000000, "ipv6-routes": 5000, "ipv4-tbl8": 16,
	"ipv6-tbl8": 4194304, "next-hops": 1024, "next-hop-groups": 1048576, "neighbor-limit": 65536, "neighbor-queue": 256,
	"neighbor-reachable-time": 3600, "neighbor-stale-time": 86400, "icmp-error-rate": 1000000, "punt-rate": 10000000, "neighbor-rate": 1,
}
