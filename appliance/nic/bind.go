package nic

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// bindPatience bounds one call of driverctl.
const bindPatience = 30 * time.Second

// Binder binds a PCI device to a driver; an empty driver gives it back to the kernel's.
type Binder func(ctx context.Context, pci, driver string) error

// Driverctl binds by the program of that name, for the time until the next boot: what is to be bound is found out at each.
func Driverctl(ctx context.Context, pci, driver string) error {
	ctx, cancel := context.WithTimeout(ctx, bindPatience)
	defer cancel()
	args := []string{"--nosave", "set-override", pci, driver}
	if driver == "" {
		args = []string{"--nosave", "unset-override", pci}
	}
	cmd := exec.CommandContext(ctx, "driverctl", args...)
	// It would take the device from these, which udev sets for its programs.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "DEVPATH=") || strings.HasPrefix(v, "SUBSYSTEM=")
	})
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("driverctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// drivers are those that hand a card to DPDK, the best first; none: it stays as it is, with the reason unless that is as it should be.
func (n *NIC) drivers(hugepages bool) (drivers []string, why string) {
	switch {
	case n.PMD == "":
		return nil, "DPDK has no driver for it"
	case n.Bifurcated:
		return nil, ""
	// A virtio device that does not go by the IOMMU takes physical addresses, whatever group it is in.
	case n.group && (!n.virtio || n.platform):
		return []string{"vfio-pci"}, ""
	case !hugepages:
		return nil, "without an IOMMU, DPDK's driver needs hugepages, and there are none"
	case n.intx:
		return []string{"uio_pci_generic", "igb_uio"}, "" // not every kernel has the first, nor every machine the second
	}
	return []string{"igb_uio"}, "" // a virtual function has no interrupt pin, which uio_pci_generic insists on
}

// Kernel says that the card stays with the kernel's driver, and the data plane takes it by packet sockets.
func (n *NIC) Kernel() bool {
	drivers, _ := n.drivers(true)
	return len(drivers) == 0 && !n.Bifurcated && !slices.Contains(userDrivers, n.Driver)
}

// Bind hands the data plane's cards over to DPDK. One that is bound already stays so; one that cannot be bound goes back to the kernel's
// driver, and works by packet sockets. hugepages says whether the data plane has them.
func (f *File) Bind(ctx context.Context, hugepages bool, bind Binder, rescan func() ([]NIC, error)) (problems []string) {
	for i := range f.NICs {
		n := &f.NICs[i]
		if n.Role != Data || slices.Contains(userDrivers, n.Driver) {
			continue
		}
		want, why := n.drivers(hugepages)
		n.Problem = why
		if len(want) == 0 {
			if why != "" {
				problems = append(problems, fmt.Sprintf("NIC %s at %s stays with the kernel: %s", n.Name, n.PCI, why))
			}
			continue
		}
		if err := bindFirst(ctx, n.PCI, want, bind); err != nil {
			n.Problem = fmt.Sprintf("it cannot be bound: %v", err)
			problems = append(problems, fmt.Sprintf("NIC %s at %s stays with the kernel: %s", n.Name, n.PCI, n.Problem))
			_ = bind(ctx, n.PCI, "") // or it would be left without a driver
		}
	}
	now, err := rescan()
	if err != nil {
		return append(problems, fmt.Sprintf("look at the NICs again: %v", err))
	}
	f.update(now)
	return problems
}

// bindFirst binds to the first driver that takes the card.
func bindFirst(ctx context.Context, pci string, drivers []string, bind Binder) error {
	var errs []error
	for _, d := range drivers {
		err := bind(ctx, pci, d)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// update takes over what cards are bound to now.
func (f *File) update(now []NIC) {
	f.IOVAMode = ""
	for i := range f.NICs {
		n := &f.NICs[i]
		j := slices.IndexFunc(now, func(m NIC) bool { return m.PCI == n.PCI })
		if j < 0 {
			n.Driver, n.Netdev, n.Problem = "", "", "it has gone"
			continue
		}
		n.Driver, n.Netdev = now[j].Driver, now[j].Netdev
		switch {
		case n.Role != Data:
		case n.Driver == "uio_pci_generic" || n.Driver == "igb_uio":
			f.IOVAMode = "pa" // the device is given physical addresses, and no other can be had beside
		case (n.Driver == "vfio-pci" || n.Bifurcated) && f.IOVAMode == "":
			f.IOVAMode = "va"
		}
	}
}
