package control

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	pb "millrace/api/proto/dataplane/v1"
	"millrace/routing/bgp"
	"millrace/routing/rib"
)

// How long a scrape may ask the data plane and BGP.
const scrapePatience = 8 * time.Second

// NewRegistry returns the metrics of a running controller.
func NewRegistry(c *Controller) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &collector{c: c, log: c.log})
	return r
}

// collector reads everything when it is scraped. It is unchecked: which metrics there are depends on the data plane.
type collector struct {
	c   *Controller
	log *slog.Logger
}

// Describe implements prometheus.Collector.
func (*collector) Describe(chan<- *prometheus.Desc) {}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("millrace_"+name, help, labels, nil)
}

var (
	descUp = desc("dataplane_up", "Whether vnf is connected to the data plane.")

	descMemory  = desc("dataplane_memory_bytes", "Memory of DPDK.", "state")
	descMbufs   = desc("dataplane_mbufs", "Packet buffers.", "state")
	descObjects = desc("dataplane_objects", "Entries of the tables of the data plane.", "table")
	descLimits  = desc("dataplane_objects_max", "Sizes of the tables of the data plane.", "table")
	descUptime  = desc("dataplane_uptime_seconds", "Time since the start of the data plane.")

	descIfUp      = desc("interface_up", "Whether the interface can carry traffic.", "interface")
	descIfPackets = desc("interface_packets_total", "Packets of the interface.", "interface", "direction")
	descIfOctets  = desc("interface_octets_total", "Octets of Ethernet frames without FCS.", "interface", "direction")
	descIfErrors  = desc("interface_errors_total", "Packets lost, by what lost them.", "interface", "direction", "kind")
	descIfPunted  = desc("interface_punted_total", "Packets handed to the kernel.", "interface")

	descDrops      = desc("drops_total", "Packets dropped by the data plane.", "reason")
	descNode       = desc("node_packets_total", "Packets seen by a node of the graph.", "node")
	descNodeCalls  = desc("node_calls_total", "Calls of a node of the graph.", "node")
	descNodeCycles = desc("node_cycles_total", "TSC cycles spent in a node of the graph.", "node")
	descWorker     = desc("worker_cycles_total", "TSC cycles of a worker.", "worker", "state")
	descFibRoutes  = desc("dataplane_routes", "Routes in the tables of the data plane.", "instance", "family")

	descRibPrefixes   = desc("rib_prefixes", "Prefixes in the RIB.")
	descRibCandidates = desc("rib_candidates", "Routes offered to the RIB.", "source")
	descRibGroups     = desc("rib_groups", "Distinct sets of next hops.")
	descFib           = desc("fib_routes", "Routes by how far they are in the FIB.", "state")

	descPeerUp       = desc("bgp_neighbor_up", "Whether the session is established.", "instance", "neighbor")
	descPeerPrefixes = desc("bgp_neighbor_prefixes", "Prefixes received.", "instance", "neighbor", "family", "state")
	descPeerMessages = desc("bgp_neighbor_messages_total", "Messages of the session.", "instance", "neighbor", "direction")
	descPeerFlaps    = desc("bgp_neighbor_flaps_total", "How often the session went down.", "instance", "neighbor")
	descAlarms       = desc("alarms", "Alarms that are raised.")
)

func gauge[T int | uint32 | uint64 | float64](ch chan<- prometheus.Metric, d *prometheus.Desc, v T, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
}

func counter[T uint32 | uint64](ch chan<- prometheus.Metric, d *prometheus.Desc, v T, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Collect implements prometheus.Collector.
func (m *collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapePatience)
	defer cancel()
	gauge(ch, descUp, flag(m.c.dp.Connected()))
	gauge(ch, descAlarms, len(m.c.Alarms()))
	m.routes(ch)
	m.bgp(ctx, ch)
	if !m.c.dp.Connected() {
		return
	}
	for _, part := range []func(context.Context, chan<- prometheus.Metric) error{m.info, m.interfaces, m.graph, m.tables, m.tcp} {
		if err := part(ctx, ch); err != nil {
			m.log.Warn("metrics of the data plane", "error", err)
			return
		}
	}
}

