package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"millrace/internal/lab"
)

// malformedReasons are the drop reasons that a class of packets of scapy/malformed.py may be counted under.
var malformedReasons = map[string]string{
	"eth-bad-source":          "eth-bad-source",
	"eth-other":               "eth-not-for-us",
	"eth-type":                "eth-unknown-type",
	"vlan-truncated":          "eth-unknown-vlan eth-short",
	"arp-truncated":           "arp-truncated",
	"arp-lies":                "arp-bad-hardware arp-bad-protocol arp-bad-opcode arp-bad-sender",
	"ip4-truncated":           "ip4-short ip4-bad-length eth-short",
	"ip4-options-truncated":   "ip4-short ip4-bad-length ip4-bad-version eth-short",
	"ip4-version":             "ip4-bad-version",
	"ip4-header-length":       "ip4-bad-version ip4-bad-length",
	"ip4-total-length":        "ip4-bad-length",
	"ip4-checksum":            "ip4-bad-checksum",
	"ip4-martian-source":      "ip4-martian-source",
	"ip4-martian-destination": "ip4-martian-destination",
	"ip4-spoofed":             "ip4-spoofed-source",
	"ip4-directed-broadcast":  "ip4-directed-broadcast",
	"ip4-source-route":        "ip4-source-route",
	"ip4-bad-options":         "ip4-bad-options",
	"ip4-transport":           "ip4-bad-transport",
	"icmp4-truncated":         "ip4-bad-transport ip4-icmp-truncated",
	"icmp4-checksum":          "ip4-icmp-bad-checksum",
	"icmp4-redirect":          "ip4-icmp-redirect",
	"ip6-truncated":           "ip6-short ip6-bad-length eth-short",
	"ip6-extension-truncated": "ip6-short ip6-bad-length eth-short",
	"ip6-extension-short":     "ip6-bad-extension ip6-bad-hop-by-hop ip6-parameter-problem ip6-bad-transport ip6-icmp-truncated",
	"ip6-version":             "ip6-bad-version",
	"ip6-payload-length":      "ip6-bad-length",
	"ip6-martian-source":      "ip6-martian-source",
	"ip6-martian-destination": "ip6-martian-destination",
	"ip6-spoofed":             "ip6-spoofed-source",
	"ip6-link-local":          "ip6-link-local-not-forwarded ip6-beyond-scope",
	"ip6-rh0":                 "ip6-parameter-problem",
	"ip6-hop-by-hop":          "ip6-bad-hop-by-hop ip6-parameter-problem",
	"ip6-unknown-option":      "ip6-unknown-option ip6-parameter-problem",
	"ip6-transport":           "ip6-bad-transport",
	"icmp6-truncated":         "ip6-bad-transport ip6-icmp-truncated ip6-icmp-bad-checksum",
	"icmp6-checksum":          "ip6-icmp-bad-checksum",
	"nd-hop-limit":            "nd-bad-hop-limit",
	"nd-code":                 "nd-bad-code",
	"nd-truncated":            "nd-truncated ip6-icmp-truncated",
	"nd-options":              "nd-bad-option",
	"nd-target":               "nd-bad-target",
	"nd-redirect":             "nd-redirect",
	"mutants":                 "", // by many reasons, and some are good packets
}

// TestMalformed: the box survives each class, still forwards, and counts each packet under a reason that fits.
func TestMalformed(t *testing.T) {
	r := newRouter(t, "bad", routerOptions{tail: "settings: {neighbor-rate: 100000, punt-rate: 100000}"})
	r.reach(r.a, "10.0.2.2")
	r.reach(r.a, "2001:db8:2::2")
	pid, err := r.box.Child("dataplane")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := r.a.Command(ctx, "/usr/bin/python3", "scapy/malformed.py", r.mac(r.ns, "pa"))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	tested := 0
	for {
		before := r.drops()
		_, _ = in.Write([]byte("\n"))
		if !lines.Scan() {
			break
		}
		var c struct {
			Class string
			Sent  uint64
		}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatalf("%v in %q", err, lines.Text())
		}
		if c.Class == "" {
			break
		}
		tested++
		r.checkClass(before, c.Class, c.Sent)
		if now, err := r.box.Child("dataplane"); err != nil || now != pid {
			t.Fatalf("after %s the data plane is process %d, was %d (%v)", c.Class, now, pid, err)
		}
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	if tested != len(malformedReasons) {
		t.Errorf("%d of %d classes were sent", tested, len(malformedReasons))
	}
	// A mutant may have taught it a wrong MAC address for the host.
	r.ctl("neighbor", "flush")
	for _, dst := range []string{"10.0.2.2", "2001:db8:2::2", "10.0.1.1", "2001:db8:1::1"} {
		r.reach(r.a, dst)
		if out, n := r.pings(r.a, dst, 20, 10*time.Millisecond, 56); n != 20 {
			t.Errorf("afterwards %d of 20 come back:\n%s", n, out)
		}
	}
}

