package integration

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/internal/lab"
)

// group is a group of appliances as images/openstack/heat/autoscaling.yaml makes it: each ends the connections of the same virtual
// addresses and announces them to a pair of routers, in front of which is a client.
//
//	            ┌ r1 ┐        ┌ m0 ┐
//	client ─────┤    ├─ edge ─┼ m1 ┼─ inside ── backends
//	            └ r2 ┘        └ m2 ┘
//
// Edge is 10.0.3.0/24, inside 10.9.0.0/16; the members have .10, .11 … on both, the routers 10.0.3.2 and .3.
type group struct {
	t       *testing.T
	lab     *lab.Lab
	client  *lab.NS
	routers []*lab.FRR
	router  *lab.Box // in place of them
	members []*lab.Box
}

const (
	groupVIP   = "203.0.113.80"
	groupVIP6  = "2001:db8:99::80"
	groupFRR   = 65010
	groupFirst = 4200000778 // AS number of the first member
)

// newGroup makes a group of n members, with r1 and r2 FRR, or with one router that is Millrace.
func newGroup(t *testing.T, n int, millrace bool) *group {
	t.Helper()
	g := &group{t: t, lab: newLab(t, "ecmp")}
	t.Cleanup(func() {
		if t.Failed() {
			g.tell()
		}
	})
	g.client = g.lab.NS("client")
	edge, inside, backends := g.lab.NS("edge"), g.lab.NS("inside"), g.lab.NS("backends")
	for _, ns := range []*lab.NS{edge, inside} {
		ns.IP("link", "add", "br0", "type", "bridge")
		ns.IP("link", "set", "br0", "up")
	}
	plug := func(ns *lab.NS, name string, sw *lab.NS) {
		end := "p" + ns.Name[len(g.lab.Prefix()):]
		g.lab.Veth(ns, name, sw, end)
		sw.IP("link", "set", end, "master", "br0")
	}
	plug(backends, "eth0", inside)
	backends.Addr("eth0", "10.9.0.2/16")
	backends.Addr("eth0", "10.9.0.3/16")

	g.client.Addr("lo", "198.51.100.1/32")
	if millrace {
		r := g.lab.NS("r1")
		g.lab.Veth(g.client, "eth1", r, "out")
		g.client.Addr("eth1", "10.0.1.2/24")
		g.client.IP("route", "add", "default", "src", "198.51.100.1", "via", "10.0.1.1")
		plug(r, "edge", edge)
	} else {
		g.pair(plug)
	}
	if err := g.lab.Err(); err != nil {
		t.Fatal(err)
	}

	g.backends(backends)
	if millrace {
		g.router = g.millrace()
	} else {
		for i := 1; i <= 2; i++ {
			f, err := g.lab.ForwardingFRR(g.lab.NS(fmt.Sprintf("r%d", i)), g.frr(i))
			g.ok(err)
			g.routers = append(g.routers, f)
		}
	}
	for i := range n {
		ns := g.lab.NS(fmt.Sprintf("m%d", i))
		plug(ns, "edge", edge)
		plug(ns, "inside", inside)
		g.members = append(g.members, g.member(ns, i))
	}
	return g
}

// pair makes the namespaces of the two routers, between the client and the edge, whose kernel spreads by addresses and ports.
func (g *group) pair(plug func(ns *lab.NS, name string, sw *lab.NS)) {
	hops := []string{"route", "add", "default", "src", "198.51.100.1"}
	for i := 1; i <= 2; i++ {
		r := g.lab.NS(fmt.Sprintf("r%d", i))
		g.lab.Veth(g.client, fmt.Sprintf("eth%d", i), r, "eth0")
		g.client.Addr(fmt.Sprintf("eth%d", i), fmt.Sprintf("10.0.%d.2/24", i))
		r.Addr("eth0", fmt.Sprintf("10.0.%d.1/24", i))
		plug(r, "eth1", g.lab.NS("edge"))
		r.Addr("eth1", fmt.Sprintf("10.0.3.%d/24", i+1))
		r.Addr("eth1", fmt.Sprintf("2001:db8:3::%d/64", i+1))
		r.IP("route", "add", "198.51.100.0/24", "via", fmt.Sprintf("10.0.%d.2", i))
		for _, v := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.fib_multipath_hash_policy", "net.ipv6.fib_multipath_hash_policy"} {
			r.Sysctl(v, "1")
		}
		hops = append(hops, "nexthop", "via", fmt.Sprintf("10.0.%d.1", i))
	}
	g.client.IP(hops...)
	g.client.Sysctl("net.ipv4.fib_multipath_hash_policy", "1")
	for _, ns := range []*lab.NS{g.client, g.lab.NS("r1"), g.lab.NS("r2")} {
		ns.Sysctl("net.ipv4.conf.all.rp_filter", "0")
	}
}

