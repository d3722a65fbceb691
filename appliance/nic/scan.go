package nic

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"millrace/preflight"
)

// userDrivers are those that hand a device to DPDK.
var userDrivers = []string{"vfio-pci", "uio_pci_generic", "igb_uio"}

// Positions of what is looked at: the interrupt pin in a device's configuration space (PCI Local Bus 3.0 section 6.1), and the bit by which
// a virtio device says that it is behind the IOMMU (virtio 1.1 section 6, VIRTIO_F_ACCESS_PLATFORM).
const (
	interruptPin   = 0x3d
	accessPlatform = 33
)

// Scan lists the Ethernet cards on the PCI bus below a root directory, "/" for this machine, in the order of their addresses.
func Scan(root string) ([]NIC, error) {
	dir := filepath.Join(root, "sys/bus/pci/devices")
	entries, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var nics []NIC
	for _, e := range entries { // sorted by name: domain, bus, device and function have a fixed width
		at := filepath.Join(dir, e.Name())
		if strings.HasPrefix(read(at, "class"), "0x0200") {
			nics = append(nics, look(at))
		}
	}
	return nics, nil
}

func look(at string) NIC {
	n := NIC{PCI: filepath.Base(at), Driver: link(at, "driver"), vendor: read(at, "vendor"), device: read(at, "device")}
	n.PMD, n.Bifurcated = preflight.DriverOf(n.vendor, n.device)
	n.Node = -1
	if v, err := strconv.Atoi(read(at, "numa_node")); err == nil {
		n.Node = v
	}
	n.group = link(at, "iommu_group") != ""
	if b, err := os.ReadFile(filepath.Join(at, "config")); err == nil && len(b) > interruptPin {
		n.intx = b[interruptPin] != 0
	}
	if !slices.Contains(userDrivers, n.Driver) {
		n.KernelDriver = n.Driver
	}
	n.virtio = n.vendor == "0x1af4"
	// The netdev of a virtio card is below its virtio device.
	for _, pattern := range []string{"net/*", "virtio*/net/*"} {
		found, _ := filepath.Glob(filepath.Join(at, pattern))
		for _, dev := range found {
			// Sub-interfaces and ports of one card come by name; the first is the card's own.
			if n.Netdev == "" {
				n.Netdev, n.MAC = filepath.Base(dev), strings.ToLower(read(dev, "address"))
			}
		}
	}
	if found, _ := filepath.Glob(filepath.Join(at, "virtio*/features")); len(found) > 0 {
		f := read(filepath.Dir(found[0]), "features")
		n.platform = len(f) > accessPlatform && f[accessPlatform] == '1'
	}
	return n
}

func read(elem ...string) string {
	b, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func link(elem ...string) string {
	to, err := os.Readlink(filepath.Join(elem...))
	if err != nil {
		return ""
	}
	return filepath.Base(to)
}
