package nic

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// card is one on the bus of a machine that is made up.
type card struct {
	pci, vendor, device, driver, netdev, mac, group string
	intx                                            bool
	features                                        string // of its virtio device
}

func addCard(t *testing.T, root string, c card) {
	t.Helper()
	at := filepath.Join(root, "sys/devices/pci0000:00", c.pci)
	write := func(name, text string) {
		path := filepath.Join(at, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(name, to string) {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Symlink(to, path)); err != nil {
			t.Fatal(err)
		}
	}
	write("class", "0x020000\n")
	write("vendor", c.vendor+"\n")
	write("device", c.device+"\n")
	config := make([]byte, 64)
	if c.intx {
		config[interruptPin] = 1
	}
	write("config", string(config))
	if c.netdev != "" {
		below := ""
		if c.features != "" {
			below = "virtio" + c.pci[8:10] + "/"
			write(below+"features", c.features+"\n")
		}
		write(below+"net/"+c.netdev+"/address", c.mac+"\n")
	}
	link("sys/bus/pci/devices/"+c.pci, at)
	if c.driver != "" {
		link("sys/devices/pci0000:00/"+c.pci+"/driver", "../../../bus/pci/drivers/"+c.driver)
	}
	if c.group != "" {
		link("sys/devices/pci0000:00/"+c.pci+"/iommu_group", "../../../kernel/iommu_groups/"+c.group)
	}
}

var (
	transitional = strings.Repeat("0", 64)
	platform     = strings.Repeat("0", accessPlatform) + "1" + strings.Repeat("0", 30)
)

func machine(t *testing.T, cards ...card) (root string, nics []NIC) {
	t.Helper()
	root = t.TempDir()
	for _, c := range cards {
		addCard(t, root, c)
	}
	nics, err := Scan(root)
	if err != nil {
		t.Fatal(err)
	}
	return root, nics
}

func virtio(n int, features string) card {
	return card{
		pci: fmt.Sprintf("0000:00:%02x.0", n), vendor: "0x1af4", device: "0x1000", driver: "virtio-pci", netdev: fmt.Sprintf("ens%d", n),
		mac: fmt.Sprintf("FA:16:3E:00:00:%02x", n), intx: true, features: features,
	}
}

func TestScan(t *testing.T) {
	_, nics := machine(t, virtio(16, platform), virtio(3, transitional),
		card{pci: "0000:00:05.0", vendor: "0x8086", device: "0x154c", driver: "vfio-pci", group: "7"})
	var got []string
	for _, n := range nics {
		got = append(got, fmt.Sprint(n.PCI, n.Netdev, n.MAC, n.Driver, n.PMD, n.group, n.intx, n.platform))
	}
	want := []string{
		"0000:00:03.0ens3fa:16:3e:00:00:03virtio-pcinet_virtiofalse true false",
		"0000:00:05.0vfio-pcinet_iavftrue false false",
		"0000:00:10.0ens16fa:16:3e:00:00:10virtio-pcinet_virtiofalse true true",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if nics, err := Scan(t.TempDir()); len(nics) != 0 || err != nil {
		t.Error(nics, err)
	}
}

func names(nics []NIC) string {
	var s []string
	for _, n := range nics {
		s = append(s, string(n.Role[:1])+":"+n.Name)
	}
	return strings.Join(s, " ")
}

func TestAssign(t *testing.T) {
	mac := func(n int) string { return fmt.Sprintf("fa:16:3e:00:00:%02x", n) }
	for _, c := range []struct {
		name           string
		w              Wishes
		want, problems string
	}{
		{name: "nothing known", want: "m:management d:port1 d:port2 d:port3"},
		{name: "tags", w: Wishes{Known: []Known{
			{MAC: mac(4), Tags: []string{"wan"}}, {MAC: strings.ToUpper(mac(5)), Tags: []string{"other", "mgmt"}}, {PCI: "0000:00:06.0", Tags: []string{"a/b", "lan"}},
		}}, want: "d:port1 d:wan m:management d:lan", problems: "the tag \"a/b\" of NIC fa:16:3e:00:00:06"},
		{name: "a tag twice", w: Wishes{Known: []Known{{MAC: mac(4), Tags: []string{"wan"}}, {MAC: mac(5), Tags: []string{"wan"}}}},
			want: "m:management d:wan d:port1 d:port2", problems: "the tag wan of NIC fa:16:3e:00:00:05 is the name of another"},
		{name: "operator", w: Wishes{Management: mac(6), Named: []Named{{"wan", mac(3)}, {"port1", mac(5)}}}, want: "d:wan d:port2 d:port1 m:management"},
		{name: "by tag", w: Wishes{Management: "oob", Known: []Known{{MAC: mac(3), Tags: []string{"mgmt"}}, {MAC: mac(4), Tags: []string{"oob"}}}},
			want: "d:port1 m:management d:port2 d:port3"},
		{name: "by netdev", w: Wishes{Management: "ens4"}, want: "d:port1 m:management d:port2 d:port3"},
		{name: "no such", w: Wishes{Management: "eth7"}, want: "m:management d:port1 d:port2 d:port3", problems: "management.nic: no NIC has"},
		{name: "operator wrong", w: Wishes{Named: []Named{{"wan", "02:00:00:00:00:99"}, {"x", mac(3)}, {"1", mac(4)}, {"a", mac(5)}, {"a", mac(6)}}},
			want: "m:management d:port1 d:a d:port2", problems: "ports: wan: no NIC has the MAC 02:00:00:00:00:99; ports: x: the NIC fa:16:3e:00:00:03 is the one " +
				"of the management; ports: \"1\" cannot be the name of an interface: 1 to 15 characters of [A-Za-z0-9_-], the first a letter; ports: a: the name is given twice"},
		{name: "before", w: Wishes{Before: []NIC{{MAC: mac(5), Role: Management, Name: "management"}, {MAC: mac(3), Role: Data, Name: "port2"},
			{MAC: mac(6), Role: Data, Name: "port1"}}}, want: "d:port2 d:port3 m:management d:port1"},
	} {
		_, nics := machine(t, virtio(3, transitional), virtio(4, transitional), virtio(5, transitional), virtio(6, transitional))
		problems := Assign(nics, c.w)
		if got := names(nics); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if got := strings.Join(problems, "; "); !strings.Contains(got, c.problems) || (c.problems == "") != (got == "") {
			t.Errorf("%s: %s", c.name, got)
		}
	}
	if problems := Assign(nil, Wishes{Management: "a"}); len(problems) != 0 {
		t.Error(problems)
	}
}

// binder binds in the made up machine.
func binder(t *testing.T, root string, missing ...string) (Binder, *[]string) {
	var calls []string
	return func(_ context.Context, pci, driver string) error {
		calls = append(calls, pci+" "+driver)
		for _, m := range missing {
			if driver == m {
				return fmt.Errorf("no module %s", m)
			}
		}
		if driver == "" {
			return nil
		}
		at := filepath.Join(root, "sys/bus/pci/devices", pci)
		nets, _ := filepath.Glob(filepath.Join(at, "virtio*"))
		for _, n := range append(nets, filepath.Join(at, "net"), filepath.Join(at, "driver")) {
			if err := os.RemoveAll(n); err != nil {
				t.Fatal(err)
			}
		}
		return os.Symlink("../../../bus/pci/drivers/"+driver, filepath.Join(at, "driver"))
	}, &calls
}

func TestBind(t *testing.T) {
	vf := card{pci: "0000:00:05.0", vendor: "0x8086", device: "0x154c", driver: "iavf", netdev: "ens5", mac: "02:00:00:00:00:05"}
	mlx := card{pci: "0000:00:06.0", vendor: "0x15b3", device: "0x1018", driver: "mlx5_core", netdev: "ens6", mac: "02:00:00:00:00:06", group: "3"}
	rtl := card{pci: "0000:00:07.0", vendor: "0x10ec", device: "0x8139", driver: "8139cp", netdev: "ens7", mac: "02:00:00:00:00:07", intx: true}
	grouped, old := virtio(8, platform), virtio(8, transitional)
	grouped.group, old.group = "1", "1"
	for _, c := range []struct {
		name     string
		cards    []card
		missing  []string
		noHuge   bool
		want     string // devices by name, then the mode
		problems string
	}{
		{name: "uio", cards: []card{virtio(4, transitional)}, want: "0000:00:04.0 uio_pci_generic pa"},
		{name: "no uio_pci_generic", cards: []card{virtio(4, transitional)}, missing: []string{"uio_pci_generic"}, want: "0000:00:04.0 igb_uio pa"},
		{name: "no module", cards: []card{virtio(4, transitional)}, missing: []string{"uio_pci_generic", "igb_uio"},
			want: "iface=ens4,driver=af_packet virtio-pci ", problems: "stays with the kernel: it cannot be bound: no module uio_pci_generic\nno module igb_uio"},
		{name: "no hugepages", cards: []card{virtio(4, transitional)}, noHuge: true, want: "iface=ens4,driver=af_packet virtio-pci ", problems: "needs hugepages"},
		{name: "vfio", cards: []card{grouped}, noHuge: true, want: "0000:00:08.0 vfio-pci va"},
		{name: "a group that the card does not go by", cards: []card{old}, want: "0000:00:08.0 uio_pci_generic pa"},
		{name: "virtual function", cards: []card{vf}, want: "0000:00:05.0 igb_uio pa"},
		{name: "bifurcated", cards: []card{mlx}, want: "0000:00:06.0 mlx5_core va"},
		{name: "unknown to DPDK", cards: []card{rtl}, want: "iface=ens7,driver=af_packet 8139cp ", problems: "NIC port1 at 0000:00:07.0 stays with the kernel: DPDK has no driver"},
		{name: "vfio beside uio", cards: []card{virtio(4, transitional), grouped}, want: "0000:00:04.0 uio_pci_generic pa"},
	} {
		root, nics := machine(t, append([]card{virtio(3, transitional)}, c.cards...)...)
		Assign(nics, Wishes{})
		f := &File{NICs: nics}
		bind, calls := binder(t, root, c.missing...)
		again := func() ([]NIC, error) { return Scan(root) }
		problems := strings.Join(f.Bind(t.Context(), !c.noHuge, bind, again), "; ")
		if !strings.Contains(problems, c.problems) || (problems == "") != (c.problems == "") {
			t.Errorf("%s: %s", c.name, problems)
		}
		device, err := f.Device("port1")
		if got := device + " " + f.NICs[1].Driver + " " + f.IOVAMode; got != c.want || err != nil {
			t.Errorf("%s: %s %v, want %s", c.name, got, err, c.want)
		}
		if f.NICs[0].Driver != "virtio-pci" {
			t.Errorf("%s: the management's was bound: %q", c.name, *calls)
		}
		// Once more, as after a hotplug: what is bound stays, and is known by its MAC still.
		n := len(*calls)
		nics, _ = Scan(root)
		Assign(nics, Wishes{Before: f.NICs})
		g := &File{NICs: nics}
		g.Bind(t.Context(), !c.noHuge, bind, again)
		if c.problems == "" && len(*calls) != n || names(g.NICs) != names(f.NICs) || g.NICs[1].MAC != f.NICs[1].MAC || g.IOVAMode != f.IOVAMode {
			t.Errorf("%s: again: %q\n%+v\n%+v", c.name, (*calls)[n:], f, g)
		}
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	if f, err := Load(dir); err != nil || len(f.NICs) != 0 || f.Management() != nil {
		t.Error(f, err)
	}
	f := &File{IOVAMode: "pa", NICs: []NIC{{Name: "management", Role: Management}, {Name: "wan", Role: Data, PCI: "0000:00:04.0"}}}
	if err := f.Save(dir); err != nil {
		t.Fatal(err)
	}
	g, err := Load(dir)
	if err != nil || g.IOVAMode != "pa" || len(g.Data()) != 1 || g.Management().Name != "management" {
		t.Error(g, err)
	}
	for name, want := range map[string]string{
		"lan": `there is no such NIC as lan: the machine has ["wan"]`, "management": `there is no such NIC as management: the machine has ["wan"]`,
		"wan": "the NIC wan at 0000:00:04.0 cannot be used: no driver has it",
	} {
		if _, err := g.Device(name); err == nil || err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("takes what is broken")
	}
}
