package integration

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/internal/lab"
)

// restartBed has FRR at eth2 and BIRD at eth3, each with an address to send to and two more prefixes.
type restartBed struct {
	*bed
	frr  *lab.FRR
	bird *lab.BIRD
}

const (
	frrHost, birdHost = "203.0.2.1", "203.0.3.1"
	frrGone, birdGone = "203.0.22.0/24", "203.0.33.0/24"
	restartBGP        = "graceful-restart: {restart-time: 60, deferral-time: 20}\nnetworks: [10.0.1.0/24]"
)

func frrRestart(more string) string {
	return "frr version 8.4\nfrr defaults traditional\n" + frrPeer(2, 65010, 65001, "203.0.2.0/24", "2001:db8:c2::/64",
		"bgp graceful-restart\n bgp graceful-restart preserve-fw-state\n bgp graceful-restart stalepath-time 60\n bgp graceful-restart restart-time 60") + more
}

const frrMore = "router bgp 65010\n address-family ipv4 unicast\n  network 203.0.22.0/24\n"

func birdRestart(prefixes string) string {
	return "log stderr all;\nprotocol device {}\ngraceful restart wait 60;\n" +
		birdPeer(3, 65020, 65001, prefixes, "2001:db8:c3::/64", "graceful restart on; graceful restart time 60;")
}

func newRestartBed(t *testing.T, extra, instances string) *restartBed {
	b := &restartBed{bed: newBed(t, 2)}
	b.lab.NS("r2").Addr("lo", frrHost+"/32")
	b.lab.NS("r3").Addr("lo", birdHost+"/32")
	b.start(b.config(extra) + instances)
	var err error
	b.frr, err = b.lab.FRR(b.lab.NS("r2"), frrRestart(frrMore))
	b.ok(err)
	b.bird, err = b.lab.BIRD(b.lab.NS("r3"), birdRestart("203.0.3.0/24 "+birdGone))
	b.ok(err)
	b.established("10.0.2.2", "10.0.3.2")
	b.installed("203.0.2.0/24", frrGone, "203.0.3.0/24", birdGone)
	b.pings("a", frrHost, birdHost)
	return b
}

func (b *restartBed) config(extra string) string {
	return b.interfaces() + extra + bgpConfig(65001, restartBGP,
		"address: 10.0.2.2, remote-as: 65010, connect-retry: 1, "+bothFamilies,
		"address: 10.0.3.2, remote-as: 65020, connect-retry: 1, "+bothFamilies)
}

func (b *restartBed) streams() (toFRR, toBIRD *traffic) {
	a := b.lab.NS("a")
	toFRR = startTraffic(b.t, a, frrHost, 16, 1000, map[string]*lab.NS{"r2": b.lab.NS("r2")})
	toBIRD = startTraffic(b.t, a, birdHost, 16, 1000, map[string]*lab.NS{"r3": b.lab.NS("r3")})
	b.ok(toFRR.settle(5 * time.Second))
	b.ok(toBIRD.settle(5 * time.Second))
	return toFRR, toBIRD
}

func (b *bed) lossless(streams ...*traffic) {
	b.t.Helper()
	for _, tr := range streams {
		tr.halt()
		sent, got := tr.total()
		if tr.errs != nil || sent != got || sent < 100 {
			b.t.Errorf("%d packets sent, %d arrived, %v", sent, got, tr.errs)
		}
		b.t.Logf("%d packets sent, %d arrived", sent, got)
	}
}

// absent waits until the data plane does not forward to an address.
func (b *bed) absent(destinations ...string) {
	b.t.Helper()
	b.eventually(20*time.Second, func() error {
		for _, dst := range destinations {
			if d, err := b.lookup(dst); err != nil || d.GetFound() {
				return fmt.Errorf("the data plane has %v for %s, %w", d, dst, err)
			}
		}
		return nil
	})
}

// says waits until the output of a command has a word, or until it has not.
func (b *bed) says(want bool, word string, f func() (string, error)) {
	b.t.Helper()
	b.eventually(20*time.Second, func() error {
		out, err := f()
		if err == nil && strings.Contains(out, word) != want {
			err = fmt.Errorf("%q there: %v, wanted %v:\n%s", word, !want, want, out)
		}
		return err
	})
}

// killControl kills vnf's control process with SIGKILL and keeps it from being started again until the function it returns is called.
func (b *bed) killControl() (revive func()) {
	b.t.Helper()
	supervisor := b.box.Proc
	b.ok(supervisor.Signal(syscall.SIGSTOP))
	b.t.Cleanup(func() { _ = supervisor.Signal(syscall.SIGCONT) })
	b.ok(b.box.Kill("control"))
	return func() {
		b.t.Helper()
		b.ok(supervisor.Signal(syscall.SIGCONT))
		b.eventually(20*time.Second, func() error { _, err := b.box.Ctl("system", "info"); return err })
	}
}

