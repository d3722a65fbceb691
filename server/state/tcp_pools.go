package state

import (
	"context"
	"fmt"
	"time"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/server/config"
	"millrace/yang/tree"
)

type backendKey struct{ pool, name string }

func (t *TCP) pools(ctx context.Context, k *tcpSink) error {
	name, backend := k.only("pool", "name"), k.only("backend", "name")
	cfg := t.o.Config()
	why := t.o.Refused()
	configured := map[backendKey]bool{} // and not yet seen: true
	for i := range cfg.TCP.Pools {
		if p := &cfg.TCP.Pools[i]; name == "" || name == p.Name {
			for j := range p.Backends {
				configured[backendKey{p.Name, p.Backends[j].Name}] = true
			}
		}
	}
	unknown := map[string]bool{} // pools whose first checks are under way
	lost, err := tcpEach(t.o.Dataplane.TCPBackends(ctx, name), func(b *dpb.TcpBackendState) error {
		key := backendKey{b.GetPool(), b.GetConfig().GetName()}
		_, known := configured[key]
		if b.GetDraining() && known {
			return nil // its name is another's now
		}
		if known {
			configured[key] = false
		}
		if b.GetHealth() == dpb.TcpHealth_TCP_HEALTH_UNKNOWN && b.GetConfig().GetAdmin() != dpb.TcpBackendAdmin_TCP_BACKEND_ADMIN_DISABLED {
			unknown[b.GetPool()] = true
		}
		if backend != "" && backend != key.name {
			return nil
		}
		return t.backend(k, b)
	})
	if err != nil {
		return err
	}
	there := map[string]*dpb.TcpPoolState{}
	if _, err := tcpEach(t.o.Dataplane.TCPPools(ctx, name), func(p *dpb.TcpPoolState) error {
		there[p.GetConfig().GetName()] = p
		return nil
	}); err != nil {
		return err
	}
	for i := range cfg.TCP.Pools {
		p := &cfg.TCP.Pools[i]
		if name != "" && name != p.Name {
			continue
		}
		reason := why["tcp.pools["+p.Name+"]"]
		if reason == "" {
			reason = lost
		}
		if err := t.pool(k, p, there[p.Name], unknown[p.Name], reason); err != nil {
			return err
		}
		for j := range p.Backends {
			b := &p.Backends[j]
			if !configured[backendKey{p.Name, b.Name}] || backend != "" && backend != b.Name {
				continue
			}
			if err := t.noBackend(k, p.Name, b.Name, reason); err != nil {
				return err
			}
		}
	}
	return nil
}

func poolPath(name string) tree.Path { return tcpEntry(tcpRoot(), "pools/pool", "name", name) }

// tcpTime is a time of the data plane's; zero if there is none.
func tcpTime(n uint64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(n))
}

// clockSlack is how far the data plane's time of one change may differ between two answers: it keeps another clock, and turns that
// into the time of day for each.
const clockSlack = 50 * time.Millisecond

// statusOf is since when an object has a status: at is what the data plane says, zero if only its first being seen does.
func (t *TCP) statusOf(p tree.Path, status string, at time.Time, k *tcpSink) time.Time {
	if at.IsZero() {
		return t.changed(p, status, k.at)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	id := p.String()
	if s := t.since[id]; s.status == status && at.Sub(s.at).Abs() < clockSlack {
		return s.at
	}
	t.since[id] = tcpSince{status, at}
	return at
}

func (t *TCP) pool(k *tcpSink, c *config.TCPPool, st *dpb.TcpPoolState, unknown bool, lost string) error {
	p := poolPath(c.Name)
	status, reason := "UP", ""
	switch {
	case st == nil:
		if status, reason = "DOWN", lost; lost == "" {
			reason = "the data plane does not have it"
		}
	case st.GetHealthy():
	case unknown:
		status, reason = "UNKNOWN", "first checks are under way"
	default:
		status, reason = "DOWN", fmt.Sprintf("%d of %d backends are up, %d are needed", st.GetBackendsHealthy(), st.GetBackends(), max(1, c.MinHealthy))
	}
	at := t.statusOf(p, status, tcpTime(st.GetLastChange()), k)
	o := k.object(p).Set("state/oper-status", status).Set("state/oper-status-reason", nonZero(reason)).Set("state/last-change", tcpNanos(at))
	if st == nil {
		return k.tell(o.Set("state/backends-configured", len(c.Backends)), at)
	}
	o.Set("state/backends-configured", st.GetBackends()).
		Set("state/backends-enabled", st.GetBackendsEnabled()).
		Set("state/backends-up", st.GetBackendsHealthy())
	if err := k.tell(o, at); err != nil || k.status {
		return err
	}
	return k.tell(k.object(p).
		Set("state/active-connections", st.GetActive()).
		Set("state/counters/connections", st.GetConnections()).
		Set("state/counters/connect-failures", st.GetConnectFailed()).
		Set("state/counters/retries", st.GetRetries()).
		Set("state/counters/no-backend", st.GetNoBackend()).
		Set("state/counters/full", st.GetFull()).
		Set("state/counters/exhausted", st.GetExhausted()).
		Set("state/counters/drain-aborts", st.GetDrainAborts()).
		Set("state/counters/in-octets", st.GetBytesIn()).
		Set("state/counters/out-octets", st.GetBytesOut()), time.Now())
}

func backendPath(pool, name string) tree.Path {
	return tcpEntry(poolPath(pool), "backends/backend", "name", name)
}

func (t *TCP) backend(k *tcpSink, b *dpb.TcpBackendState) error {
	p := backendPath(b.GetPool(), b.GetConfig().GetName())
	status, reason := "UNKNOWN", b.GetReason()
	switch b.GetHealth() {
	case dpb.TcpHealth_TCP_HEALTH_UP:
		status, reason = "UP", "" // the reason is of the last check that failed
	case dpb.TcpHealth_TCP_HEALTH_DOWN:
		status = "DOWN"
	}
	at := t.statusOf(p, status, tcpTime(b.GetLastChange()), k)
	err := k.tell(k.object(p).
		Set("state/oper-status", status).
		Set("state/oper-status-reason", nonZero(reason)).
		Set("state/last-change", tcpNanos(at)).
		Set("state/draining", b.GetDraining()), at)
	if err != nil || k.status {
		return err
	}
	o := k.object(p).
		Set("state/effective-weight", b.GetEffectiveWeight()).
		Set("state/active-connections", b.GetActive()).
		Set("state/counters/connections", b.GetConnections()).
		Set("state/counters/connect-failures", b.GetConnectFailed()).
		Set("state/counters/checks", b.GetChecks()).
		Set("state/counters/check-failures", b.GetChecksFailed()).
		Set("state/counters/in-octets", b.GetBytesIn()).
		Set("state/counters/out-octets", b.GetBytesOut())
	if b.GetCheckTime() != 0 {
		o.Set("state/check-time", b.GetCheckTime())
	}
	return k.tell(o, time.Now())
}

// noBackend tells a backend that is configured and not there.
func (t *TCP) noBackend(k *tcpSink, pool, name, lost string) error {
	if lost == "" {
		lost = "the data plane does not have it"
	}
	p := backendPath(pool, name)
	at := t.changed(p, "UNKNOWN", k.at)
	return k.tell(k.object(p).
		Set("state/oper-status", "UNKNOWN").
		Set("state/oper-status-reason", lost).
		Set("state/last-change", tcpNanos(at)).
		Set("state/draining", false), at)
}
