package network

import (
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// NoCloud reads a network-config, of version 1 or 2. What is wrong in it is told and left out.
func NoCloud(doc []byte) (*Plan, []string) {
	if len(doc) > maxDocument {
		return &Plan{}, []string{fmt.Sprintf("network-config: longer than %d bytes", maxDocument)}
	}
	j, err := yaml.YAMLToJSON(doc)
	if err != nil {
		return &Plan{}, []string{"network-config: not YAML: " + strings.TrimPrefix(err.Error(), "yaml: ")}
	}
	var top struct {
		Network json.RawMessage `json:"network"`
	}
	if json.Unmarshal(j, &top) == nil && len(top.Network) > 0 {
		j = top.Network // it may be below a key of its own
	}
	var v struct {
		Version int             `json:"version"`
		Config  json.RawMessage `json:"config"`
	}
	if string(j) == "null" {
		return &Plan{}, nil
	}
	if err := json.Unmarshal(j, &v); err != nil {
		return &Plan{}, []string{"network-config: " + err.Error()}
	}
	x := &reader{}
	p := &Plan{}
	switch v.Version {
	case 1:
		if string(v.Config) != `"disabled"` {
			x.version1(p, v.Config)
		}
	case 2:
		x.version2(p, j)
	default:
		x.fail("network-config: version", "%d is neither 1 nor 2", v.Version)
	}
	return p, x.problems
}

// list is a list of texts, or one text.
type list []string

// UnmarshalJSON reads either.
func (l *list) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = strings.Fields(one)
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// scalar is a text or a number, as text.
type scalar string

// UnmarshalJSON reads either.
func (s *scalar) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*s = scalar(text)
		return nil
	}
	var n json.Number
	err := json.Unmarshal(b, &n)
	*s = scalar(n)
	return err
}

func (x *reader) version1(p *Plan, config json.RawMessage) {
	var entries []json.RawMessage
	if err := json.Unmarshal(config, &entries); err != nil {
		x.fail("network-config: config", "is not a list")
		return
	}
	for i, raw := range entries {
		at := fmt.Sprintf("network-config: config[%d]", i)
		var e struct {
			Type    string          `json:"type"`
			Name    string          `json:"name"`
			MAC     string          `json:"mac_address"`
			MTU     int64           `json:"mtu"`
			Subnets json.RawMessage `json:"subnets"`
			Address list            `json:"address"`
			Search  list            `json:"search"`
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			x.fail(at, "%v", err)
			continue
		}
		switch e.Type {
		case "nameserver":
			p.DNS = append(p.DNS, x.dns(at+".address", e.Address)...)
			p.Search = append(p.Search, x.search(at+".search", e.Search)...)
		case "physical":
			if len(p.Links) >= maxLinks {
				x.fail(at, "more than %d NICs", maxLinks)
				return
			}
			l := Link{Name: e.Name, MAC: x.mac(at+".mac_address", e.MAC), MTU: x.mtu(at+".mtu", e.MTU)}
			if len(e.Subnets) > 0 {
				x.subnets(at, &l, e.Subnets)
			}
			p.Links = append(p.Links, l)
		default:
			x.fail(at+".type", "%.40q is not set up: physical and nameserver are", e.Type)
		}
	}
}

func (x *reader) subnets(at string, l *Link, raw json.RawMessage) {
	var subnets []struct {
		Type    string `json:"type"`
		Address string `json:"address"`
		Netmask scalar `json:"netmask"`
		Gateway string `json:"gateway"`
		DNS     list   `json:"dns_nameservers"`
		Search  list   `json:"dns_search"`
		Routes  []struct {
			Network     string `json:"network"`
			Destination string `json:"destination"`
			Netmask     scalar `json:"netmask"`
			Prefix      scalar `json:"prefix"`
			Gateway     string `json:"gateway"`
		} `json:"routes"`
	}
	if err := json.Unmarshal(raw, &subnets); err != nil {
		x.fail(at+".subnets", "%v", err)
		return
	}
	for i, s := range subnets {
		at := fmt.Sprintf("%s.subnets[%d]", at, i)
		l.DNS = append(l.DNS, x.dns(at+".dns_nameservers", s.DNS)...)
		l.Search = append(l.Search, x.search(at+".dns_search", s.Search)...)
		switch s.Type {
		case "dhcp", "dhcp4":
			l.DHCP4 = true
		case "dhcp6", "ipv6_dhcpv6-stateful", "ipv6_dhcpv6-stateless":
			l.DHCP6, l.RA = true, true
		case "ipv6_slaac":
			l.RA = true
		case "manual":
		case "static", "static6":
			if p, ok := x.prefix(at+".address", s.Address, string(s.Netmask)); ok && len(l.Addresses) < maxPerLink {
				l.Addresses = append(l.Addresses, p)
			}
		default:
			x.fail(at+".type", "%.40q is not known", s.Type)
			continue
		}
		if s.Gateway != "" {
			if r, ok := x.route(at, "", "", s.Gateway); ok {
				l.addRoute(r)
			}
		}
		for k, o := range s.Routes {
			to, mask := o.Network, string(o.Netmask)
			if to == "" {
				to = o.Destination
			}
			if mask == "" {
				mask = string(o.Prefix)
			}
			if r, ok := x.route(fmt.Sprintf("%s.routes[%d]", at, k), to, mask, o.Gateway); ok {
				l.addRoute(r)
			}
		}
	}
}

