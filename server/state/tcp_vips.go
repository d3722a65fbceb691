package state

import (
	"context"
	"net/netip"
	"slices"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/server/config"
)

// tcpPlace is an address of an interface.
type tcpPlace struct {
	iface string
	addr  netip.Addr
}

func (t *TCP) vips(ctx context.Context, k *tcpSink) error {
	cfg := t.o.Config()
	name := k.only("virtual-address", "name")
	if len(cfg.TCP.VIPs) == 0 {
		return nil
	}
	there := map[tcpPlace]dpb.DadState{}
	lost, err := tcpEach(t.o.Dataplane.Addresses(ctx, ""), func(a *dpb.AddressState) error {
		if addr, ok := netip.AddrFromSlice(a.GetAddress()); ok {
			there[tcpPlace{a.GetInterface(), addr}] = a.GetDad()
		}
		return nil
	})
	if err != nil {
		return err
	}
	healthy := map[string]bool{}
	if _, err := tcpEach(t.o.Dataplane.TCPListeners(ctx, ""), func(l *dpb.TcpListenerState) error {
		healthy[l.GetConfig().GetName()] = healthy[l.GetConfig().GetName()] || l.GetHealthy() && !l.GetDraining()
		return nil
	}); err != nil {
		return err
	}
	announced := map[string]map[netip.Prefix]bool{}
	for i := range cfg.TCP.VIPs {
		v := &cfg.TCP.VIPs[i]
		if name != "" && name != v.Name {
			continue
		}
		if _, known := announced[v.Instance()]; !known && v.Announce {
			announced[v.Instance()] = t.o.Announced(v.Instance())
		}
		if err := t.vip(k, cfg, v, there, healthy, announced[v.Instance()], lost); err != nil {
			return err
		}
	}
	return nil
}

func (t *TCP) vip(k *tcpSink, cfg *config.Config, v *config.VIP, there map[tcpPlace]dpb.DadState, healthy map[string]bool,
	announced map[netip.Prefix]bool, lost string) error {
	iface := cfg.VIPInterface(v)
	dad, present := there[tcpPlace{iface, v.Address}]
	var listeners []string
	serves := false
	for _, l := range cfg.VIPListeners(v) {
		if listeners = append(listeners, l.Name); healthy[l.Name] {
			serves = true
		}
	}
	slices.Sort(listeners)
	status, reason := "UP", ""
	switch {
	case lost != "":
		status, reason = "DOWN", lost
	case !present:
		if status, reason = "DOWN", t.o.Refused()["tcp.vips["+v.Name+"]"]; reason == "" {
			reason = "the data plane does not have it"
		}
	case len(listeners) == 0:
		status, reason = "DOWN", "there is no listener on it"
	case !serves:
		status, reason = "DOWN", "no listener on it is healthy"
	}
	p := tcpEntry(tcpRoot(), "virtual-addresses/virtual-address", "name", v.Name)
	at := t.changed(p, status, k.at)
	o := k.object(p).
		Set("state/oper-status", status).
		Set("state/oper-status-reason", nonZero(reason)).
		Set("state/last-change", tcpNanos(at)).
		Set("state/present", present).
		Set("state/duplicate", dad == dpb.DadState_DAD_STATE_DUPLICATE).
		Set("state/announced", v.Announce && announced[netip.PrefixFrom(v.Address, v.Address.BitLen())])
	if len(listeners) > 0 {
		o.Set("state/listener", listeners)
	}
	if i := slices.IndexFunc(cfg.Interfaces, func(f config.Interface) bool { return f.Name == iface }); i >= 0 {
		f := &cfg.Interfaces[i]
		if f.Type == config.VLAN {
			iface = f.Parent
		}
		o.Set("state/interface", iface).Set("state/subinterface", f.Index())
	}
	return k.tell(o, at)
}
