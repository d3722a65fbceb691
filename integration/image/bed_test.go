package image

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"

	"millrace/internal/lab"
)

// What the networks around a guest are: management is 192.0.2.0/24 with the orchestrator at .1 and the guest at .10; wan is
// 10.0.1.0/24 and 2001:db8:1::/64, lan 10.0.2.0/24 and 2001:db8:2::/64, with the guest at .1 and ::1, the other end at .2 and ::2. Behind
// wan's other end is 203.0.113.0/24.
const (
	guestAddress = "192.0.2.10"
	gnmiAddress  = guestAddress + ":9339"
	guestName    = "vnf7"
	behindWAN    = "203.0.113.1"
	bgpPassword  = "only-the-peer-knows"

	mgmtMAC = "fa:16:3e:00:00:10"
	wanMAC  = "fa:16:3e:00:00:21"
	lanMAC  = "fa:16:3e:00:00:32"
)

// bed is a guest and the networks around it.
type bed struct {
	*vm
	lab *lab.Lab
	// mgmt, wan and lan are what is at the other end of the NICs.
	mgmt, wan, lan *lab.NS
	// server is who signs the guest's certificate, orchestrator who signs those of its clients.
	server, orchestrator *authority
	operator             identity
	sshKey               string
	client               *client
}

func newBed(t *testing.T) *bed {
	t.Helper()
	imageFile(t)
	l, err := lab.New("image")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	b := &bed{lab: l, mgmt: l.NS("m"), wan: l.NS("w"), lan: l.NS("l")}
	b.server, b.orchestrator = newAuthority(t, "test servers"), newAuthority(t, "test orchestrators")
	b.operator.ca = b.server.pem
	b.operator.certificate, b.operator.key = b.orchestrator.issue("orchestrator")
	// vnfctl wants its own certificate's authority to be one that it knows.
	forCtl := b.operator
	forCtl.ca += b.orchestrator.pem
	forCtl.write(t, filepath.Join(l.Dir, "pki"))
	id := filepath.Join(l.Dir, "id")
	command(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", id)
	pub, err := os.ReadFile(id + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	b.sshKey = strings.TrimSpace(string(pub))
	return b
}

// newVM prepares the guest; the addresses of the other ends are set.
func (b *bed) newVM(t *testing.T, opt vmOptions) {
	t.Helper()
	b.vm = newVM(t, b.lab, opt)
	b.vm.shell = &shell{b.mgmt, "debian", guestAddress, filepath.Join(b.lab.Dir, "id")}
	b.mgmt.Addr("eth0", "192.0.2.1/24")
	for i, ns := range []*lab.NS{b.wan, b.lan}[:len(opt.nics)-1] {
		ns.Addr("eth0", fmt.Sprintf("10.0.%d.2/24", i+1))
		ns.Addr("eth0", fmt.Sprintf("2001:db8:%d::2/64", i+1))
		ns.Default(fmt.Sprintf("2001:db8:%d::1", i+1))
	}
	if len(opt.nics) > 2 {
		b.lan.Default("10.0.2.1")
	}
	b.wan.Addr("lo", behindWAN+"/24")
	// The lab's bgpd keeps its routes from the kernel.
	b.wan.IP("route", "add", "10.0.2.0/24", "via", "10.0.1.1")
	if err := b.lab.Err(); err != nil {
		t.Fatal(err)
	}
}

// tls is the part of user-data with certificates of ours.
func (b *bed) tls() object {
	cert, key := b.server.issue(guestName, guestName, guestAddress)
	return object{"ca": b.orchestrator.pem, "certificate": cert, "key": key}
}

// connect waits until gNMI answers the operator.
func (b *bed) connect(within time.Duration) {
	b.t.Helper()
	b.dial(b.operator.config(b.t, guestAddress))
	b.eventually("gNMI", within, b.client.capabilities)
}

func (b *bed) dial(config *tls.Config) {
	b.t.Helper()
	if b.client != nil {
		_ = b.client.conn.Close()
	}
	c, err := newClient(b.mgmt, gnmiAddress, config)
	if err != nil {
		b.t.Fatal(err)
	}
	b.client = c
}

// cloudInit waits for cloud-init's end, which has to be a good one.
func (b *bed) cloudInit() {
	b.t.Helper()
	// Its own --wait takes more of an emulated CPU than all it waits for.
	b.eventually("a login by ssh, and cloud-init's end", bootPatience, func() error {
		_, err := b.shell.run("while [ ! -e /run/cloud-init/result.json ]; do sleep 2; done")
		return err
	})
	last := b.sh("cloud-init status --long || true")
	if !strings.Contains(last, "status: done") {
		b.fatalf("cloud-init: %s\n%s", last, b.sh("cat /run/cloud-init/result.json; grep -E 'WARN|ERROR|Traceback' /var/log/cloud-init.log || true"))
	}
	var result struct {
		V1 struct {
			Datasource string
			Errors     []string
		}
	}
	if err := json.Unmarshal([]byte(b.sh("cat /run/cloud-init/result.json")), &result); err != nil {
		b.fatalf("cloud-init's result: %v", err)
	}
	if len(result.V1.Errors) > 0 {
		b.fatalf("cloud-init: %q", result.V1.Errors)
	}
	b.t.Log(result.V1.Datasource)
}

// ctl runs vnfctl in the management network.
func (b *bed) ctl(args ...string) (string, error) {
	return b.mgmt.Output(b.lab.Bin("vnfctl"), append([]string{"--address", gnmiAddress, "--tls-dir", filepath.Join(b.lab.Dir, "pki")}, args...)...)
}

// wantState waits for a leaf of the state.
func (b *bed) wantState(path, want string) {
	b.t.Helper()
	b.eventually(path+" to be "+want, patience, func() error {
		got, err := b.client.get(path, gpb.GetRequest_STATE)
		if err == nil && got != want {
			err = fmt.Errorf("it is %s", got)
		}
		return err
	})
}

// config is the configuration that the guest has.
func (b *bed) config() string {
	b.t.Helper()
	s, err := b.client.get("/", gpb.GetRequest_CONFIG)
	if err != nil {
		b.fatalf("%v", err)
	}
	return s
}

// pings waits until a destination answers.
func (b *bed) pings(from *lab.NS, to ...string) {
	b.t.Helper()
	for _, d := range to {
		b.eventually("ping of "+d, patience, func() error {
			_, err := from.Output("ping", "-n", "-c", "3", "-i", "0.2", "-W", "5", d)
			return err
		})
	}
}

// flow is a ping at a steady pace, until it is told to end.
type flow struct {
	b *bed
	p *lab.Proc
}

func (b *bed) startFlow(from *lab.NS, to string) *flow {
	b.t.Helper()
	// Late is not lost: an emulated guest on a busy machine may be seconds late.
	p, err := from.Start("fping", "-q", "-l", "-Q", "3600", "-p", "100", "-t", "20000", "-b", "56", to)
	if err != nil {
		b.t.Fatal(err)
	}
	return &flow{b, p}
}

var fpingSummary = regexp.MustCompile(`xmt/rcv/%loss = (\d+)/(\d+)/`)

// lossless ends the flow and fails the test if anything was lost.
func (f *flow) lossless() {
	f.b.t.Helper()
	// What is under way has its time.
	time.Sleep(2 * time.Second)
	_ = f.p.Signal(syscall.SIGINT)
	if err := f.p.Wait(time.Minute); err != nil {
		f.b.t.Fatal(err)
	}
	m := fpingSummary.FindStringSubmatch(f.p.Output())
	if m == nil {
		f.b.t.Fatalf("not fping's output:\n%s", f.p.Output())
	}
	sent, _ := strconv.Atoi(m[1])
	received, _ := strconv.Atoi(m[2])
	// The last may have been cut off.
	if sent < 20 || sent-received > 1 {
		f.b.fatalf("%d of %d pings were lost", sent-received, sent)
	}
	f.b.t.Logf("%d pings, none lost", sent)
}

// nicView is what the guest tells of a NIC in nics.json.
type nicView struct {
	Name, Role, MAC, PCI, Netdev, Driver, Problem string
	MTU                                           int
	Tags                                          []string
}

func (b *bed) nics() map[string]nicView {
	b.t.Helper()
	raw := b.sh("cat /run/millrace/nics.json")
	var doc struct{ NICs []nicView }
	if err := json.Unmarshal([]byte(raw), &doc); err != nil {
		b.fatalf("nics.json: %v\n%s", err, raw)
	}
	m := map[string]nicView{}
	for _, n := range doc.NICs {
		m[strings.ToLower(n.MAC)] = n
	}
	return m
}

// data checks how a data NIC is called and bound, and its MTU.
func (b *bed) data(mac, name, driver string, mtu int) {
	b.t.Helper()
	n, ok := b.nics()[mac]
	if !ok || n.Name != name || n.Role != "data" || !regexp.MustCompile("^("+driver+")$").MatchString(n.Driver) {
		b.fatalf("NIC %s is %+v, want %s, data, %s", mac, n, name, driver)
	}
	if mtu != 0 && n.MTU != mtu {
		b.fatalf("NIC %s has MTU %d, want %d", name, n.MTU, mtu)
	}
	b.wantState("/interfaces/interface[name="+name+"]/state/oper-status", "UP")
}
