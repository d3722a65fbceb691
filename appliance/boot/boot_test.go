package boot

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/appliance/nic"
	"millrace/appliance/report"
	"millrace/control"
	"millrace/server/auth"
)

// box is a machine that is made up, with a virtio card for each number.
type box struct {
	*Machine
	t *testing.T
	// ran are the programs that were run.
	ran []string
}

func newBox(t *testing.T, cards ...int) *box {
	t.Helper()
	b := &box{t: t}
	root := t.TempDir()
	b.Machine = &Machine{
		Root: root, Log: slog.New(slog.DiscardHandler),
		Run: func(_ context.Context, name string, args ...string) error {
			b.ran = append(b.ran, name+" "+strings.Join(args, " "))
			return nil
		},
		Bind: func(_ context.Context, pci, driver string) error {
			at := filepath.Join(root, "sys/bus/pci/devices", pci)
			_ = os.Remove(filepath.Join(at, "driver"))
			_ = os.RemoveAll(filepath.Join(at, "net"))
			return os.Symlink("../drivers/"+driver, filepath.Join(at, "driver"))
		},
		Size:  func(context.Context, []nic.NIC) (bool, error) { return true, nil },
		Check: func(path string) error { _, err := control.PreviewConfig(path, t.TempDir()); return err },
		Owner: func(string, bool) error { return nil },
	}
	b.put("proc/cpuinfo", "model name\t: QEMU\nflags\t\t: cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3\n")
	b.cards(cards...)
	return b
}

