package preflight

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func (m *Machine) iommuOn() bool { return len(m.glob("/sys/class/iommu/*")) > 0 }

func (m *Machine) iommu() []Result {
	if m.iommuOn() {
		return []Result{{Check: "iommu", Level: OK, Found: fmt.Sprintf("on, %d groups", len(m.glob("/sys/kernel/iommu_groups/*")))}}
	}
	r := Result{
		Check: "iommu", Level: Info, Found: "off or not there",
		Meaning: "Only needed to hand PCI devices to the data plane safely, by vfio-pci. Without it they are handed over by uio_pci_generic, " +
			"or virtual functions by igb_uio: a device may then write anywhere.",
	}
	if strings.Contains(m.read("/proc/cpuinfo"), "GenuineIntel") {
		r.Fix = []string{"add to the kernel command line: intel_iommu=on iommu=pt"}
	}
	if slices.Contains(m.flags(), "hypervisor") {
		r.Fix = []string{"qemu: -device intel-iommu,intremap=on (q35 machine), then intel_iommu=on on the kernel command line"}
	}
	return []Result{r}
}

func (m *Machine) vfio() []Result {
	loaded := m.exists("/sys/module/vfio_pci") || m.exists("/sys/bus/pci/drivers/vfio-pci")
	noiommu := m.read("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode")
	r := Result{Check: "vfio", Level: OK, Found: "vfio-pci is loaded"}
	switch {
	case !loaded:
		r.Level, r.Found = Info, "vfio-pci is not loaded"
		r.Meaning = "Needed for PCI devices without a bifurcated driver; not for ports by iface=."
		name := "vfio-pci"
		if !m.iommuOn() {
			name = "uio_pci_generic"
			r.Meaning = "Without an IOMMU it is of no use: PCI devices without a bifurcated driver go by uio_pci_generic, or virtual functions by igb_uio."
		}
		r.Fix = []string{"modprobe " + name, "echo " + name + " > /etc/modules-load.d/" + name + ".conf"}
	case !m.iommuOn() && noiommu == "":
		r.Level, r.Found = Info, "vfio-pci is loaded, but there is no IOMMU, and this kernel's vfio has no mode without (Debian's have none)"
		r.Meaning = "Devices bound to vfio-pci cannot be opened: bind them to uio_pci_generic, or virtual functions to igb_uio."
		r.Fix = []string{"modprobe uio_pci_generic"}
	case !m.iommuOn() && noiommu != "Y" && noiommu != "1":
		r.Level, r.Found = Warn, "vfio-pci is loaded, but there is no IOMMU and its no-IOMMU mode is off"
		r.Meaning = "Devices bound to vfio-pci cannot be opened. uio_pci_generic does as well."
		r.Fix = []string{"echo 1 > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode"}
	case !m.iommuOn():
		r.Found = "vfio-pci is loaded, in no-IOMMU mode"
	}
	return []Result{r}
}

// pmd is a driver of DPDK and the devices it takes: all of a vendor, or those listed.
type pmd struct {
	name, vendor string
	devices      []string
	// bifurcated drivers leave the device with its kernel driver.
	bifurcated bool
}

var pmds = []pmd{
	{name: "net_virtio", vendor: "0x1af4", devices: []string{"0x1000", "0x1041"}},
	{name: "net_vmxnet3", vendor: "0x15ad", devices: []string{"0x07b0"}},
	{name: "net_ena", vendor: "0x1d0f", devices: []string{"0xec20", "0xec21"}},
	{name: "net_mlx5", vendor: "0x15b3", bifurcated: true},
	{name: "net_bnxt", vendor: "0x14e4", devices: []string{"0x16c8", "0x16c9", "0x16ca", "0x16d7", "0x16d8", "0x16dc", "0x1614", "0x1606", "0x1609", "0x1750", "0x1751", "0x1806", "0x1807"}},
	{name: "net_e1000_em", vendor: "0x8086", devices: []string{"0x100e", "0x100f", "0x10d3", "0x153a", "0x153b", "0x156f", "0x15b7", "0x15b8"}},
	{name: "net_e1000_igb", vendor: "0x8086", devices: []string{"0x10c9", "0x10e6", "0x150e", "0x1521", "0x1522", "0x1533", "0x1539", "0x1f40", "0x1520"}},
	{name: "net_igc", vendor: "0x8086", devices: []string{"0x15f2", "0x15f3", "0x125b", "0x125c"}},
	{name: "net_ixgbe", vendor: "0x8086", devices: []string{"0x10fb", "0x10fc", "0x1528", "0x154d", "0x1557", "0x1560", "0x1563", "0x15ac", "0x15ad", "0x15ce", "0x15c4", "0x15e4"}},
	{name: "net_ixgbe_vf", vendor: "0x8086", devices: []string{"0x10ed", "0x1515", "0x1565", "0x15a8", "0x15c5"}},
	{name: "net_i40e", vendor: "0x8086", devices: []string{"0x1572", "0x1583", "0x1584", "0x1586", "0x1589", "0x158a", "0x158b", "0x37d0", "0x37d1", "0x37d2", "0x37d3"}},
	{name: "net_ice", vendor: "0x8086", devices: []string{"0x1591", "0x1592", "0x1593", "0x1599", "0x159a", "0x159b", "0x188a", "0x188b", "0x188c"}},
	{name: "net_iavf", vendor: "0x8086", devices: []string{"0x154c", "0x1889", "0x37cd"}},
}

