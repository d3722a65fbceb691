package state

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/server/config"
	"millrace/server/telemetry"
	"millrace/yang/tree"
)

// etherHeader is what OpenConfig's mtu of an Ethernet interface counts beside the IP packet.
const etherHeader = 14

func devicePath(name string) tree.Path {
	return entryPath(nil, "interfaces", "interface", "name", name)
}

func logicalPath(name string, index uint32) tree.Path {
	return entryPath(devicePath(name), "subinterfaces", "subinterface", "index", strconv.FormatUint(uint64(index), 10))
}

func ipText(b []byte) string {
	a, _ := netip.AddrFromSlice(b)
	return a.String()
}

func macText(b []byte) any {
	if len(b) != 6 {
		return nil
	}
	return net.HardwareAddr(b).String()
}

// upDown is an admin status.
func upDown(up bool) string {
	if up {
		return "UP"
	}
	return "DOWN"
}

func (l *logical) admin() bool {
	if l.state != nil {
		return l.state.GetConfig().GetAdminUp()
	}
	return l.config.Up()
}

// oper is the oper-status.
func (l *logical) oper() string {
	switch {
	case l.state == nil:
		return "NOT_PRESENT"
	case l.state.GetOperStatus() == dpb.OperStatus_OPER_STATUS_UP:
		return "UP"
	case l.state.GetOperStatus() == dpb.OperStatus_OPER_STATUS_LOWER_LAYER_DOWN && l.admin():
		return "LOWER_LAYER_DOWN"
	}
	return "DOWN"
}

// status sets what interfaces and subinterfaces have alike.
func (l *logical) status(o *telemetry.Object) {
	o.Set("state/admin-status", upDown(l.admin())).Set("state/oper-status", l.oper()).Set("state/management", false).Set("state/cpu", false)
	if l.state != nil {
		o.Set("state/ifindex", l.state.GetIfindex()).Set("state/last-change", nonZero(l.state.GetLastChange()))
	}
}

func (l *logical) loopback() bool {
	if l.config != nil {
		return l.config.Type == config.Loopback
	}
	return l.state.GetConfig().GetKind() == dpb.InterfaceKind_INTERFACE_KIND_LOOPBACK
}

// speeds are the names of OpenConfig for Mbit/s.
var speeds = map[uint64]string{
	10: "SPEED_10MB", 100: "SPEED_100MB", 1000: "SPEED_1GB", 2500: "SPEED_2500MB", 5000: "SPEED_5GB", 10000: "SPEED_10GB",
	25000: "SPEED_25GB", 40000: "SPEED_40GB", 50000: "SPEED_50GB", 100000: "SPEED_100GB", 200000: "SPEED_200GB", 400000: "SPEED_400GB",
	800000: "SPEED_800GB",
}

// deviceObject is all of an interface that is not counted.
func (i *Interfaces) deviceObject(d *device) *telemetry.Object {
	o := telemetry.NewObject(i.s, devicePath(d.name))
	d.status(o)
	o.Set("state/logical", d.loopback())
	st := d.state
	if st == nil {
		return o
	}
	if d.loopback() {
		return o.Set("state/mtu", nonZero(min(st.GetMtu(), 65535)))
	}
	o.Set("state/mtu", nonZero(min(st.GetMtu()+etherHeader, 65535)))
	o.Set("ethernet/state/mac-address", macText(st.GetMac()))
	if d.config != nil && d.config.MAC.IsZero() {
		o.Set("ethernet/state/hw-mac-address", macText(st.GetMac()))
	}
	speed, ok := speeds[st.GetSpeed()]
	if !ok {
		speed = "SPEED_UNKNOWN"
	}
	o.Set("ethernet/state/port-speed", speed).Set("ethernet/state/negotiated-port-speed", speed)
	if st.GetOperStatus() == dpb.OperStatus_OPER_STATUS_UP {
		duplex := "HALF"
		if st.GetFullDuplex() {
			duplex = "FULL"
		}
		o.Set("ethernet/state/negotiated-duplex-mode", duplex)
	}
	return o.Set("port/state/device-driver", nonZero(st.GetDriver())).Set("port/state/rss", st.GetRss()).
		Set("port/state/exception-interface", nonZero(st.GetTap())).Set("port/state/rx-queues", nonZero(st.GetRxQueues())).
		Set("port/state/tx-queues", nonZero(st.GetTxQueues()))
}

