package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// metadataService is where OpenStack and others answer what a machine asks about itself.
var metadataService = netip.MustParsePrefix("169.254.169.254/32")

// Names of the files in systemd-networkd's directory.
const (
	ManagementFile = "10-millrace-management.network"
	DataFile       = "11-millrace-data.network"
)

// Render is the file by which systemd-networkd sets the management's card up.
func (l *Link) Render(mac string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Made by `vnf appliance` at each boot from what the platform says.")
	line("[Match]\nMACAddress=%s\nType=ether\n", mac)
	line("[Link]")
	if l.MTU != 0 {
		line("MTUBytes=%d", l.MTU)
	}
	line("RequiredForOnline=yes\n")
	line("[Network]")
	switch {
	case l.DHCP4 && l.DHCP6:
		line("DHCP=yes")
	case l.DHCP4:
		line("DHCP=ipv4")
	case l.DHCP6:
		line("DHCP=ipv6")
	default:
		line("DHCP=no")
	}
	if l.RA {
		line("IPv6AcceptRA=yes")
	} else {
		line("IPv6AcceptRA=no")
	}
	line("LinkLocalAddressing=ipv6")
	for _, a := range l.Addresses {
		line("Address=%s", a)
	}
	seen := map[netip.Addr]bool{}
	for _, a := range l.DNS {
		if !seen[a] {
			line("DNS=%s", a)
		}
		seen[a] = true
	}
	if s := slices.Compact(slices.Sorted(slices.Values(l.Search))); len(s) > 0 {
		line("Domains=%s", strings.Join(s, " "))
	}
	for _, r := range l.Routes {
		line("\n[Route]\nDestination=%s", r.To)
		switch {
		case r.Via.IsValid():
			line("Gateway=%s", r.Via)
			if !slices.ContainsFunc(l.Addresses, func(p netip.Prefix) bool { return p.Contains(r.Via) }) {
				line("GatewayOnLink=yes")
			}
		case r.To.Addr().Is4():
			line("Scope=link")
		}
		if r.Metric != 0 {
			line("Metric=%d", r.Metric)
		}
	}
	if !l.hasDefault() && len(l.Addresses) > 0 {
		// Nothing says how to reach it: where there is no router it answers on the link.
		line("\n[Route]\nDestination=%s\nScope=link", metadataService)
	}
	if l.DHCP4 {
		// The same identity at each boot, whatever the machine id: a server that knows the card knows its address. What the card's MTU is,
		// the platform tells its server too.
		line("\n[DHCPv4]\nClientIdentifier=mac\nUseMTU=yes\nUseHostname=no\nUseDomains=yes")
	}
	if l.DHCP6 || l.RA {
		line("\n[DHCPv6]\nUseHostname=no")
	}
	return b.String()
}

// RenderData is the file that keeps systemd-networkd off the cards of these MACs; empty if there are none.
func RenderData(macs []string) string {
	if len(macs) == 0 {
		return ""
	}
	return "# Made by `vnf appliance`: these cards belong to the data plane.\n[Match]\nMACAddress=" + strings.Join(macs, " ") +
		"\nType=ether\n\n[Link]\nUnmanaged=yes\n"
}

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
