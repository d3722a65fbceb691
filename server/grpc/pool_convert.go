package grpcserver

import (
	"fmt"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/server/config"
)

func poolConfigOut(p *config.TCPPool) *vnfv1.TcpPoolConfig {
	h, pc := &p.HealthCheck, &p.PassiveCheck
	o := &vnfv1.TcpPoolConfig{
		Name: p.Name, Description: p.Description, Algorithm: vnfv1.TcpAlgorithm(wordNumber(p.Algorithm)),
		HashKey: vnfv1.TcpHashKey(wordNumber(p.HashKey)), MaglevSize: p.MaglevSize, HashSeed: p.HashSeed, SlowStart: spanOut(p.SlowStart),
		MaxConnections: p.MaxConnections, MinHealthy: p.MinHealthy, SourceMode: vnfv1.TcpSourceMode(wordNumber(p.SourceMode)),
		Options: tcpOptionsOut(&p.Options),
	}
	if *h != (config.HealthCheck{}) {
		o.HealthCheck = &vnfv1.TcpHealthCheck{
			Kind: vnfv1.TcpHealthCheckKind(wordNumber(h.Type)), Interval: spanOut(h.Interval), Timeout: spanOut(h.Timeout),
			Rise: uint32(h.Rise), Fall: uint32(h.Fall), Port: uint32(h.Port), Path: h.Path, Host: h.Host, StatusMin: uint32(h.StatusMin),
			StatusMax: uint32(h.StatusMax), Method: string(h.Method), ProxyProtocol: vnfv1.TcpProxyProtocol(wordNumber(h.ProxyProtocol)),
		}
	}
	if *pc != (config.PassiveCheck{}) {
		o.PassiveCheck = &vnfv1.TcpPassiveCheck{Enabled: pc.Enabled, Fall: pc.Fall, Time: spanOut(pc.Time)}
	}
	for _, a := range p.SourceAddresses {
		o.SourceAddresses = append(o.SourceAddresses, a.String())
	}
	for i := range p.Backends {
		o.Backends = append(o.Backends, backendConfigOut(&p.Backends[i]))
	}
	return o
}

func backendConfigOut(b *config.TCPBackend) *vnfv1.TcpBackendConfig {
	return &vnfv1.TcpBackendConfig{
		Name: b.Name, Address: b.Address.String(), Port: uint32(b.Port), NetworkInstance: b.Instance(), Weight: uint32(b.Weight),
		Admin: vnfv1.TcpBackendAdmin(wordNumber(b.Admin)), MaxConnections: b.MaxConnections, DrainTimeout: spanOut(b.DrainTimeout),
	}
}

func backendConfigIn(c *checks, field string, m *vnfv1.TcpBackendConfig) config.TCPBackend {
	if m == nil {
		c.addf(field, "is missing")
		return config.TCPBackend{}
	}
	at := func(name string) string { return field + "." + name }
	if m.GetName() == "" {
		c.addf(at("name"), "is empty")
	}
	return config.TCPBackend{
		Name: m.GetName(), Address: addrField(c, at("address"), m.GetAddress()), Port: number[uint16](c, at("port"), m.GetPort()),
		NetworkInstance: instanceIn(m.GetNetworkInstance()), Weight: number[uint8](c, at("weight"), m.GetWeight()),
		Admin: wordOf[config.BackendAdmin](c, at("admin"), m.GetAdmin(), 0), MaxConnections: m.GetMaxConnections(),
		DrainTimeout: spanIn(c, at("drain_timeout"), m.GetDrainTimeout()),
	}
}

