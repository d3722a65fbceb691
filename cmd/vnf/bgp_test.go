package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const bgpConfig = `
system:
  metrics-listen: none
  grpc-listen: none
  dataplane: {hugepages: false, ipv4-routes: 65536, ipv6-routes: 4096, exception-netns: NAMEx}
interfaces:
  - {name: eth1, type: port, iface: NAME1, addresses: [192.0.2.1/24, "2001:db8:1::1/64"]}
  - {name: eth2, type: port, iface: NAME2, addresses: [198.51.100.1/24, "2001:db8:2::1/64"]}
network-instances:
  - name: default
    bgp:
      asn: 65001
      networks: [203.0.113.0/24]
      redistribute: [{source: connected, prefix-set: hosts}]
      neighbors:
        - {address: 198.51.100.10, remote-as: 65002, hold-time: 9, keepalive: 3, connect-retry: 1, import-policies: [in]}
        - {address: "2001:db8:2::10", remote-as: 65002, hold-time: 9, keepalive: 3, connect-retry: 1}
routing-policy:
  prefix-sets:
    - {name: hosts, prefixes: [{prefix: 192.0.2.0/24}]}
    - {name: bad, prefixes: [{prefix: 10.66.0.0/16, max: 32}]}
  policies:
    - {name: in, statements: [{name: "1", match: {prefix-set: bad}, actions: {result: reject}}]}
`

const frrConfig = `hostname peer
router bgp 65002
 bgp router-id 198.51.100.10
 no bgp ebgp-requires-policy
 bgp graceful-restart
 neighbor 198.51.100.1 remote-as 65001
 neighbor 198.51.100.1 timers 3 9
 neighbor 2001:db8:2::1 remote-as 65001
 neighbor 2001:db8:2::1 timers 3 9
 address-family ipv4 unicast
  network 10.1.1.1/32
  network 10.66.1.0/24
  no neighbor 2001:db8:2::1 activate
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:77::1/128
  neighbor 2001:db8:2::1 activate
 exit-address-family
`

// frr runs zebra and bgpd on host b.
func (l *lab) frr() (vtysh func(...string) string) {
	const bin = "/usr/lib/frr/"
	if _, err := os.Stat(bin + "bgpd"); err != nil {
		l.t.Skip("needs FRR's bgpd")
	}
	dir, err := os.MkdirTemp("", "vfrr") // FRR's sockets need a short path
	if err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bgpd.conf"), []byte(frrConfig), 0o644); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "zebra.conf"), []byte("hostname peer\n"), 0o644); err != nil {
		l.t.Fatal(err)
	}
	l.run("chown -R frr:frr %s", dir) // the daemons drop to this user
	var cmds []*exec.Cmd
	l.t.Cleanup(func() {
		for _, c := range cmds {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
		_ = os.RemoveAll(dir)
	})
	for _, d := range []string{"zebra", "bgpd"} {
		c := exec.Command("ip", "netns", "exec", l.ns("b"), bin+d, "-f", filepath.Join(dir, d+".conf"), "-i", filepath.Join(dir, d+".pid"),
			"-z", filepath.Join(dir, "zserv"), "--vty_socket", dir, "-A", "127.0.0.1", "-P", "0")
		if err := c.Start(); err != nil {
			l.t.Fatal(err)
		}
		cmds = append(cmds, c)
		l.eventually(d, func() bool { _, err := os.Stat(filepath.Join(dir, d+".vty")); return err == nil })
	}
	return func(commands ...string) string {
		args := []string{"--vty_socket", dir}
		for _, c := range commands {
			args = append(args, "-c", c)
		}
		b, _ := exec.Command("vtysh", args...).CombinedOutput()
		return string(b)
	}
}

func TestBGP(t *testing.T) {
	l := newLab(t, bgpConfig)
	l.run("ip -n %s addr add 2001:db8:77::1/128 dev lo nodad", l.ns("b"))
	vtysh := l.frr()
	l.reaches("a", "10.1.1.1", "2001:db8:77::1")

	t.Run("policy and redistribution", func(t *testing.T) {
		l.t = t
		l.eventually("FRR has our routes", func() bool {
			out := vtysh("show bgp ipv4 unicast")
			return strings.Contains(out, "203.0.113.0/24") && strings.Contains(out, "192.0.2.0/24")
		})
		if out := vtysh("show bgp ipv4 unicast"); strings.Contains(out, "198.51.100.0/24 ") {
			t.Errorf("a connected route outside the prefix set is announced:\n%s", out)
		}
	})
	// RFC 4724: the peer keeps our routes and we keep forwarding, at 1,000 packets a second, while vnf is killed and comes back.
	t.Run("vnf killed", func(t *testing.T) {
		l.t = t
		began := strings.Count(l.logged(), "fib: replayed")
		sent, lost := l.loss("10.1.1.1", func() {
			_ = syscall.Kill(l.pid("control"), syscall.SIGKILL)
			time.Sleep(300 * time.Millisecond)
			if out := vtysh("show bgp ipv4 unicast"); !strings.Contains(out, "203.0.113.0/24") {
				t.Errorf("FRR dropped our routes:\n%s", out)
			}
		})
		if lost != 0 {
			t.Errorf("%d of %d packets lost", lost, sent)
		}
		l.eventually("the sweep", func() bool { return strings.Count(l.logged(), "fib: replayed") > began })
		l.eventually("our routes are fresh", func() bool {
			out := vtysh("show bgp ipv4 unicast")
			return strings.Contains(out, "203.0.113.0/24") && !strings.Contains(out, "\nS>") && !strings.Contains(out, "\nS ")
		})
	})
	t.Run("withdrawn while vnf is away", func(t *testing.T) {
		l.t = t
		began := strings.Count(l.logged(), "fib: replayed")
		_ = syscall.Kill(l.pid("control"), syscall.SIGKILL)
		vtysh("conf t", "router bgp 65002", "address-family ipv4 unicast", "no network 10.1.1.1/32")
		l.eventually("the sweep", func() bool { return strings.Count(l.logged(), "fib: replayed") > began })
		l.eventually("the stale route goes", func() bool { return !l.pings("a", "10.1.1.1") })
		vtysh("conf t", "router bgp 65002", "address-family ipv4 unicast", "network 10.1.1.1/32")
		l.reaches("a", "10.1.1.1")
	})
	t.Run("data plane killed", func(t *testing.T) {
		l.t = t
		_ = syscall.Kill(l.pid("dataplane"), syscall.SIGKILL)
		l.eventually("it is gone", func() bool { return strings.Contains(l.logged(), "process=dataplane status=\"signal: killed\"") })
		l.reaches("a", "10.1.1.1", "2001:db8:77::1")
	})
	l.t = t
}
