package control

import (
	"context"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	pb "millrace/api/proto/dataplane/v1"
)

var (
	descTCPHealthy  = desc("tcp_listener_healthy", "Whether the listener takes connections and can serve them.", "listener")
	descTCPActive   = desc("tcp_listener_connections", "Connections of the listener now.", "listener", "state")
	descTCPAccepted = desc("tcp_listener_accepted_total", "Connections accepted.", "listener")
	descTCPRefused  = desc("tcp_listener_refused_total", "Connections refused, by what refused them.", "listener", "reason")
	descTCPCookies  = desc("tcp_listener_syn_cookies_total", "SYN cookies.", "listener", "result")
	descTCPOctets   = desc("tcp_listener_octets_total", "Payload of the listener's connections.", "listener", "direction")
	descTCPService  = desc("tcp_listener_service_total", "Counters of the listener's service.", "listener", "counter")

	descPoolHealthy  = desc("tcp_pool_healthy", "Whether enough backends of the pool are up.", "pool")
	descPoolBackends = desc("tcp_pool_backends", "Backends of the pool.", "pool", "state")
	descPoolActive   = desc("tcp_pool_connections", "Connections to backends of the pool now.", "pool")
	descPoolTotal    = desc("tcp_pool_connections_total", "Connections to backends of the pool.", "pool")
	descPoolFailed   = desc("tcp_pool_failures_total", "Attempts and connections that failed, by how.", "pool", "reason")
	descPoolOctets   = desc("tcp_pool_octets_total", "Payload from and to the backends of the pool.", "pool", "direction")

	descBackendUp     = desc("tcp_backend_up", "Whether the backend is up.", "pool", "backend")
	descBackendActive = desc("tcp_backend_connections", "Connections to the backend now.", "pool", "backend")
	descBackendTotal  = desc("tcp_backend_connections_total", "Connections to the backend.", "pool", "backend")
	descBackendFailed = desc("tcp_backend_connect_failures_total", "Connections to the backend that could not be made.", "pool", "backend")
	descBackendChecks = desc("tcp_backend_checks_total", "Health checks of the backend.", "pool", "backend", "result")
	descBackendOctets = desc("tcp_backend_octets_total", "Payload from and to the backend.", "pool", "backend", "direction")

	descTCPMIB      = desc("tcp_mib_total", "Counters of the TCP engines, by the names that vnfctl tcp statistics explains.", "counter")
	descTCPMIBGauge = desc("tcp_mib", "Those that go up and down.", "counter")
	descTCPUse      = desc("tcp_worker_entries", "Entries of the tables of a worker's TCP engine.", "worker", "table")
	descTCPMax      = desc("tcp_worker_entries_max", "Sizes of the tables of a worker's TCP engine.", "worker", "table")
	descTCPMemory   = desc("tcp_worker_memory_bytes", "Packet buffers that connections hold.", "worker")
	descTCPMemMax   = desc("tcp_worker_memory_limit_bytes", "Packet buffers that connections may hold.", "worker")
	descTCPPressure = desc("tcp_worker_memory_pressure", "0: none, 1: buffers grow no more, 2: new connections are refused.", "worker")
	descVIPAnnounce = desc("tcp_vip_announced", "Whether the virtual address is announced in BGP.", "vip")
)

// dashed is a name as operators see it.
func dashed(name string) string { return strings.ReplaceAll(name, "_", "-") }

