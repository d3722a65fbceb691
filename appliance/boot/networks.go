package boot

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"

	"millrace/appliance/network"
)

// writeNetworks writes systemd-networkd's files, and says whether they are others than before.
func (m *Machine) writeNetworks(o *outlook) (changed bool, err error) {
	want := map[string]string{network.ManagementFile: "", network.DataFile: ""}
	if n := o.nics.Management(); n != nil && n.MAC != "" {
		l, found := o.plan.Link(n.MAC, n.Netdev)
		if !found && len(o.plan.Links) > 0 {
			o.Add("network", "nothing is said of the management's NIC %s (%s): it asks by DHCP", n.Netdev, n.MAC)
		}
		want[network.ManagementFile] = l.Render(n.MAC)
	}
	var macs []string
	for _, n := range o.nics.Data() {
		if n.MAC != "" {
			macs = append(macs, n.MAC)
		}
	}
	want[network.DataFile] = network.RenderData(macs)
	for name, text := range want {
		path := m.path(networkDir, name)
		if text == "" {
			switch err := os.Remove(path); {
			case err == nil:
				changed = true
			case !errors.Is(err, fs.ErrNotExist):
				return changed, err
			}
			continue
		}
		c, err := writeFile(path, []byte(text), 0o644)
		if err != nil {
			return changed, err
		}
		changed = changed || c
	}
	return changed, nil
}

// reconfigure has systemd-networkd, which is running, go by files that were changed.
func (m *Machine) reconfigure(ctx context.Context, o *outlook) {
	steps := [][]string{{"reload"}}
	for _, n := range o.nics.NICs {
		if n.Netdev != "" {
			steps = append(steps, []string{"reconfigure", n.Netdev})
		}
	}
	for _, args := range steps {
		if err := m.Run(ctx, "networkctl", args...); err != nil {
			o.Add("network", "networkctl %v: %v", args, err)
		}
	}
}

// addresses are those that a network device has now, as others can use them.
func (m *Machine) addresses(netdev string) (all []string) {
	if m.Root != "/" {
		return nil
	}
	i, err := net.InterfaceByName(netdev)
	if err != nil {
		return nil
	}
	list, err := i.Addrs()
	if err != nil {
		return nil
	}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsGlobalUnicast() {
			all = append(all, p.Addr().String())
		}
	}
	return all
}
