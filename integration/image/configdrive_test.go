package image

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"

	"millrace/internal/lab"
)

// dayZero is the configuration that the guest is born with: wan with its addresses, and BGP with a peer on it. lan is not in it.
func dayZero() object {
	family := object{"afi-safi-name": "openconfig-bgp-types:IPV4_UNICAST", "config": object{"afi-safi-name": "openconfig-bgp-types:IPV4_UNICAST", "enabled": true}}
	return object{
		"openconfig-interfaces:interfaces": object{"interface": array{object{
			"name": "wan", "config": object{"name": "wan", "type": "iana-if-type:ethernetCsmacd"},
			"subinterfaces": object{"subinterface": array{object{
				"index": 0, "config": object{"index": 0},
				"openconfig-if-ip:ipv4": object{"addresses": object{"address": array{object{"ip": "10.0.1.1", "config": object{"ip": "10.0.1.1", "prefix-length": 24}}}}},
				"openconfig-if-ip:ipv6": object{"addresses": object{"address": array{object{
					"ip": "2001:db8:1::1", "config": object{"ip": "2001:db8:1::1", "prefix-length": 64}}}}},
			}}},
		}}},
		"openconfig-network-instance:network-instances": object{"network-instance": array{object{
			"name": "default", "config": object{"name": "default", "type": "openconfig-network-instance-types:DEFAULT_INSTANCE"},
			"protocols": object{"protocol": array{object{
				"identifier": "openconfig-policy-types:BGP", "name": "bgp", "config": object{"identifier": "openconfig-policy-types:BGP", "name": "bgp"},
				"bgp": object{
					"global": object{
						"config":           object{"as": 65001, "router-id": "10.0.1.1"},
						"graceful-restart": object{"config": object{"enabled": true, "stale-routes-time": 600}},
						"vnf-routing:speaker": object{
							"config": object{"network": array{"10.0.2.0/24"}}},
					},
					"neighbors": object{"neighbor": array{object{
						"neighbor-address": "10.0.1.2",
						"config":           object{"neighbor-address": "10.0.1.2", "peer-as": 65010, "auth-password": bgpPassword},
						"timers":           object{"config": object{"connect-retry": 2}},
						"afi-safis":        object{"afi-safi": array{family}},
						"apply-policy":     object{"config": object{"default-import-policy": "ACCEPT_ROUTE", "default-export-policy": "ACCEPT_ROUTE"}},
					}}},
				},
			}}},
		}}},
	}
}

const aftOfWAN = "/network-instances/network-instance[name=default]/afts/ipv4-unicast/ipv4-entry[prefix=203.0.113.0/24]/state/prefix"

