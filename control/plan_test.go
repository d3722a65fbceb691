package control

import (
	"slices"
	"strings"
	"testing"

	"millrace/server/config"
)

const twoPorts = `
interfaces:
  - {name: eth1, type: port, iface: a, addresses: [192.0.2.1/24], neighbors: [{address: 192.0.2.9, mac: "02:00:00:00:00:09"}]}
  - {name: eth1.5, type: vlan, parent: eth1, vlan-id: 5, addresses: ["2001:db8::1/64"], router-advertisements: {}}
  - {name: eth2, type: port, iface: b, network-instance: red, addresses: [192.0.2.1/24]}
  - {name: lo0, type: loopback, addresses: [198.51.100.1/32]}
network-instances:
  - name: red
    ipv4-routes: 100
`

func mustParse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

func have(objects []object) map[string]object {
	m := map[string]object{}
	for _, o := range objects {
		m[o.key] = o
	}
	return m
}

func show(steps []step) string {
	var s []string
	for _, st := range steps {
		sign := "+"
		if st.delete {
			sign = "-"
		}
		s = append(s, sign+st.key)
	}
	return strings.Join(s, ", ")
}

func TestPlanFromNothing(t *testing.T) {
	got := show(makePlan(nil, desired(mustParse(t, twoPorts))).steps(nil))
	want := "+settings, +vrf red, +interface eth1, +interface eth2, +interface eth1.5, +interface lo0, " +
		"+address eth1 192.0.2.1, +address eth1.5 2001:db8::1, +address eth2 192.0.2.1, +address lo0 198.51.100.1, " +
		"+neighbor eth1 192.0.2.9, +ra eth1.5"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestPlanTouchesWhatDiffers(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"nothing", "", "", ""},
		{"description", "type: loopback", "type: loopback, description: x", "+interface lo0"},
		{"mtu", "iface: a,", "iface: a, mtu: 1400,", "+interface eth1"},
		{"address moves to another interface", "addresses: [198.51.100.1/32]", "addresses: [198.51.100.2/32]",
			"-address lo0 198.51.100.1, +address lo0 198.51.100.2"},
		{"prefix length", "iface: b, network-instance: red, addresses: [192.0.2.1/24]", "iface: b, network-instance: red, addresses: [192.0.2.1/25]",
			"-address eth2 192.0.2.1, +address eth2 192.0.2.1"},
		{"neighbour's MAC", "02:00:00:00:00:09", "02:00:00:00:00:0a", "+neighbor eth1 192.0.2.9"},
		{"advertisements end", ", router-advertisements: {}", "", "-ra eth1.5"},
		{"device: the sub-interface and addresses go with the port and come back", "iface: a", "iface: c",
			"-interface eth1.5, -interface eth1, +interface eth1, +interface eth1.5, +address eth1 192.0.2.1, " +
				"+address eth1.5 2001:db8::1, +neighbor eth1 192.0.2.9, +ra eth1.5"},
		{"queues", "iface: a", "iface: a, rx-queues: 2",
			"-interface eth1.5, -interface eth1, +interface eth1, +interface eth1.5, +address eth1 192.0.2.1, " +
				"+address eth1.5 2001:db8::1, +neighbor eth1 192.0.2.9, +ra eth1.5"},
		{"descriptors", "iface: b", "iface: b, rx-descriptors: 256", "-interface eth2, +interface eth2, +address eth2 192.0.2.1"},
		{"VLAN id", "vlan-id: 5", "vlan-id: 6", "-interface eth1.5, +interface eth1.5, +address eth1.5 2001:db8::1, +ra eth1.5"},
		{"instance of an interface: its addresses are lost", "network-instance: red, ", "network-instance: red, mtu: 1400, ", "+interface eth2"},
		{"into an instance", "type: loopback", "type: loopback, network-instance: red", "+interface lo0, +address lo0 198.51.100.1"},
		{"sizes of an instance", "ipv4-routes: 100", "ipv4-routes: 200",
			"-interface eth2, -vrf red, +vrf red, +interface eth2, +address eth2 192.0.2.1"},
		{"instance renamed: the interface moves before the old one goes", "red", "blue",
			"+vrf blue, +interface eth2, -vrf red, +address eth2 192.0.2.1"},
	} {
		old := have(desired(mustParse(t, twoPorts)))
		next := desired(mustParse(t, strings.ReplaceAll(twoPorts, c.old, c.new)))
		if got := show(makePlan(old, next).steps(old)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestPlanToNothing(t *testing.T) {
	old := have(desired(mustParse(t, twoPorts)))
	steps := makePlan(old, desired(&config.Config{})).steps(old)
	// Children before parents; which of two equals goes first does not matter.
	index := func(key string) int {
		return slices.IndexFunc(steps, func(s step) bool { return s.delete && s.key == key })
	}
	for _, pair := range [][2]string{{"interface eth1.5", "interface eth1"}, {"interface eth2", "vrf red"}} {
		if a, b := index(pair[0]), index(pair[1]); a < 0 || b < 0 || a > b {
			t.Errorf("%v: %s", pair, show(steps))
		}
	}
	if len(steps) != 5 {
		t.Errorf("addresses go with their interfaces: %s", show(steps))
	}
}

// What the data plane made of defaults and of descriptors is no reason to make a port anew when vnf starts again.
func TestPortReadBackStays(t *testing.T) {
	iface := func(rxq, rxd, txd uint32) object {
		f := config.Interface{Name: "eth1", Type: config.Port, Iface: "a", RxQueues: rxq, RxDescriptors: rxd, TxDescriptors: txd}
		return ifaceObject(&f)
	}
	have := iface(4, 1024, 1024)
	have.found = true
	for _, c := range []struct {
		want   object
		remake bool
	}{{iface(0, 0, 0), false}, {iface(4, 1000, 0), false}, {iface(2, 0, 0), true}} {
		if got := have.remake(c.want); got != c.remake {
			t.Errorf("%v over what was read back: made anew %v, want %v", c.want.add, got, c.remake)
		}
	}
	have.found = false
	if !have.remake(iface(4, 1024, 512)) || !have.remake(iface(0, 1024, 1024)) {
		t.Error("a change of the configuration is not carried out")
	}
}