// checkClass waits until as many packets as were sent have been counted as dropped, and looks at the reasons.
func (r *router) checkClass(before map[string]uint64, class string, sent uint64) {
	r.t.Helper()
	want, known := malformedReasons[class]
	if !known {
		r.t.Errorf("class %s has no reasons here", class)
		return
	}
	var fits, others map[string]uint64
	var n uint64
	count := func() {
		fits, others, n = map[string]uint64{}, map[string]uint64{}, 0
		for reason, k := range dropsSince(before, r.drops()) {
			if strings.Contains(" "+want+" ", " "+reason+" ") {
				fits[reason] = k
				n += k
			} else {
				others[reason] = k
			}
		}
	}
	for range 200 {
		if count(); n >= sent || want == "" {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if want == "" {
		r.t.Logf("%-24s %4d sent, dropped by %v", class, sent, others)
		return
	}
	r.t.Logf("%-24s %4d sent, dropped by %v", class, sent, fits)
	if n != sent {
		r.t.Errorf("%s: %d packets sent, %d dropped by a reason that fits (%v); by others: %v", class, sent, n, fits, others)
	}
}

// TestURPF: strict on eth1, loose on eth2 (RFC 3704).
func TestURPF(t *testing.T) {
	r := newRouter(t, "urpf", routerOptions{eth1: "urpf: strict", eth2: "urpf: loose", instances: `
  - name: default
    static-routes:
      - {prefix: 10.44.0.0/16, next-hops: [{address: 10.0.1.2}]}
      - {prefix: "2001:db8:44::/48", next-hops: [{address: "2001:db8:1::2"}]}
`, prepare: func(r *router) {
		for i, ns := range []*lab.NS{r.a, r.b} {
			// Addresses there is a route for, towards a, and others for which there is none.
			ns.Addr("lo", fmt.Sprintf("10.44.0.%d/32", i+1))
			ns.Addr("lo", fmt.Sprintf("10.77.0.%d/32", i+1))
			ns.Addr("lo", fmt.Sprintf("2001:db8:44::%d/128", i+1))
			ns.Addr("lo", fmt.Sprintf("2001:db8:77::%d/128", i+1))
		}
	}})
	r.reach(r.a, "10.0.2.2")
	r.reach(r.a, "2001:db8:2::2")
	r.reach(r.b, "10.0.1.2")
	for _, c := range []struct {
		name     string
		from     *lab.NS
		src, dst string
		drop     string
	}{
		{"strict, by the right interface", r.a, "10.44.0.1", "10.0.2.2", ""},
		{"strict, no route", r.a, "10.77.0.1", "10.0.2.2", "ip4-urpf"},
		{"strict, by another interface", r.a, "10.0.2.77", "10.0.2.2", "ip4-urpf"},
		{"loose, by another interface", r.b, "10.44.0.2", "10.0.1.2", ""},
		{"loose, no route", r.b, "10.77.0.2", "10.0.1.2", "ip4-urpf"},
		{"strict, by the right interface", r.a, "2001:db8:44::1", "2001:db8:2::2", ""},
		{"strict, no route", r.a, "2001:db8:77::1", "2001:db8:2::2", "ip6-urpf"},
		{"loose, by another interface", r.b, "2001:db8:44::2", "2001:db8:1::2", ""},
		{"loose, no route", r.b, "2001:db8:77::2", "2001:db8:1::2", "ip6-urpf"},
	} {
		if c.src == "10.0.2.77" {
			r.a.Addr("lo", "10.0.2.77/32")
		}
		before := r.drops()
		seen := r.echoesAcross(c.from)
		_, _ = c.from.Output("ping", "-n", "-c", "3", "-i", "0.05", "-W", "0.3", "-I", c.src, c.dst)
		r.eventually(time.Second, func() error {
			d := dropsSince(before, r.drops())
			got := r.echoesAcross(c.from) - seen
			if n := d["ip4-urpf"] + d["ip6-urpf"]; c.drop == "" && (n != 0 || got != 3) || c.drop != "" && (d[c.drop] != 3 || got != 0) {
				return fmt.Errorf("%s (%s): %d echo requests arrived, dropped: %v", c.name, c.src, got, d)
			}
			return nil
		})
	}
}

// echoesAcross counts the echo requests that the host at the other side of `from` has received.
func (r *router) echoesAcross(from *lab.NS) int {
	r.t.Helper()
	to := r.b
	if from == r.b {
		to = r.a
	}
	return r.echoCount(to)
}
