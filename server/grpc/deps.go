package grpcserver

import (
	"context"
	"iter"
	"net/netip"
	"time"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client"
	"millrace/routing/bgp"
	"millrace/routing/fib"
	"millrace/routing/rib"
)

// Dataplane is what the services ask of the data plane; *client.Client is one.
type Dataplane interface {
	Connected() bool
	Info(ctx context.Context) (*dpb.Info, error)
	Page(ctx context.Context, l *dpb.List) (*dpb.ListResult, error)
	Interfaces(ctx context.Context, name string) iter.Seq2[*dpb.InterfaceState, error]
	Addresses(ctx context.Context, iface string) iter.Seq2[*dpb.AddressState, error]
	Neighbors(ctx context.Context, iface string) iter.Seq2[*dpb.NeighborState, error]
	Vrfs(ctx context.Context) iter.Seq2[*dpb.VrfState, error]
	Workers(ctx context.Context) iter.Seq2[*dpb.WorkerState, error]
	Nodes(ctx context.Context) iter.Seq2[*dpb.NodeState, error]
	Drops(ctx context.Context) iter.Seq2[*dpb.DropState, error]
	XStats(ctx context.Context, iface string) iter.Seq2[*dpb.XStat, error]
	Lookup(ctx context.Context, l *dpb.Lookup) (*dpb.LookupResult, error)
	Ping(ctx context.Context, p *dpb.Ping) (*dpb.PingResult, error)
	FlushNeighbors(ctx context.Context, f *dpb.NeighborFlush) (uint64, error)
	ClearCounters(ctx context.Context, iface string) error
	TCPListeners(ctx context.Context, name string) iter.Seq2[*dpb.TcpListenerState, error]
	TCPPools(ctx context.Context, name string) iter.Seq2[*dpb.TcpPoolState, error]
	TCPBackends(ctx context.Context, pool string) iter.Seq2[*dpb.TcpBackendState, error]
	TCPCounters(ctx context.Context) iter.Seq2[*dpb.TcpCounter, error]
	TCPWorkers(ctx context.Context) iter.Seq2[*dpb.TcpWorkerState, error]
	KillTCP(ctx context.Context, f *dpb.TcpFilter, all bool) (uint64, error)
	Subscribe(ctx context.Context) (*client.Stream, error)
	Trace(ctx context.Context, t *dpb.Trace) (*client.Stream, error)
	Capture(ctx context.Context, p *dpb.Capture) (*client.Stream, error)
}

// Severity of an alarm.
type Severity uint8

// The severities.
const (
	Warning Severity = iota + 1
	Minor
	Major
	Critical
)

// Alarm is something that is wrong now.
type Alarm struct {
	// ID stays the same while the fault lasts.
	ID       string
	Severity Severity
	// Resource is what it is about: "interface eth1", "network-instance default".
	Resource string
	// Text is for people.
	Text  string
	Since time.Time
}

// Alarms lists what is wrong now. An alarm whose resource is "interface NAME" is shown as the reason why that interface is not
// present.
type Alarms interface {
	Alarms() []Alarm
}

// VIPs tells which virtual addresses are announced.
type VIPs interface {
	// AnnouncedVIPs are the prefixes of virtual addresses that BGP announces in an instance.
	AnnouncedVIPs(instance string) map[netip.Prefix]bool
}

// RIB is what the services ask of the routing information base; *rib.RIB is one.
type RIB interface {
	List(f rib.Filter, cur rib.Cursor, limit int) ([]rib.RouteInfo, rib.Cursor, error)
	Get(vrf string, p netip.Prefix) (rib.RouteInfo, error)
	Lookup(vrf string, a netip.Addr) (rib.Explanation, error)
	Watch(ctx context.Context, f rib.Filter) (*rib.Watcher, error)
	Apply(changes []rib.Change) []error
	VRFs() []string
	Stats() rib.Stats
}

// FIB tells what became of the routes that the data plane was given; *fib.Programmer is one.
type FIB interface {
	Stats() fib.Stats
	Failures(cursor uint32, limit int) ([]fib.Failure, uint32)
}

// Speaker is what the services ask of a network instance's BGP; *bgp.Speaker is one.
type Speaker interface {
	Neighbors(ctx context.Context, address netip.Addr, advertised bool) ([]bgp.NeighborState, error)
	Events(ctx context.Context) <-chan bgp.NeighborEvent
	Reset(ctx context.Context, a netip.Addr, message string) error
	SoftReset(ctx context.Context, a netip.Addr, d bgp.Direction) error
	Enable(ctx context.Context, a netip.Addr) error
	Disable(ctx context.Context, a netip.Addr, message string) error
	Received(ctx context.Context, n netip.Addr, f bgp.Family, cursor netip.Prefix, limit int) (bgp.Page, error)
	Accepted(ctx context.Context, n netip.Addr, f bgp.Family, cursor netip.Prefix, limit int) (bgp.Page, error)
	Advertised(ctx context.Context, n netip.Addr, f bgp.Family, cursor netip.Prefix, limit int) (bgp.Page, error)
}
