// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestMedianAndSpread(t *testing.T) {
	for _, c := range []struct {
		in             []float64
		median, spread float64
	}{{nil, 0, 0}, {[]float64{3}, 3, 0}, {[]float64{4, 2, 3}, 3, 2.0 / 3}, {[]float64{1, 4, 2, 3}, 2.5, 1.2}} {
		if m, s := median(c.in), spread(c.in); m != c.median || s != c.spread {
			t.Errorf("%v: median %v, spread %v; want %v, %v", c.in, m, s, c.median, c.spread)
		}
	}
}

func TestRound(t *testing.T) {
	for in, want := range map[float64]float64{0: 0, 1.23456: 1.235, 123456: 123500, 0.00123456: 0.001235, 1537000001: 1537000000} {
		if got := round(in); got != want {
			t.Errorf("round(%v) = %v, want %v", in, got, want)
		}
	}
}

// The names that issues 2, 3 and 4 give, in their order, with what is measured along with them.
func TestNames(t *testing.T) {
	want := "forward.ipv4.1 forward.ipv4.1M forward.ipv6.1 forward.ipv6.250k forward.veth.af_packet forward.veth.af_xdp bgp.load.100k " +
		"bgp.load.1M bgp.withdraw.1M fib.memory.1M nexthop.failover.1M idle.cpu ping.latency gnmi.subscribers " +
		"gnmi.subscribers.box gnmi.set.10k gnmi.set.leaf gnmi.get.leaf gnmi.aft.100k gnmi.aft.1M " +
		"tcp.cps tcp.cps.one-cpu tcp.rps tcp.rps.one-cpu tcp.http tcp.http.one-cpu tcp.bulk.1 tcp.bulk.1.one-cpu tcp.bulk.100 " +
		"tcp.bulk.100.one-cpu tcp.latency.p50 tcp.latency.p50.one-cpu tcp.latency.p99 tcp.latency.p99.one-cpu tcp.idle.bytes " +
		"tcp.goodput.loss0.1 tcp.goodput.loss0.1.bbr tcp.goodput.loss1 tcp.goodput.loss1.bbr tcp.goodput.loss3 tcp.goodput.loss3.bbr " +
		"tcp.cps.veth tcp.rps.veth tcp.bulk.1.veth tcp.bulk.100.veth tcp.latency.p50.veth tcp.latency.p99.veth " +
		"tcp.goodput.loss0.1.veth tcp.goodput.loss1.veth tcp.goodput.loss3.veth"
	var names []string
	for _, s := range suites() {
		names = append(names, s.names...)
	}
	if got := strings.Join(names, " "); got != want {
		t.Errorf("got %s", got)
	}
}

func TestTables(t *testing.T) {
	for _, c := range []struct {
		name  string
		table []netip.Prefix
		own   netip.Prefix
	}{{"IPv4", ipv4Table(20000), own4}, {"IPv6", ipv6Table(20000), own6}} {
		seen := map[netip.Prefix]bool{}
		for _, p := range c.table {
			if p != p.Masked() || seen[p] || p.Overlaps(c.own) {
				t.Fatalf("%s: %s is not masked, or there twice, or our own", c.name, p)
			}
			seen[p] = true
		}
		if len(c.table) != 20000 {
			t.Errorf("%s: %d prefixes", c.name, len(c.table))
		}
		for _, a := range destinations(c.table[:50], 500) {
			if !covered(c.table[:50], a) {
				t.Errorf("%s: no route to %s", c.name, a)
			}
		}
	}
	if a, b := ipv4Table(100), ipv4Table(100); a[57] != b[57] {
		t.Error("the table is not the same each time")
	}
}

func covered(table []netip.Prefix, a netip.Addr) bool {
	for _, p := range table {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func TestMixesAreWhole(t *testing.T) {
	for name, m := range map[string][]share{"IPv4": ipv4Mix, "IPv6": ipv6Mix} {
		sum := 0
		for _, s := range m {
			sum += s.permille
		}
		if sum != 1000 {
			t.Errorf("%s: the shares add up to %d thousandths", name, sum)
		}
	}
}

func TestFrame(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	f := make([]byte, frameLen)
	udpFrame(f, mac, mac, netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("20.0.0.7"), 1234)
	if checksum(f[14:34]) != 0 {
		t.Error("the header's checksum is wrong")
	}
	if !bytes.Equal(f[30:34], []byte{20, 0, 0, 7}) || f[13] != 0 || f[17] != frameLen-14 {
		t.Errorf("% x", f)
	}
	udpFrame(f, mac, mac, netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2600::7"), 1234)
	if f[12] != 0x86 || f[19] != frameLen-54 || f[53] != 7 || f[20] != 17 {
		t.Errorf("% x", f)
	}
}

func TestMarkdown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.json")
	line := `{"name":"idle.cpu","value":0.09,"unit":"%","peer":"","peer_value":null,"ratio":null,"runs":3,"spread":0.5}`
	if err := os.WriteFile(path, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := renderMarkdown(&b, path); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile("`idle.cpu` \\| 0.09 \\| % \\| – \\| – \\| – \\| 3 \\| 50.0 %").MatchString(b.String()) {
		t.Error(b.String())
	}
}
