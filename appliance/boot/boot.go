// Package boot makes a machine an appliance while it boots: which card it is managed by, which belong to the data plane and by what driver, and,
// at the first boot of an instance, its configuration and certificates. It runs at two times, as cloud-init does: see Manage and Boot.
//
// Whatever is wrong with what the platform says, the box comes up reachable: what cannot be used is told and done without.
package boot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"millrace/appliance/cloud"
	"millrace/appliance/network"
	"millrace/appliance/nic"
	"millrace/appliance/report"
)

// Machine is what is made an appliance. Root is "/" but in tests; the other paths are below it.
type Machine struct {
	Root string
	Log  *slog.Logger
	// Mount makes the file system of a disk readable; nil: disks are not read.
	Mount func(device string) (dir string, done func(), err error)
	// Bind binds a card to a driver.
	Bind nic.Binder
	// Run runs a program.
	Run func(ctx context.Context, name string, args ...string) error
	// Size sizes the machine for the data plane and says whether that has hugepages.
	Size func(ctx context.Context, data []nic.NIC) (hugepages bool, err error)
	// Check says what is wrong with the file of a configuration.
	Check func(path string) error
	// Owner gives a path to the control plane's user, or to root and its group.
	Owner func(path string, root bool) error
	// Patience is how long the kernel's drivers may take to find the cards.
	Patience time.Duration
}

// Places below the root.
const (
	runDir     = "run/millrace"
	stateDir   = "var/lib/millrace-appliance"
	vnfState   = "var/lib/millrace"
	startup    = "etc/millrace/startup.yaml"
	networkDir = "run/systemd/network"
)

func (m *Machine) path(name ...string) string {
	return filepath.Join(append([]string{m.Root}, name...)...)
}

// outlook is what a boot goes by.
type outlook struct {
	in   *cloud.Instance
	day0 cloud.Day0
	nics *nic.File
	plan *network.Plan
	*report.Report
}

// Manage sets up the management's network card. It runs before any network is up, again and again at each boot.
func (m *Machine) Manage(ctx context.Context) error {
	if err := m.wait(ctx); err != nil {
		return err
	}
	o, err := m.look("mgmt")
	if err != nil {
		return err
	}
	if _, err := m.writeNetworks(o); err != nil {
		return err
	}
	if n := o.nics.Management(); n != nil {
		m.Log.Info("the management is on", "netdev", n.Netdev, "mac", n.MAC, "pci", n.PCI, "platform", o.in.Platform)
	}
	return o.Save(m.path(runDir))
}

// Boot does the rest, when cloud-init has all that the platform says.
func (m *Machine) Boot(ctx context.Context) error {
	if err := m.wait(ctx); err != nil {
		return err
	}
	o, err := m.look("boot")
	if err != nil {
		return err
	}
	m.checkCPU(o.Report)
	changed, err := m.writeNetworks(o)
	if err != nil {
		return err
	}
	if changed {
		m.reconfigure(ctx, o)
	}
	hugepages, err := m.Size(ctx, o.nics.Data())
	if err != nil {
		o.Add("sizing", "%v", err)
	}
	m.bind(ctx, o, hugepages)
	if err := o.nics.Save(m.path(runDir)); err != nil {
		return err
	}
	if err := m.firstBoot(o); err != nil {
		return err
	}
	if err := m.writeEnv(o); err != nil {
		return err
	}
	return o.Save(m.path(runDir))
}

// Rescan hands cards that came since over to the data plane. Before Boot it does nothing.
func (m *Machine) Rescan(ctx context.Context) error {
	old, err := nic.Load(m.path(runDir))
	if err != nil || len(old.NICs) == 0 {
		return err
	}
	o, err := m.look("rescan")
	if err != nil {
		return err
	}
	if _, err := m.writeNetworks(o); err != nil {
		return err
	}
	m.bind(ctx, o, m.hugepages())
	if err := o.nics.Save(m.path(runDir)); err != nil {
		return err
	}
	return m.saveNICs(o)
}

func (m *Machine) bind(ctx context.Context, o *outlook, hugepages bool) {
	for _, why := range o.nics.Bind(ctx, hugepages, m.Bind, func() ([]nic.NIC, error) { return nic.Scan(m.Root) }) {
		o.Add("", "%s", why)
	}
	for _, n := range o.nics.Data() {
		m.Log.Info("NIC of the data plane", "name", n.Name, "pci", n.PCI, "mac", n.MAC, "driver", n.Driver, "mtu", n.MTU)
	}
}

// hugepages says whether the kernel has set any aside.
func (m *Machine) hugepages() bool {
	b, err := os.ReadFile(m.path("proc/sys/vm/nr_hugepages"))
	return err == nil && strings.TrimSpace(string(b)) != "0"
}