// cards are those that the kernel has found: at a boot none is bound.
func (b *box) cards(cards ...int) {
	if err := os.RemoveAll(b.path("sys")); err != nil {
		b.t.Fatal(err)
	}
	for _, n := range cards {
		at := fmt.Sprintf("sys/bus/pci/devices/0000:00:%02x.0/", n)
		b.put(at+"class", "0x020000")
		b.put(at+"vendor", "0x1af4")
		b.put(at+"device", "0x1000")
		b.put(at+"config", strings.Repeat("\x01", 64))
		b.put(at+fmt.Sprintf("net/ens%d/address", n), fmt.Sprintf("fa:16:3e:00:00:%02x", n))
		if err := os.Symlink("../drivers/virtio-pci", b.path(at+"driver")); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *box) put(name, text string) {
	b.t.Helper()
	path := b.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) get(name string) string {
	b.t.Helper()
	text, err := os.ReadFile(b.path(name))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

// platform is what cloud-init has found.
func (b *box) platform(id string, tags map[int]string, userData string) {
	type device struct {
		Type string   `json:"type"`
		MAC  string   `json:"mac"`
		Tags []string `json:"tags"`
	}
	var devices []device
	for n, t := range tags {
		devices = append(devices, device{"nic", fmt.Sprintf("fa:16:3e:00:00:%02x", n), []string{t}})
	}
	data := map[string]any{
		"v1": map[string]any{"instance_id": id, "local_hostname": "edge1", "platform": "openstack"},
		"ds": map[string]any{
			"meta_data": map[string]any{"devices": devices},
			"network_json": json.RawMessage(`{"links": [{"id": "a", "type": "ovs", "mtu": 1442, "ethernet_mac_address": "fa:16:3e:00:00:04"},
				{"id": "b", "type": "ovs", "ethernet_mac_address": "fa:16:3e:00:00:03"}],
				"networks": [{"type": "ipv4", "link": "a", "ip_address": "192.0.2.1", "netmask": "255.255.255.0"},
				{"type": "ipv4", "link": "b", "ip_address": "10.0.0.5", "netmask": "255.255.255.0"}]}`),
		},
	}
	j, err := json.Marshal(data)
	if err != nil {
		b.t.Fatal(err)
	}
	b.put("run/cloud-init/instance-data-sensitive.json", string(j))
	b.put("var/lib/cloud/instance/user-data.txt", userData)
}

// boot boots: what is in /run is lost before.
func (b *box) boot() *report.Report {
	b.t.Helper()
	_ = os.RemoveAll(b.path(runDir))
	_ = os.RemoveAll(b.path(networkDir))
	if err := b.Manage(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	if err := b.Boot(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	r, err := report.Load(b.path(runDir))
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// interfaces are those of the configuration, with their devices, MTUs and addresses.
func (b *box) interfaces() string {
	b.t.Helper()
	c, err := control.PreviewConfig(b.path(startup), b.t.TempDir())
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.get(startup))
	}
	var s []string
	for _, f := range c.Interfaces {
		s = append(s, fmt.Sprintf("%s %s %d %v", f.Name, f.Device, f.MTU, f.Addresses))
	}
	return strings.Join(s, "; ")
}

func TestFirstBoot(t *testing.T) {
	b := newBox(t, 3, 4, 5)
	b.platform("i-1", map[int]string{3: "mgmt", 4: "wan"}, `#cloud-config
millrace:
  config:
    openconfig-system:system: {config: {hostname: edge1}}
    openconfig-interfaces:interfaces:
      interface:
        - {name: lo0, config: {name: lo0, type: "iana-if-type:softwareLoopback"}}
        - {name: port1, config: {name: port1, type: "iana-if-type:ethernetCsmacd", description: mine}}
`)
	r := b.boot()
	if len(r.Problems) > 0 || r.Configuration != "user-data" || r.Certificates != "own" {
		t.Errorf("%+v", r)
	}
	if got, want := b.interfaces(), "lo0  0 []; port1 nic=port1 0 []; wan nic=wan 1442 [192.0.2.1/24]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	f, err := nic.Load(b.path(runDir))
	if err != nil || f.IOVAMode != "pa" || len(f.Data()) != 2 || f.Management().Netdev != "ens3" {
		t.Errorf("%+v %v", f, err)
	}
	if got := b.get("run/systemd/network/10-millrace-management.network"); !strings.Contains(got, "Address=10.0.0.5/24") {
		t.Error(got)
	}
	if got := b.get("run/systemd/network/11-millrace-data.network"); !strings.Contains(got, "fa:16:3e:00:00:04 fa:16:3e:00:00:05") {
		t.Error(got)
	}
	if got := b.get("run/millrace/vnf.env"); got != "VNF_TLS_HOSTS=edge1,10.0.0.5\n" {
		t.Error(got)
	}
	if len(b.ran) > 0 {
		t.Errorf("nothing has changed between the two times, yet %q", b.ran)
	}

	// The second boot keeps what the operator made of it, and finds the cards wherever they are.
	b.put(startup, "interfaces: []\n")
	b.cards(3, 6, 7)
	b.put("sys/bus/pci/devices/0000:00:06.0/net/ens6/address", "fa:16:3e:00:00:05")
	b.put("sys/bus/pci/devices/0000:00:07.0/net/ens7/address", "fa:16:3e:00:00:04")
	if r = b.boot(); r.Configuration != "kept" || b.get(startup) != "interfaces: []\n" {
		t.Errorf("%+v %s", r, b.get(startup))
	}
	f, _ = nic.Load(b.path(runDir))
	wan, _ := f.Device("wan")
	port1, _ := f.Device("port1")
	if wan != "0000:00:07.0" || port1 != "0000:00:06.0" {
		t.Errorf("wan %s, port1 %s", wan, port1)
	}

	// So does one at which the platform says nothing any more.
	_ = os.RemoveAll(b.path("run/cloud-init"))
	if r = b.boot(); r.Configuration != "kept" {
		t.Errorf("%+v", r)
	}

	// A copy of the machine is another.
	b.platform("i-2", map[int]string{3: "mgmt"}, "#cloud-config\nmillrace: {config: {openconfig-system:system: {config: {hostname: edge2}}}}\n")
	if r = b.boot(); r.Configuration != "user-data" || !strings.Contains(b.get(startup), "edge2") {
		t.Errorf("%+v", r)
	}
	// It keeps the configuration if it is given none.
	b.platform("i-3", nil, "#cloud-config\n{}")
	if r = b.boot(); r.Configuration != "kept" || !strings.Contains(b.get(startup), "edge2") {
		t.Errorf("%+v", r)
	}
}

// TestMTU: an interface of the configuration has its network's, unless that says another.
func TestMTU(t *testing.T) {
	for config, want := range map[string]string{
		`{name: wan, config: {name: wan, type: "iana-if-type:ethernetCsmacd"}}`:                                                 "wan nic=wan 1442 []",
		`{name: wan, config: {name: wan, type: "iana-if-type:ethernetCsmacd", mtu: 1014}}`:                                      "wan nic=wan 1000 []",
		`{name: a, config: {name: a, type: "iana-if-type:ethernetCsmacd"}, vnf-dataplane:port: {config: {devargs: "nic=wan"}}}`: "a nic=wan 1442 []",
		`{name: wan, config: {name: wan, type: "iana-if-type:ethernetCsmacd"}, subinterfaces: {subinterface: [{index: 5, config: {index: 5, mtu: 1500},
			openconfig-vlan:vlan: {match: {single-tagged: {config: {vlan-id: 5}}}}}]}}`: "wan nic=wan 0 []; wan.5  1500 []",
	} {
		b := newBox(t, 3, 4)
		b.platform("i-1", map[int]string{4: "wan"}, "#cloud-config\nmillrace: {config: {openconfig-interfaces:interfaces: {interface: ["+config+"]}}}\n")
		r := b.boot()
		if got := b.interfaces(); got != want || len(r.Problems) > 0 {
			t.Errorf("%s:\n got %s\nwant %s\n%+v", config, got, want, r.Problems)
		}
	}
}

func TestNoPlatform(t *testing.T) {
	b := newBox(t, 3, 4)
	b.put(startup, "# nothing\n{}\n")
	r := b.boot()
	if len(r.Problems) > 0 || r.Configuration != "nics" {
		t.Errorf("%+v", r)
	}
	if got, want := b.interfaces(), "port1 nic=port1 0 []"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := b.get("run/systemd/network/10-millrace-management.network"); !strings.Contains(got, "DHCP=yes") {
		t.Error(got)
	}
}

func TestMetadataService(t *testing.T) {
	b := newBox(t, 3, 4)
	if err := b.Manage(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.get("run/systemd/network/10-millrace-management.network"); !strings.Contains(got, "fa:16:3e:00:00:03") {
		t.Error(got)
	}
	// Only the metadata service tells that it is the other one.
	b.platform("i-1", map[int]string{4: "mgmt"}, "")
	if err := b.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.get("run/systemd/network/10-millrace-management.network"); !strings.Contains(got, "fa:16:3e:00:00:04") {
		t.Error(got)
	}
	if got := strings.Join(b.ran, "; "); got != "networkctl reload; networkctl reconfigure ens3; networkctl reconfigure ens4" {
		t.Error(got)
	}
}

func TestWrongConfiguration(t *testing.T) {
	for name, c := range map[string]struct{ config, want string }{
		"unknown leaf": {"openconfig-system:system: {config: {hostnam: a}}", "hostnam"},
		"not valid":    {"openconfig-interfaces:interfaces: {interface: [{name: x, config: {name: x, type: \"iana-if-type:ethernetCsmacd\"}}]}", "/interfaces/interface[name=x]"},
		"other form":   {"interfaces: [{name: x, type: prot}]", "interfaces[x].type"},
		"no tree":      {"{}", ""},
	} {
		b := newBox(t, 3, 4)
		b.platform("i-1", nil, "#cloud-config\nmillrace:\n  config:\n    "+c.config+"\n")
		r := b.boot()
		if c.want != "" && (r.Configuration != "nics" || len(r.Problems) != 1 || r.Problems[0].Field != "millrace.config" || !strings.Contains(r.Problems[0].Reason, c.want)) {
			t.Errorf("%s: %+v", name, r)
		}
		if got, want := b.interfaces(), "port1 nic=port1 1442 [192.0.2.1/24]"; got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
		}
	}
}

func TestCPU(t *testing.T) {
	b := newBox(t, 3)
	b.put("proc/cpuinfo", "model name\t: QEMU Virtual CPU version 2.5+\nflags\t\t: pni cx16 lahf_lm\n")
	if r := b.boot(); !strings.Contains(r.CPU, "lacks popcnt sse4_1 sse4_2 ssse3") || len(r.Problems) != 1 ||
		!strings.Contains(r.Problems[0].Reason, "cpu_mode = host-model") {
		t.Errorf("%+v", r)
	}
}

func TestRescan(t *testing.T) {
	b := newBox(t, 3, 4)
	if err := b.Rescan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if exists(b.path(runDir, nic.FileName)) {
		t.Error("before the boot it does something")
	}
	b.boot()
	at := "sys/bus/pci/devices/0000:00:02.0/"
	b.put(at+"class", "0x020000")
	b.put(at+"vendor", "0x10ec")
	b.put(at+"net/ens2/address", "02:00:00:00:00:02")
	if err := b.Rescan(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, _ := nic.Load(b.path(runDir))
	if d, err := f.Device("port2"); d != "iface=ens2,driver=af_packet" || f.Management().Netdev != "ens3" {
		t.Errorf("%s %v %+v", d, err, f)
	}
	if d, err := f.Device("port1"); d != "0000:00:04.0" {
		t.Error(d, err)
	}
}

// authority makes certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func block(kind string, b []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
}

func newAuthority(t *testing.T, name string) *authority {
	a := &authority{t: t}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a.key, a.pem = key, block("CERTIFICATE", der)
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) server() (cert, key string) { return a.leaf(x509.ExtKeyUsageServerAuth) }

func (a *authority) leaf(usage x509.ExtKeyUsage) (cert, key string) {
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "edge1"}, DNSNames: []string{"edge1"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, k.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	kb, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", kb)
}

func TestCertificates(t *testing.T) {
	a, other := newAuthority(t, "orchestrator"), newAuthority(t, "other")
	cert, key := a.server()
	_, wrong := a.server()
	clientCert, clientKey := a.leaf(x509.ExtKeyUsageClientAuth)
	for name, c := range map[string]struct {
		tls           map[string]string
		from, problem string
		own, other    bool
	}{
		"all":          {tls: map[string]string{"ca": a.pem, "certificate": cert, "key": key}, from: "user-data"},
		"authority":    {tls: map[string]string{"ca": a.pem}, from: "user-data", own: true},
		"another's":    {tls: map[string]string{"ca": other.pem, "certificate": cert, "key": key}, from: "user-data", other: true},
		"pair":         {tls: map[string]string{"certificate": cert, "key": key}, from: "user-data", own: true, other: true},
		"a client's":   {tls: map[string]string{"ca": a.pem, "certificate": clientCert, "key": clientKey}, from: "own", problem: "incompatible key usage"},
		"wrong key":    {tls: map[string]string{"ca": a.pem, "certificate": cert, "key": wrong}, from: "own", problem: "server-key.pem is not the key of server.pem"},
		"no authority": {tls: map[string]string{"ca": "none"}, from: "own", problem: "there is no PEM block of a certificate"},
		"none":         {from: "own"},
	} {
		b := newBox(t, 3)
		j, err := json.Marshal(map[string]any{"millrace": map[string]any{"tls": c.tls}})
		if err != nil {
			t.Fatal(err)
		}
		b.platform("i-1", nil, "#cloud-config\n"+string(j))
		r := b.boot()
		if r.Certificates != c.from || (c.problem == "") != (len(r.Problems) == 0) || c.problem != "" && !strings.Contains(r.Problems[0].Reason, c.problem) {
			t.Errorf("%s: %+v", name, r)
		}
		dir := b.path(pkiDir)
		if exists(dir) != (c.from == "user-data") {
			t.Errorf("%s: directory is there: %v", name, exists(dir))
		}
		if left, _ := filepath.Glob(b.path(vnfState, ".pki*")); len(left) > 0 {
			t.Errorf("%s: leaves %v", name, left)
		}
		if c.from != "user-data" {
			continue
		}
		if _, err := auth.Open(auth.Options{Dir: dir}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(b.get(pkiDir+"/"+auth.CAFile), c.tls["ca"]) || exists(filepath.Join(dir, auth.CAKeyFile)) != c.own ||
			exists(filepath.Join(dir, auth.ServerCAFile)) != c.other || c.other && strings.Contains(b.get(pkiDir+"/"+auth.CAFile), a.pem) {
			t.Errorf("%s: not as given", name)
		}
		if st, err := os.Stat(filepath.Join(dir, auth.ServerKeyFile)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, st.Mode(), err)
		}
		// A copy makes its own anew, but what an operator gave stays.
		b.platform("i-2", nil, "")
		if b.boot(); exists(dir) != !c.own {
			t.Errorf("%s: after a copy: %v", name, exists(dir))
		}
	}
}
