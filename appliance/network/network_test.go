package network

import (
	"fmt"
	"strings"
	"testing"
)

// networkData is as Nova writes it, with a network of each kind.
const networkData = `{
 "links": [
  {"id": "tap1", "vif_id": "v1", "type": "ovs", "mtu": 1442, "ethernet_mac_address": "FA:16:3E:00:00:01"},
  {"id": "tap2", "vif_id": "v2", "type": "hw_veb", "mtu": 9000, "ethernet_mac_address": "fa:16:3e:00:00:02"},
  {"id": "tap3", "vif_id": "v3", "type": "phy", "mtu": null, "ethernet_mac_address": "fa:16:3e:00:00:03"}],
 "networks": [
  {"id": "network0", "type": "ipv4", "link": "tap1", "ip_address": "10.0.0.5", "netmask": "255.255.255.0", "network_id": "n",
   "routes": [{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.0.0.1"},
              {"network": "169.254.169.254", "netmask": "255.255.255.255", "gateway": "10.0.0.2"}],
   "services": [{"type": "dns", "address": "10.0.0.3"}]},
  {"id": "network1", "type": "ipv6", "link": "tap1", "ip_address": "2001:db8::5", "netmask": "ffff:ffff:ffff:ffff::",
   "routes": [{"network": "::", "netmask": "::", "gateway": "fe80::1"}]},
  {"id": "network2", "type": "ipv4", "link": "tap2", "ip_address": "192.0.2.1/30"},
  {"id": "network3", "type": "ipv4_dhcp", "link": "tap3"},
  {"id": "network4", "type": "ipv6_dhcpv6-stateless", "link": "tap3"}],
 "services": [{"type": "dns", "address": "2001:db8::53"}]
}`

func brief(l Link) string {
	return fmt.Sprintf("%s mtu %d %v dhcp %v %v ra %v routes %v dns %v %v", l.MAC, l.MTU, l.Addresses, l.DHCP4, l.DHCP6, l.RA, l.Routes, l.DNS, l.Search)
}

func TestOpenStack(t *testing.T) {
	p, problems := OpenStack([]byte(networkData))
	if len(problems) > 0 {
		t.Error(problems)
	}
	for mac, want := range map[string]string{
		"fa:16:3e:00:00:01": "fa:16:3e:00:00:01 mtu 1442 [10.0.0.5/24 2001:db8::5/64] dhcp false false ra false routes [{0.0.0.0/0 10.0.0.1 0} " +
			"{169.254.169.254/32 10.0.0.2 0} {::/0 fe80::1 0}] dns [10.0.0.3 2001:db8::53] []",
		"fa:16:3e:00:00:02": "fa:16:3e:00:00:02 mtu 9000 [192.0.2.1/30] dhcp false false ra false routes [] dns [2001:db8::53] []",
		"fa:16:3e:00:00:03": "fa:16:3e:00:00:03 mtu 0 [] dhcp true true ra true routes [] dns [2001:db8::53] []",
		"fa:16:3e:00:00:09": "fa:16:3e:00:00:09 mtu 0 [] dhcp true true ra true routes [] dns [2001:db8::53] []",
	} {
		l, found := p.Link(mac, "")
		if got := brief(l); got != want || found == strings.HasSuffix(mac, "9") {
			t.Errorf("%v\n got %s\nwant %s", found, got, want)
		}
	}
}

func TestOpenStackWrong(t *testing.T) {
	for doc, want := range map[string]string{
		`[]`: "network_data.json: ",
		`{"links": [{"id": "a", "type": "phy", "ethernet_mac_address": "x"}]}`:                                                                     `links[0].ethernet_mac_address: "x" is not a MAC`,
		`{"links": [{"id": "a", "type": "vlan"}]}`:                                                                                                 "links[0].type: vlan links are not set up",
		oneNetwork(`{"type": "ipv4", "link": "a", "ip_address": "10.0.0.300"}`):                                                                    `networks[0].ip_address: "10.0.0.300" is not an address`,
		oneNetwork(`{"type": "ipv4", "link": "a", "ip_address": "1.2.3.4/33"}`):                                                                    `networks[0].ip_address: "33" is neither the length nor the mask`,
		oneNetwork(`{"type": "ipv4", "link": "a", "ip_address": "1.2.3.4", "netmask": "255.0.255.0"}`):                                             `networks[0].ip_address: "255.0.255.0" is neither`,
		oneNetwork(`{"type": "token", "link": "a"}`):                                                                                               `networks[0].type: "token" is not known`,
		oneNetwork(`{"type": "ipv4", "link": "a", "ip_address": "1.2.3.4", "routes": [{"network": "::", "netmask": "::", "gateway": "1.2.3.1"}]}`): "1.2.3.1 is no gateway of ::/0",
		`{"links": [{"id": "a", "type": "phy", "ethernet_mac_address": "02:00:00:00:00:01", "mtu": 5}]}`:                                           "links[0].mtu: 5 is not from 68 to 65535",
	} {
		if _, problems := OpenStack([]byte(doc)); len(problems) != 1 || !strings.Contains(problems[0], want) {
			t.Errorf("%s:\n got %q\nwant %s", doc, problems, want)
		}
	}
}

