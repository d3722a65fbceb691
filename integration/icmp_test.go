package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"millrace/internal/lab"
)

// script runs one of the scapy scripts in a namespace and decodes what it prints, unless v is nil.
func (r *router) script(v any, ns *lab.NS, name string, args ...string) {
	r.t.Helper()
	out, err := ns.Output("/usr/bin/python3", append([]string{"scapy/" + name + ".py"}, args...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	if v != nil {
		decode(r.t, out, v)
	}
}

// hops reads the addresses from `traceroute -n -q 1`.
func hops(out string) []string {
	var h []string
	for _, line := range strings.Split(out, "\n")[1:] {
		if f := strings.Fields(line); len(f) > 1 {
			h = append(h, f[1])
		}
	}
	return h
}

// TestTraceroute goes through the box in both directions and families, with each kind of probe.
func TestTraceroute(t *testing.T) {
	r := newRouter(t, "tr", routerOptions{})
	r.reach(r.a, "10.0.2.2")
	r.reach(r.a, "2001:db8:2::2")
	for _, c := range []struct {
		from     *lab.NS
		dst, via string
	}{
		{r.a, "10.0.2.2", "10.0.1.1"},
		{r.b, "10.0.1.2", "10.0.2.1"},
		{r.a, "2001:db8:2::2", "2001:db8:1::1"},
		{r.b, "2001:db8:1::2", "2001:db8:2::1"},
	} {
		for _, kind := range []string{"-U", "-I", "-T"} {
			out := r.run(c.from, "traceroute", "-n", "-q", "1", "-w", "5,1000,1000", "-m", "5", kind, c.dst)
			if h := hops(out); len(h) != 2 || h[0] != c.via || h[1] != c.dst {
				t.Errorf("traceroute %s to %s: hops %v, want %s and itself", kind, c.dst, h, c.via)
			}
		}
	}
	// To the box itself it is one hop.
	for _, dst := range []string{"10.0.2.1", "2001:db8:2::1"} {
		if h := hops(r.run(r.a, "traceroute", "-n", "-q", "1", "-w", "5,1000,1000", "-m", "5", "-I", dst)); len(h) != 1 || h[0] != dst {
			t.Errorf("traceroute to the box: hops %v", h)
		}
	}
}

// TestICMPErrors: each cause has its error, source address and drop counter.
func TestICMPErrors(t *testing.T) {
	r := newRouter(t, "err", routerOptions{instances: `
  - name: default
    static-routes:
      - {prefix: 10.66.0.0/16, action: reject}
      - {prefix: 10.67.0.0/16, action: blackhole}
      - {prefix: "2001:db8:66::/48", action: reject}
      - {prefix: "2001:db8:67::/48", action: blackhole}
`})
	r.reach(r.a, "10.0.2.2")
	r.reach(r.a, "2001:db8:2::2")
	for _, c := range []struct {
		name, dst, want, reason string
		ttl                     string
	}{
		{"TTL", "10.0.2.2", "Time to live exceeded", "ip4-ttl-exceeded", "1"},
		{"hop limit", "2001:db8:2::2", "Time exceeded: Hop limit", "ip6-hop-limit-exceeded", "1"},
		{"no route", "10.99.1.1", "Destination Net Unreachable", "ip4-no-route", "64"},
		{"no route", "2001:db8:99::1", "No route", "ip6-no-route", "64"},
		{"no host", "10.0.2.77", "Destination Host Unreachable", "ip4-host-unreachable", "64"},
		{"no host", "2001:db8:2::77", "Address unreachable", "ip6-host-unreachable", "64"},
		{"reject", "10.66.0.1", "Packet filtered", "ip4-prohibited", "64"},
		{"reject", "2001:db8:66::1", "code 6", "ip6-prohibited", "64"}, // RFC 4443: reject route to destination
		{"blackhole", "10.67.0.1", "", "ip4-blackhole", "64"},
		{"blackhole", "2001:db8:67::1", "", "ip6-blackhole", "64"},
		// To the box the TTL does not matter.
		{"own address", "10.0.2.1", "bytes from 10.0.2.1", "", "1"},
		{"own address", "2001:db8:2::1", "bytes from 2001:db8:2::1", "", "1"},
	} {
		src := "From 10.0.1.1 "
		if strings.Contains(c.dst, ":") {
			src = "From 2001:db8:1::1 "
		}
		before := r.drops()
		wait := "15"
		if c.want == "" {
			wait = "1"
		}
		out, _ := r.a.Output("ping", "-n", "-c", "1", "-W", wait, "-w", wait, "-t", c.ttl, c.dst)
		switch {
		case c.reason == "":
			if !strings.Contains(out, c.want) {
				t.Errorf("%s: ping %s:\n%s", c.name, c.dst, out)
			}
			continue
		case c.want == "":
			if strings.Contains(out, "From ") {
				t.Errorf("%s: ping %s: an answer where there should be none:\n%s", c.name, c.dst, out)
			}
		case !strings.Contains(out, c.want) || !strings.Contains(out, src):
			t.Errorf("%s: ping %s: want %q %s, got\n%s", c.name, c.dst, src, c.want, out)
		}
		r.wantDrops(before, c.reason, 1)
	}
}

// TestEcho: every own address answers, from itself; broadcasts do not.
func TestEcho(t *testing.T) {
	r := newRouter(t, "echo", routerOptions{interfaces: `- {name: lo0, type: loopback, addresses: [192.0.2.1/32, "2001:db8:ffff::1/128"]}`})
	e1, _ := r.iface("eth1")
	var linkLocal string
	for _, a := range e1.State.Addresses {
		if strings.HasPrefix(a.Prefix, "fe80:") {
			linkLocal, _, _ = strings.Cut(a.Prefix, "/")
		}
	}
	if linkLocal == "" {
		t.Fatalf("eth1 has no link-local address: %+v", e1.State)
	}
	for _, dst := range []string{
		"10.0.1.1", "10.0.2.1", "192.0.2.1",
		"2001:db8:1::1", "2001:db8:2::1", "2001:db8:ffff::1", linkLocal + "%eth0",
	} {
		r.reach(r.a, dst)
		for _, size := range []string{"0", "1400", "4000"} {
			for range 2 {
				if out, n := r.ping(r.a, "-c", "1", "-s", size, dst); n != 1 || !strings.Contains(out, "from "+dst) {
					t.Errorf("ping %s of %s bytes:\n%s", dst, size, out)
				}
			}
		}
	}
	if out, n := r.ping(r.a, "-b", "-c", "1", "10.0.1.255"); n != 0 {
		t.Errorf("an echo to the broadcast address was answered:\n%s", out)
	}
	// Spoofed echo requests must not make the box send to a group.
	if d := r.drops(); d["ip4-echo-bad-source"] != 0 {
		t.Errorf("echo requests of a good host were refused: %v", d)
	}
}

// TestNoICMPErrors: RFC 1812 section 4.3.2.7 and RFC 4443 section 2.4(e) say what never gets one.
func TestNoICMPErrors(t *testing.T) {
	r := newRouter(t, "noerr", routerOptions{})
	r.reach(r.a, "10.0.2.2")
	var got map[string][2]int
	r.script(&got, r.a, "noerror")
	for name, c := range got {
		switch name {
		case "control4", "echo4", "control6", "echo6":
			if c[1] != c[0] {
				t.Errorf("%s: %d errors about %d packets", name, c[1], c[0])
			}
		default:
			if c[1] != 0 {
				t.Errorf("%s: %d errors about %d packets, want none", name, c[1], c[0])
			}
		}
	}
	if len(got) < 20 {
		t.Errorf("only %d cases: %v", len(got), got)
	}
}

// TestICMPErrorRate floods the box with what causes errors: their number is bounded, and others do not suffer.
func TestICMPErrorRate(t *testing.T) {
	const rate = 200
	r := newRouter(t, "rate", routerOptions{tail: fmt.Sprintf("settings: {icmp-error-rate: %d}", rate)})
	r.reach(r.a, "10.0.2.2")
	before := r.drops()
	f := r.startFlow(r.b, "10.0.1.1", 200, 10*time.Millisecond)
	var got struct {
		Sent, Errors4, Errors6 int
		Seconds                float64
	}
	r.script(&got, r.a, "errorflood", "2")
	errs := got.Errors4 + got.Errors6
	// A bucket may hold a second's worth when it starts.
	if most := int(rate * (got.Seconds + 2)); errs < rate || errs > most {
		t.Errorf("%d errors (%+v), want %d to %d", errs, got, rate, most)
	}
	if got.Errors4 == 0 || got.Errors6 == 0 {
		t.Errorf("a family got nothing: %+v", got)
	}
	if got.Sent < 10*errs {
		t.Errorf("too slow to show anything: %+v", got)
	}
	now := dropsSince(before, r.drops())
	if n := now["ip4-no-route"] + now["ip6-no-route"]; n < uint64(got.Sent)*9/10 || n > uint64(got.Sent)+20 {
		t.Errorf("%d packets sent, %d dropped for want of a route", got.Sent, n)
	}
	if sent, lost := f.finish(); lost != 0 {
		t.Errorf("%d of %d echo requests of another host were lost", lost, sent)
	}
}

// TestPathMTU: the link to b takes 1,400 bytes, and a link behind b to c 1,300.
func TestPathMTU(t *testing.T) {
	r := newRouter(t, "mtu", routerOptions{
		eth2: "mtu: 1400",
		instances: `
  - name: default
    static-routes:
      - {prefix: 10.0.9.0/24, next-hops: [{address: 10.0.2.2}]}
      - {prefix: "2001:db8:9::/64", next-hops: [{address: "2001:db8:2::2"}]}
`,
		prepare: func(r *router) {
			c := r.lab.NS("c")
			r.lab.Veth(r.b, "eth1", c, "eth0")
			r.b.Addr("eth1", "10.0.9.1/24")
			r.b.Addr("eth1", "2001:db8:9::1/64")
			c.Addr("eth0", "10.0.9.2/24")
			c.Addr("eth0", "2001:db8:9::2/64")
			r.b.IP("link", "set", "eth1", "mtu", "1300")
			// These send small packets themselves, for a veth takes none that are larger than its peer's MTU, but their
			// TCP does not tell: the other end has to find out.
			for _, d := range []struct {
				ns           *lab.NS
				gw, mtu, mss string
			}{
				{r.b, "10.0.2.1", "1400", "1460"}, {r.b, "2001:db8:2::1", "1400", "1440"},
				{c, "10.0.9.1", "1300", "1460"}, {c, "2001:db8:9::1", "1300", "1440"},
			} {
				d.ns.IP("route", "replace", "default", "via", d.gw, "mtu", d.mtu, "advmss", d.mss)
			}
			r.b.Sysctl("net.ipv4.ip_forward", "1")
			r.b.Sysctl("net.ipv6.conf.all.forwarding", "1")
		},
	})
	c := r.lab.NS("c")
	for _, dst := range []string{"10.0.2.2", "2001:db8:2::2", "10.0.9.2", "2001:db8:9::2"} {
		r.reach(r.a, dst)
	}

	// The error has the right MTU and source.
	before := r.drops()
	out, _ := r.ping(r.a, "-c", "1", "-M", "do", "-s", "1472", "10.0.2.2")
	if !strings.Contains(out, "From 10.0.1.1") || !strings.Contains(out, "mtu = 1400") {
		t.Errorf("DF and 1,500 bytes:\n%s", out)
	}
	r.wantDrops(before, "ip4-frag-needed", 1)
	out, _ = r.ping(r.a, "-c", "1", "-M", "do", "-s", "1452", "2001:db8:2::2")
	if !strings.Contains(out, "From 2001:db8:1::1") || !strings.Contains(out, "mtu=1400") {
		t.Errorf("IPv6 of 1,500 bytes:\n%s", out)
	}
	r.wantDrops(before, "ip6-too-big", 1)
	for _, dst := range []string{"10.0.9.2", "2001:db8:9::2"} {
		out := r.run(r.a, "tracepath", "-n", dst)
		if !strings.Contains(out, "pmtu 1400") || !strings.Contains(out, "Resume: pmtu 1300") {
			t.Errorf("tracepath %s:\n%s", dst, out)
		}
	}
	// Exactly what fits passes with DF.
	r.reach(r.a, "10.0.2.2", "-M", "do", "-s", "1372")
	r.reach(r.a, "2001:db8:2::2", "-M", "do", "-s", "1352")

	// Without DF it is fragmented, and fragments of fragments come together too.
	r.flushPMTU(r.a)
	for _, size := range []string{"1373", "1472", "3000", "8000"} {
		before := r.reassembled(r.b)
		for range 2 {
			if out, n := r.ping(r.a, "-c", "1", "-M", "dont", "-s", size, "10.0.2.2"); n != 1 {
				t.Errorf("%s bytes without DF:\n%s", size, out)
			}
		}
		if now := r.reassembled(r.b); now < before+2 {
			t.Errorf("%s bytes without DF: %d datagrams reassembled by the host, want 2", size, now-before)
		}
	}

	// TCP, whose segments have DF: through the box, and from and to sockets of the box's own kernel.
	for _, dst := range []string{"10.0.2.2", "2001:db8:2::2"} {
		r.flushPMTU(r.a)
		r.transferSize(r.a, r.b, dst, 2<<20)
		if out := r.run(r.a, "ip", "route", "get", dst); !strings.Contains(out, "mtu 1400") {
			t.Errorf("the sender did not learn the MTU: %s", out)
		}
		r.transferSize(r.box.Inner, r.b, dst, 2<<20)
	}
	for _, dst := range []string{"10.0.9.2", "2001:db8:9::2"} {
		r.transferSize(r.a, c, dst, 2<<20)
		r.transferSize(r.box.Inner, c, dst, 2<<20)
		if out := r.run(r.box.Inner, "ip", "route", "get", dst); !strings.Contains(out, "mtu 1300") {
			t.Errorf("the box's kernel did not learn the MTU of a link far away: %s", out)
		}
	}
	for _, dst := range []string{"10.0.1.1", "2001:db8:1::1", "10.0.2.1", "2001:db8:2::1"} {
		r.transferSize(c, r.box.Inner, dst, 2<<20)
	}
}

func (r *router) flushPMTU(ns *lab.NS) {
	r.t.Helper()
	r.run(ns, "ip", "route", "flush", "cache")
	r.run(ns, "ip", "-6", "route", "flush", "cache")
	time.Sleep(10 * time.Millisecond)
}

// reassembled is the kernel's count of IPv4 datagrams it put together.
func (r *router) reassembled(ns *lab.NS) int {
	r.t.Helper()
	var n int
	for _, line := range strings.Split(r.run(ns, "nstat", "-asz", "IpReasmOKs"), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "IpReasmOKs" {
			_, _ = fmt.Sscan(f[1], &n)
		}
	}
	return n
}