// poolConfigIn reads what needs parsing; the rules between the fields are config's.
func poolConfigIn(c *checks, field string, m *vnfv1.TcpPoolConfig) config.TCPPool {
	if m == nil {
		c.addf(field, "is missing")
		return config.TCPPool{}
	}
	at := func(name string) string { return field + "." + name }
	p := config.TCPPool{
		Name: m.GetName(), Description: m.GetDescription(), Algorithm: wordOf[config.TCPAlgorithm](c, at("algorithm"), m.GetAlgorithm(), 0),
		HashKey: wordOf[config.HashKey](c, at("hash_key"), m.GetHashKey(), 0), MaglevSize: m.GetMaglevSize(), HashSeed: m.GetHashSeed(),
		SlowStart: spanIn(c, at("slow_start"), m.GetSlowStart()), MaxConnections: m.GetMaxConnections(), MinHealthy: m.GetMinHealthy(),
		SourceMode: wordOf[config.SourceMode](c, at("source_mode"), m.GetSourceMode(), 0),
		Options:    tcpOptionsIn(c, at("options"), m.GetOptions()),
	}
	if m.GetName() == "" {
		c.addf(at("name"), "is empty")
	}
	if h := m.GetHealthCheck(); h != nil {
		hc := func(name string) string { return at("health_check." + name) }
		p.HealthCheck = config.HealthCheck{
			Type: wordOf[config.HealthCheckType](c, hc("kind"), h.GetKind(), 0), Interval: spanIn(c, hc("interval"), h.GetInterval()),
			Timeout: spanIn(c, hc("timeout"), h.GetTimeout()), Rise: number[uint8](c, hc("rise"), h.GetRise()),
			Fall: number[uint8](c, hc("fall"), h.GetFall()), Port: number[uint16](c, hc("port"), h.GetPort()),
			Method: config.CheckMethod(h.GetMethod()), Path: h.GetPath(), Host: h.GetHost(),
			StatusMin: number[uint16](c, hc("status_min"), h.GetStatusMin()), StatusMax: number[uint16](c, hc("status_max"), h.GetStatusMax()),
			ProxyProtocol: wordOf[config.ProxyProtocol](c, hc("proxy_protocol"), h.GetProxyProtocol(), 0),
		}
	}
	if pc := m.GetPassiveCheck(); pc != nil {
		p.PassiveCheck = config.PassiveCheck{Enabled: pc.Enabled, Fall: pc.GetFall(), Time: spanIn(c, at("passive_check.time"), pc.GetTime())}
	}
	for i, a := range m.GetSourceAddresses() {
		p.SourceAddresses = append(p.SourceAddresses, addrField(c, fmt.Sprintf("%s[%d]", at("source_addresses"), i), a))
	}
	for i, b := range m.GetBackends() {
		p.Backends = append(p.Backends, backendConfigIn(c, fmt.Sprintf("%s[%d]", at("backends"), i), b))
	}
	return p
}

// backendConfigOfState shows a backend that is not in the configuration any more.
func backendConfigOfState(b *dpb.TcpBackend) *vnfv1.TcpBackendConfig {
	return &vnfv1.TcpBackendConfig{
		Name: b.GetName(), Address: addrString(b.GetAddress()), Port: b.GetPort(), NetworkInstance: instanceName(b.GetVrf()),
		Weight: b.GetWeight(), Admin: vnfv1.TcpBackendAdmin(b.GetAdmin()), MaxConnections: b.GetMaxConnections(),
	}
}

func backendStateOut(s *dpb.TcpBackendState) *vnfv1.TcpBackendState {
	reason := s.GetReason()
	if s.GetHealth() == dpb.TcpHealth_TCP_HEALTH_UP {
		reason = "" // of the last check that failed
	}
	return &vnfv1.TcpBackendState{
		Health: vnfv1.TcpHealth(s.GetHealth()), Reason: reason, LastChange: unixNano(s.GetLastChange()),
		EffectiveWeight: s.GetEffectiveWeight(), Draining: s.GetDraining(), Active: s.GetActive(), Connections: s.GetConnections(),
		ConnectFailed: s.GetConnectFailed(), BytesIn: s.GetBytesIn(), BytesOut: s.GetBytesOut(), Checks: s.GetChecks(),
		ChecksFailed: s.GetChecksFailed(), CheckTime: nanos(s.GetCheckTime()),
	}
}

func poolStateOut(s *dpb.TcpPoolState) *vnfv1.TcpPoolState {
	return &vnfv1.TcpPoolState{
		Present: true, Healthy: s.GetHealthy(), LastChange: unixNano(s.GetLastChange()), Backends: s.GetBackends(),
		BackendsHealthy: s.GetBackendsHealthy(), BackendsEnabled: s.GetBackendsEnabled(), Active: s.GetActive(),
		Connections: s.GetConnections(), ConnectFailed: s.GetConnectFailed(), Retries: s.GetRetries(), NoBackend: s.GetNoBackend(),
		Full: s.GetFull(), Exhausted: s.GetExhausted(), DrainAborts: s.GetDrainAborts(), BytesIn: s.GetBytesIn(), BytesOut: s.GetBytesOut(),
	}
}