// startPeer starts the router on wan.
func (b *bed) startPeer() *lab.FRR {
	b.t.Helper()
	f, err := b.lab.FRR(b.wan, "frr version 8.4\nfrr defaults traditional\nrouter bgp 65010\n bgp router-id 10.0.1.2\n no bgp ebgp-requires-policy\n"+
		" neighbor 10.0.1.1 remote-as 65001\n neighbor 10.0.1.1 password "+bgpPassword+"\n neighbor 10.0.1.1 timers connect 2\n"+
		" bgp graceful-restart\n address-family ipv4 unicast\n  network 203.0.113.0/24\n exit-address-family\n")
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

// instance is the guest as the cloud knows it, with all three NICs.
func (b *bed) instance(userData object) instance {
	return instance{
		uuid: "9d3c4f2e-6f0a-4c3e-9a53-000000000007", hostname: guestName, sshKey: b.sshKey, userData: userData,
		ports: []port{
			{mac: mgmtMAC, tag: "mgmt", pci: "0000:01:00.0", mtu: 1500, address: guestAddress, netmask: "255.255.255.0", gateway: "192.0.2.1"},
			{mac: wanMAC, tag: "wan", pci: "0000:02:00.0", mtu: 1500, address: "10.0.1.1", netmask: "255.255.255.0"},
			{mac: lanMAC, tag: "lan", pci: "0000:03:00.0", mtu: 1450, address: "10.0.2.1", netmask: "255.255.255.0", address6: "2001:db8:2::1/64"},
		},
	}
}

// threeNICs is a guest that has them all.
func (b *bed) threeNICs() []nic {
	return []nic{{ns: b.mgmt, mac: mgmtMAC}, {ns: b.wan, mac: wanMAC}, {ns: b.lan, mac: lanMAC}}
}

// TestConfigDrive is the life of an appliance as OpenStack has it: three NICs, BIOS, a ConfigDrive with all of day 0, no IOMMU.
func TestConfigDrive(t *testing.T) {
	b := newBed(t)
	i := b.instance(object{"config": dayZero(), "tls": b.tls()})
	b.newVM(t, vmOptions{nics: b.threeNICs(), cdrom: i.configDrive(t, b.lab.Dir), openstack: true})
	b.start()
	if !b.step("boot", func() {
		b.connect(bootPatience)
		report(b.t, "boot-to-gnmi-seconds", time.Since(b.booted).Round(time.Second).Seconds())
		b.cloudInit()
	}) {
		return
	}
	peer := b.startPeer()
	b.step("identity", b.tryIdentity)
	b.step("ports", func() {
		b.data(wanMAC, "wan", "uio_pci_generic|igb_uio", 0)
		b.data(lanMAC, "lan", "uio_pci_generic|igb_uio", 1450)
		if mtu, err := b.client.get("/interfaces/interface[name=lan]/config/mtu", gpb.GetRequest_CONFIG); err != nil || mtu != "1464" {
			b.t.Errorf("the MTU of lan with its Ethernet header is %s, %v", mtu, err)
		}
	})
	forwards := func() {
		b.wantState(aftOfWAN, "203.0.113.0/24")
		b.eventually("the appliance's announcement", patience, func() error {
			out, err := peer.VTY("show bgp ipv4 unicast 10.0.2.0/24")
			if err == nil && !strings.Contains(out, "10.0.1.1 from 10.0.1.1") {
				err = errors.New(out)
			}
			return err
		})
		b.pings(b.lan, "10.0.2.1", "10.0.1.2", behindWAN, "2001:db8:1::2")
		b.pings(b.wan, "2001:db8:2::2")
	}
	b.step("forwarding", forwards)
	b.step("tcp", b.tryTCP)
	b.step("listener", func() {
		if err := b.client.update("/tcp-termination", helloListener()); err != nil {
			b.fatalf("%v", err)
		}
		b.tryListener()
	})
	b.step("rest", b.tryRest)
	b.step("hardening", b.tryHardening)
	b.step("numbers", b.measure)
	b.step("vnf killed", func() {
		f := b.startFlow(b.lan, behindWAN)
		before := b.sh("systemctl show -p MainPID --value vnf")
		b.sh("systemctl kill -s KILL vnf")
		b.eventually("another vnf", patience, func() error {
			now, err := b.shell.run("systemctl show -p MainPID --value vnf")
			if err == nil && (strings.TrimSpace(now) == before || strings.TrimSpace(now) == "0") {
				err = errors.New("not yet")
			}
			return err
		})
		b.connect(patience)
		forwards()
		f.lossless()
	})
	b.step("upgrade", b.tryUpgrade)
	b.step("watchdog", func() {
		before := b.sh("systemctl show -p NRestarts --value vnf-dataplane")
		b.sh("systemctl kill -s STOP --kill-whom=main vnf-dataplane")
		b.eventually("another vnf-dataplane", patience, func() error {
			now, err := b.shell.run("systemctl show -p NRestarts --value vnf-dataplane")
			if err == nil && strings.TrimSpace(now) == before {
				err = errors.New("not yet")
			}
			return err
		})
		forwards()
	})
	b.step("support bundle", b.tryBundle)
	b.step("reboot", func() {
		before := b.config()
		n, err := b.qmp.guestResets()
		if err == nil {
			err = b.client.reboot()
		}
		if err != nil {
			b.fatalf("%v", err)
		}
		b.rebooted(n)
		b.connect(bootPatience)
		report(b.t, "reboot-to-gnmi-seconds", time.Since(b.booted).Round(time.Second).Seconds())
		if now := b.config(); now != before {
			b.fatalf("the configuration is\n%s\nand was\n%s", now, before)
		}
		forwards()
		b.tryListener()
		b.cloudInit()
		b.tryRest()
	})
	b.step("factory reset", func() { b.tryFactoryReset(forwards) })
}

// tryIdentity: who the guest is, and who gets in.
func (b *bed) tryIdentity() {
	if got := b.sh("hostname"); got != guestName {
		b.t.Errorf("the host is called %q", got)
	}
	b.wantState("/system/state/hostname", guestName)
	stranger := newAuthority(b.t, "test strangers")
	strange, server := identity{ca: b.server.pem}, identity{ca: b.server.pem}
	strange.certificate, strange.key = stranger.issue("orchestrator")
	server.certificate, server.key = b.orchestrator.issue("x", "x")
	for name, i := range map[string]identity{
		"no certificate":               {ca: b.server.pem},
		"a certificate of another's":   strange,
		"an authority of another's":    {ca: stranger.pem, certificate: b.operator.certificate, key: b.operator.key},
		"a certificate for the server": server,
	} {
		c, err := newClient(b.mgmt, gnmiAddress, i.config(b.t, guestAddress))
		if err != nil {
			b.t.Fatal(err)
		}
		if err := c.capabilities(); err == nil {
			b.t.Errorf("a client with %s gets in", name)
		}
		_ = c.conn.Close()
	}
	// Management is reachable by management alone.
	if out, err := b.lan.Output("ncat", "-z", "-w", "5", "10.0.2.1", "9339"); err == nil {
		b.t.Errorf("gNMI listens on a data port\n%s", out)
	}
	if out, err := b.lan.Output("ncat", "-z", "-w", "5", "10.0.2.1", "22"); err == nil {
		b.t.Errorf("sshd listens on a data port\n%s", out)
	}
	var found []string
	for _, words := range []string{"9339", guestAddress} {
		if strings.Contains(b.said(), words) {
			found = append(found, words)
		}
	}
	if len(found) != 2 {
		b.t.Errorf("the console tells of %q only; its end:\n%s", found, tail(b.said(), 2000))
	}
}

// tryTCP: streams between the namespaces, both ways, in which every octet arrives. (iperf3 counts what has come when the sender is done,
// which is less on a slow way.)
func (b *bed) tryTCP() {
	const octets = 4 << 20
	data := make([]byte, octets)
	_, _ = rand.Read(data) // never fails
	file := filepath.Join(b.lab.Dir, "stream")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		b.t.Fatal(err)
	}
	want := fmt.Sprintf("%x", sha256.Sum256(data))
	for _, way := range []struct {
		from, to *lab.NS
		address  string
	}{{b.wan, b.lan, behindWAN}, {b.lan, b.wan, "10.0.2.2"}} {
		if _, err := way.from.Start("ncat", "-l", "-k", "-c", "cat "+file, way.address, "7001"); err != nil {
			b.t.Fatal(err)
		}
		b.eventually("a stream from "+way.address, patience, func() error {
			out, err := way.to.Output("sh", "-c", "ncat -w 60 --recv-only "+way.address+" 7001 | sha256sum")
			if err == nil && !strings.HasPrefix(out, want) {
				err = fmt.Errorf("%q came of %s", out, want)
			}
			return err
		})
	}
}