// TestRestartOfControl: kill -9 of vnf under traffic. Not a packet is lost, the peers keep our routes as stale, and what they
// withdraw meanwhile goes after their end-of-RIB.
func TestRestartOfControl(t *testing.T) {
	b := newRestartBed(t, "", "")
	toFRR, toBIRD := b.streams()
	frrShows := func() (string, error) { return b.frr.VTY("show bgp ipv4 unicast 10.0.1.0/24") }
	birdShows := func() (string, error) { return b.bird.Ctl("show", "route", "10.0.1.0/24", "all") }
	birdState := func() (string, error) { return b.bird.Ctl("show", "protocols", "all", "box") }
	b.says(true, "65001", frrShows)
	b.says(true, "BGP.as_path: 65001", birdShows)

	revive := b.killControl()
	b.says(true, "stale", frrShows)
	b.says(true, "BGP.as_path: 65001", birdShows)
	b.says(true, "Neighbor graceful restart active", birdState)
	_, err := b.frr.VTY("configure terminal", "router bgp 65010", "address-family ipv4 unicast", "no network "+frrGone)
	b.ok(err)
	b.ok(b.bird.Configure(birdRestart("203.0.3.0/24")))
	time.Sleep(2 * time.Second)
	revive()

	b.established("10.0.2.2", "10.0.3.2")
	b.installed("203.0.2.0/24", "203.0.3.0/24")
	b.gone(frrGone, birdGone)
	b.absent("203.0.22.1", "203.0.33.1")
	b.says(false, "stale", frrShows)
	b.says(true, "65001", frrShows)
	b.says(false, "graceful restart active", birdState)
	b.says(true, "BGP.as_path: 65001", birdShows)
	b.lossless(toFRR, toBIRD)
	for _, n := range []string{"10.0.2.2", "10.0.3.2", "data"} {
		b.alarm(false, n)
	}
}

// TestRestartOfPeers: FRR and BIRD are killed and come back as speakers that restart gracefully: their routes stay until the
// end-of-RIB, and only those they do not announce again go.
func TestRestartOfPeers(t *testing.T) {
	b := newRestartBed(t, "", "")
	toFRR, toBIRD := b.streams()
	stale := func(neighbor, prefix string) {
		t.Helper()
		b.eventually(10*time.Second, func() error {
			r, err := b.bgpRoutes("received", neighbor, "--prefix", prefix)
			if err == nil && (len(r) != 1 || !r[0].GetStale()) {
				err = fmt.Errorf("not stale: %v", r)
			}
			return err
		})
		b.eventually(10*time.Second, func() error {
			s, err := b.session(neighbor)
			if err == nil && !s.GetPeerRestarting() {
				err = fmt.Errorf("%s is not said to restart: %v", neighbor, s)
			}
			return err
		})
		b.installed(prefix)
	}
	b.ok(b.frr.KillBGP())
	stale("10.0.2.2", frrGone)
	b.ok(b.bird.Kill())
	stale("10.0.3.2", birdGone)
	b.ok(b.frr.StartBGP(frrRestart("")))
	b.ok(b.bird.Recover(birdRestart("203.0.3.0/24")))
	b.established("10.0.2.2", "10.0.3.2")
	b.gone(frrGone, birdGone)
	b.absent("203.0.22.1", "203.0.33.1")
	b.installed("203.0.2.0/24", "203.0.3.0/24")
	b.lossless(toFRR, toBIRD)
}

