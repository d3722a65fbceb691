package boot

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"sigs.k8s.io/yaml"

	"millrace/appliance/network"
	"millrace/appliance/nic"
	"millrace/server/auth"
	"millrace/server/config"
	"millrace/server/model"
	"millrace/server/store"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// firstConfig is a document for the control plane to begin with: what is given, JSON or YAML, completed by the cards. plan, which may be nil,
// tells their addresses.
func firstConfig(given []byte, nics []nic.NIC, plan *network.Plan) ([]byte, error) {
	s, err := schema.Load()
	if err != nil {
		return nil, err
	}
	m := model.New(s)
	t, err := parseConfig(s, m, given)
	if err != nil {
		return nil, err
	}
	e := t.Edit()
	for _, n := range nics {
		if err := complete(e, t, m, n, plan); err != nil {
			return nil, fmt.Errorf("NIC %s: %w", n.Name, err)
		}
	}
	// Passwords are hashed before anything is written.
	if err := model.HashPasswords(e, auth.HashPassword); err != nil {
		return nil, err
	}
	if t, err = e.Commit(); err != nil {
		return nil, err
	}
	y, err := yaml.JSONToYAML(t.JSON())
	if err != nil {
		return nil, err
	}
	head := "# The first configuration of this box, made at its first boot of user-data and of what the platform says of its NICs.\n" +
		"# It is not written again. Once changed, it replaces what is in force: see docs/day0.md.\n"
	return append([]byte(head), y...), nil
}

// parseConfig makes a tree of a document: a tree as RFC 7951 has it, or the configuration file's form.
func parseConfig(s *schema.Schema, m *model.Model, doc []byte) (*tree.Tree, error) {
	switch {
	case doc == nil:
		return tree.New(s), nil
	case len(doc) > config.MaxFile:
		return nil, fmt.Errorf("%d bytes, at most %d are allowed", len(doc), config.MaxFile)
	case store.IsTree(doc):
		j, err := yaml.YAMLToJSONStrict(doc)
		if err != nil {
			return nil, err
		}
		return tree.Parse(s, j)
	}
	var top any
	if err := yaml.Unmarshal(doc, &top); err != nil {
		return nil, err
	}
	if o, ok := top.(map[string]any); !ok {
		return nil, errors.New("is not an object")
	} else if len(o) == 0 {
		return tree.New(s), nil
	}
	c, err := config.Parse(doc)
	if err != nil {
		return nil, err
	}
	return m.FromConfig(c, nil)
}

// complete adds a card to the interfaces, unless one has it; an interface of its name that has no device gets it.
func complete(e *tree.Edit, t *tree.Tree, m *model.Model, n nic.NIC, plan *network.Plan) error {
	device := "nic=" + n.Name
	for f := range t.Root().List("interfaces/interface") {
		if slices.Contains([]string{device, n.PCI}, f.Text("port/config/devargs")) || n.Netdev != "" && f.Text("port/config/iface") == n.Netdev {
			return setMTU(e, interfaceAt(f.Key("name")), f, n.MTU)
		}
	}
	at := interfaceAt(n.Name)
	if f := t.Get(at); f != nil {
		if f.Has("port/config/devargs") || f.Has("port/config/iface") || f.Text("config/type") == "softwareLoopback" {
			return nil // another device's, or none's
		}
		if err := e.SetText(at.Name("port").Name("config").Name("devargs"), device); err != nil {
			return err
		}
		return setMTU(e, at, f, n.MTU)
	}
	c := config.Interface{Name: n.Name, Type: config.Port, Device: device, MTU: usableMTU(n.MTU)}
	if plan != nil {
		if l, found := plan.Link(n.MAC, ""); found {
			c.Addresses = usable(l.Addresses, c.MTU)
		}
	}
	one, err := m.FromConfig(&config.Config{Interfaces: []config.Interface{c}}, nil)
	if err != nil {
		return err
	}
	j := one.JSON()
	var top map[string]json.RawMessage
	if err := json.Unmarshal(j, &top); err != nil {
		return err
	}
	for name := range top { // of instances, only what the operator says
		if name != "openconfig-interfaces:interfaces" {
			delete(top, name)
		}
	}
	if j, err = json.Marshal(top); err != nil {
		return err
	}
	return e.Update(nil, j)
}

// interfaceAt is where an interface is in the tree.
func interfaceAt(name string) tree.Path {
	return tree.Path{{Name: "interfaces"}, {Name: "interface", Keys: []tree.Key{{Name: "name", Value: name}}}}
}

// linkHeader is what the tree's MTU of an interface counts beside the IP packet.
const linkHeader = 14

// setMTU gives an interface the MTU of its network, if nobody says another and nothing on it needs more.
func setMTU(e *tree.Edit, at tree.Path, f *tree.Node, mtu uint32) error {
	if mtu = usableMTU(mtu); mtu < 1280 || f.Has("config/mtu") {
		return nil
	}
	for s := range f.List("subinterfaces/subinterface") {
		if m, ok := s.Uint("config/mtu"); ok && m > uint64(mtu) {
			return nil
		}
	}
	return e.SetText(at.Name("config").Name("mtu"), strconv.FormatUint(uint64(mtu+linkHeader), 10))
}

// usableMTU is what an interface can have of what the platform tells.
func usableMTU(mtu uint32) uint32 {
	if mtu < 68 {
		return 0
	}
	return min(mtu, 9000)
}

// usable leaves out addresses that an interface cannot have.
func usable(all []netip.Prefix, mtu uint32) (list []netip.Prefix) {
	for _, a := range all {
		if config.HostAddress(a) == "" && (a.Addr().Is4() || mtu == 0 || mtu >= 1280) {
			list = append(list, a)
		}
	}
	return list
}
