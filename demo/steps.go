package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"millrace/internal/lab"
)

const prefixes = 1000

func (d *demo) build() {
	l := d.lab
	a, b, r, f, bi, c := l.NS("a"), l.NS("b"), l.NS("r"), l.NS("frr"), l.NS("bird"), l.NS("c")
	l.Veth(a, "eth0", r, "port1")
	l.Veth(b, "eth0", r, "port2")
	l.Veth(f, "eth0", r, "port3")
	l.Veth(bi, "eth0", r, "port4")
	l.Veth(f, "eth1", c, "frr")
	l.Veth(bi, "eth1", c, "bird")
	for i, h := range []*lab.NS{a, b} {
		h.Addr("eth0", fmt.Sprintf("10.0.%d.2/24", i+1))
		h.Addr("eth0", fmt.Sprintf("2001:db8:%d::2/64", i+1))
		h.Default(fmt.Sprintf("10.0.%d.1", i+1))
		h.Default(fmt.Sprintf("2001:db8:%d::1", i+1))
	}
	for i, h := range []*lab.NS{f, bi} {
		h.Sysctl("net.ipv4.ip_forward", "1")
		h.Sysctl("net.ipv6.conf.all.forwarding", "1")
		h.Addr("eth0", fmt.Sprintf("10.0.%d.2/24", i+3))
		h.Addr("eth0", fmt.Sprintf("2001:db8:%d::2/64", i+3))
		h.Addr("eth1", fmt.Sprintf("172.16.%d.1/24", i+1))
		h.Addr("eth1", fmt.Sprintf("2001:db8:f%d::1/64", i+1))
		h.IP("route", "add", "203.0.113.0/24", "via", fmt.Sprintf("172.16.%d.2", i+1))
		h.IP("-6", "route", "add", "2001:db8:c::/48", "via", fmt.Sprintf("2001:db8:f%d::2", i+1))
		h.IP("route", "add", "10.0.0.0/16", "via", fmt.Sprintf("10.0.%d.1", i+3))
		h.IP("-6", "route", "add", "2001:db8::/48", "via", fmt.Sprintf("2001:db8:%d::1", i+3))
		h.IP("-6", "route", "add", "2001:db8:1::/48", "via", fmt.Sprintf("2001:db8:%d::1", i+3))
	}
	c.Addr("frr", "172.16.1.2/24")
	c.Addr("frr", "2001:db8:f1::2/64")
	c.Addr("bird", "172.16.2.2/24")
	c.Addr("bird", "2001:db8:f2::2/64")
	c.Addr("lo", "203.0.113.1/24")
	c.Addr("lo", "2001:db8:c::1/48")
	c.Default("172.16.2.1")
	c.Default("2001:db8:f2::1")
}

const config = `
interfaces:
  - {name: eth1, type: port, iface: port1, addresses: [10.0.1.1/24, "2001:db8:1::1/64"]}
  - {name: eth2, type: port, iface: port2, addresses: [10.0.2.1/24, "2001:db8:2::1/64"]}
  - {name: eth3, type: port, iface: port3, addresses: [10.0.3.1/24, "2001:db8:3::1/64"]}
  - {name: eth4, type: port, iface: port4, addresses: [10.0.4.1/24, "2001:db8:4::1/64"]}
network-instances:
  - name: default
    bgp:
      asn: 65001
      router-id: 10.0.1.1
      graceful-restart: {restart-time: 60, deferral-time: 20}
      networks: [10.0.1.0/24, 10.0.2.0/24]
      neighbors:
        - {address: 10.0.3.2, remote-as: 65010, families: [{name: ipv4-unicast}, {name: ipv6-unicast}]}
        - {address: 10.0.4.2, remote-as: 65020, families: [{name: ipv4-unicast}, {name: ipv6-unicast}]}
`

const frrConfig = `
frr version 8.4
frr defaults datacenter
hostname frr
router bgp 65010
 bgp router-id 10.0.3.2
 bgp graceful-restart
 no bgp ebgp-requires-policy
 neighbor 10.0.3.1 remote-as 65001
 neighbor 10.0.3.1 timers connect 1
 address-family ipv4 unicast
  network 203.0.113.0/24
 exit-address-family
 address-family ipv6 unicast
  neighbor 10.0.3.1 activate
  network 2001:db8:c::/48
  neighbor 10.0.3.1 route-map V6 out
 exit-address-family
route-map V6 permit 10
 set ipv6 next-hop global 2001:db8:3::2
`

// BIRD's path is one AS longer, so FRR's is best as long as it is there.
func birdConfig() string {
	var s strings.Builder
	s.WriteString(`
router id 10.0.4.2;
protocol device {}
protocol static s4 { ipv4;
  route 203.0.113.0/24 via 172.16.2.2;
`)
	for i := range prefixes {
		fmt.Fprintf(&s, "  route 100.%d.%d.0/24 via 172.16.2.2;\n", 64+i/256, i%256)
	}
	s.WriteString(`}
protocol static s6 { ipv6; route 2001:db8:c::/48 via 2001:db8:f2::2; }
protocol bgp millrace {
  local 10.0.4.2 as 65020;
  neighbor 10.0.4.1 as 65001;
  connect retry time 1; connect delay time 1;
  graceful restart on;
  ipv4 { import all; export filter { bgp_path.prepend(65020); accept; }; next hop self; };
  ipv6 { import all; export filter { bgp_path.prepend(65020); bgp_next_hop = 2001:db8:4::2; accept; }; };
}
`)
	return s.String()
}

