package state

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client"
	"millrace/server/config"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// InterfaceDataplane is what Interfaces asks of the data plane; *client.Client is one.
type InterfaceDataplane interface {
	Interfaces(ctx context.Context, name string) iter.Seq2[*dpb.InterfaceState, error]
	Addresses(ctx context.Context, iface string) iter.Seq2[*dpb.AddressState, error]
	Neighbors(ctx context.Context, iface string) iter.Seq2[*dpb.NeighborState, error]
	XStats(ctx context.Context, iface string) iter.Seq2[*dpb.XStat, error]
	Subscribe(ctx context.Context) (*client.Stream, error)
}

const (
	interfacePlace    = "/interfaces/interface"
	subinterfacePlace = interfacePlace + "/subinterfaces/subinterface"
)

// interfacePlaces are the parts that Interfaces knows, by what has to be asked for them.
var interfacePlaces = map[string]string{
	"interface": interfacePlace + "/state", "counters": interfacePlace + "/state/counters", "ethernet": interfacePlace + "/ethernet/state",
	"port": interfacePlace + "/port/state", "xstats": interfacePlace + "/port/xstats", "sub": subinterfacePlace + "/state",
	"subcounters": subinterfacePlace + "/state/counters", "ra": subinterfacePlace + "/ipv6/router-advertisement/state/enable",
	"addresses4": subinterfacePlace + "/ipv4/addresses/address/state", "addresses6": subinterfacePlace + "/ipv6/addresses/address/state",
	"neighbors4": subinterfacePlace + "/ipv4/neighbors/neighbor/state", "neighbors6": subinterfacePlace + "/ipv6/neighbors/neighbor/state",
}

// Interfaces is the state of interfaces, their addresses and neighbours. Run has to run for Watch.
type Interfaces struct {
	s      *schema.Schema
	dp     InterfaceDataplane
	config func() *config.Config
	at     places

	// shared are the counters of all interfaces as last read, for readers that come at about the same time.
	shared chan struct{} // lock
	read   time.Time
	all    []counted
	// templates are the counters of interfaces and subinterfaces, by path, without values.
	templateMu sync.Mutex
	templates  map[string][]telemetry.Leaf

	follower
}

// counted is a batch of counters and whose they are: an interface's own, or a subinterface's.
type counted struct {
	name string
	own  bool
	b    telemetry.Batch
}

// sharedFor is how old counters may be that are handed to another reader: well below the shortest interval of sampling.
const sharedFor = 40 * time.Millisecond

// NewInterfaces makes the source. config returns the configuration in force.
func NewInterfaces(s *schema.Schema, dp InterfaceDataplane, config func() *config.Config) *Interfaces {
	i := &Interfaces{
		s: s, dp: dp, config: config, at: findPlaces(s, interfacePlaces), shared: make(chan struct{}, 1),
		templates: map[string][]telemetry.Leaf{},
	}
	i.follower.init()
	return i
}

// Roots are the leaves that are not what the configuration says.
func (i *Interfaces) Roots() []string {
	roots := []string{
		interfacePlaces["counters"], interfacePlaces["xstats"], interfacePlaces["ra"], interfacePlaces["subcounters"],
		interfacePlaces["addresses4"], interfacePlaces["addresses6"], interfacePlaces["neighbors4"], interfacePlaces["neighbors6"],
		subinterfacePlace + "/state/index", subinterfacePlace + "/state/name",
	}
	for _, leaf := range []string{"ifindex", "admin-status", "oper-status", "last-change", "logical", "management", "cpu", "mtu"} {
		roots = append(roots, interfacePlace+"/state/"+leaf, subinterfacePlace+"/state/"+leaf)
	}
	for _, leaf := range []string{"mac-address", "hw-mac-address", "port-speed", "negotiated-port-speed", "negotiated-duplex-mode"} {
		roots = append(roots, interfacePlace+"/ethernet/state/"+leaf)
	}
	for _, leaf := range []string{"device-driver", "rss", "exception-interface", "rx-queues", "tx-queues"} {
		roots = append(roots, interfacePlace+"/port/state/"+leaf)
	}
	return roots
}