func (g *group) ok(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// tell says how the sessions and the members are.
func (g *group) tell() {
	for _, r := range g.routers {
		out, err := r.VTY("show bgp summary", "show ip route")
		g.t.Logf("%s %v", out, err)
	}
	boxes := g.members
	if g.router != nil {
		boxes = append(boxes, g.router)
	}
	for _, m := range boxes {
		for _, about := range [][]string{{"bgp", "neighbors"}, {"system", "alarms"}, {"tcp", "vip", "list"}} {
			if out, err := m.Ctl(about...); err == nil {
				g.t.Log(out)
			}
		}
	}
}

// backends serves pages that tell who asks: a member, since it is the source of its connections to backends.
func (g *group) backends(ns *lab.NS) {
	var l net.Listener
	g.ok(ns.Do(func() (err error) { l, err = net.Listen("tcp", "0.0.0.0:8080"); return err }))
	s := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		_, _ = io.WriteString(w, host)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	g.t.Cleanup(func() { _ = s.Shutdown(context.Background()); _ = s.Close(); <-done })
}

// frr is a router as docs/deploy-openstack.md has it: it takes every member that comes.
func (g *group) frr(i int) string {
	return fmt.Sprintf(`frr version 8.4
frr defaults traditional
router bgp %[2]d
 bgp router-id 10.0.3.%[1]d
 no bgp ebgp-requires-policy
 no bgp network import-check
 bgp bestpath as-path multipath-relax
 neighbor members peer-group
 neighbor members remote-as external
 neighbor members password s3cret
 bgp listen range 10.0.3.0/24 peer-group members
 address-family ipv4 unicast
  network 198.51.100.0/24
  maximum-paths 64
 exit-address-family
 address-family ipv6 unicast
  neighbor members activate
  maximum-paths 64
 exit-address-family
`, i+1, groupFRR)
}

// millrace is one of ours as the router.
func (g *group) millrace() *lab.Box {
	box, err := g.lab.Box(g.lab.NS("r1"), lab.BoxOptions{Name: "r1", Config: fmt.Sprintf(`
interfaces:
  - {name: out, type: port, iface: out, addresses: [10.0.1.1/24]}
  - {name: edge, type: port, iface: edge, addresses: [10.0.3.2/24, "2001:db8:3::2/64"]}
network-instances:
  - name: default
    static-routes: [{prefix: 198.51.100.0/24, next-hops: [{address: 10.0.1.2}]}]
    bgp:
      asn: %d
      router-id: 10.0.3.2
      multipath: {ebgp: 64}
      networks: [198.51.100.0/24]
      neighbors:
%s`, groupFRR, groupNeighbors(3))})
	g.ok(err)
	g.ok(box.WaitInterfaces("out", "edge"))
	return box
}

// groupNeighbors are the members as a router of ours has them.
func groupNeighbors(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, "        - {address: 10.0.3.%d, remote-as: %d, password: s3cret, connect-retry: 1, %s}\n", 10+i, groupFirst+i, bothFamilies)
	}
	return s.String()
}

// member starts one with the configuration that the template makes, of which it changes what the template makes of the address.
func (g *group) member(ns *lab.NS, i int) *lab.Box {
	box, err := g.lab.Box(ns, lab.BoxOptions{Name: fmt.Sprintf("m%d", i), Config: fmt.Sprintf(`
interfaces:
  - {name: edge, type: port, iface: edge, addresses: [10.0.3.%[1]d/24, "2001:db8:3::%[1]d/64"]}
  - {name: inside, type: port, iface: inside, addresses: [10.9.0.%[1]d/16]}
`, 10+i)})
	g.ok(err)
	g.ok(box.WaitInterfaces("edge", "inside"))
	doc, err := os.ReadFile("../images/openstack/testdata/member.user-data")
	g.ok(err)
	var data struct {
		Millrace struct{ Config any } `json:"millrace"`
	}
	g.ok(yaml.Unmarshal(doc, &data))
	tree, err := yaml.Marshal(data.Millrace.Config)
	g.ok(err)
	// Here NICs are the kernel's.
	text := strings.NewReplacer("10.0.3.10", fmt.Sprintf("10.0.3.%d", 10+i), "10.9.0.10", fmt.Sprintf("10.9.0.%d", 10+i),
		fmt.Sprint(groupFirst), fmt.Sprint(groupFirst+i), "devargs: nic=", "iface: ").Replace(string(tree))
	file := filepath.Join(g.lab.Dir, fmt.Sprintf("m%d.tree", i))
	g.ok(os.WriteFile(file, []byte(text), 0o600))
	_, err = box.Ctl("config", "load", "--merge", file)
	g.ok(err)
	return box
}

// hops waits until both routers have this many next hops to the virtual addresses in their kernel.
func (g *group) hops(n int) {
	g.t.Helper()
	g.ok(lab.Eventually(40*time.Second, func() error {
		if g.router != nil {
			return g.routerHops(n)
		}
		for _, r := range []string{"r1", "r2"} {
			for _, show := range [][]string{{"-4", "route", "show", groupVIP}, {"-6", "route", "show", groupVIP6}} {
				out, err := g.lab.NS(r).Output("ip", show...)
				if err != nil {
					return err
				}
				if got := strings.Count(out, "via "); got != n {
					return fmt.Errorf("%s has %d next hops to %s, not %d: %s", r, got, show[3], n, out)
				}
			}
		}
		return nil
	}))
}