// look finds out what there is.
func (m *Machine) look(stage string) (*outlook, error) {
	for _, dir := range []string{runDir, stateDir} {
		if err := os.MkdirAll(m.path(dir), 0o755); err != nil {
			return nil, err
		}
	}
	o := &outlook{Report: &report.Report{Stage: stage, Log: m.Log}}
	var problems []cloud.Problem
	o.in, problems = cloud.Reader{Root: m.Root, Mount: m.Mount}.Instance()
	o.Take(problems)
	o.day0, problems = o.in.Day0()
	o.Take(problems)
	o.Instance, o.Platform = o.in.ID, o.in.Platform
	o.plan = m.networks(o)
	if err := m.assign(o); err != nil {
		return nil, err
	}
	return o, nil
}

// networks reads how the platform wants the cards set up.
func (m *Machine) networks(o *outlook) *network.Plan {
	p, problems := &network.Plan{}, []string(nil)
	switch {
	case o.in.NetworkData != nil:
		p, problems = network.OpenStack(o.in.NetworkData)
	case o.in.NetworkConfig != nil:
		p, problems = network.NoCloud(o.in.NetworkConfig)
	}
	for _, why := range problems {
		o.Add("network", "%s", why)
	}
	return p
}

// assign gives the cards their roles and names.
func (m *Machine) assign(o *outlook) error {
	found, err := nic.Scan(m.Root)
	if err != nil {
		return fmt.Errorf("look for NICs: %w", err)
	}
	w := nic.Wishes{Management: o.day0.ManagementNIC, Before: m.before(o.in.ID)}
	for _, d := range o.in.Devices {
		w.Known = append(w.Known, nic.Known{MAC: d.MAC, PCI: d.PCI, Tags: d.Tags})
	}
	for _, l := range o.plan.Links {
		if l.MAC != "" && l.MTU != 0 {
			w.Known = append(w.Known, nic.Known{MAC: l.MAC, MTU: l.MTU})
		}
	}
	for _, p := range o.day0.Ports {
		w.Named = append(w.Named, nic.Named{Name: p.Name, MAC: p.MAC})
	}
	for _, why := range nic.Assign(found, w) {
		o.Add("millrace", "%s", why)
	}
	o.nics = &nic.File{NICs: found}
	if len(found) == 0 {
		o.Add("", "there is no network card on the PCI bus")
	}
	return nil
}

// assigned is the file of how the cards were assigned last.
type assigned struct {
	Instance string    `json:"instance"`
	NICs     []nic.NIC `json:"nics"`
}

// before are the cards as they were assigned in this boot, or last to this instance.
func (m *Machine) before(instance string) []nic.NIC {
	var a assigned
	if b, err := os.ReadFile(m.path(stateDir, nic.FileName)); err == nil && json.Unmarshal(b, &a) == nil &&
		instance != "" && a.Instance != "" && a.Instance != instance {
		a.NICs = nil // a copy of a machine, whose cards are others
	}
	if now, err := nic.Load(m.path(runDir)); err == nil {
		return append(now.NICs, a.NICs...)
	}
	return a.NICs
}

func (m *Machine) saveNICs(o *outlook) error {
	b, err := json.MarshalIndent(assigned{Instance: o.in.ID, NICs: o.nics.NICs}, "", "  ")
	if err != nil {
		return err
	}
	_, err = writeFile(m.path(stateDir, nic.FileName), append(b, '\n'), 0o644)
	return err
}

// wait gives the kernel's drivers time to find the cards.
func (m *Machine) wait(ctx context.Context) error {
	deadline := time.Now().Add(m.Patience)
	if m.Patience > 0 {
		if err := m.Run(ctx, "udevadm", "settle", fmt.Sprintf("--timeout=%d", int(m.Patience.Seconds()))); err != nil {
			m.Log.Warn("udevadm settle", "error", err)
		}
	}
	for {
		nics, err := nic.Scan(m.Root)
		if err != nil {
			return err
		}
		missing := ""
		for _, n := range nics {
			// One without a driver stays so: the kernel has none for it.
			if n.KernelDriver != "" && n.Netdev == "" {
				missing = n.PCI
			}
		}
		if missing == "" || time.Now().After(deadline) {
			if missing != "" {
				m.Log.Warn("a NIC has no network device", "pci", missing)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// writeFile writes a file whole or not at all, and says whether it was another before.
func writeFile(path string, b []byte, mode fs.FileMode) (changed bool, err error) {
	if old, err := os.ReadFile(path); err == nil && string(old) == string(b) {
		return false, os.Chmod(path, mode)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".millrace-*")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return true, err
}
