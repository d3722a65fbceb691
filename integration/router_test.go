package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/internal/lab"
)

// router is what most tests of the packet path stand on: host a at eth1 (10.0.1.0/24, 2001:db8:1::/64), host b at eth2
// (10.0.2.0/24, 2001:db8:2::/64), the box between them has .1 and ::1 on each. The hosts have .2 and ::2, and default routes
// to the box.
type router struct {
	t   *testing.T
	lab *lab.Lab
	// a and b are the hosts, ns is the namespace of the ports' netdevs (pa, pb).
	a, b, ns *lab.NS
	box      *lab.Box
}

type routerOptions struct {
	// port is added to both interfaces, eth1 and eth2 to one: further "key: value" pairs, separated by commas.
	port, eth1, eth2 string
	// interfaces are further list items, one a line, instances replaces the network-instances section's content,
	// tail is the rest of the file.
	interfaces, instances, tail string
	// dataplane are further lines of system.dataplane, mbufs the number of packet buffers; 0: a few.
	dataplane string
	mbufs     int
	args      string
	// before the box is started.
	prepare func(r *router)
}

func newLab(t *testing.T, name string) *lab.Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes network namespaces")
	}
	l, err := lab.New(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func (o *routerOptions) config() string {
	var s strings.Builder
	extra := func(more ...string) string {
		var e string
		for _, m := range more {
			if m != "" {
				e += ", " + m
			}
		}
		return e
	}
	fmt.Fprintf(&s, "interfaces:\n")
	fmt.Fprintf(&s, "  - {name: eth1, type: port, iface: pa, addresses: [10.0.1.1/24, \"2001:db8:1::1/64\"]%s}\n", extra(o.port, o.eth1))
	addrs2 := `addresses: [10.0.2.1/24, "2001:db8:2::1/64"], `
	if strings.Contains(o.eth2, "addresses:") {
		addrs2 = ""
	}
	fmt.Fprintf(&s, "  - {name: eth2, type: port, %siface: pb%s}\n", addrs2, extra(o.port, o.eth2))
	for _, line := range strings.Split(strings.TrimSpace(o.interfaces), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			fmt.Fprintf(&s, "  %s\n", line)
		}
	}
	if o.instances != "" {
		fmt.Fprintf(&s, "network-instances:\n%s\n", strings.Trim(o.instances, "\n"))
	}
	if o.tail != "" {
		fmt.Fprintf(&s, "%s\n", strings.Trim(o.tail, "\n"))
	}
	return s.String()
}