// routerHops is hops where the router is ours.
func (g *group) routerHops(n int) error {
	for _, vip := range []string{groupVIP + "/32", groupVIP6 + "/128"} {
		rs, err := items(g.router, func() *vnfv1.Route { return new(vnfv1.Route) }, "route", "list", vip)
		if err != nil {
			return err
		}
		if len(rs) != 1 || len(rs[0].GetResolvedNextHops()) != n || rs[0].GetFibState() != vnfv1.FibState_FIB_STATE_INSTALLED {
			return fmt.Errorf("%s has not %d next hops: %v", vip, n, rs)
		}
	}
	return nil
}

// conn is a client's connection: one member ends it as long as it lasts.
type conn struct {
	net.Conn
	r *bufio.Reader
}

// ask has a page fetched over the connection, and returns the address of the member that did.
func (c *conn) ask() (string, error) {
	if err := c.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: group\r\n\r\n"); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// connect opens connections, none of which may fail, and tells which member each is at.
func (g *group) connect(n int) (conns []*conn, where []string) {
	g.t.Helper()
	g.ok(g.client.Do(func() error {
		for range n {
			c, err := net.DialTimeout("tcp", groupVIP+":80", 10*time.Second)
			if err != nil {
				return err
			}
			g.t.Cleanup(func() { _ = c.Close() })
			conns = append(conns, &conn{Conn: c, r: bufio.NewReader(c)})
		}
		return nil
	}))
	for _, c := range conns {
		w, err := c.ask()
		g.ok(err)
		where = append(where, w)
	}
	return conns, where
}

// lost asks over connections that were at these members, and counts those that are no more: of the one that left, and of the others.
func (g *group) lost(conns []*conn, where []string, left string) (share, others int) {
	g.t.Helper()
	type answer struct {
		i   int
		err error
	}
	answers := make(chan answer)
	for i, c := range conns {
		go func() {
			at, err := c.ask()
			if err == nil && at != where[i] {
				err = fmt.Errorf("answered by %s, not %s", at, where[i])
			}
			answers <- answer{i, err}
		}()
	}
	for range conns {
		a := <-answers
		switch {
		case a.err == nil && where[a.i] == left:
			g.t.Errorf("a connection at %s goes on although that has left", left)
		case a.err == nil:
		case where[a.i] == left:
			share++
		default:
			others++
		}
	}
	return share, others
}

// TestECMPGroup: three appliances share the connections to one address; when they leave, one after the other, what they had is lost,
// new connections go to the others, and when one comes it gets its share.
func TestECMPGroup(t *testing.T) {
	g := newGroup(t, 3, false)
	g.hops(3)
	conns, where := g.connect(180)
	spread(t, where, "10.9.0.10", "10.9.0.11", "10.9.0.12")

	// The kernel's multipath divides the range of its hash evenly: when one of three goes, the borders move, and with them up to half of
	// another's share.
	g.members[2].Proc.Stop()
	g.hops(2)
	share, others := g.lost(conns, where, "10.9.0.12")
	t.Logf("3 to 2: lost %d of the one that left, %d of the others, of %d", share, others, len(conns))
	if others > len(conns)/3 {
		t.Errorf("%d of the others' connections were lost", others)
	}

	// When one of two goes, the other keeps all it had.
	conns, where = g.connect(120)
	spread(t, where, "10.9.0.10", "10.9.0.11")
	g.members[1].Proc.Stop()
	g.hops(1)
	share, others = g.lost(conns, where, "10.9.0.11")
	t.Logf("2 to 1: lost %d of the one that left, %d of the other, of %d", share, others, len(conns))
	if others > 0 || share == 0 {
		t.Errorf("lost %d connections of who stayed, %d of who left", others, share)
	}
	_, where = g.connect(20)
	spread(t, where, "10.9.0.10")

	g.ok(g.members[1].Start())
	g.hops(2)
	_, where = g.connect(120)
	spread(t, where, "10.9.0.10", "10.9.0.11")
}

// TestECMPResilient: with a router of ours, whose groups keep flows where they are, only the share of the one that leaves is lost.
func TestECMPResilient(t *testing.T) {
	g := newGroup(t, 3, true)
	g.hops(3)
	conns, where := g.connect(180)
	spread(t, where, "10.9.0.10", "10.9.0.11", "10.9.0.12")
	g.members[1].Proc.Stop()
	g.hops(2)
	share, others := g.lost(conns, where, "10.9.0.11")
	t.Logf("3 to 2: lost %d of the one that left, %d of the others, of %d", share, others, len(conns))
	if others > 0 || share == 0 {
		t.Errorf("lost %d connections of who stayed, %d of who left", others, share)
	}
	_, where = g.connect(60)
	spread(t, where, "10.9.0.10", "10.9.0.12")
}
