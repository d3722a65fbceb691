package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"millrace/internal/lab"
)

// ctlLines reads what vnfctl prints as one JSON object a line.
func ctlLines[T any](box *lab.Box, v *[]T, args ...string) error {
	out, err := box.Ctl(append(args, "-o", "json")...)
	if err != nil {
		return err
	}
	d := json.NewDecoder(strings.NewReader(out))
	for d.More() {
		var one T
		if err := d.Decode(&one); err != nil {
			return err
		}
		*v = append(*v, one)
	}
	return nil
}

// background starts vnfctl with its output in a file, and returns a function that waits for its end, calling nudge meanwhile, and reads
// the file. settle is how long vnfctl is given before anything is sent: nothing says when the box has begun to look.
func (r *router) background(settle time.Duration, file string, args ...string) (wait func(nudge func()) string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	r.t.Cleanup(cancel)
	f, err := os.Create(file)
	if err != nil {
		r.t.Fatal(err)
	}
	var errs strings.Builder
	cmd := r.box.CtlCommand(ctx, args...)
	cmd.Stdout, cmd.Stderr = f, &errs
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	time.Sleep(settle)
	return func(nudge func()) string {
		r.t.Helper()
		for ended := false; !ended; {
			nudge()
			select {
			case err := <-done:
				if ended = true; err != nil {
					r.t.Fatalf("vnfctl %v: %v: %s", args, err, errs.String())
				}
			case <-time.After(300 * time.Millisecond):
			}
		}
		_ = f.Close()
		b, err := os.ReadFile(file)
		if err != nil {
			r.t.Fatal(err)
		}
		return string(b)
	}
}

// inOrder tells whether the words come one after the other.
func inOrder(text string, words ...string) bool {
	for _, w := range words {
		i := strings.Index(text, w)
		if i < 0 {
			return false
		}
		text = text[i+len(w):]
	}
	return true
}

// TestTrace: a forwarded and a dropped packet, with the nodes they passed.
func TestTrace(t *testing.T) {
	r := newRouter(t, "trace", routerOptions{})
	r.reach(r.a, "10.0.2.2")
	r.reach(r.a, "2001:db8:2::2")
	for _, c := range []struct {
		name, filter, dst string
		args, want        []string
	}{
		{"forwarded", "icmp and dst host 10.0.2.2", "10.0.2.2", nil, []string{"by eth1", "eth-input", "ip4-input", "ip4-rewrite", "port-tx"}},
		{"forwarded", "icmp6 and dst host 2001:db8:2::2", "2001:db8:2::2", nil, []string{"eth-input", "ip6-input", "ip6-rewrite", "port-tx"}},
		{"no route", "icmp and dst host 10.99.0.1", "10.99.0.1", nil, []string{"ip4-input", "ip4-error", "drop-ip4-no-route", "dropped: ip4-no-route"}},
		{"TTL", "icmp and dst host 10.0.2.2", "10.0.2.2", []string{"-t", "1"}, []string{"ip4-error", "drop-ip4-ttl-exceeded", "dropped: ip4-ttl-exceeded"}},
		{"local", "icmp and dst host 10.0.1.1", "10.0.1.1", nil, []string{"ip4-input", "ip4-local", "icmp4-input"}},
	} {
		wait := r.background(200*time.Millisecond, filepath.Join(r.lab.Dir, "trace"), "trace", "--interface", "eth1", "--count", "1", "--for", "60s", c.filter)
		out := wait(func() { _, _ = r.ping(r.a, append([]string{"-c", "1", c.dst}, c.args...)...) })
		if !inOrder(out, c.want...) {
			t.Errorf("%s: want %v in\n%s", c.name, c.want, out)
		}
		if strings.Contains(out, "dropped:") != strings.Contains(strings.Join(c.want, " "), "dropped:") {
			t.Errorf("%s:\n%s", c.name, out)
		}
	}
	if _, err := r.box.Ctl("trace", "--count", "1", "no such filter"); err == nil || !strings.Contains(err.Error(), "filter") {
		t.Errorf("a filter that is none: %v", err)
	}
}

