package control

import (
	"fmt"
	"net/netip"
	"slices"

	"google.golang.org/protobuf/proto"

	pb "millrace/api/proto/dataplane/v1"
	"millrace/server/config"
)

func poolKey(name string) string     { return "tcp-pool " + name }
func listenerKey(name string) string { return "tcp-listener " + name }

// tcpObjects lists the virtual addresses, pools and listeners of a configuration.
func tcpObjects(c *config.Config) []object {
	var objects []object
	for i := range c.TCP.VIPs {
		v := &c.TCP.VIPs[i]
		objects = append(objects, vipObject(c.VIPInterface(v), v.Address, fmt.Sprintf("tcp.vips[%s]", v.Name)))
	}
	for i := range c.TCP.Pools {
		objects = append(objects, poolObject(poolMessage(&c.TCP.Pools[i])))
	}
	for i := range c.TCP.Listeners {
		if l := &c.TCP.Listeners[i]; l.On() {
			objects = append(objects, listenerObject(listenerMessage(l)))
		}
	}
	return objects
}

func vipObject(iface string, a netip.Addr, path string) object {
	return object{
		key: fmt.Sprintf("address %s %s", iface, a), rank: rankAddress, path: path, parent: ifaceKey(iface), iface: iface,
		add: &pb.Op{Op: &pb.Op_Address{Address: &pb.Address{
			Interface: iface, Address: a.AsSlice(), PrefixLen: uint32(a.BitLen()), Kind: pb.AddressKind_ADDRESS_KIND_VIRTUAL,
		}}},
		del: &pb.Op{Op: &pb.Op_AddressDelete{AddressDelete: &pb.AddressKey{Interface: iface, Address: a.AsSlice()}}},
	}
}

func poolObject(m *pb.TcpPool) object {
	return object{
		key: poolKey(m.GetName()), rank: rankPool, path: fmt.Sprintf("tcp.pools[%s]", m.GetName()),
		add: &pb.Op{Op: &pb.Op_TcpPool{TcpPool: m}},
		del: &pb.Op{Op: &pb.Op_TcpPoolDelete{TcpPoolDelete: &pb.TcpPoolKey{Name: m.GetName()}}},
	}
}

func listenerObject(m *pb.TcpListener) object {
	return object{
		key: listenerKey(m.GetName()), rank: rankListener, path: fmt.Sprintf("tcp.listeners[%s]", m.GetName()),
		add: &pb.Op{Op: &pb.Op_TcpListener{TcpListener: m}},
		del: &pb.Op{Op: &pb.Op_TcpListenerDelete{TcpListenerDelete: &pb.TcpListenerKey{
			Name: m.GetName(), DrainTimeout: m.GetDrainTimeout(),
		}}},
	}
}

// drained is the object with another time to drain when it is deleted.
func (o object) drained(milliseconds uint32) object {
	if o.del.GetTcpListenerDelete() == nil {
		return o
	}
	if del, ok := proto.Clone(o.del).(*pb.Op); ok {
		del.GetTcpListenerDelete().DrainTimeout = milliseconds
		o.del = del
	}
	return o
}

// reaches says whether a pool has backends in one of the instances that go.
func (o object) reaches(gone map[string]bool) bool {
	return slices.ContainsFunc(o.add.GetTcpPool().GetBackends(), func(b *pb.TcpBackend) bool { return gone[vrfKey(b.GetVrf())] })
}

// without is a pool less the backends in instances that go.
func (o object) without(gone map[string]bool) object {
	if add, ok := proto.Clone(o.add).(*pb.Op); ok {
		p := add.GetTcpPool()
		p.Backends = slices.DeleteFunc(p.Backends, func(b *pb.TcpBackend) bool { return gone[vrfKey(b.GetVrf())] })
		o.add = add
	}
	return o
}

// remakeListener says whether the listener is another one.
func remakeListener(a, b *pb.TcpListener) bool {
	return vrfName(a.GetVrf()) != vrfName(b.GetVrf()) || string(a.GetAddress()) != string(b.GetAddress()) || a.GetPort() != b.GetPort() ||
		a.GetService() != b.GetService()
}