// tcp tells what the TCP stack does. A data plane without one has nothing to tell.
func (m *collector) tcp(ctx context.Context, ch chan<- prometheus.Metric) error {
	m.vips(ch)
	for _, part := range []func(context.Context, chan<- prometheus.Metric) error{m.tcpListeners, m.tcpPools, m.tcpBackends, m.tcpEngines} {
		if err := part(ctx, ch); noTCP(err) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (m *collector) vips(ch chan<- prometheus.Metric) {
	cfg := m.c.Config()
	for i := range cfg.TCP.VIPs {
		if v := &cfg.TCP.VIPs[i]; v.Announce {
			gauge(ch, descVIPAnnounce, flag(m.c.AnnouncedVIPs(v.Instance())[hostPrefix(v.Address)]), v.Name)
		}
	}
}

func (m *collector) tcpListeners(ctx context.Context, ch chan<- prometheus.Metric) error {
	for l, err := range m.c.dp.TCPListeners(ctx, "") {
		if err != nil {
			return err
		}
		if l.GetDraining() {
			continue // its name may be another's by now
		}
		name := l.GetConfig().GetName()
		gauge(ch, descTCPHealthy, flag(l.GetHealthy()), name)
		gauge(ch, descTCPActive, l.GetActive(), name, "active")
		gauge(ch, descTCPActive, l.GetHalfOpen(), name, "half-open")
		counter(ch, descTCPAccepted, l.GetAccepted(), name)
		for _, r := range []struct {
			reason string
			n      uint64
		}{
			{"limit", l.GetRefusedLimit()}, {"rate", l.GetRefusedRate()}, {"source", l.GetRefusedSource()}, {"acl", l.GetRefusedAcl()},
			{"memory", l.GetRefusedMemory()}, {"service", l.GetRefusedService()},
		} {
			counter(ch, descTCPRefused, r.n, name, r.reason)
		}
		counter(ch, descTCPCookies, l.GetCookiesSent(), name, "sent")
		counter(ch, descTCPCookies, l.GetCookiesValid(), name, "valid")
		counter(ch, descTCPCookies, l.GetCookiesInvalid(), name, "invalid")
		counter(ch, descTCPOctets, l.GetBytesIn(), name, "in")
		counter(ch, descTCPOctets, l.GetBytesOut(), name, "out")
		for _, s := range l.GetService() {
			if !s.GetGauge() {
				counter(ch, descTCPService, s.GetValue(), name, dashed(s.GetName()))
			}
		}
	}
	return nil
}

func (m *collector) tcpPools(ctx context.Context, ch chan<- prometheus.Metric) error {
	for p, err := range m.c.dp.TCPPools(ctx, "") {
		if err != nil {
			return err
		}
		name := p.GetConfig().GetName()
		gauge(ch, descPoolHealthy, flag(p.GetHealthy()), name)
		gauge(ch, descPoolBackends, p.GetBackends(), name, "configured")
		gauge(ch, descPoolBackends, p.GetBackendsEnabled(), name, "enabled")
		gauge(ch, descPoolBackends, p.GetBackendsHealthy(), name, "up")
		gauge(ch, descPoolActive, p.GetActive(), name)
		counter(ch, descPoolTotal, p.GetConnections(), name)
		for _, r := range []struct {
			reason string
			n      uint64
		}{
			{"connect", p.GetConnectFailed()}, {"no-backend", p.GetNoBackend()}, {"full", p.GetFull()}, {"exhausted", p.GetExhausted()},
			{"drain", p.GetDrainAborts()},
		} {
			counter(ch, descPoolFailed, r.n, name, r.reason)
		}
		counter(ch, descPoolOctets, p.GetBytesIn(), name, "in")
		counter(ch, descPoolOctets, p.GetBytesOut(), name, "out")
	}
	return nil
}

func (m *collector) tcpBackends(ctx context.Context, ch chan<- prometheus.Metric) error {
	for b, err := range m.c.dp.TCPBackends(ctx, "") {
		if err != nil {
			return err
		}
		if b.GetDraining() {
			continue
		}
		pool, name := b.GetPool(), b.GetConfig().GetName()
		gauge(ch, descBackendUp, flag(b.GetHealth() == pb.TcpHealth_TCP_HEALTH_UP), pool, name)
		gauge(ch, descBackendActive, b.GetActive(), pool, name)
		counter(ch, descBackendTotal, b.GetConnections(), pool, name)
		counter(ch, descBackendFailed, b.GetConnectFailed(), pool, name)
		counter(ch, descBackendChecks, b.GetChecks()-min(b.GetChecks(), b.GetChecksFailed()), pool, name, "good")
		counter(ch, descBackendChecks, b.GetChecksFailed(), pool, name, "bad")
		counter(ch, descBackendOctets, b.GetBytesIn(), pool, name, "in")
		counter(ch, descBackendOctets, b.GetBytesOut(), pool, name, "out")
	}
	return nil
}

func (m *collector) tcpEngines(ctx context.Context, ch chan<- prometheus.Metric) error {
	for c, err := range m.c.dp.TCPCounters(ctx) {
		if err != nil {
			return err
		}
		if name := dashed(c.GetName()); c.GetGauge() {
			gauge(ch, descTCPMIBGauge, c.GetValue(), name)
		} else {
			counter(ch, descTCPMIB, c.GetValue(), name)
		}
	}
	for w, err := range m.c.dp.TCPWorkers(ctx) {
		if err != nil {
			return err
		}
		id := strconv.FormatUint(uint64(w.GetWorker()), 10)
		gauge(ch, descTCPUse, w.GetConnections(), id, "connections")
		gauge(ch, descTCPUse, w.GetTimeWait(), id, "time-wait")
		gauge(ch, descTCPUse, w.GetHalfOpen(), id, "half-open")
		gauge(ch, descTCPUse, w.GetSegments(), id, "segments")
		gauge(ch, descTCPMax, w.GetConnectionsMax(), id, "connections")
		gauge(ch, descTCPMax, w.GetTimeWaitMax(), id, "time-wait")
		gauge(ch, descTCPMemory, w.GetMemory(), id)
		gauge(ch, descTCPMemMax, w.GetMemoryLimit(), id)
		gauge(ch, descTCPPressure, w.GetPressure(), id)
	}
	return nil
}