const helloBody = "hello from the appliance\n"

func helloListener() object {
	return object{"vnf-tcp-termination:listeners": object{"listener": array{object{
		"name": "hello", "config": object{"name": "hello", "port": 8080, "service": "HTTP"},
		"http": object{"response": object{"config": object{"status": 200, "body": helloBody}}},
	}}}}
}

// tryListener: curl gets the page from either side.
func (b *bed) tryListener() {
	b.t.Helper()
	for _, from := range []*lab.NS{b.wan, b.lan} {
		b.eventually("the page", patience, func() error {
			out, err := from.Output("curl", "-sS", "--max-time", "20", "http://10.0.1.1:8080/")
			if err == nil && out != helloBody {
				err = fmt.Errorf("it is %q", out)
			}
			return err
		})
	}
}

// tryRest: nothing has failed, and nothing says so.
func (b *bed) tryRest() {
	b.t.Helper()
	b.eventually("the end of the boot", patience, func() error {
		out, err := b.shell.run("systemctl is-system-running || true")
		if s := strings.TrimSpace(out); err == nil && s != "running" && s != "degraded" {
			err = errors.New(s)
		}
		return err
	})
	if failed := b.sh("systemctl --failed --no-legend --plain"); failed != "" {
		b.t.Errorf("units that failed:\n%s", failed)
	}
	if leaks := b.sh(`grep -rhE "^(deb|URIs)" /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | grep -vE "deb\.debian\.org|security\.debian\.org" || true`); leaks != "" {
		b.t.Errorf("the image tells where its packages came from:\n%s", leaks)
	}
}