// TestCapture: what vnfctl writes is what tshark reads; both directions, and only what the filter takes.
func TestCapture(t *testing.T) {
	r := newRouter(t, "cap", routerOptions{})
	r.reach(r.a, "10.0.2.2")
	r.reach(r.a, "2001:db8:2::2")
	type capture struct {
		name, iface, filter string
		args                []string
		in, out             int
	}
	// what captures ten echoes, and compares. It fails if the box begins to look only when they are under way.
	what := func(c capture, settle time.Duration) error {
		file := filepath.Join(r.lab.Dir, c.name+".pcapng")
		wait := r.background(settle, file, append([]string{"capture", c.iface, c.filter}, c.args...)...)
		_, _ = r.pings(r.a, "2001:db8:2::2", 3, 10*time.Millisecond, 56)
		if _, n := r.pings(r.a, "10.0.2.2", 10, 20*time.Millisecond, 56); n != 10 {
			t.Errorf("%s: the capture cost packets", c.name)
		}
		time.Sleep(300 * time.Millisecond)
		wait(func() { _, _ = r.pings(r.a, "10.0.2.2", 1, 20*time.Millisecond, 56) })
		out := r.run(r.a, "tshark", "-r", file, "-T", "fields", "-e", "icmp.type", "-e", "ip.src", "-e", "ip.checksum.status", "-o", "ip.check_checksum:TRUE")
		var requests, replies, others int
		for _, line := range strings.Split(out, "\n") {
			f := strings.Split(line, "\t")
			switch {
			case len(f) < 3 || f[0] == "":
			case f[0] == "8" && f[1] == "10.0.1.2" && f[2] == "1":
				requests++
			case f[0] == "0" && f[1] == "10.0.2.2" && f[2] == "1":
				replies++
			default:
				others++
			}
		}
		if requests != c.in || replies != c.out || others != 0 {
			return fmt.Errorf("%s: %d requests, %d replies, %d others; want %d, %d, none:\n%s", c.name, requests, replies, others, c.in, c.out, out)
		}
		return nil
	}
	for _, c := range []capture{
		{"both", "eth1", "icmp", []string{"--count", "20"}, 10, 10},
		{"in", "eth1", "icmp", []string{"--count", "10", "--direction", "in"}, 10, 0},
		{"out", "eth2", "icmp", []string{"--count", "10", "--direction", "out"}, 10, 0}, // requests leave by eth2
		{"replies", "eth1", "icmp[0] = 0", []string{"--count", "10"}, 0, 10},
	} {
		err := what(c, 500*time.Millisecond)
		for settle := 2 * time.Second; err != nil && settle < 30*time.Second; settle *= 4 {
			err = what(c, settle)
		}
		if err != nil {
			t.Error(err)
		}
	}
	// Straight through a pipe, as the manual has it.
	cmd := "exec timeout 100 " + r.lab.Bin("vnfctl") + " --address 127.0.0.1:9339 --tls-dir " + r.box.TLSDir() + " capture eth1 icmp --count 4 | tshark -r -"
	p := r.start(r.ns, "sh", "-c", cmd)
	for end := time.Now().Add(100 * time.Second); p.Running() && time.Now().Before(end); {
		_, _ = r.pings(r.a, "10.0.2.2", 2, 100*time.Millisecond, 56)
	}
	if err := p.Wait(12 * time.Second); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(p.Output(), "Echo (ping)"); n != 4 {
		t.Errorf("tshark saw %d echoes through the pipe, want 4:\n%s", n, p.Output())
	}
}

// TestGraph: the picture of the running graph is Graphviz's language and has the way of a packet in it.
func TestGraph(t *testing.T) {
	r := newRouter(t, "graph", routerOptions{})
	dot := strings.TrimSpace(r.ctl("graph", "--dot"))
	if !strings.HasPrefix(dot, "digraph") || !strings.HasSuffix(dot, "}") || strings.Count(dot, "{") != strings.Count(dot, "}") {
		t.Fatalf("not a graph:\n%.500s", dot)
	}
	edges := map[[2]string]bool{}
	for _, m := range regexp.MustCompile(`"([a-z0-9-]+)" -> "([a-z0-9-]+)"`).FindAllStringSubmatch(dot, -1) {
		edges[[2]string{m[1], m[2]}] = true
	}
	for _, e := range [][2]string{
		{"port-rx", "eth-input"}, {"eth-input", "ip4-input"}, {"eth-input", "ip6-input"}, {"eth-input", "arp-input"},
		{"ip4-input", "ip4-rewrite"}, {"ip4-rewrite", "port-tx"}, {"ip6-rewrite", "port-tx"}, {"ip4-input", "ip4-local"},
		{"ip4-error", "drop-ip4-no-route"}, {"eth-input", "drop-eth-unknown-vlan"},
	} {
		if !edges[e] {
			t.Errorf("no edge from %s to %s among %d", e[0], e[1], len(edges))
		}
	}
}