func (d *demo) start() error {
	d.title("The appliance starts: vnf-dataplane (DPDK, af_packet ports, no hugepages) and vnf")
	for _, line := range strings.Split(strings.TrimSpace(config), "\n") {
		fmt.Println("   " + line)
	}
	var err error
	if d.box, err = d.lab.Box(d.lab.NS("r"), lab.BoxOptions{Config: config}); err != nil {
		return err
	}
	if d.frr, err = d.lab.FRR(d.lab.NS("frr"), frrConfig); err != nil {
		return err
	}
	if d.bird, err = d.lab.BIRD(d.lab.NS("bird"), birdConfig()); err != nil {
		return err
	}
	return d.box.WaitInterfaces("eth1", "eth2", "eth3", "eth4")
}

func (d *demo) bgpComesUp() error {
	d.title("BGP sessions with FRR and BIRD come up")
	err := lab.Eventually(40*time.Second, func() error {
		out, err := d.box.Ctl("bgp", "neighbors")
		if err != nil {
			return err
		}
		if strings.Count(out, "established") != 2 {
			return fmt.Errorf("not both sessions are established:\n%s", out)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.ctl(10, "bgp", "neighbors")
}

func (d *demo) routes() error {
	d.title("What they announced is in the FIB, acknowledged by the data plane")
	err := lab.Eventually(30*time.Second, func() error {
		for _, dst := range []string{"203.0.113.1", "2001:db8:c::1", fmt.Sprintf("100.%d.%d.1", 64+(prefixes-1)/256, (prefixes-1)%256)} {
			out, err := d.box.Ctl("route", "lookup", dst)
			if err != nil {
				return err
			}
			if !strings.Contains(out, "the data plane takes") {
				return errors.New(out)
			}
		}
		// FRR's path is the better one; wait for it.
		via, err := d.via()
		if err == nil && !strings.HasSuffix(via, "eth3") {
			err = errors.New("203.0.113.1 is not yet by FRR")
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := d.ctl(12, "route", "list"); err != nil {
		return err
	}
	return d.ctl(20, "route", "lookup", "203.0.113.1")
}

func (d *demo) traffic() error {
	d.title("Packets: host A to host B, and to host C behind the BGP routers")
	for _, args := range [][]string{
		{"ping", "-c", "3", "-i", "0.2", "10.0.2.2"},
		{"ping", "-c", "3", "-i", "0.2", "2001:db8:c::1"},
		{"traceroute", "-n", "-q", "1", "-w", "2", "203.0.113.1"},
	} {
		if err := d.host("a", 12, args[0], args[1:]...); err != nil {
			return err
		}
	}
	if _, err := d.lab.NS("b").Start("iperf3", "-s", "-1"); err != nil {
		return err
	}
	var out string
	err := lab.Eventually(5*time.Second, func() (err error) {
		out, err = d.lab.NS("a").Output("iperf3", "-c", "10.0.2.2", "-t", "3", "-f", "m")
		return err
	})
	if err != nil {
		return err
	}
	var keep []string
	for _, line := range strings.Split(out, "\n") {
		if strings.Contains(line, "sender") || strings.Contains(line, "receiver") {
			keep = append(keep, line)
		}
	}
	d.show(strings.Join(keep, "\n"), "[host A] iperf3 -c 10.0.2.2 -t 3", 5)
	return nil
}

func (d *demo) look() error {
	d.title("What the box says of itself")
	for _, args := range [][]string{{"interface", "list"}, {"neighbor", "list"}, {"system", "workers"}, {"system", "drops"}} {
		if err := d.ctl(14, args...); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) trace() error {
	d.title("The way of one packet through the graph")
	done := make(chan error, 1)
	go func() {
		time.Sleep(700 * time.Millisecond)
		_, err := d.lab.NS("a").Output("ping", "-c", "2", "-i", "0.3", "203.0.113.1")
		done <- err
	}()
	if err := d.ctl(16, "trace", "--count", "1", "icmp"); err != nil {
		return err
	}
	return <-done
}

var viaRE = regexp.MustCompile(`forward via (\S+) on (\S+),`)

func (d *demo) via() (string, error) {
	out, err := d.box.Ctl("route", "lookup", "203.0.113.1")
	if err != nil {
		return "", err
	}
	m := viaRE.FindStringSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("no next hop in:\n%s", out)
	}
	return m[1] + " on " + m[2], nil
}

func (d *demo) pathAway() error {
	d.title("FRR withdraws its path while host A pings host C 100 times a second")
	before, err := d.via()
	if err != nil {
		return err
	}
	d.say("before: 203.0.113.1 via %s", before)
	sent, lost, err := d.pings("203.0.113.1", func() error {
		if _, err := d.frr.VTY("configure terminal", "router bgp 65010", "address-family ipv4 unicast", "no network 203.0.113.0/24"); err != nil {
			return err
		}
		return lab.Eventually(20*time.Second, func() error {
			now, err := d.via()
			if err == nil && now == before {
				err = errors.New("still " + now)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	after, err := d.via()
	if err != nil {
		return err
	}
	d.say("after:  203.0.113.1 via %s", after)
	d.say("%d pings sent, %d lost", sent, lost)
	return d.ctl(6, "route", "lookup", "203.0.113.1")
}

func (d *demo) killControl() error {
	d.title("kill -9 of vnf: forwarding goes on, peers keep the routes, and it comes back by itself")
	sent, lost, err := d.pings("203.0.113.1", func() error {
		if err := d.box.Kill("control"); err != nil {
			return err
		}
		time.Sleep(time.Second)
		return lab.Eventually(40*time.Second, func() error {
			out, err := d.box.Ctl("bgp", "neighbors")
			if err == nil && strings.Count(out, "established") != 2 {
				err = errors.New(out)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	d.say("%d pings sent while vnf was dead and came back, %d lost", sent, lost)
	return d.ctl(10, "bgp", "neighbors")
}
