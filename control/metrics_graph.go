package control

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

var noAddr netip.Addr

// bgpInstances names the instances that have a speaker.
func (c *Controller) bgpInstances() []string {
	c.bgpMu.Lock()
	defer c.bgpMu.Unlock()
	return slices.Sorted(maps.Keys(c.bgp))
}

func (m *collector) graph(ctx context.Context, ch chan<- prometheus.Metric) error {
	for d, err := range m.c.dp.Drops(ctx) {
		if err != nil {
			return err
		}
		counter(ch, descDrops, d.GetPackets(), d.GetReason())
	}
	for n, err := range m.c.dp.Nodes(ctx) {
		if err != nil {
			return err
		}
		counter(ch, descNode, n.GetPackets(), n.GetName())
		counter(ch, descNodeCalls, n.GetCalls(), n.GetName())
		counter(ch, descNodeCycles, n.GetCycles(), n.GetName())
	}
	for w, err := range m.c.dp.Workers(ctx) {
		if err != nil {
			return err
		}
		id := strconv.FormatUint(uint64(w.GetId()), 10)
		counter(ch, descWorker, w.GetBusyCycles(), id, "busy")
		counter(ch, descWorker, w.GetIdleCycles(), id, "idle")
		counter(ch, descWorker, w.GetSleepCycles(), id, "sleep")
	}
	return nil
}

func (m *collector) tables(ctx context.Context, ch chan<- prometheus.Metric) error {
	for v, err := range m.c.dp.Vrfs(ctx) {
		if err != nil {
			return err
		}
		gauge(ch, descFibRoutes, v.GetIp4Routes(), v.GetName(), "ipv4")
		gauge(ch, descFibRoutes, v.GetIp6Routes(), v.GetName(), "ipv6")
	}
	return nil
}
