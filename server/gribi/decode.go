package gribi

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	aftpb "github.com/openconfig/gribi/v1/proto/gribi_aft"
	spb "github.com/openconfig/gribi/v1/proto/service"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Limits of one entry.
const (
	maxGroupHops = 64 // as many as a group of the data plane has members
	maxMetadata  = 64 // octets
	maxName      = 255
)

func decodeElection(e *spb.Uint128) electionID { return electionID{e.GetHigh(), e.GetLow()} }

func decodeParams(p *spb.SessionParameters) (params, error) {
	var out params
	switch p.GetRedundancy() {
	case spb.SessionParameters_ALL_PRIMARY:
	case spb.SessionParameters_SINGLE_PRIMARY:
		out.single = true
	default:
		return out, fmt.Errorf("redundancy: %d is unknown", p.GetRedundancy())
	}
	switch p.GetPersistence() {
	case spb.SessionParameters_DELETE:
	case spb.SessionParameters_PRESERVE:
		out.preserve = true
	default:
		return out, fmt.Errorf("persistence: %d is unknown", p.GetPersistence())
	}
	switch p.GetAckType() {
	case spb.SessionParameters_RIB_ACK:
	case spb.SessionParameters_RIB_AND_FIB_ACK:
		out.fibACK = true
	default:
		return out, fmt.Errorf("ack_type: %d is unknown", p.GetAckType())
	}
	if !out.single && out.preserve {
		return out, errors.New("persistence: PRESERVE does not go with ALL_PRIMARY: nobody could tell whose entries are left")
	}
	return out, nil
}

// decodeOp never fails: what is wrong with an operation becomes its answer.
func decodeOp(o *spb.AFTOperation) operation {
	op := operation{id: o.GetId(), election: decodeElection(o.GetElectionId())}
	op.bad = op.decode(o)
	return op
}

func (op *operation) decode(o *spb.AFTOperation) error {
	op.key.instance = o.GetNetworkInstance()
	switch {
	case op.key.instance == "":
		return errors.New("network_instance: is missing")
	case len(op.key.instance) > maxName:
		return errors.New("network_instance: is too long")
	}
	switch o.GetOp() {
	case spb.AFTOperation_ADD:
		op.verb = verbAdd
	case spb.AFTOperation_REPLACE:
		op.verb = verbReplace
	case spb.AFTOperation_DELETE:
		op.verb = verbDelete
	default:
		return fmt.Errorf("op: %s is none of ADD, REPLACE, DELETE", o.GetOp())
	}
	var err error
	content := op.verb != verbDelete
	switch e := o.GetEntry().(type) {
	case *spb.AFTOperation_NextHop:
		op.key.aft, op.key.id = aftNextHop, e.NextHop.GetIndex()
		if content {
			op.hop, err = decodeHop(e.NextHop.GetNextHop())
			err = within("next_hop", err)
		}
	case *spb.AFTOperation_NextHopGroup:
		op.key.aft, op.key.id = aftGroup, e.NextHopGroup.GetId()
		if content {
			op.group, err = decodeGroup(e.NextHopGroup.GetNextHopGroup())
			err = within("next_hop_group", err)
		}
	case *spb.AFTOperation_Ipv4:
		op.key.aft = aftPrefix
		if op.key.prefix, err = decodePrefix(e.Ipv4.GetPrefix(), false); err == nil && content {
			op.prefix, err = decodeEntry(e.Ipv4.GetIpv4Entry())
		}
		err = within("ipv4", err)
	case *spb.AFTOperation_Ipv6:
		op.key.aft = aftPrefix
		if op.key.prefix, err = decodePrefix(e.Ipv6.GetPrefix(), true); err == nil && content {
			op.prefix, err = decodeEntry(e.Ipv6.GetIpv6Entry())
		}
		err = within("ipv6", err)
	case *spb.AFTOperation_Mpls:
		return errors.New("mpls: this box does not forward MPLS")
	case *spb.AFTOperation_MacEntry:
		return errors.New("mac_entry: this box does not bridge")
	case *spb.AFTOperation_PolicyForwardingEntry:
		return errors.New("policy_forwarding_entry: this box has no policy forwarding")
	case nil:
		return errors.New("entry: is missing")
	default:
		return fmt.Errorf("entry: %T is not supported", e)
	}
	if err == nil && op.key.aft != aftPrefix && op.key.id == 0 {
		return within(map[aft]string{aftNextHop: "next_hop.index", aftGroup: "next_hop_group.id"}[op.key.aft], errors.New("0 is no number for one"))
	}
	return err
}

func within(field string, err error) error {
	if err == nil {
		return nil
	}
	sep := "."
	if !strings.Contains(err.Error(), ": ") {
		sep = ": "
	}
	return fmt.Errorf("%s%s%w", field, sep, err)
}

// only refuses, by name, every field that is set and not among those given.
func only(m proto.Message, names ...protoreflect.Name) error {
	r := m.ProtoReflect()
	if !r.IsValid() {
		return nil
	}
	if len(r.GetUnknown()) > 0 {
		return errors.New("has a field that is unknown here")
	}
	var err error
	r.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if !slices.Contains(names, f.Name()) {
			err = fmt.Errorf("%s: is not supported", f.Name())
		}
		return err == nil
	})
	return err
}

func decodePrefix(s string, v6 bool) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, fmt.Errorf("prefix: %q is not an address and a length", s)
	case p.Addr().Is4In6():
		return p, fmt.Errorf("prefix: %s is an IPv4-mapped IPv6 prefix", p)
	case p.Addr().Is6() != v6:
		return p, fmt.Errorf("prefix: %s is of the other family", p)
	case p != p.Masked():
		return p, fmt.Errorf("prefix: %s has bits set beyond its length", p)
	}
	return p, nil
}