// Sampled are counters and ages.
func (i *Interfaces) Sampled(n *schema.Node) bool {
	if isBelow(n, i.at["counters"]) || isBelow(n, i.at["subcounters"]) || isBelow(n, i.at["xstats"]) {
		return true
	}
	return (isBelow(n, i.at["neighbors4"]) || isBelow(n, i.at["neighbors6"])) &&
		slices.Contains([]string{"age", "queued-pkts", "out-pkts", "out-octets"}, n.Name)
}

// device is a port or loopback with its VLAN sub-interfaces, as they are configured and as they are.
type device struct {
	logical
	subs []logical // by index
}

// logical is an interface of ours; it has an index if it is a VLAN sub-interface.
type logical struct {
	name   string
	index  uint32
	config *config.Interface
	state  *dpb.InterfaceState
}

// split is the port and the index that the name of a VLAN sub-interface tells.
func split(name string) (string, uint32, bool) {
	at := strings.LastIndexByte(name, '.')
	if at < 0 {
		return "", 0, false
	}
	n, err := strconv.ParseUint(name[at+1:], 10, 32)
	return name[:at], uint32(n), err == nil
}

// present are the interfaces of the data plane: none of them while there is no data plane.
func (i *Interfaces) present(ctx context.Context, name string) ([]*dpb.InterfaceState, error) {
	var all []*dpb.InterfaceState
	for st, err := range i.dp.Interfaces(ctx, name) {
		if gone(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, st)
	}
	return all, nil
}

// gone says that there is no data plane, or not the object that was asked for.
func gone(err error) bool {
	return errors.Is(err, client.ErrDisconnected) || client.CodeOf(err) == dpb.Code_CODE_NOT_FOUND
}

// devices puts together what is configured and what is there, in order of name.
func devices(cfg *config.Config, states []*dpb.InterfaceState) []*device {
	by := map[string]*logical{}
	for k := range cfg.Interfaces {
		f := &cfg.Interfaces[k]
		by[f.Name] = &logical{name: f.Name, index: f.Index(), config: f}
	}
	for _, st := range states {
		name := st.GetConfig().GetName()
		if by[name] == nil {
			by[name] = &logical{name: name}
		}
		by[name].state = st
	}
	top := map[string]*device{}
	var names []string
	parents := map[string]string{}
	for name, l := range by {
		if l.config != nil && l.config.Type == config.VLAN {
			parents[name] = l.config.Parent
			continue
		}
		if parent, index, ok := split(name); ok && l.config == nil && l.state.GetConfig().GetKind() == dpb.InterfaceKind_INTERFACE_KIND_VLAN &&
			parent == l.state.GetConfig().GetParent() {
			parents[name], l.index = parent, index
			continue
		}
		top[name] = &device{logical: *l}
		names = append(names, name)
	}
	for name, parent := range parents {
		if d := top[parent]; d != nil {
			d.subs = append(d.subs, *by[name])
		}
	}
	slices.Sort(names)
	out := make([]*device, len(names))
	for k, name := range names {
		out[k] = top[name]
		slices.SortFunc(out[k].subs, func(a, b logical) int { return int(int64(a.index) - int64(b.index)) })
	}
	return out
}