func vrfName(s string) string {
	if s == "" {
		return config.DefaultInstance
	}
	return s
}

// number is the place of a word among the values of its type, which is its number in the seam; 0 for the default.
func number[E interface {
	~string
	Values() []string
}](e E) int32 {
	return int32(max(0, slices.Index(e.Values(), string(e))))
}

func listenerMessage(l *config.TCPListener) *pb.TcpListener {
	m := &pb.TcpListener{
		Name: l.Name, Vrf: l.Instance(), Port: uint32(l.Port), Options: tcpOptions(&l.Options), Backlog: l.Backlog,
		MaxConnections: l.MaxConnections, Rate: l.Rate, Burst: l.Burst, MaxPerSource: l.MaxPerSource, Allow: tcpPrefixes(l.Allow),
		Deny: tcpPrefixes(l.Deny), ResetDenied: l.ResetDenied, IdleTimeout: l.IdleTimeout.Milliseconds(),
		TotalTimeout: l.TotalTimeout.Milliseconds(), HeaderTimeout: l.HeaderTimeout.Milliseconds(),
		DrainTimeout: l.DrainTimeout.Milliseconds(),
		Service:      pb.TcpServiceKind(number(l.Service) + 1),
	}
	if l.Address.IsValid() {
		m.Address = l.Address.AsSlice()
	}
	switch l.Service {
	case config.ServiceHTTP:
		h := l.HTTP
		if h == nil {
			h = &config.TCPHTTP{}
		}
		m.Http = httpMessage(h)
	case config.ServiceChargen:
		m.Chargen = &pb.TcpChargen{Limit: l.ChargenLimit}
	case config.ServiceProxy:
		p := l.Proxy
		m.Proxy = &pb.TcpProxy{
			Pool: p.Pool, BackupPool: p.BackupPool, ProxyProtocolIn: pb.TcpProxyProtocol(number(p.ProxyProtocolIn)),
			ProxyProtocolOut: pb.TcpProxyProtocol(number(p.ProxyProtocolOut)), ConnectTimeout: p.ConnectTimeout.Milliseconds(),
			Retries: p.Retries, ProxyProtocolTrusted: tcpPrefixes(p.ProxyProtocolTrusted),
			HalfCloseTimeout: p.HalfCloseTimeout.Milliseconds(), NoBackend: pb.TcpNoBackend(number(p.NoBackend)),
			WaitTimeout: p.WaitTimeout.Milliseconds(),
		}
	}
	return m
}

func httpMessage(h *config.TCPHTTP) *pb.TcpHttp {
	m := &pb.TcpHttp{
		Response: httpResponse(&h.Response), Server: h.Server, BodyTimeout: h.BodyTimeout.Milliseconds(), MaxBody: h.MaxBody,
		MaxRequests: h.MaxRequests,
	}
	for i := range h.Routes {
		r := &h.Routes[i]
		m.Routes = append(m.Routes, &pb.TcpHttpRoute{Path: r.Path, Prefix: r.Prefix, Response: httpResponse(&r.Response)})
	}
	for _, x := range h.Methods {
		m.Methods = append(m.Methods, pb.TcpHttpMethod(number(x)+1))
	}
	return m
}

func httpResponse(r *config.HTTPResponse) *pb.TcpHttpResponse {
	m := &pb.TcpHttpResponse{Status: uint32(r.Status), BodyFile: r.BodyFile}
	if r.Body != "" {
		m.Body = []byte(r.Body)
	}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, &pb.TcpHttpHeader{Name: h.Name, Value: h.Value})
	}
	return m
}