// DriverOf is the driver of DPDK that takes a PCI device, by its ids as sysfs writes them ("0x1af4"), and whether that shares the device
// with the kernel's. It is empty if none is known to.
func DriverOf(vendor, device string) (name string, bifurcated bool) {
	if p := pmdOf(vendor, device); p != nil {
		return p.name, p.bifurcated
	}
	return "", false
}

func pmdOf(vendor, device string) *pmd {
	for i := range pmds {
		if p := &pmds[i]; p.vendor == vendor && (len(p.devices) == 0 || slices.Contains(p.devices, device)) {
			return p
		}
	}
	return nil
}

// DPDK takes devices from these drivers.
var userDrivers = []string{"vfio-pci", "uio_pci_generic", "igb_uio"}

func (m *Machine) nics() []Result {
	var results []Result
	for _, dev := range m.glob("/sys/bus/pci/devices/*") {
		if strings.HasPrefix(m.read(dev+"/class"), "0x0200") {
			results = append(results, m.nic(dev))
		}
	}
	if len(results) == 0 {
		results = append(results, Result{
			Check: "nics", Level: Info, Found: "no PCI network devices",
			Meaning: "Kernel network devices can be ports all the same: iface: NAME in the configuration, by af_packet or af_xdp.",
		})
	}
	return results
}

func (m *Machine) nic(dev string) Result {
	addr := filepath.Base(dev)
	vendor, device, driver := m.read(dev+"/vendor"), m.read(dev+"/device"), m.link(dev+"/driver")
	r := Result{Check: "nic " + addr, Level: OK}
	id := strings.TrimPrefix(vendor, "0x") + ":" + strings.TrimPrefix(device, "0x")
	netdevs := m.netdevs(dev)
	p := pmdOf(vendor, device)
	what := fmt.Sprintf("%s, driver %s", id, driver)
	if driver == "" {
		what = id + ", no driver"
	}
	if len(netdevs) > 0 {
		what += ", netdev " + strings.Join(netdevs, " ")
	}
	to := m.userDriver(dev)
	bind := []string{"modprobe " + to + " && dpdk-devbind.py --bind=" + to + " " + addr}
	switch {
	case p == nil:
		r.Level, r.Found = Info, what+"; no DPDK driver is known to take it"
		if len(netdevs) > 0 {
			r.Meaning = "Usable as iface: " + netdevs[0] + "."
		}
	case p.bifurcated:
		r.Found = what + "; " + p.name + " shares it with the kernel"
		r.Meaning = "Usable as device: " + addr + ", no binding needed."
	case slices.Contains(userDrivers, driver):
		r.Found = what + "; ready for " + p.name
		r.Meaning = "Usable as device: " + addr + "."
	case driver == "":
		r.Level, r.Found = Warn, what+"; "+p.name+" would take it"
		r.Meaning = "Neither the kernel nor the data plane can use it as it is."
		r.Fix = bind
	case slices.ContainsFunc(netdevs, m.inUse):
		r.Level, r.Found = Info, what+", which is up; "+p.name+" would take it"
		r.Meaning = "Usable as iface: " + netdevs[0] + ". Binding it to " + to + " takes it from the kernel, with the sessions over it."
		r.Fix = bind
	default:
		r.Level, r.Found = Info, what+"; "+p.name+" would take it"
		r.Meaning = "Usable by the kernel's driver as iface:, or faster, once bound to " + to + ", as device: " + addr + "."
		r.Fix = bind
	}
	return r
}

// userDriver hands a device to DPDK: vfio-pci where there is an IOMMU; else by UIO, which for a virtual function, without an interrupt pin
// (offset 0x3d of its configuration space), is igb_uio.
func (m *Machine) userDriver(dev string) string {
	switch {
	case m.link(dev+"/iommu_group") != "":
		return "vfio-pci"
	case m.exists(dev + "/physfn"):
		return "igb_uio"
	}
	const pin = 0x3d
	if c, err := os.ReadFile(m.path(dev + "/config")); err == nil && len(c) > pin && c[pin] == 0 {
		return "igb_uio"
	}
	return "uio_pci_generic"
}

// netdevs are the kernel's network devices of a PCI device; those of virtio are one level below.
func (m *Machine) netdevs(dev string) []string {
	var names []string
	for _, p := range append(m.glob(dev+"/net/*"), m.glob(dev+"/virtio*/net/*")...) {
		names = append(names, filepath.Base(p))
	}
	return names
}

func (m *Machine) inUse(netdev string) bool {
	return m.read("/sys/class/net/"+netdev+"/operstate") == "up"
}
