package state

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"time"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/server/config"
	"millrace/server/telemetry"
	"millrace/yang/tree"
)

func (t *TCP) listeners(ctx context.Context, k *tcpSink) error {
	name := k.only("listener", "name")
	drained := k.wants("/" + tcpTop + "/draining-listeners")
	if drained && !k.status {
		name = "" // what drains may have had any name
	}
	there := map[string]*dpb.TcpListenerState{}
	lost, err := tcpEach(t.o.Dataplane.TCPListeners(ctx, name), func(st *dpb.TcpListenerState) error {
		if !st.GetDraining() {
			there[st.GetConfig().GetName()] = st
			return nil
		}
		if !drained || k.status {
			return nil
		}
		return k.draining(st)
	})
	if err != nil {
		return err
	}
	if !k.wants("/" + tcpTop + "/listeners") {
		return nil
	}
	why := t.o.Refused()
	cfg := t.o.Config()
	for i := range cfg.TCP.Listeners {
		l := &cfg.TCP.Listeners[i]
		if name != "" && name != l.Name {
			continue
		}
		if err := t.listener(k, l, there[l.Name], why, lost); err != nil {
			return err
		}
	}
	return nil
}

// listenerStatus is whether a listener serves, and why it does not.
func listenerStatus(l *config.TCPListener, st *dpb.TcpListenerState, why map[string]string, lost string) (status, reason string) {
	switch {
	case !l.On():
		return "DISABLED", "switched off"
	case st == nil && why["tcp.listeners["+l.Name+"]"] != "":
		return "DOWN", why["tcp.listeners["+l.Name+"]"]
	case st == nil && lost != "":
		return "DOWN", lost
	case st == nil:
		return "DOWN", "the data plane does not have it"
	case !st.GetHealthy() && l.Proxy != nil:
		return "DOWN", "no pool of it is healthy"
	case !st.GetHealthy():
		return "DOWN", "the data plane says that it cannot serve"
	}
	return "UP", ""
}

func (t *TCP) listener(k *tcpSink, l *config.TCPListener, st *dpb.TcpListenerState, why map[string]string, lost string) error {
	p := tcpEntry(tcpRoot(), "listeners/listener", "name", l.Name)
	status, reason := listenerStatus(l, st, why, lost)
	at := t.changed(p, status, k.at)
	o := k.object(p).Set("state/oper-status", status).Set("state/oper-status-reason", nonZero(reason)).Set("state/last-change", tcpNanos(at))
	if st != nil {
		o.Set("state/id", st.GetId())
	}
	if err := k.tell(o, at); err != nil || st == nil || k.status {
		return err
	}
	now := time.Now()
	if err := k.tell(setTCPUse(k.object(p), st), now); err != nil {
		return err
	}
	for _, n := range st.GetService() {
		to := p.Name("service-counters").With(tree.Elem{
			Name: "service-counter", Keys: []tree.Key{{Name: "name", Value: tcpName(n.GetName())}},
		})
		if err := k.tell(setTCPCounter(k.object(to), n), now); err != nil {
			return err
		}
	}
	return nil
}

// setTCPUse sets what is counted of a listener.
func setTCPUse(o *telemetry.Object, st *dpb.TcpListenerState) *telemetry.Object {
	refused := st.GetRefusedLimit() + st.GetRefusedRate() + st.GetRefusedSource() + st.GetRefusedAcl() + st.GetRefusedMemory() +
		st.GetRefusedService()
	return o.Set("state/active-connections", st.GetActive()).
		Set("state/half-open-connections", st.GetHalfOpen()).
		Set("state/counters/accepted", st.GetAccepted()).
		Set("state/counters/closed", st.GetClosed()).
		Set("state/counters/refused", refused).
		Set("state/counters/refused-limit", st.GetRefusedLimit()).
		Set("state/counters/refused-rate", st.GetRefusedRate()).
		Set("state/counters/refused-source", st.GetRefusedSource()).
		Set("state/counters/refused-prefix", st.GetRefusedAcl()).
		Set("state/counters/refused-memory", st.GetRefusedMemory()).
		Set("state/counters/refused-service", st.GetRefusedService()).
		Set("state/counters/syn-cookies-sent", st.GetCookiesSent()).
		Set("state/counters/syn-cookies-valid", st.GetCookiesValid()).
		Set("state/counters/syn-cookies-invalid", st.GetCookiesInvalid()).
		Set("state/counters/fast-open-accepted", st.GetFastOpenAccepted()).
		Set("state/counters/fast-open-cookie-invalid", st.GetFastOpenCookieInvalid()).
		Set("state/counters/in-octets", st.GetBytesIn()).
		Set("state/counters/out-octets", st.GetBytesOut())
}

// draining tells a listener that was deleted.
func (k *tcpSink) draining(st *dpb.TcpListenerState) error {
	id := strconv.FormatUint(uint64(st.GetId()), 10)
	if only := k.only("draining-listener", "id"); only != "" && only != id {
		return nil
	}
	c := st.GetConfig()
	instance := c.GetVrf()
	if instance == "" {
		instance = config.DefaultInstance
	}
	var addr any
	if a, ok := netip.AddrFromSlice(c.GetAddress()); ok {
		addr = a
	}
	o := k.object(tcpEntry(tcpRoot(), "draining-listeners/draining-listener", "id", id)).
		Set("id", st.GetId()).
		Set("state/id", st.GetId()).
		Set("state/name", c.GetName()).
		Set("state/network-instance", instance).
		Set("state/address", addr).
		Set("state/port", c.GetPort()).
		Set("state/service", strings.TrimPrefix(c.GetService().String(), "TCP_SERVICE_KIND_"))
	return k.tell(setTCPUse(o, st), time.Now())
}