// TestPingFromBox: ping and traceroute of the data plane itself, and the live view.
func TestPingFromBox(t *testing.T) {
	r := newRouter(t, "probe", routerOptions{instances: `
  - name: default
    static-routes:
      - {prefix: 10.0.9.0/24, next-hops: [{address: 10.0.2.2}]}
      - {prefix: "2001:db8:9::/64", next-hops: [{address: "2001:db8:2::2"}]}
`, prepare: func(r *router) {
		c := r.lab.NS("c")
		r.lab.Veth(r.b, "eth1", c, "eth0")
		r.b.Addr("eth1", "10.0.9.1/24")
		r.b.Addr("eth1", "2001:db8:9::1/64")
		c.Addr("eth0", "10.0.9.2/24")
		c.Addr("eth0", "2001:db8:9::2/64")
		c.Default("10.0.9.1")
		c.Default("2001:db8:9::1")
		r.b.IP("link", "set", "eth1", "mtu", "1300")
		r.b.Sysctl("net.ipv4.ip_forward", "1")
		r.b.Sysctl("net.ipv6.conf.all.forwarding", "1")
	}})
	r.eventually(5*time.Second, func() error {
		_, err := r.box.Ctl("ping", "2001:db8:9::2", "--count", "1")
		return err
	})
	for _, c := range []struct{ dst, via string }{{"10.0.9.2", "10.0.2.2"}, {"2001:db8:9::2", "2001:db8:2::2"}} {
		var replies []struct{ Outcome, From string }
		if err := ctlLines(r.box, &replies, "ping", c.dst, "--count", "3", "--interval", "50ms"); err != nil {
			t.Fatal(err)
		}
		if len(replies) != 3 {
			t.Errorf("%d replies of 3: %+v", len(replies), replies)
		}
		for _, p := range replies {
			if p.Outcome != "PING_OUTCOME_REPLY" || p.From != c.dst {
				t.Errorf("ping %s: %+v", c.dst, p)
			}
		}
		for _, kind := range []string{"--icmp=true", "--icmp=false"} {
			var path []struct {
				TTL           int
				Outcome, From string
				Final         bool
			}
			if err := ctlLines(r.box, &path, "traceroute", c.dst, "--probes", "1", kind); err != nil {
				t.Fatal(err)
			}
			if len(path) != 2 || path[0].From != c.via || path[1].From != c.dst || !path[1].Final {
				t.Errorf("traceroute %s %s: %+v", kind, c.dst, path)
			}
		}
	}
	var exit interface{ ExitCode() int }
	out, err := r.box.Ctl("ping", "10.0.2.99", "--count", "1")
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("a ping that nobody answers: %v\n%s", err, out)
	}
	if out, _ := r.box.Ctl("ping", "10.0.9.2", "--count", "1", "--size", "1400", "--dont-fragment"); !strings.Contains(out, "1300") {
		t.Errorf("a ping that is too big for a link on the way does not tell its MTU:\n%s", out)
	}

	f := r.startFlow(r.a, "10.0.2.2", 800, 5*time.Millisecond)
	out = r.ctl("top", "--once", "--interval", "1s")
	if !regexp.MustCompile(`(?m)^\s*eth1\s+up\s+[1-9]\d*`).MatchString(out) || !strings.Contains(out, "worker 0") {
		t.Errorf("top under traffic:\n%s", out)
	}
	if sent, lost := f.finish(); lost != 0 {
		t.Errorf("%d of %d packets lost", lost, sent)
	}
}