// entryMessage is what IPv4 and IPv6 entries have in common.
type entryMessage interface {
	fields() (group *uint64, instance string, metadata []byte)
}

type v4Entry struct{ *aftpb.Afts_Ipv4Entry }

func (e v4Entry) fields() (*uint64, string, []byte) {
	var g *uint64
	if e.NextHopGroup != nil {
		g = &e.NextHopGroup.Value
	}
	return g, e.GetNextHopGroupNetworkInstance().GetValue(), e.GetEntryMetadata().GetValue()
}

type v6Entry struct{ *aftpb.Afts_Ipv6Entry }

func (e v6Entry) fields() (*uint64, string, []byte) {
	var g *uint64
	if e.NextHopGroup != nil {
		g = &e.NextHopGroup.Value
	}
	return g, e.GetNextHopGroupNetworkInstance().GetValue(), e.GetEntryMetadata().GetValue()
}

func decodeEntry(m proto.Message) (prefix, error) {
	var e entryMessage
	switch m := m.(type) {
	case *aftpb.Afts_Ipv4Entry:
		if m == nil {
			return prefix{}, errors.New("next_hop_group: is missing")
		}
		e = v4Entry{m}
	case *aftpb.Afts_Ipv6Entry:
		if m == nil {
			return prefix{}, errors.New("next_hop_group: is missing")
		}
		e = v6Entry{m}
	}
	if err := only(m, "next_hop_group", "next_hop_group_network_instance", "entry_metadata"); err != nil {
		return prefix{}, err
	}
	g, instance, metadata := e.fields()
	switch {
	case g == nil || *g == 0:
		return prefix{}, errors.New("next_hop_group: is missing or 0")
	case len(instance) > maxName:
		return prefix{}, errors.New("next_hop_group_network_instance: is too long")
	case len(metadata) > maxMetadata:
		return prefix{}, fmt.Errorf("entry_metadata: %d octets are more than %d", len(metadata), maxMetadata)
	}
	return prefix{group: *g, groupInstance: instance, metadata: slices.Clone(metadata)}, nil
}

func decodeHop(h *aftpb.Afts_NextHop) (nextHop, error) {
	var n nextHop
	if err := only(h, "ip_address", "interface_ref", "network_instance"); err != nil {
		return n, err
	}
	if r := h.GetInterfaceRef(); r != nil {
		if err := only(r, "interface", "subinterface"); err != nil {
			return n, within("interface_ref", err)
		}
		n.iface = r.GetInterface().GetValue()
		if s := r.GetSubinterface(); s != nil {
			if s.GetValue() > 4094 {
				return n, fmt.Errorf("interface_ref.subinterface: %d is more than 4094", s.GetValue())
			}
			n.sub, n.hasSub = uint32(s.GetValue()), true
		}
		if n.iface == "" || len(n.iface) > 64 {
			return n, errors.New("interface_ref.interface: a name of 1 to 64 octets is needed")
		}
	}
	if s := h.GetNetworkInstance(); s != nil {
		if n.instance = s.GetValue(); n.instance == "" || len(n.instance) > maxName {
			return n, errors.New("network_instance: a name of 1 to 255 octets is needed")
		}
	}
	if s := h.GetIpAddress(); s != nil {
		a, err := netip.ParseAddr(s.GetValue())
		switch {
		case err != nil || a.Zone() != "":
			return n, fmt.Errorf("ip_address: %q is not an IPv4 or IPv6 address", s.GetValue())
		case a.Is4In6():
			return n, fmt.Errorf("ip_address: %s is an IPv4-mapped IPv6 address", a)
		case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
			return n, fmt.Errorf("ip_address: %s is not the address of a gateway", a)
		case a.Is6() && a.IsLinkLocalUnicast() && n.iface == "":
			return n, fmt.Errorf("interface_ref: the link-local address %s needs one", a)
		}
		n.address = a
	}
	if !n.address.IsValid() && n.iface == "" && n.instance == "" {
		return n, errors.New("one of ip_address, interface_ref and network_instance is needed")
	}
	return n, nil
}

func decodeGroup(g *aftpb.Afts_NextHopGroup) (group, error) {
	var out group
	if err := only(g, "next_hop", "backup_next_hop_group"); err != nil {
		return out, err
	}
	if b := g.GetBackupNextHopGroup(); b != nil {
		if out.backup, out.hasBackup = b.GetValue(), true; out.backup == 0 {
			return out, errors.New("backup_next_hop_group: 0 is no number for one")
		}
	}
	switch n := len(g.GetNextHop()); {
	case n == 0:
		return out, errors.New("next_hop: at least one is needed")
	case n > maxGroupHops:
		return out, fmt.Errorf("next_hop: %d are more than %d", n, maxGroupHops)
	}
	for _, h := range g.GetNextHop() {
		gh := groupHop{index: h.GetIndex(), weight: 1}
		if err := only(h.GetNextHop(), "weight"); err != nil {
			return out, within(fmt.Sprintf("next_hop[%d]", gh.index), err)
		}
		if w := h.GetNextHop().GetWeight(); w != nil {
			gh.weight, gh.hasWeight = w.GetValue(), true
		}
		if gh.weight == 0 {
			return out, fmt.Errorf("next_hop[%d].weight: 0 is no share", gh.index)
		}
		if slices.ContainsFunc(out.hops, func(o groupHop) bool { return o.index == gh.index }) {
			return out, fmt.Errorf("next_hop[%d]: is there twice", gh.index)
		}
		out.hops = append(out.hops, gh)
	}
	return out, nil
}