// tryHardening: what systemd thinks of our units, and who runs them.
func (b *bed) tryHardening() {
	if who := b.sh("ps -o user= -p $(systemctl show -p MainPID --value vnf)"); who != "millrace" {
		b.t.Errorf("vnf runs as %s", who)
	}
	if caps := b.sh("grep CapBnd /proc/$(systemctl show -p MainPID --value vnf)/status"); caps != "CapBnd:\t0000000000000400" {
		b.t.Errorf("vnf is bounded by %q, want CAP_NET_BIND_SERVICE alone", caps)
	}
	units := strings.Fields(b.sh("systemctl list-unit-files --no-legend --type=service 'vnf*' 'millrace*' | awk '{print $1}'"))
	if len(units) < 5 {
		b.t.Errorf("the units are %q", units)
	}
	table := b.sh("systemd-analyze security --no-pager " + strings.Join(units, " ") + " | grep 'Overall exposure level for'")
	for _, m := range regexp.MustCompile(`level for (\S+): ([0-9.]+) (\w+)`).FindAllStringSubmatch(table, -1) {
		b.t.Logf("%s: %s %s", m[1], m[2], m[3])
		if level := m[3]; level != "OK" && level != "SAFE" && level != "PERFECT" {
			b.t.Errorf("%s is %s", m[1], level)
		}
	}
	if strings.Count(table, "level for") != len(units) {
		b.t.Errorf("not the levels of %q:\n%s", units, table)
	}
}

// tryUpgrade: a later package of vnf takes over while packets flow.
func (b *bed) tryUpgrade() {
	debs, err := filepath.Glob(filepath.Join(packages(b.t), "millrace-vnf_*.deb"))
	if err != nil || len(debs) == 0 {
		b.t.Fatalf("no package of vnf in %s: %v", packages(b.t), err)
	}
	dir := filepath.Join(b.lab.Dir, "upgrade")
	command(b.t, "dpkg-deb", "-R", debs[len(debs)-1], dir)
	control, err := os.ReadFile(filepath.Join(dir, "DEBIAN/control"))
	if err != nil {
		b.t.Fatal(err)
	}
	version := b.sh("dpkg-query -W -f '${Version}' millrace-vnf") + "+upgrade1"
	control = regexp.MustCompile(`(?m)^Version: .*$`).ReplaceAll(control, []byte("Version: "+version))
	writeFile(b.t, filepath.Join(dir, "DEBIAN/control"), string(control))
	// dpkg-deb takes what nfpm writes for a package without such files only when it reads it.
	if list, err := os.ReadFile(filepath.Join(dir, "DEBIAN/conffiles")); err == nil && strings.TrimSpace(string(list)) == "" {
		if err := os.Remove(filepath.Join(dir, "DEBIAN/conffiles")); err != nil {
			b.t.Fatal(err)
		}
	}
	deb := filepath.Join(b.lab.Dir, "upgrade.deb")
	command(b.t, "dpkg-deb", "--root-owner-group", "-b", dir, deb)
	content, err := os.ReadFile(deb)
	if err != nil {
		b.t.Fatal(err)
	}

	before := b.config()
	show := "systemctl show -p MainPID --value vnf-dataplane; systemctl show -p MainPID --value vnf"
	pids := strings.Fields(b.sh(show))
	f := b.startFlow(b.lan, behindWAN)
	if out, err := b.shell.feed("cat > /tmp/upgrade.deb && DEBIAN_FRONTEND=noninteractive dpkg -i /tmp/upgrade.deb 2>&1", bytes.NewReader(content)); err != nil {
		b.fatalf("%s\n%v", out, err)
	}
	b.connect(patience)
	b.wantState(aftOfWAN, "203.0.113.0/24")
	b.tryListener()
	f.lossless()
	now := strings.Fields(b.sh(show))
	if len(pids) != 2 || len(now) != 2 || now[0] != pids[0] || now[1] == pids[1] {
		b.t.Errorf("processes of vnf-dataplane and vnf were %v and are %v", pids, now)
	}
	if got := b.sh("dpkg-query -W -f '${Version}' millrace-vnf"); got != version {
		b.t.Errorf("version %s, want %s", got, version)
	}
	if after := b.config(); after != before {
		b.t.Errorf("the configuration is\n%s\nand was\n%s", after, before)
	}
}

