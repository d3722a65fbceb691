package network

import (
	"encoding/json"
	"fmt"
	"net/netip"
)

// OpenStack reads network_data.json. What is wrong in it is told and left out.
func OpenStack(doc []byte) (*Plan, []string) {
	var d struct {
		Links []struct {
			ID   string `json:"id"`
			Type string `json:"type"`
			MAC  string `json:"ethernet_mac_address"`
			MTU  *int64 `json:"mtu"`
		} `json:"links"`
		Networks []openstackNetwork `json:"networks"`
		Services []openstackService `json:"services"`
	}
	if len(doc) > maxDocument {
		return &Plan{}, []string{fmt.Sprintf("network_data.json: longer than %d bytes", maxDocument)}
	}
	if err := json.Unmarshal(doc, &d); err != nil {
		return &Plan{}, []string{"network_data.json: " + err.Error()}
	}
	x := &reader{}
	if len(d.Links) > maxLinks {
		x.fail("links", "%d, at most %d are read", len(d.Links), maxLinks)
		d.Links = d.Links[:maxLinks]
	}
	p := &Plan{}
	byID := map[string]int{}
	for i, l := range d.Links {
		at := fmt.Sprintf("links[%d]", i)
		switch l.Type {
		case "vlan", "bond":
			x.fail(at+".type", "%s links are not set up: their NICs are, as the platform shows them", l.Type)
			continue
		}
		mac := x.mac(at+".ethernet_mac_address", l.MAC)
		if mac == "" {
			continue
		}
		link := Link{MAC: mac}
		if l.MTU != nil {
			link.MTU = x.mtu(at+".mtu", *l.MTU)
		}
		byID[l.ID] = len(p.Links)
		p.Links = append(p.Links, link)
	}
	for i, n := range d.Networks {
		if j, ok := byID[n.Link]; ok && i < maxLinks*maxPerLink {
			x.openstack(fmt.Sprintf("networks[%d]", i), &p.Links[j], n)
		}
	}
	p.DNS = x.services("services", d.Services)
	return p, x.problems
}

type openstackNetwork struct {
	Type    string `json:"type"`
	Link    string `json:"link"`
	Address string `json:"ip_address"`
	Netmask string `json:"netmask"`
	Gateway string `json:"gateway"`
	Routes  []struct {
		Network string `json:"network"`
		Netmask string `json:"netmask"`
		Gateway string `json:"gateway"`
	} `json:"routes"`
	DNS      []string           `json:"dns_nameservers"`
	Search   []string           `json:"dns_search"`
	Services []openstackService `json:"services"`
}

type openstackService struct {
	Type    string `json:"type"`
	Address string `json:"address"`
}

func (x *reader) services(at string, list []openstackService) []netip.Addr {
	var dns []string
	for _, s := range list {
		if s.Type == "dns" {
			dns = append(dns, s.Address)
		}
	}
	return x.dns(at, dns)
}

func (x *reader) openstack(at string, l *Link, n openstackNetwork) {
	l.DNS = append(l.DNS, x.dns(at+".dns_nameservers", n.DNS)...)
	l.DNS = append(l.DNS, x.services(at+".services", n.Services)...)
	l.Search = append(l.Search, x.search(at+".dns_search", n.Search)...)
	switch n.Type {
	case "ipv4_dhcp":
		l.DHCP4 = true
		return // the server tells the routes
	case "ipv6_dhcp", "ipv6_dhcpv6-stateful", "ipv6_dhcpv6-stateless":
		l.DHCP6, l.RA = true, true
		return
	case "ipv6_slaac":
		l.RA = true
		return
	case "ipv4", "ipv6", "static", "static6":
	default:
		x.fail(at+".type", "%.40q is not known", n.Type)
		return
	}
	if p, ok := x.prefix(at+".ip_address", n.Address, n.Netmask); ok && len(l.Addresses) < maxPerLink {
		l.Addresses = append(l.Addresses, p)
	}
	if n.Gateway != "" {
		if r, ok := x.route(at, "", "", n.Gateway); ok {
			l.addRoute(r)
		}
	}
	for i, o := range n.Routes {
		if r, ok := x.route(fmt.Sprintf("%s.routes[%d]", at, i), o.Network, o.Netmask, o.Gateway); ok {
			l.addRoute(r)
		}
	}
}

// addRoute adds a route once.
func (l *Link) addRoute(r Route) {
	for _, o := range l.Routes {
		if o == r {
			return
		}
	}
	if len(l.Routes) < maxPerLink {
		l.Routes = append(l.Routes, r)
	}
}
