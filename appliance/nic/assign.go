package nic

import (
	"fmt"
	"slices"
	"strings"
)

// Known is what the platform tells of a card, by its MAC or PCI address.
type Known struct {
	MAC, PCI string
	Tags     []string
	MTU      uint32
}

// is says whether it is about a card: by the MAC where both are known.
func (k *Known) is(n *NIC) bool {
	if k.MAC != "" && n.MAC != "" {
		return strings.EqualFold(k.MAC, n.MAC)
	}
	return k.PCI != "" && k.PCI == n.PCI
}

// Named is a name that the operator gives the card of a MAC.
type Named struct{ Name, MAC string }

// Wishes are what roles and names are made of.
type Wishes struct {
	Known []Known
	Named []Named
	// Management is a tag, a MAC or a network device; empty: as tagged, else the first.
	Management string
	// Before are the cards as they were assigned last: a card of the same MAC keeps its name, and with nothing else known its role.
	Before []NIC
}

// managementTags are those by which a platform says what the box is managed by.
var managementTags = []string{"mgmt", "management"}

// Assign gives cards, in the order of their addresses, their roles and names. What cannot be as wished is told and done without.
func Assign(nics []NIC, w Wishes) (problems []string) {
	taken := map[string]bool{}
	for i := range nics {
		n := &nics[i]
		n.Role, n.Name = Data, ""
		// A card that is bound already has no MAC that could be read.
		for _, b := range w.Before {
			if n.MAC == "" && b.PCI == n.PCI {
				n.MAC, n.KernelDriver = b.MAC, b.KernelDriver
			}
		}
		for _, k := range w.Known {
			if !k.is(n) {
				continue
			}
			if n.MAC == "" {
				n.MAC = strings.ToLower(k.MAC)
			}
			for _, t := range k.Tags {
				if !slices.Contains(n.Tags, t) {
					n.Tags = append(n.Tags, t)
				}
			}
			if k.MTU != 0 {
				n.MTU = k.MTU
			}
		}
	}
	m, why := management(nics, w)
	if why != "" {
		problems = append(problems, why)
	}
	if m >= 0 {
		nics[m].Role, nics[m].Name = Management, "management"
		taken[nics[m].Name] = true
	}
	problems = append(problems, byOperator(nics, w.Named, taken)...)
	for i := range nics {
		n := &nics[i]
		for _, t := range n.Tags {
			switch {
			case n.Name != "" || slices.Contains(managementTags, t):
			case !ValidName(t):
				problems = append(problems, fmt.Sprintf("the tag %.60q of NIC %s cannot be the name of an interface: 1 to 15 characters of "+
					"[A-Za-z0-9_-], the first a letter", t, n.id()))
			case taken[t]:
				problems = append(problems, fmt.Sprintf("the tag %s of NIC %s is the name of another", t, n.id()))
			default:
				n.Name, taken[t] = t, true
			}
		}
	}
	for i := range nics {
		for _, b := range w.Before {
			if n := &nics[i]; n.Name == "" && n.MAC != "" && b.MAC == n.MAC && b.Role == Data && ValidName(b.Name) && !taken[b.Name] {
				n.Name, taken[b.Name] = b.Name, true
			}
		}
	}
	next := 1
	for i := range nics {
		for nics[i].Name == "" {
			if name := fmt.Sprintf("port%d", next); !taken[name] {
				nics[i].Name, taken[name] = name, true
			}
			next++
		}
	}
	return problems
}

func byOperator(nics []NIC, named []Named, taken map[string]bool) (problems []string) {
	for _, o := range named {
		i := slices.IndexFunc(nics, func(n NIC) bool { return n.MAC != "" && strings.EqualFold(n.MAC, o.MAC) })
		switch {
		case i < 0:
			problems = append(problems, fmt.Sprintf("ports: %s: no NIC has the MAC %s", o.Name, o.MAC))
		case nics[i].Role == Management:
			problems = append(problems, fmt.Sprintf("ports: %s: the NIC %s is the one of the management", o.Name, nics[i].id()))
		case !ValidName(o.Name):
			problems = append(problems, fmt.Sprintf("ports: %.60q cannot be the name of an interface: 1 to 15 characters of [A-Za-z0-9_-], "+
				"the first a letter", o.Name))
		case taken[o.Name]:
			problems = append(problems, fmt.Sprintf("ports: %s: the name is given twice", o.Name))
		default:
			nics[i].Name, taken[o.Name] = o.Name, true
		}
	}
	return problems
}

// management chooses the card of the management; -1: there is none.
func management(nics []NIC, w Wishes) (i int, problem string) {
	if len(nics) == 0 {
		return -1, ""
	}
	if w.Management != "" {
		i := slices.IndexFunc(nics, func(n NIC) bool {
			return strings.EqualFold(n.MAC, w.Management) || n.Netdev == w.Management || slices.Contains(n.Tags, w.Management)
		})
		if i >= 0 {
			return i, ""
		}
		problem = fmt.Sprintf("management.nic: no NIC has the tag, MAC or name %.60q", w.Management)
	}
	for i, n := range nics {
		if slices.ContainsFunc(n.Tags, func(t string) bool { return slices.Contains(managementTags, t) }) {
			return i, problem
		}
	}
	for _, b := range w.Before {
		if b.Role != Management || b.MAC == "" {
			continue
		}
		if i := slices.IndexFunc(nics, func(n NIC) bool { return n.MAC == b.MAC }); i >= 0 {
			return i, problem
		}
	}
	return 0, problem
}

func (n *NIC) id() string {
	if n.MAC != "" {
		return n.MAC
	}
	return n.PCI
}