func poolMessage(p *config.TCPPool) *pb.TcpPool {
	h := &p.HealthCheck
	m := &pb.TcpPool{
		Name: p.Name, Algorithm: pb.TcpAlgorithm(number(p.Algorithm)), HashKey: pb.TcpHashKey(number(p.HashKey)), MaglevSize: p.MaglevSize,
		HashSeed: p.HashSeed, SlowStart: p.SlowStart.Milliseconds(), MaxConnections: p.MaxConnections, MinHealthy: p.MinHealthy,
		SourceMode: pb.TcpSourceMode(number(p.SourceMode)), Options: tcpOptions(&p.Options),
		HealthCheck: &pb.TcpHealthCheck{
			Kind: pb.TcpHealthCheckKind(number(h.Type)), Interval: h.Interval.Milliseconds(), Timeout: h.Timeout.Milliseconds(),
			Rise: uint32(h.Rise), Fall: uint32(h.Fall), Port: uint32(h.Port), Method: string(h.Method), Path: h.Path, Host: h.Host,
			StatusMin: uint32(h.StatusMin), StatusMax: uint32(h.StatusMax), ProxyProtocol: pb.TcpProxyProtocol(number(h.ProxyProtocol)),
		},
		PassiveFall: p.PassiveCheck.Fall, PassiveTime: p.PassiveCheck.Time.Milliseconds(), NoPassive: !isOn(p.PassiveCheck.Enabled),
	}
	for _, a := range p.SourceAddresses {
		m.SourceAddresses = append(m.SourceAddresses, a.AsSlice())
	}
	for i := range p.Backends {
		b := &p.Backends[i]
		m.Backends = append(m.Backends, &pb.TcpBackend{
			Name: b.Name, Address: b.Address.AsSlice(), Port: uint32(b.Port), Vrf: b.Instance(), Weight: uint32(b.Weight),
			Admin: pb.TcpBackendAdmin(number(b.Admin)), MaxConnections: b.MaxConnections, DrainTimeout: b.DrainTimeout.Milliseconds(),
		})
	}
	return m
}

func tcpOptions(o *config.TCPOptions) *pb.TcpOptions {
	return &pb.TcpOptions{
		CongestionControl: pb.TcpCongestionControl(number(o.CongestionControl)), NoSack: !isOn(o.SACK), NoTimestamps: !isOn(o.Timestamps),
		NoWindowScale: !isOn(o.WindowScale), NoEcn: !isOn(o.ECN), NoDelayedAck: !isOn(o.DelayedACK), NoNagle: !isOn(o.Nagle),
		NoMtuProbing: !isOn(o.MTUProbing), FastOpen: o.FastOpen, CookiesAlways: o.SYNCookiesAlways, Pacing: o.Pacing, Ttl: uint32(o.TTL),
		Dscp: uint32(o.DSCP), Mss: uint32(o.MSS), KeepaliveIdle: o.KeepaliveIdle.Seconds(),
		KeepaliveInterval: o.KeepaliveInterval.Seconds(), KeepaliveCount: uint32(o.KeepaliveCount),
		UserTimeout: o.UserTimeout.Milliseconds(), FinWait2Timeout: o.FinWait2Timeout.Milliseconds(), SynackRetries: uint32(o.SYNACKRetries),
		ReceiveBuffer: o.ReceiveBuffer, SendBuffer: o.SendBuffer,
	}
}

func tcpPrefixes(list []netip.Prefix) []*pb.TcpPrefix {
	var out []*pb.TcpPrefix
	for _, p := range list {
		out = append(out, &pb.TcpPrefix{Prefix: p.Addr().AsSlice(), PrefixLen: uint32(p.Bits())})
	}
	return out
}

// tcpSettings adds the settings of the TCP engines.
func tcpSettings(m *pb.Settings, t *config.TCP) *pb.Settings {
	m.TcpMaxConnections, m.TcpMaxTimeWait, m.TcpMemoryLimit = t.MaxConnections, t.MaxTimeWait, uint64(t.MemoryLimit)<<20
	m.TcpTimeWait, m.TcpPortMin, m.TcpPortMax = t.TimeWait.Milliseconds(), uint32(t.PortMin), uint32(t.PortMax)
	m.TcpChallengeAckRate, m.TcpResetRate = t.ChallengeACKRate, t.ResetRate
	return m
}
