package config

import (
	"net/netip"
	"os"
	"strings"
	"testing"
)

// Each case changes one text of a good file and expects exactly these errors.
func TestTCPFaults(t *testing.T) {
	full, err := os.ReadFile("testdata/tcp.yaml")
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct{ old, new, want string }{
		{"max-connections: 100000", "max-connections: 100", `tcp.max-connections: 100 is not from 1024 to 16777216`},
		{"time-wait: 30s", "time-wait: 30", `tcp.time-wait: 30 lacks a unit: s, m, h or ms`},
		{"time-wait: 30s", "time-wait: 0", ``},
		{"time-wait: 30s", "time-wait: soon", `tcp.time-wait: soon is not a time such as 30s, 1m30s or 500ms`},
		{"time-wait: 30s", "time-wait: 1us", `tcp.time-wait: 1us is not a number of milliseconds from 0 on`},
		{"time-wait: 30s", "time-wait: 5m", `tcp.time-wait: 5m0s is not from 1s to 4m0s`},
		{"port-max: 60000", "port-max: 10000", `tcp.port-max: 10000 is less than port-min, 20000`},
		{"name: web, address", "name: web 1, address", `tcp.vips[web 1]: the name is not 1 to 63 characters of [A-Za-z0-9._-]`},
		{"{name: web6,", "{name: web,", `tcp.vips[web]: is there twice`},
		{"address: \"2001:db8::80\", interface: lo0", "address: 192.0.2.80", `tcp.vips[web6].address: 192.0.2.80 is also that of virtual address web`},
		{"address: \"2001:db8::80\", interface: lo0", "address: 192.0.2.1", `tcp.vips[web6].address: 192.0.2.1 is also the address of interface eth1`},
		{"address: \"2001:db8::80\", interface: lo0", "address: 192.0.2.255", `tcp.vips[web6].address: 192.0.2.255 in 192.0.2.0/24 of eth1 is the broadcast address of its network`},
		{"address: \"2001:db8::80\", interface: lo0", "address: 224.0.0.5", `tcp.vips[web6].address: 224.0.0.5 is a multicast address`},
		{"interface: lo0, ann", "ann", `tcp.vips[web6].interface: is missing: 2001:db8::80 is in the network of no interface, or of several`},
		{"interface: lo0, ann", "interface: eth9, ann", `tcp.vips[web6].interface: there is no interface eth9`},
		{"interface: lo0, ann", "interface: eth2, ann", `tcp.vips[web6].interface: eth2 is in network instance red, not default`},
		{"address: 192.0.2.202, port: 8080, admin", "address: 192.0.2.201, port: 8080, admin", `tcp.pools[app].backends[b].address: backend a has this address and port`},
		{"address: 192.0.2.201, port", "address: 192.0.2.1, port", `tcp.pools[app].backends[a].address: 192.0.2.1 is an address of the box itself`},
		{"address: 192.0.2.201, port: 8080", "address: 192.0.2.201, port: 0", `tcp.pools[app].backends[a].port: is missing`},
		{"name: b, address", "name: a, address", `tcp.pools[app].backends[a]: is there twice`},
		{"network-instance: red, admin: disabled", "network-instance: blue, admin: disabled", `tcp.pools[app].backends[r].network-instance: there is no network instance blue
tcp.pools[app].source-addresses[0]: 192.0.2.80 is the address of no interface and no virtual address of network instance blue`},
		{"admin: drain", "admin: off", `tcp.pools[app].backends[b].admin: false is not text`},
		{"admin: drain", "admin: gone", `tcp.pools[app].backends[b].admin: gone is none of enabled, drain, disabled`},
		{"maglev-size: 4099", "maglev-size: 4096", `tcp.pools[app].maglev-size: 4096 is not a prime up to 1048573`},
		{"algorithm: maglev\n      hash-key: 5-tuple\n      maglev-size: 4099", "algorithm: round-robin", `tcp.pools[app].hash-seed: goes with algorithm maglev only`},
		{"type: http\n", "type: connect\n", `tcp.pools[app].health-check.method: goes with type http only
tcp.pools[app].health-check.path: goes with type http only
tcp.pools[app].health-check.host: goes with type http only
tcp.pools[app].health-check.status-min: goes with type http only
tcp.pools[app].health-check.status-max: goes with type http only`},
		{"type: http\n", "type: none\n", `tcp.pools[app].health-check.type: is missing: connect or http`},
		{"interval: 500ms", "interval: 50ms", `tcp.pools[app].health-check.interval: 50ms is not from 100ms to 1h0m0s`},
		{"status-max: 299", "status-max: 200", `tcp.pools[app].health-check.status-max: 200 is less than status-min, 201`},
		{"path: /health?full=1", "path: health", `tcp.pools[app].health-check.path: health is not the target of a request: 1 to 255 characters from / on`},
		{"min-healthy: 2", "min-healthy: 4", `tcp.pools[app].min-healthy: 4 is more than the 3 backends`},
		{"source-addresses: [192.0.2.80]", "source-addresses: [192.0.2.81]", `tcp.pools[app].source-addresses[0]: 192.0.2.81 is the address of no interface and no virtual address of network instance default`},
		{"source-mode: pool\n", "source-mode: auto\n", `tcp.pools[app].source-addresses: go with source-mode pool only`},
		{"keepalive-idle: 1m, ", "", `tcp.pools[app].options.keepalive-idle: is missing: without it there are no probes`},
		{"keepalive-idle: 1m, ", "keepalive-idle: 1500ms, ", `tcp.pools[app].options.keepalive-idle: 1.5s is not a whole number of seconds`},
		{"keepalive-count: 3}", "keepalive-count: 3, fast-open: true}", `tcp.pools[app].options.fast-open: is for listeners`},
		{"address: 0.0.0.0\n      port: 19", "port: 7", ``},
		{"enabled: false", "enabled: true\n      address: \"::\"", ``},
		{"port: 7\n", "port: 19\n      address: 0.0.0.0\n", ``},
		{"port: 7\n      service: echo\n      enabled: false", "port: 19\n      service: echo", `tcp.listeners[chargen].port: listener echo has this address and port in network instance default`},
		{"port: 8000", "port: 80000", `tcp.listeners[status].port: 80000 is not a whole number from 0 to 65535`},
		{"      port: 8000\n", "", `tcp.listeners[status].port: is missing`},
		{"address: 192.0.2.1\n", "address: 192.0.2.2\n", `tcp.listeners[status].address: 192.0.2.2 is the address of no interface and no virtual address of network instance default`},
		{"service: http\n", "service: proxy\n", `tcp.listeners[status].http: does not belong to service proxy
tcp.listeners[status].proxy: is missing: it names the pool`},
		{"service: discard", "service: http\n      chargen-limit: 5", `tcp.listeners[discard].chargen-limit: does not belong to service http`},
		{"      service: discard\n", "", `tcp.listeners[discard].service: is missing: echo, discard, chargen, http, proxy`},
		{"dscp: 46", "dscp: 64", `tcp.listeners[discard].options.dscp: 64 is not from 0 to 63`},
		{"mss: 1400", "mss: 64", `tcp.listeners[discard].options.mss: 64 is not from 88 to 65495`},
		{"status: 204", "status: 204, body: x", `tcp.listeners[status].http.routes[/health].response.status: an answer of status 204 has no body (RFC 9110 section 6.4.1)`},
		{"status: 204", "status: 100", `tcp.listeners[status].http.routes[/health].response.status: 100 is not from 200 to 599`},
		{"path: /files", "path: files", `tcp.listeners[status].http.routes[files].path: files is not a path from / on, of 1 to 255 characters, without query`},
		{"path: /files", "path: /health", `tcp.listeners[status].http.routes[/health]: is there twice`},
		{"name: Content-Type", "name: Content-Length", `tcp.listeners[status].http.routes[/files].response.headers[0].name: Content-Length is the responder's own`},
		{"name: Content-Type", "name: \"Content Type\"", `tcp.listeners[status].http.routes[/files].response.headers[0].name: "Content Type" is not a name of a header field (RFC 9110 section 5.1)`},
		{"value: application/octet-stream", `value: "a\r\nb"`, `tcp.listeners[status].http.routes[/files].response.headers[0].value: "a\r\nb" is not the value of a header field (RFC 9110 section 5.5)`},
		{"body-file: /srv/blob", "body-file: blob", `tcp.listeners[status].http.routes[/files].response.body-file: blob is not an absolute path`},
		{"body-file: /srv/blob", "body-file: /srv/blob\n              body: x", `tcp.listeners[status].http.routes[/files].response.body-file: excludes body`},
		{"methods: [GET, HEAD]", "methods: [GET, TRACE]", `tcp.listeners[status].http.methods[1]: TRACE is none of GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH`},
		{"pool: app\n", "pool: ap\n", `tcp.listeners[web].proxy.pool: there is no pool ap`},
		{"backup-pool: spare", "backup-pool: app", `tcp.listeners[web].proxy.backup-pool: is the pool itself`},
		{"proxy-protocol-out: v2", "proxy-protocol-out: any", `tcp.listeners[web].proxy.proxy-protocol-out: any is for what comes in; give v1 or v2`},
		{"proxy-protocol-in: any", "proxy-protocol-in: off", "tcp.listeners[web].proxy.proxy-protocol-trusted: goes with proxy-protocol-in only\n" +
			`tcp.listeners[web].header-timeout: goes with service http, or with a proxy-protocol-in only`},
		{"\n        retries: 2", "\n        retries: 16", `tcp.listeners[web].proxy.retries: 16 is not from 1 to 15`},
		{"no-backend: wait", "no-backend: close", `tcp.listeners[web].proxy.wait-timeout: goes with no-backend: wait only`},
		{"no-backend: wait\n        wait-timeout: 3s", "no-backend: hope", `tcp.listeners[web].proxy.no-backend: hope is none of reset, close, wait`},
		{"wait-timeout: 3s", "wait-timeout: 11m", `tcp.listeners[web].proxy.wait-timeout: 11m0s is not from 1ms to 10m0s`},
		{"half-close-timeout: 1m", "half-close-timeout: 25h", `tcp.listeners[web].proxy.half-close-timeout: 25h0m0s is not from 1ms to 24h0m0s`},
		{"[198.51.100.0/28]", "[198.51.100.1/28]", `tcp.listeners[web].proxy.proxy-protocol-trusted[0]: 198.51.100.1/28 has bits set past its length: 198.51.100.0/28?`},
		{"      rate: 1000\n", "", `tcp.listeners[web].burst: goes with rate only`},
		{"allow: [198.51.100.0/24,", "allow: [198.51.100.1/24,", `tcp.listeners[web].allow[0]: 198.51.100.1/24 has bits set past its length: 198.51.100.0/24?`},
		{"drain-timeout: 30s", "drain-timeout: 48h", `tcp.listeners[web].drain-timeout: 48h0m0s is not from 1ms to 24h0m0s`},
		{"listeners:\n", "listeners:\n    - {port: 81, service: echo}\n", `tcp.listeners[0].name: is missing`},
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
		}
		if !sameLines(got, c.want) {
			t.Errorf("%s:\n got %s\nwant %s", c.new, got, c.want)
		}
	}
}

func TestListenerCovers(t *testing.T) {
	a := netip.MustParseAddr
	for _, c := range []struct {
		listen, instance, vip string
		want                  bool
	}{
		{"", "default", "192.0.2.80", true},
		{"", "default", "2001:db8::80", true},
		{"", "red", "192.0.2.80", false},
		{"0.0.0.0", "default", "192.0.2.80", true},
		{"0.0.0.0", "default", "2001:db8::80", false},
		{"192.0.2.80", "default", "192.0.2.80", true},
		{"192.0.2.80", "default", "192.0.2.81", false},
	} {
		l := TCPListener{}
		if c.listen != "" {
			l.Address = a(c.listen)
		}
		if got := l.Covers(c.instance, a(c.vip)); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestVIPInterface(t *testing.T) {
	c, err := Load("testdata/tcp.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range c.TCP.VIPs {
		got = append(got, c.VIPInterface(&c.TCP.VIPs[i]))
	}
	if strings.Join(got, " ") != "eth1 lo0 eth2" {
		t.Error(got)
	}
}