// logicalObject is all of a subinterface that is not counted.
func (i *Interfaces) logicalObject(device string, l logical) *telemetry.Object {
	o := telemetry.NewObject(i.s, logicalPath(device, l.index))
	o.Set("state/index", l.index).Set("state/name", l.name)
	l.status(o)
	o.Set("state/logical", l.index != 0 || l.loopback())
	if mtu := l.state.GetMtu(); mtu >= 68 && mtu <= 9000 { // a loopback's may be larger than the leaf
		o.Set("state/mtu", mtu)
	}
	if l.config != nil && !l.loopback() {
		o.Set("ipv6/router-advertisement/state/enable", l.config.RouterAdvertisements.On())
	}
	return o
}

func counters(st *dpb.InterfaceState) *dpb.InterfaceCounters { return st.GetCounters() }

// deviceCounters count all that goes by the device: the frames of its VLANs as well, which the data plane counts apart. nil if it is not
// there.
func deviceCounters(d *device) *dpb.InterfaceCounters {
	c := counters(d.state)
	if c == nil {
		return nil
	}
	sum := &dpb.InterfaceCounters{
		RxPackets: c.GetRxPackets(), RxOctets: c.GetRxOctets(), RxUnicast: c.GetRxUnicast(), RxMulticast: c.GetRxMulticast(),
		RxBroadcast: c.GetRxBroadcast(), RxErrors: c.GetRxErrors(), RxMissed: c.GetRxMissed(), RxDiscards: c.GetRxDiscards(),
		TxPackets: c.GetTxPackets(), TxOctets: c.GetTxOctets(), TxErrors: c.GetTxErrors(), TxDiscards: c.GetTxDiscards(), Punted: c.GetPunted(),
	}
	for k := range d.subs {
		v := counters(d.subs[k].state)
		sum.RxPackets += v.GetRxPackets()
		sum.RxOctets += v.GetRxOctets()
		sum.RxUnicast += v.GetRxUnicast()
		sum.RxMulticast += v.GetRxMulticast()
		sum.RxBroadcast += v.GetRxBroadcast()
		sum.RxDiscards += v.GetRxDiscards()
		sum.TxPackets += v.GetTxPackets()
		sum.TxOctets += v.GetTxOctets()
		sum.TxDiscards += v.GetTxDiscards()
		sum.Punted += v.GetPunted()
	}
	return sum
}

// counterLeaves are the counters in the order of counterValues; an interface has one more.
var counterLeaves = []string{
	"in-pkts", "in-octets", "in-unicast-pkts", "in-multicast-pkts", "in-broadcast-pkts", "in-errors", "in-discards", "out-pkts", "out-octets",
	"out-errors", "out-discards", "in-missed-pkts", "punted-pkts",
}

const transitionsLeaf = "interface-transitions"

// maxTemplates bounds what is kept of paths: twice the interfaces that there can be.
const maxTemplates = 2 * config.MaxInterfaces

// counterValues are the values of counterLeaves. What the device loses for want of buffers is a discard in OpenConfig; it is told apart
// as well.
func counterValues(c *dpb.InterfaceCounters) []uint64 {
	return []uint64{
		c.GetRxPackets(), c.GetRxOctets(), c.GetRxUnicast(), c.GetRxMulticast(), c.GetRxBroadcast(), c.GetRxErrors(),
		c.GetRxDiscards() + c.GetRxMissed(), c.GetTxPackets(), c.GetTxOctets(), c.GetTxErrors(), c.GetTxDiscards(), c.GetRxMissed(), c.GetPunted(),
	}
}

// counterObject is the counters of an interface or subinterface, whose paths are made but once.
func (i *Interfaces) counterObject(at tree.Path, c *dpb.InterfaceCounters, transitions ...uint64) ([]telemetry.Leaf, error) {
	if c == nil {
		return nil, nil
	}
	key := at.String()
	i.templateMu.Lock()
	t, ok := i.templates[key]
	i.templateMu.Unlock()
	if !ok {
		where := at.Name("state").Name("counters")
		node := i.s.Find(where.SchemaPath())
		names := counterLeaves
		if len(transitions) > 0 {
			names = append(names[:len(names):len(names)], transitionsLeaf)
		}
		for _, name := range names {
			leaf := node.Child(name)
			if leaf == nil {
				return nil, fmt.Errorf("state: %s/%s is not in the schema", where, name)
			}
			t = append(t, telemetry.Leaf{Path: where.Name(name), Schema: leaf})
		}
		i.templateMu.Lock()
		if len(i.templates) >= maxTemplates {
			clear(i.templates) // of interfaces that have gone
		}
		i.templates[key] = t
		i.templateMu.Unlock()
	}
	leaves := slices.Clone(t)
	for k, n := range append(counterValues(c), transitions...) {
		v, err := leaves[k].Schema.FromGo(n)
		if err != nil {
			return nil, err
		}
		leaves[k].Value = v
	}
	return leaves, nil
}