// newRouter builds it, and returns when both ports are up.
func newRouter(t *testing.T, name string, opt routerOptions) *router {
	t.Helper()
	l := newLab(t, name)
	r := &router{t: t, lab: l, a: l.NS("a"), b: l.NS("b"), ns: l.NS("r")}
	l.Veth(r.a, "eth0", r.ns, "pa")
	l.Veth(r.b, "eth0", r.ns, "pb")
	for i, ns := range []*lab.NS{r.a, r.b} {
		ns.Addr("eth0", fmt.Sprintf("10.0.%d.2/24", i+1))
		ns.Addr("eth0", fmt.Sprintf("2001:db8:%d::2/64", i+1))
		ns.Default(fmt.Sprintf("10.0.%d.1", i+1))
		ns.Default(fmt.Sprintf("2001:db8:%d::1", i+1))
	}
	if opt.prepare != nil {
		opt.prepare(r)
	}
	if opt.mbufs == 0 {
		opt.mbufs = 8192
	}
	box, err := l.Box(r.ns, lab.BoxOptions{
		Config:        opt.config(),
		Dataplane:     fmt.Sprintf("ipv4-routes: 65536\nipv6-routes: 16384\nmbufs: %d\nhugepages: false\n", opt.mbufs) + opt.dataplane,
		DataplaneArgs: opt.args,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.box = box
	t.Cleanup(func() {
		// What a build with sanitizers (MILLRACE_DATAPLANE) has to say.
		for _, line := range strings.Split(box.Proc.Output(), "\n") {
			if strings.Contains(line, "runtime error:") || strings.Contains(line, "AddressSanitizer") {
				t.Error(line)
			}
		}
		if t.Failed() {
			t.Logf("the box says:\n%s", tail(box.Proc.Output(), 6000))
			if out, err := box.Ctl("system", "drops"); err == nil {
				t.Logf("drops:\n%s", out)
			}
		}
	})
	if err := box.WaitInterfaces("eth1", "eth2"); err != nil {
		t.Fatal(err)
	}
	r.waitDAD()
	return r
}

// waitDAD waits until no address is tentative (RFC 4862): before that the box does not use them, and packets would wait.
func (r *router) waitDAD() {
	r.t.Helper()
	r.eventually(5*time.Second, func() error {
		var list []ifaceView
		if err := r.box.CtlJSON(&list, "interface", "list"); err != nil {
			return err
		}
		for _, i := range list {
			for _, a := range i.State.Addresses {
				if a.DAD == "DAD_STATE_TENTATIVE" {
					return fmt.Errorf("%s of %s is tentative", a.Prefix, i.Config.Name)
				}
			}
		}
		return nil
	})
}

func (r *router) apply(opt routerOptions) {
	r.t.Helper()
	if err := r.box.Apply(opt.config()); err != nil {
		r.t.Fatal(err)
	}
}

// ctl runs vnfctl, which has to succeed.
func (r *router) ctl(args ...string) string {
	r.t.Helper()
	out, err := r.box.Ctl(args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func (r *router) eventually(timeout time.Duration, f func() error) {
	r.t.Helper()
	if err := lab.Eventually(timeout, f); err != nil {
		r.t.Fatal(err)
	}
}

// run runs a command in a namespace, which has to succeed.
func (r *router) run(ns *lab.NS, name string, args ...string) string {
	r.t.Helper()
	out, err := ns.Output(name, args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// start starts a command in a namespace that ends with the test.
func (r *router) start(ns *lab.NS, name string, args ...string) *lab.Proc {
	r.t.Helper()
	p, err := ns.Start(name, args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

var pingSummary = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received|xmt/rcv/%loss = (\d+)/(\d+)/`)

// pingStats reads what ping(8) or fping(8) says at its end.
func pingStats(t *testing.T, out string) (sent, received int) {
	t.Helper()
	m := pingSummary.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("not ping's output:\n%s", out)
	}
	sent, _ = strconv.Atoi(m[1] + m[3])
	received, _ = strconv.Atoi(m[2] + m[4])
	return sent, received
}

// ping sends echo requests and returns its output and how many were answered; its exit status is ignored. For what has to be answered
// it is one request: see pings.
func (r *router) ping(ns *lab.NS, args ...string) (out string, received int) {
	r.t.Helper()
	out, _ = ns.Output("ping", append([]string{"-n", "-W", "5"}, args...)...)
	_, received = pingStats(r.t, out)
	return out, received
}

// pings sends n echo requests with size bytes, one each interval, and returns its output and how many were answered. ping(8) waits for
// the last answers no longer than its interval, which a busy machine may need; fping waits two seconds for each.
func (r *router) pings(ns *lab.NS, dst string, n int, interval time.Duration, size int) (out string, received int) {
	r.t.Helper()
	out, _ = ns.Output("fping", fpingArgs(dst, n, interval, size)...)
	_, received = pingStats(r.t, out)
	return out, received
}

func fpingArgs(dst string, n int, interval time.Duration, size int) []string {
	return []string{
		"-c", strconv.Itoa(n), "-i", "1", "-p", strconv.FormatInt(interval.Milliseconds(), 10), "-b", strconv.Itoa(size), "-t", "2000", dst,
	}
}

// refuses waits until an echo request is answered with an error that says a word.
func (r *router) refuses(ns *lab.NS, dst, word string) {
	r.t.Helper()
	r.eventually(5*time.Second, func() error {
		if out, n := r.ping(ns, "-c", "1", dst); n != 0 || !strings.Contains(out, word) {
			return fmt.Errorf("no %q:\n%s", word, out)
		}
		return nil
	})
}

// reach fails the test unless the destination answers within a few attempts.
func (r *router) reach(ns *lab.NS, dst string, args ...string) {
	r.t.Helper()
	r.eventually(5*time.Second, func() error {
		out, n := r.ping(ns, append([]string{"-c", "1", dst}, args...)...)
		if n != 1 {
			return fmt.Errorf("no answer: %s", out)
		}
		return nil
	})
}

// flow is a ping at a steady pace in the background; every loss is counted.
type flow struct {
	r *router
	p *lab.Proc
}

// startFlow sends n echo requests, one each interval.
func (r *router) startFlow(ns *lab.NS, dst string, n int, interval time.Duration) *flow {
	r.t.Helper()
	return &flow{r, r.start(ns, "fping", append([]string{"-q"}, fpingArgs(dst, n, interval, 56)...)...)}
}

// finish waits for the end and returns how many were lost.
func (f *flow) finish() (sent, lost int) {
	f.r.t.Helper()
	if err := f.p.Wait(lab.CommandTimeout); err != nil {
		f.r.t.Fatal(err)
	}
	sent, received := pingStats(f.r.t, f.p.Output())
	return sent, sent - received
}

// drops are the drop counters by reason.
func (r *router) drops() map[string]uint64 {
	r.t.Helper()
	var list []struct {
		Reason  string
		Packets uint64 `json:",string"`
	}
	if err := r.box.CtlJSON(&list, "system", "drops"); err != nil {
		r.t.Fatal(err)
	}
	m := map[string]uint64{}
	for _, d := range list {
		m[d.Reason] += d.Packets
	}
	return m
}

// wantDrops fails unless the reason's counter rose by at least n since before.
func (r *router) wantDrops(before map[string]uint64, reason string, n uint64) {
	r.t.Helper()
	r.eventually(2*time.Second, func() error {
		if now := r.drops(); now[reason]-before[reason] < n {
			return fmt.Errorf("drops by %s rose by %d, want %d or more; all: %v", reason, now[reason]-before[reason], n, dropsSince(before, now))
		}
		return nil
	})
}

func dropsSince(before, now map[string]uint64) map[string]uint64 {
	d := map[string]uint64{}
	for k, v := range now {
		if v != before[k] {
			d[k] = v - before[k]
		}
	}
	return d
}

// ifaceView is what the tests read of `vnfctl interface list -o json`.
type ifaceView struct {
	Config struct{ Name string }
	State  struct {
		OperStatus string
		MAC        string
		MTU        int
		Driver     string
		RxQueues   int
		Addresses  []struct{ Prefix, DAD, ConflictMAC string }
	}
	Counters struct {
		RxPackets, RxOctets, TxPackets, TxOctets, RxErrors, TxErrors, RxDiscards, TxDiscards, Punted uint64 `json:",string"`
	}
}

func (v ifaceView) up() bool { return v.State.OperStatus == "OPER_STATUS_UP" }

// iface returns an interface's state; ok is false if there is none.
func (r *router) iface(name string) (v ifaceView, ok bool) {
	r.t.Helper()
	var list []ifaceView
	if err := r.box.CtlJSON(&list, "interface", "list"); err != nil {
		r.t.Fatal(err)
	}
	for _, v := range list {
		if v.Config.Name == name {
			return v, true
		}
	}
	return ifaceView{}, false
}

// hasRoute tells whether a chosen route to the prefix exists.
func (r *router) hasRoute(prefix string) bool {
	r.t.Helper()
	for _, line := range strings.Split(r.ctl("route", "list"), "\n") {
		f := strings.Fields(line)
		if len(f) > 1 && f[0] == "*" && f[1] == prefix {
			return true
		}
	}
	return false
}

type neighView struct {
	Interface, Address, MAC, NUD string
	Queued                       int
}

// neighbors are the neighbours of an interface by address.
func (r *router) neighbors(iface string) map[string]neighView {
	r.t.Helper()
	var list []neighView
	if err := r.box.CtlJSON(&list, "neighbor", "list"); err != nil {
		r.t.Fatal(err)
	}
	m := map[string]neighView{}
	for _, n := range list {
		if n.Interface == iface {
			m[n.Address] = n
		}
	}
	return m
}

// mac returns the MAC address of a namespace's netdev.
func (r *router) mac(ns *lab.NS, dev string) string {
	r.t.Helper()
	f := strings.Fields(r.run(ns, "ip", "-br", "link", "show", "dev", dev))
	if len(f) < 3 {
		r.t.Fatalf("no MAC address of %s", dev)
	}
	return f[2]
}

// decode reads JSON that a program printed.
func decode(t *testing.T, out string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), v); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
}

// echoCount is how many echo requests of both families the namespace's kernel has received.
func (r *router) echoCount(ns *lab.NS) int {
	r.t.Helper()
	n := 0
	for _, line := range strings.Split(r.run(ns, "nstat", "-asz", "IcmpInEchos", "Icmp6InEchos"), "\n") {
		var v int
		if f := strings.Fields(line); len(f) > 1 && strings.HasSuffix(f[0], "InEchos") {
			_, _ = fmt.Sscan(f[1], &v)
			n += v
		}
	}
	return n
}