func (m *collector) routes(ch chan<- prometheus.Metric) {
	s := m.c.rib.Stats()
	gauge(ch, descRibPrefixes, s.Prefixes)
	gauge(ch, descRibGroups, s.Groups)
	for _, src := range []rib.Source{rib.SourceConnected, rib.SourceStatic, rib.SourceAPI, rib.SourceBGP, rib.SourceGRIBI} {
		gauge(ch, descRibCandidates, s.Candidates[src], src.String())
	}
	f := m.c.rib.Feed().Stats()
	gauge(ch, descFib, f.Programmed, "programmed")
	gauge(ch, descFib, f.Pending, "pending")
	gauge(ch, descFib, f.InFlight, "in-flight")
	gauge(ch, descFib, f.Failed, "failed")
}

func (m *collector) bgp(ctx context.Context, ch chan<- prometheus.Metric) {
	for _, name := range m.c.bgpInstances() {
		s, ok := m.c.Speaker(name)
		if !ok {
			continue
		}
		list, err := s.Neighbors(ctx, noAddr, false)
		if err != nil {
			m.log.Warn("metrics of BGP", "instance", name, "error", err)
			continue
		}
		for _, n := range list {
			a := n.Address.String()
			gauge(ch, descPeerUp, flag(n.State == bgp.Established), name, a)
			counter(ch, descPeerMessages, n.Received.Total, name, a, "in")
			counter(ch, descPeerMessages, n.Sent.Total, name, a, "out")
			counter(ch, descPeerFlaps, n.Flaps, name, a)
			for _, f := range n.Families {
				gauge(ch, descPeerPrefixes, f.Received, name, a, f.Family.String(), "received")
				gauge(ch, descPeerPrefixes, f.Accepted, name, a, f.Family.String(), "accepted")
			}
		}
	}
}

func (m *collector) info(ctx context.Context, ch chan<- prometheus.Metric) error {
	i, err := m.c.dp.Info(ctx)
	if err != nil {
		return err
	}
	gauge(ch, descUptime, float64(i.GetUptimeNs())/1e9)
	gauge(ch, descMemory, i.GetMemoryUsed(), "used")
	gauge(ch, descMemory, i.GetMemoryTotal(), "total")
	gauge(ch, descMbufs, i.GetMbufsUsed(), "used")
	gauge(ch, descMbufs, i.GetMbufsTotal(), "total")
	gauge(ch, descObjects, i.GetNeighbors(), "neighbors")
	gauge(ch, descObjects, i.GetNextHops(), "next-hops")
	gauge(ch, descObjects, i.GetGroups(), "groups")
	gauge(ch, descLimits, i.GetNextHopsMax(), "next-hops")
	gauge(ch, descLimits, i.GetGroupsMax(), "groups")
	return nil
}

func (m *collector) interfaces(ctx context.Context, ch chan<- prometheus.Metric) error {
	for i, err := range m.c.dp.Interfaces(ctx, "") {
		if err != nil {
			return err
		}
		name, n := i.GetConfig().GetName(), i.GetCounters()
		gauge(ch, descIfUp, flag(i.GetOperStatus() == pb.OperStatus_OPER_STATUS_UP), name)
		counter(ch, descIfPackets, n.GetRxPackets(), name, "in")
		counter(ch, descIfPackets, n.GetTxPackets(), name, "out")
		counter(ch, descIfOctets, n.GetRxOctets(), name, "in")
		counter(ch, descIfOctets, n.GetTxOctets(), name, "out")
		counter(ch, descIfErrors, n.GetRxErrors(), name, "in", "errors")
		counter(ch, descIfErrors, n.GetRxMissed(), name, "in", "missed")
		counter(ch, descIfErrors, n.GetRxDiscards(), name, "in", "discards")
		counter(ch, descIfErrors, n.GetTxErrors(), name, "out", "errors")
		counter(ch, descIfErrors, n.GetTxDiscards(), name, "out", "discards")
		counter(ch, descIfPunted, n.GetPunted(), name)
	}
	return nil
}