func familyOf(b []byte) string {
	if len(b) == 4 {
		return "ipv4"
	}
	return "ipv6"
}

var dadStates = map[dpb.DadState]string{
	dpb.DadState_DAD_STATE_TENTATIVE: "TENTATIVE", dpb.DadState_DAD_STATE_PREFERRED: "PREFERRED",
	dpb.DadState_DAD_STATE_DUPLICATE: "DUPLICATE",
}

// addressObject is an address on the subinterface at a path; its text is the key.
func (i *Interfaces) addressObject(at tree.Path, a *dpb.AddressState) (*telemetry.Object, string) {
	fam, ip := familyOf(a.GetAddress()), ipText(a.GetAddress())
	o := telemetry.NewObject(i.s, entryPath(at.Name(fam), "addresses", "address", "ip", ip))
	origin := "STATIC"
	if a.GetAutomatic() {
		origin = "LINK_LAYER"
	}
	o.Set("state/ip", ip).Set("state/prefix-length", a.GetPrefixLen()).Set("state/origin", origin)
	o.Set("state/status", nonZero(dadStates[a.GetDad()])).Set("state/conflict-mac", macText(a.GetConflictMac()))
	o.Set("state/virtual", a.GetKind() == dpb.AddressKind_ADDRESS_KIND_VIRTUAL)
	if fam == "ipv6" {
		kind := "GLOBAL_UNICAST"
		if p, _ := netip.AddrFromSlice(a.GetAddress()); p.IsLinkLocalUnicast() {
			kind = "LINK_LOCAL_UNICAST"
		}
		o.Set("state/type", kind)
	}
	return o, ip
}

var nudStates = map[dpb.NeighborNud]string{
	dpb.NeighborNud_NEIGHBOR_NUD_INCOMPLETE: "INCOMPLETE", dpb.NeighborNud_NEIGHBOR_NUD_REACHABLE: "REACHABLE",
	dpb.NeighborNud_NEIGHBOR_NUD_STALE: "STALE", dpb.NeighborNud_NEIGHBOR_NUD_DELAY: "DELAY", dpb.NeighborNud_NEIGHBOR_NUD_PROBE: "PROBE",
	dpb.NeighborNud_NEIGHBOR_NUD_FAILED: "FAILED", dpb.NeighborNud_NEIGHBOR_NUD_STATIC: "STATIC",
}

// neighborPath is where a neighbour on the subinterface at a path is.
func neighborPath(at tree.Path, address []byte) tree.Path {
	return entryPath(at.Name(familyOf(address)), "neighbors", "neighbor", "ip", ipText(address))
}

// neighborObject is a neighbour on the subinterface at a path, with what is counted or without.
func (i *Interfaces) neighborObject(at tree.Path, n *dpb.NeighborState, counted bool) *telemetry.Object {
	o := telemetry.NewObject(i.s, neighborPath(at, n.GetAddress()))
	origin := "DYNAMIC"
	if n.GetNud() == dpb.NeighborNud_NEIGHBOR_NUD_STATIC {
		origin = "STATIC"
	}
	nud := nudStates[n.GetNud()]
	o.Set("state/ip", ipText(n.GetAddress())).Set("state/origin", origin).Set("state/nud-state", nonZero(nud))
	if n.GetNud() != dpb.NeighborNud_NEIGHBOR_NUD_INCOMPLETE {
		o.Set("state/link-layer-address", macText(n.GetMac()))
	}
	if familyOf(n.GetAddress()) == "ipv6" {
		o.Set("state/is-router", n.GetIsRouter())
		switch nud { // OpenConfig has no other states
		case "INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE":
			o.Set("state/neighbor-state", nud)
		}
	}
	if counted {
		o.Set("state/age", n.GetAge()).Set("state/queued-pkts", n.GetQueued()).Set("state/out-pkts", n.GetTxPackets()).
			Set("state/out-octets", n.GetTxOctets())
	}
	return o
}