// Read asks the data plane for what is wanted.
func (i *Interfaces) Read(ctx context.Context, m tree.Pattern, emit func(telemetry.Batch) error) error {
	if isBelow(m.Schema, i.at["counters"]) || isBelow(m.Schema, i.at["subcounters"]) {
		return i.readCounters(ctx, m, emit)
	}
	name, index := keyOf(m, "interface", "name"), keyOf(m, "subinterface", "index")
	some := false
	for _, part := range []string{"interface", "ethernet", "port", "sub", "ra"} {
		some = some || i.at.wants(m, part)
	}
	if some {
		states, err := i.present(ctx, "")
		if err != nil {
			return err
		}
		now := time.Now()
		for _, d := range devices(i.config(), states) {
			if name != "" && d.name != name {
				continue
			}
			if err := i.emitDevice(d, m, index, now, emit); err != nil {
				return err
			}
		}
	}
	if i.at.wants(m, "xstats") {
		if err := i.readXStats(ctx, m, name, emit); err != nil {
			return err
		}
	}
	if i.at.wants(m, "addresses4") || i.at.wants(m, "addresses6") {
		if err := i.readAddresses(ctx, m, name, index, emit); err != nil {
			return err
		}
	}
	if i.at.wants(m, "neighbors4") || i.at.wants(m, "neighbors6") {
		return i.readNeighbors(ctx, m, name, index, emit)
	}
	return nil
}

func (i *Interfaces) emitDevice(d *device, m tree.Pattern, index string, now time.Time, emit func(telemetry.Batch) error) error {
	if i.at.wants(m, "interface") || i.at.wants(m, "ethernet") || i.at.wants(m, "port") {
		c := deviceCounters(d)
		if !i.at.wants(m, "counters") {
			c = nil
		}
		if err := i.emitCounted(i.deviceObject(d), now, emit, devicePath(d.name), c, i.transitions(d.name)); err != nil {
			return err
		}
	}
	if !i.at.wants(m, "sub") && !i.at.wants(m, "ra") {
		return nil
	}
	for _, l := range d.logicals() {
		if index != "" && strconv.FormatUint(uint64(l.index), 10) != index {
			continue
		}
		c := counters(l.state)
		if !i.at.wants(m, "subcounters") {
			c = nil
		}
		if err := i.emitCounted(i.logicalObject(d.name, l), now, emit, logicalPath(d.name, l.index), c); err != nil {
			return err
		}
	}
	return nil
}

// logicals are subinterface 0, which is the interface itself, and those with a tag.
func (d *device) logicals() []logical { return append([]logical{d.logical}, d.subs...) }

func emitObject(o *telemetry.Object, t time.Time, emit func(telemetry.Batch) error) error {
	b, err := o.Batch(t)
	if err != nil || len(b.Leaves) == 0 {
		return err
	}
	return emit(b)
}

// emitCounted emits an object and its counters together.
func (i *Interfaces) emitCounted(o *telemetry.Object, t time.Time, emit func(telemetry.Batch) error, at tree.Path, c *dpb.InterfaceCounters,
	transitions ...uint64) error {
	b, err := o.Batch(t)
	if err != nil {
		return err
	}
	counted, err := i.counterObject(at, c, transitions...)
	if err != nil {
		return err
	}
	if b.Leaves = append(b.Leaves, counted...); len(b.Leaves) == 0 {
		return nil
	}
	return emit(b)
}