func oneNetwork(network string) string {
	return `{"links": [{"id": "a", "type": "phy", "ethernet_mac_address": "02:00:00:00:00:01"}], "networks": [` + network + `]}`
}

func TestNoCloud(t *testing.T) {
	const want = "02:00:00:00:00:01 mtu 1400 [192.0.2.5/24 2001:db8::5/64] dhcp false false ra false routes " +
		"[{0.0.0.0/0 192.0.2.1 0} {198.51.100.0/24 192.0.2.2 0}] dns [192.0.2.53] [example.com]"
	for name, doc := range map[string]string{
		"1": `
version: 1
config:
  - type: physical
    name: eth0
    mac_address: "02:00:00:00:00:01"
    mtu: 1400
    subnets:
      - {type: static, address: 192.0.2.5, netmask: 255.255.255.0, gateway: 192.0.2.1,
         routes: [{network: 198.51.100.0, netmask: 255.255.255.0, gateway: 192.0.2.2}]}
      - {type: static6, address: "2001:db8::5/64"}
  - {type: nameserver, address: [192.0.2.53], search: [example.com]}
`,
		"2": `
network:
  version: 2
  ethernets:
    id0:
      match: {macaddress: "02:00:00:00:00:01"}
      mtu: 1400
      addresses: [192.0.2.5/24, "2001:db8::5/64"]
      gateway4: 192.0.2.1
      routes: [{to: 198.51.100.0/24, via: 192.0.2.2}]
      nameservers: {addresses: [192.0.2.53], search: [example.com]}
`,
	} {
		p, problems := NoCloud([]byte(doc))
		if len(problems) > 0 {
			t.Error(name, problems)
		}
		l, found := p.Link("02:00:00:00:00:01", "ens3")
		if got := brief(l); got != want || !found {
			t.Errorf("version %s\n got %s\nwant %s", name, got, want)
		}
	}
	for doc, want := range map[string]string{
		"version: 2\nethernets: {ens3: {dhcp4: true}}":                                "dhcp true false ra true",
		"version: 2\nethernets: {all: {match: {name: \"en*\"}, dhcp6: true}}":         "dhcp false true ra true",
		"version: 1\nconfig: [{type: physical, name: ens3, subnets: [{type: dhcp}]}]": "dhcp true false ra false",
		"version: 1\nconfig: disabled":                                                "dhcp true true ra true",
		"":                                                                            "dhcp true true ra true",
	} {
		p, problems := NoCloud([]byte(doc))
		if l, _ := p.Link("02:00:00:00:00:01", "ens3"); len(problems) > 0 || !strings.Contains(brief(l), want) {
			t.Errorf("%s: %s %v", doc, brief(l), problems)
		}
	}
}

func TestRender(t *testing.T) {
	p, _ := OpenStack([]byte(networkData))
	l, _ := p.Link("fa:16:3e:00:00:01", "")
	got := l.Render("fa:16:3e:00:00:01")
	for _, want := range []string{
		"[Match]\nMACAddress=fa:16:3e:00:00:01\n", "MTUBytes=1442\n", "DHCP=no\n", "IPv6AcceptRA=no\n", "Address=10.0.0.5/24\nAddress=2001:db8::5/64\n",
		"DNS=10.0.0.3\nDNS=2001:db8::53\n", "[Route]\nDestination=0.0.0.0/0\nGateway=10.0.0.1\n\n", "Destination=::/0\nGateway=fe80::1\nGatewayOnLink=yes\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	l, _ = p.Link("fa:16:3e:00:00:02", "")
	if got := l.Render(l.MAC); !strings.Contains(got, "Destination=169.254.169.254/32\nScope=link") {
		t.Errorf("without a gateway the metadata service is not reached:\n%s", got)
	}
	l, _ = p.Link("fa:16:3e:00:00:09", "")
	if got := l.Render(l.MAC); !strings.Contains(got, "DHCP=yes\nIPv6AcceptRA=yes\n") || strings.Contains(got, "[Route]") {
		t.Errorf("unknown:\n%s", got)
	}
	if got := RenderData([]string{"02:00:00:00:00:01", "02:00:00:00:00:02"}); !strings.Contains(got, "MACAddress=02:00:00:00:00:01 02:00:00:00:00:02\n") ||
		!strings.Contains(got, "Unmanaged=yes") {
		t.Error(got)
	}
}

// FuzzNetworks holds what is rendered against what must not come of any data: lines that are not ours.
func FuzzNetworks(f *testing.F) {
	f.Add([]byte(networkData))
	f.Add([]byte("version: 2\nethernets: {ens3: {dhcp4: true, nameservers: {search: [a.b]}, routes: [{to: default, via: 192.0.2.1}]}}"))
	f.Add([]byte("version: 1\nconfig: [{type: physical, name: ens3, subnets: [{type: dhcp}]}]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, read := range []func([]byte) (*Plan, []string){OpenStack, NoCloud} {
			p, _ := read(b)
			for _, l := range append(p.Links, Link{}) {
				got, _ := p.Link(l.MAC, l.Name)
				for line := range strings.Lines(got.Render("02:00:00:00:00:01")) {
					key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
					section := strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]\n")
					if !ok && !section && key != "" && key[0] != '#' || strings.ContainsAny(value, "\"'\\;%") {
						t.Errorf("%q", line)
					}
				}
			}
		}
	})
}
