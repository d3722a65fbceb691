package config

import (
	"strings"
	"testing"
)

func TestMerge(t *testing.T) {
	base := mustConfig(t, `
system: {hostname: one, log-level: warn}
interfaces:
  - {name: eth1, type: port, iface: a, addresses: [192.0.2.1/24, "2001:db8::1/64"], router-advertisements: {max-interval: 100, managed: true}}
  - {name: lo0, type: loopback}
network-instances:
  - name: default
    static-routes:
      - {prefix: 10.0.0.0/8, next-hops: [{address: 192.0.2.2}, {address: 192.0.2.3}]}
`)
	before, _ := base.YAML()
	got, err := base.Merge([]byte(`
system: {hostname: two}
interfaces:
  - {name: eth1, mtu: 1400, router-advertisements: {managed: false, min-interval: 20}}
  - {name: lo1, type: loopback}
network-instances:
  - name: default
    static-routes:
      - {prefix: 10.0.0.0/8, next-hops: [{address: 192.0.2.9}]}
      - {prefix: 11.0.0.0/8, action: blackhole}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := mustConfig(t, `
system: {hostname: two, log-level: warn}
interfaces:
  - {name: eth1, type: port, iface: a, mtu: 1400, addresses: [192.0.2.1/24, "2001:db8::1/64"], router-advertisements: {max-interval: 100, min-interval: 20}}
  - {name: lo0, type: loopback}
  - {name: lo1, type: loopback}
network-instances:
  - name: default
    static-routes:
      - {prefix: 10.0.0.0/8, next-hops: [{address: 192.0.2.9}]}
      - {prefix: 11.0.0.0/8, action: blackhole}
`)
	g, _ := got.YAML()
	w, _ := want.YAML()
	if string(g) != string(w) {
		t.Errorf("%s\nwant\n%s", g, w)
	}
	if after, _ := base.YAML(); string(after) != string(before) {
		t.Errorf("what was merged into has changed:\n%s", after)
	}
	for doc, path := range map[string]string{
		"interfaces: [{name: eth1, mtu: 5}]":         "interfaces[eth1].mtu",
		"interfaces: [{name: eth1, color: red}]":     "interfaces[eth1].color",
		"interfaces: [{name: new, color: red}]":      "interfaces[new].color",
		"interfaces: [{type: loopback}]":             "interfaces[2].name",
		"interfaces: [~]":                            "interfaces[0]",
		"network-instances: {name: default}":         "network-instances",
		"system: {hostname: [1]}":                    "system.hostname",
		"interfaces: [{name: lo0, parent: none}]":    "interfaces[lo0].parent",
		"interfaces: [{name: eth1, addresses: [x]}]": "interfaces[eth1].addresses[0]",
	} {
		if _, err := base.Merge([]byte(doc)); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

func mustConfig(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