// readCounters hands out the counters of all interfaces, which are read once for all who ask at the same time.
func (i *Interfaces) readCounters(ctx context.Context, m tree.Pattern, emit func(telemetry.Batch) error) error {
	select {
	case i.shared <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if time.Since(i.read) > sharedFor {
		all, now, err := i.countAll(ctx)
		if err != nil {
			<-i.shared
			return err
		}
		i.all, i.read = all, now
	}
	all := i.all
	<-i.shared
	name, own := keyOf(m, "interface", "name"), isBelow(m.Schema, i.at["counters"])
	for _, c := range all {
		if name != "" && c.name != name || own != c.own {
			continue
		}
		if err := emit(c.b); err != nil {
			return err
		}
	}
	return nil
}

func (i *Interfaces) countAll(ctx context.Context) ([]counted, time.Time, error) {
	states, err := i.present(ctx, "")
	now := time.Now()
	if err != nil {
		return nil, now, err
	}
	var all []counted
	add := func(name string, own bool, leaves []telemetry.Leaf, e error) {
		if e != nil {
			err = e
		} else if len(leaves) > 0 {
			all = append(all, counted{name, own, telemetry.Batch{Time: now, Leaves: leaves}})
		}
	}
	for _, d := range devices(i.config(), states) {
		leaves, err := i.counterObject(devicePath(d.name), deviceCounters(d), i.transitions(d.name))
		add(d.name, true, leaves, err)
		for _, l := range d.logicals() {
			leaves, err := i.counterObject(logicalPath(d.name, l.index), counters(l.state))
			add(d.name, false, leaves, err)
		}
	}
	return all, now, err
}

func (i *Interfaces) readXStats(ctx context.Context, m tree.Pattern, name string, emit func(telemetry.Batch) error) error {
	want := keyOf(m, "xstat", "name")
	now := time.Now()
	for x, err := range i.dp.XStats(ctx, name) {
		if gone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if want != "" && want != x.GetName() {
			continue
		}
		at := entryPath(devicePath(x.GetInterface()).Name("port"), "xstats", "xstat", "name", x.GetName())
		o := telemetry.NewObject(i.s, at).Set("state/name", x.GetName()).Set("state/value", x.GetValue())
		if err := emitObject(o, now, emit); err != nil {
			return err
		}
	}
	return nil
}

// whereIs finds where in the tree an interface of the data plane has its addresses.
func whereIs(cfg *config.Config, name string) (string, uint32) {
	for k := range cfg.Interfaces {
		if f := &cfg.Interfaces[k]; f.Name == name {
			if f.Type == config.VLAN {
				return f.Parent, f.Index()
			}
			return name, 0
		}
	}
	if parent, index, ok := split(name); ok && slices.ContainsFunc(cfg.Interfaces, func(f config.Interface) bool { return f.Name == parent }) {
		return parent, index
	}
	return name, 0
}

// placer is whereIs for many, with the last answer kept.
type placer struct {
	cfg   *config.Config
	known map[string]tree.Path
}

func (p *placer) path(name string) tree.Path {
	at, ok := p.known[name]
	if !ok {
		at = logicalPath(whereIs(p.cfg, name))
		if p.known == nil {
			p.known = map[string]tree.Path{}
		}
		p.known[name] = at
	}
	return at
}

// only is the one interface of the data plane that can have what keys take; empty if there may be several.
func only(name, index string) string {
	switch {
	case name == "" || index == "":
		return ""
	case index == "0":
		return name
	}
	return name + "." + index
}

func (i *Interfaces) readAddresses(ctx context.Context, m tree.Pattern, name, index string, emit func(telemetry.Batch) error) error {
	p, want, now := placer{cfg: i.config()}, keyOf(m, "address", "ip"), time.Now()
	for a, err := range i.dp.Addresses(ctx, only(name, index)) {
		if gone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		at := p.path(a.GetInterface())
		if name != "" && at[1].Keys[0].Value != name {
			continue
		}
		o, ip := i.addressObject(at, a)
		if want != "" && want != ip {
			continue
		}
		if err := emitObject(o, now, emit); err != nil {
			return err
		}
	}
	return nil
}

func (i *Interfaces) readNeighbors(ctx context.Context, m tree.Pattern, name, index string, emit func(telemetry.Batch) error) error {
	p, want, now := placer{cfg: i.config()}, keyOf(m, "neighbor", "ip"), time.Now()
	for n, err := range i.dp.Neighbors(ctx, only(name, index)) {
		if gone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		at := p.path(n.GetInterface())
		if name != "" && at[1].Keys[0].Value != name {
			continue
		}
		if want != "" && want != ipText(n.GetAddress()) {
			continue
		}
		if err := emitObject(i.neighborObject(at, n, true), now, emit); err != nil {
			return err
		}
	}
	return nil
}