func (x *reader) version2(p *Plan, j json.RawMessage) {
	var v struct {
		Ethernets map[string]json.RawMessage `json:"ethernets"`
	}
	if err := json.Unmarshal(j, &v); err != nil {
		x.fail("network-config: ethernets", "%v", err)
		return
	}
	if len(v.Ethernets) > maxLinks {
		x.fail("network-config: ethernets", "%d, at most %d are read", len(v.Ethernets), maxLinks)
		return
	}
	for _, name := range sortedKeys(v.Ethernets) {
		at := fmt.Sprintf("network-config: ethernets.%.40s", name)
		var e struct {
			Match struct {
				MAC  string `json:"macaddress"`
				Name string `json:"name"`
			} `json:"match"`
			SetName     string `json:"set-name"`
			DHCP4       bool   `json:"dhcp4"`
			DHCP6       bool   `json:"dhcp6"`
			AcceptRA    *bool  `json:"accept-ra"`
			MTU         int64  `json:"mtu"`
			Addresses   []json.RawMessage
			Gateway4    string `json:"gateway4"`
			Gateway6    string `json:"gateway6"`
			Nameservers struct {
				Addresses list `json:"addresses"`
				Search    list `json:"search"`
			} `json:"nameservers"`
			Routes []struct {
				To     string `json:"to"`
				Via    string `json:"via"`
				Metric uint32 `json:"metric"`
			} `json:"routes"`
		}
		if err := json.Unmarshal(v.Ethernets[name], &e); err != nil {
			x.fail(at, "%v", err)
			continue
		}
		l := Link{
			Name: name, MAC: x.mac(at+".match.macaddress", e.Match.MAC), MTU: x.mtu(at+".mtu", e.MTU), DHCP4: e.DHCP4, DHCP6: e.DHCP6,
			DNS:    x.dns(at+".nameservers.addresses", e.Nameservers.Addresses),
			Search: x.search(at+".nameservers.search", e.Nameservers.Search),
		}
		if e.Match.Name != "" {
			l.Name = e.Match.Name
		}
		// Without a word, advertisements are taken unless the addresses of IPv6 are given.
		static6 := false
		for i, raw := range e.Addresses {
			s := addressOf(raw)
			if a, ok := x.prefix(fmt.Sprintf("%s.addresses[%d]", at, i), s, ""); ok && len(l.Addresses) < maxPerLink {
				l.Addresses = append(l.Addresses, a)
				static6 = static6 || a.Addr().Is6()
			}
		}
		l.RA = !static6 && (l.DHCP4 || l.DHCP6 || len(l.Addresses) > 0)
		if e.AcceptRA != nil {
			l.RA = *e.AcceptRA
		}
		for field, gw := range map[string]string{"gateway4": e.Gateway4, "gateway6": e.Gateway6} {
			if gw != "" {
				if r, ok := x.route(at+"."+field, "", "", gw); ok {
					l.addRoute(r)
				}
			}
		}
		for i, o := range e.Routes {
			if r, ok := x.route(fmt.Sprintf("%s.routes[%d]", at, i), o.To, "", o.Via); ok {
				r.Metric = o.Metric
				l.addRoute(r)
			}
		}
		p.Links = append(p.Links, l)
	}
}

// addressOf is an address, which may be an object whose only name it is.
func addressOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) == nil && len(m) == 1 {
		for s = range m {
			return s
		}
	}
	return string(raw)
}