// tryBundle: the bundle for support has all that helps and nothing secret.
func (b *bed) tryBundle() {
	file := filepath.Join(b.lab.Dir, "bundle.tar.gz")
	if out, err := b.ctl("support-bundle", "--output", file); err != nil {
		b.fatalf("%v\n%s", err, out)
	}
	names := command(b.t, "tar", "-tzf", file)
	b.t.Log(strings.Fields(names))
	dir := filepath.Join(b.lab.Dir, "bundle")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	command(b.t, "tar", "-xzf", file, "-C", dir)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		for _, secret := range []string{bgpPassword, "PRIVATE KEY-----"} {
			if bytes.Contains(content, []byte(secret)) {
				b.t.Errorf("%s has a secret, %q", strings.TrimPrefix(path, dir), secret)
			}
		}
		return err
	})
	if err != nil {
		b.t.Error(err)
	}
	for _, want := range []string{"/config/tree.json", "/logs/journal.txt", "/system.json", "/appliance/nics.json", "/manifest.json"} {
		if !strings.Contains(names, want) {
			b.t.Errorf("nothing of %q in the bundle:\n%s", want, names)
		}
	}
}

// tryFactoryReset: what was changed is gone, and day 0 is there again.
func (b *bed) tryFactoryReset(forwards func()) {
	n, err := b.qmp.guestResets()
	if err != nil {
		b.t.Fatal(err)
	}
	// The login ends with the machine.
	_, _ = b.shell.run("vnf appliance reset --yes")
	b.rebooted(n)
	b.connect(bootPatience)
	if now := b.config(); strings.Contains(now, "hello") {
		b.t.Errorf("the listener outlived the reset:\n%s", now)
	}
	b.cloudInit()
	forwards()
	if got := b.sh("hostname"); got != guestName {
		b.t.Errorf("the host is called %q", got)
	}
}

// measure notes what the guest takes.
func (b *bed) measure() {
	for _, line := range strings.Split(b.sh("free -m"), "\n") {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "Mem:" {
			var total, used int
			_, _ = fmt.Sscan(f[1], &total)
			_, _ = fmt.Sscan(f[2], &used)
			report(b.t, "memory-mib", total)
			report(b.t, "memory-at-rest-mib", used)
		}
	}
	var pages int
	_, _ = fmt.Sscan(b.sh("cat /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"), &pages)
	report(b.t, "hugepages-mib", 2*pages)
	report(b.t, "systemd", b.sh("systemd-analyze time | head -1"))
	b.t.Logf("%s\n%s", b.sh("systemd-analyze blame --no-pager | head -25"), b.sh("systemd-analyze critical-chain --no-pager vnf.service"))
	if info, err := os.Stat(imageFile(b.t)); err == nil {
		report(b.t, "image-mib", float64(info.Size()>>10)/1024)
	}
	version, err := b.client.get("/system/state/software-version", gpb.GetRequest_STATE)
	if err != nil {
		b.t.Error(err)
	}
	report(b.t, "version", version)
}

// packages is the folder of the packages that are in the image.
func packages(t *testing.T) string {
	if d := os.Getenv("MILLRACE_PACKAGES"); d != "" {
		return d
	}
	return filepath.Join(filepath.Dir(imageFile(t)), "..", "packages")
}