// TestRestartOfDataplane: kill -9 of vnf-dataplane: it is started again, gets everything, and traffic is back.
func TestRestartOfDataplane(t *testing.T) {
	b := newRestartBed(t, "", "")
	b.ctl("route", "add", "198.51.100.0/24", "--action", "blackhole")
	toFRR, _ := b.streams()
	events, err := b.box.NS.Start(b.lab.Bin("vnfctl"), "--address", "127.0.0.1:9339", "--tls-dir", b.box.TLSDir(), "bgp", "watch", "-o", "json")
	b.ok(err)
	old, err := b.box.Child("dataplane")
	b.ok(err)
	// The alarm may last less than it takes to ask for it, so the supervisor waits.
	b.ok(b.box.Proc.Signal(syscall.SIGSTOP))
	b.ok(b.box.Kill("dataplane"))
	b.alarm(true, "not connected to the data plane")
	began := time.Now()
	b.ok(b.box.Proc.Signal(syscall.SIGCONT))
	if err := toFRR.settle(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	t.Logf("traffic to a BGP route is back after %v", time.Since(began).Round(time.Millisecond))
	b.alarm(false, "not connected to the data plane")
	now, err := b.box.Child("dataplane")
	b.ok(err)
	if now == old {
		t.Error("it is the same process")
	}
	b.established("10.0.2.2", "10.0.3.2")
	b.installed("203.0.2.0/24", "203.0.3.0/24", frrGone, birdGone, "198.51.100.0/24")
	b.pings("a", birdHost, frrHost)
	// The sessions stay: their kernel sockets outlive the TAPs.
	b.steady(3*time.Second, func() error {
		for _, n := range []string{"10.0.2.2", "10.0.3.2"} {
			if s, err := b.session(n); err != nil || s.GetSessionState() != vnfv1.BgpSessionState_BGP_SESSION_STATE_ESTABLISHED {
				return fmt.Errorf("%s: %v %w", n, s, err)
			}
		}
		return nil
	})
	t.Logf("sessions meanwhile: %d changes", strings.Count(events.Output(), "CHANGED"))
}

// TestStop: SIGTERM ends all that vnf run started and made.
func TestStop(t *testing.T) {
	b := newBed(t, 0)
	b.start(b.interfaces("{name: lo1, type: loopback, network-instance: red, addresses: [192.0.2.1/32]}") +
		"network-instances: [{name: red}]\n")
	var pids []int
	for _, c := range []string{"control", "dataplane"} {
		pid, err := b.box.Child(c)
		b.ok(err)
		pids = append(pids, pid)
	}
	for _, ns := range []string{b.box.Inner.Name, b.box.Inner.Name + "-red"} {
		if _, err := os.Stat("/run/netns/" + ns); err != nil {
			t.Errorf("before: %v", err)
		}
	}
	b.ok(b.box.Proc.Signal(syscall.SIGTERM))
	b.ok(b.box.Proc.Wait(10 * time.Second))
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d: %v", pid, err)
		}
	}
	for _, ns := range []string{b.box.Inner.Name, b.box.Inner.Name + "-red"} {
		if _, err := os.Stat("/run/netns/" + ns); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("namespace %s: %v", ns, err)
		}
	}
	if _, err := os.Stat(b.box.Socket()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket: %v", err)
	}
	if out := b.box.Proc.Output(); strings.Contains(out, "level=ERROR") || strings.Contains(out, "panic") {
		t.Errorf("it said:\n%s", out)
	}
	// And it starts again.
	b.ok(b.box.Start())
	b.ok(b.box.WaitInterfaces("eth1"))
}

// TestRestartWithAnotherConfiguration: vnf dies and comes back with another file. What is no longer in it goes from the data
// plane, which has run on; what is still in it does not notice.
func TestRestartWithAnotherConfiguration(t *testing.T) {
	b := newRestartBed(t, "  - {name: lo7, type: loopback, addresses: [192.0.2.7/32]}\n"+
		"  - {name: eth1.7, type: vlan, parent: eth1, vlan-id: 7, addresses: [10.77.0.1/24]}\n"+
		"  - {name: lo8, type: loopback, network-instance: red, addresses: [192.0.2.8/32]}\n", "  - {name: red}\n")
	b.ctl("route", "add", "198.51.100.0/24", "--via", "10.0.2.2")
	b.ctl("route", "add", "198.51.101.0/24", "--via", "10.0.3.2")
	b.pings("a", "192.0.2.7")
	b.installed("198.51.100.0/24", "198.51.101.0/24")
	toFRR, toBIRD := b.streams()
	file, err := os.ReadFile(b.box.File())
	b.ok(err)
	system, _, _ := strings.Cut(string(file), "\ninterfaces:")
	revive := b.killControl()
	b.ok(os.WriteFile(b.box.File(), []byte(system+strings.Replace(b.config(""), "    bgp:",
		"    static-routes: [{prefix: 198.51.101.0/24, next-hops: [{address: 10.0.2.2}]}]\n    bgp:", 1)), 0o600))
	time.Sleep(time.Second)
	revive()
	b.established("10.0.2.2", "10.0.3.2")
	b.absent("198.51.100.1", "192.0.2.7", "10.77.0.2")
	b.eventually(20*time.Second, func() error {
		d, err := b.lookup("198.51.101.1")
		if err == nil && d.GetInterface() != "eth2" {
			err = fmt.Errorf("198.51.101.1: %v", d)
		}
		return err
	})
	b.says(false, "eth1.7", func() (string, error) { return b.box.Ctl("interface", "list") })
	b.says(false, "lo7", func() (string, error) { return b.box.Ctl("interface", "list") })
	b.says(false, "red", func() (string, error) { return b.box.Ctl("system", "network-instances") })
	b.says(false, "lo7", func() (string, error) { return b.box.Inner.Output("ip", "link") })
	if _, err := b.lab.NS("a").Output("ping", "-n", "-c", "2", "-i", "0.1", "-W", "1", "192.0.2.7"); err == nil {
		t.Error("192.0.2.7 still answers")
	}
	b.installed("203.0.2.0/24", "203.0.3.0/24")
	b.lossless(toFRR, toBIRD)
}
