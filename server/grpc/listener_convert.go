package grpcserver

import (
	"fmt"
	"net/netip"
	"slices"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/server/config"
)

func listenerConfigOut(l *config.TCPListener) *vnfv1.TcpListenerConfig {
	on := l.On()
	o := &vnfv1.TcpListenerConfig{
		Name: l.Name, Description: l.Description, Enabled: &on, NetworkInstance: l.Instance(), Port: uint32(l.Port),
		Service: vnfv1.TcpServiceKind(wordNumber(l.Service) + 1), ChargenLimit: l.ChargenLimit, Options: tcpOptionsOut(&l.Options),
		Backlog: l.Backlog, MaxConnections: l.MaxConnections, Rate: l.Rate, Burst: l.Burst, MaxPerSource: l.MaxPerSource,
		Allow: prefixesOut(l.Allow), Deny: prefixesOut(l.Deny), ResetDenied: l.ResetDenied, IdleTimeout: spanOut(l.IdleTimeout),
		TotalTimeout: spanOut(l.TotalTimeout), HeaderTimeout: spanOut(l.HeaderTimeout), DrainTimeout: spanOut(l.DrainTimeout),
	}
	if l.Address.IsValid() {
		o.Address = l.Address.String()
	}
	if h := l.HTTP; h != nil {
		o.Http = &vnfv1.TcpHttpConfig{
			Response: httpResponseOut(&h.Response), Server: h.Server, BodyTimeout: spanOut(h.BodyTimeout), MaxBody: h.MaxBody,
			MaxRequests: h.MaxRequests,
		}
		for i := range h.Routes {
			r := &h.Routes[i]
			o.Http.Routes = append(o.Http.Routes, &vnfv1.TcpHttpRoute{Path: r.Path, Prefix: r.Prefix, Response: httpResponseOut(&r.Response)})
		}
		for _, m := range h.Methods {
			o.Http.Methods = append(o.Http.Methods, string(m))
		}
	}
	if p := l.Proxy; p != nil {
		o.Proxy = &vnfv1.TcpProxyConfig{
			Pool: p.Pool, BackupPool: p.BackupPool, ProxyProtocolIn: vnfv1.TcpProxyProtocol(wordNumber(p.ProxyProtocolIn)),
			ProxyProtocolOut: vnfv1.TcpProxyProtocol(wordNumber(p.ProxyProtocolOut)), ConnectTimeout: spanOut(p.ConnectTimeout),
			Retries: p.Retries, ProxyProtocolTrusted: prefixesOut(p.ProxyProtocolTrusted), HalfCloseTimeout: spanOut(p.HalfCloseTimeout),
			NoBackend: vnfv1.TcpNoBackend(wordNumber(p.NoBackend)), WaitTimeout: spanOut(p.WaitTimeout),
		}
	}
	return o
}

func httpResponseOut(r *config.HTTPResponse) *vnfv1.TcpHttpResponse {
	o := &vnfv1.TcpHttpResponse{Status: uint32(r.Status), Body: r.Body, BodyFile: r.BodyFile}
	for _, h := range r.Headers {
		o.Headers = append(o.Headers, &vnfv1.TcpHttpHeader{Name: h.Name, Value: h.Value})
	}
	return o
}

func prefixesOut(list []netip.Prefix) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}

func prefixesIn(c *checks, field string, list []string) []netip.Prefix {
	var out []netip.Prefix
	for i, s := range list {
		out = append(out, prefixField(c, fmt.Sprintf("%s[%d]", field, i), s))
	}
	return out
}

// instanceIn leaves out the default instance, as the configuration does.
func instanceIn(s string) string {
	if s == config.DefaultInstance {
		return ""
	}
	return s
}

// listenerConfigIn reads what needs parsing; the rules between the fields are config's.
func listenerConfigIn(c *checks, field string, m *vnfv1.TcpListenerConfig) config.TCPListener {
	if m == nil {
		c.addf(field, "is missing")
		return config.TCPListener{}
	}
	at := func(name string) string { return field + "." + name }
	l := config.TCPListener{
		Name: m.GetName(), Description: m.GetDescription(), Enabled: m.Enabled, NetworkInstance: instanceIn(m.GetNetworkInstance()),
		Address: optAddrField(c, at("address"), m.GetAddress()), Port: number[uint16](c, at("port"), m.GetPort()),
		Service: wordOf[config.TCPService](c, at("service"), m.GetService(), 1), ChargenLimit: m.GetChargenLimit(),
		Options: tcpOptionsIn(c, at("options"), m.GetOptions()), Backlog: m.GetBacklog(), MaxConnections: m.GetMaxConnections(),
		Rate: m.GetRate(), Burst: m.GetBurst(), MaxPerSource: m.GetMaxPerSource(), Allow: prefixesIn(c, at("allow"), m.GetAllow()),
		Deny: prefixesIn(c, at("deny"), m.GetDeny()), ResetDenied: m.GetResetDenied(),
		IdleTimeout:   spanIn(c, at("idle_timeout"), m.GetIdleTimeout()),
		TotalTimeout:  spanIn(c, at("total_timeout"), m.GetTotalTimeout()),
		HeaderTimeout: spanIn(c, at("header_timeout"), m.GetHeaderTimeout()),
		DrainTimeout:  spanIn(c, at("drain_timeout"), m.GetDrainTimeout()),
	}
	if l.Enabled != nil && *l.Enabled {
		l.Enabled = nil
	}
	if m.GetName() == "" {
		c.addf(at("name"), "is empty")
	}
	if h := m.GetHttp(); h != nil {
		l.HTTP = httpIn(c, at("http"), h)
	}
	if p := m.GetProxy(); p != nil {
		l.Proxy = &config.TCPProxy{
			Pool: p.GetPool(), BackupPool: p.GetBackupPool(),
			ProxyProtocolIn:  wordOf[config.ProxyProtocol](c, at("proxy.proxy_protocol_in"), p.GetProxyProtocolIn(), 0),
			ProxyProtocolOut: wordOf[config.ProxyProtocol](c, at("proxy.proxy_protocol_out"), p.GetProxyProtocolOut(), 0),
			ConnectTimeout:   spanIn(c, at("proxy.connect_timeout"), p.GetConnectTimeout()), Retries: p.GetRetries(),
			ProxyProtocolTrusted: prefixesIn(c, at("proxy.proxy_protocol_trusted"), p.GetProxyProtocolTrusted()),
			HalfCloseTimeout:     spanIn(c, at("proxy.half_close_timeout"), p.GetHalfCloseTimeout()),
			NoBackend:            wordOf[config.NoBackend](c, at("proxy.no_backend"), p.GetNoBackend(), 0),
			WaitTimeout:          spanIn(c, at("proxy.wait_timeout"), p.GetWaitTimeout()),
		}
	}
	return l
}

func httpIn(c *checks, field string, m *vnfv1.TcpHttpConfig) *config.TCPHTTP {
	h := &config.TCPHTTP{
		Response: httpResponseIn(c, field+".response", m.GetResponse()), Server: m.GetServer(),
		BodyTimeout: spanIn(c, field+".body_timeout", m.GetBodyTimeout()), MaxBody: m.GetMaxBody(), MaxRequests: m.GetMaxRequests(),
	}
	for i, r := range m.GetRoutes() {
		h.Routes = append(h.Routes, config.HTTPRoute{
			Path: r.GetPath(), Prefix: r.GetPrefix(), Response: httpResponseIn(c, fmt.Sprintf("%s.routes[%d].response", field, i), r.GetResponse()),
		})
	}
	for i, s := range m.GetMethods() {
		if !slices.Contains(config.HTTPMethod("").Values(), s) {
			c.addf(fmt.Sprintf("%s.methods[%d]", field, i), "%q is not a method of HTTP in capitals", s)
		}
		h.Methods = append(h.Methods, config.HTTPMethod(s))
	}
	return h
}

func httpResponseIn(c *checks, field string, m *vnfv1.TcpHttpResponse) config.HTTPResponse {
	r := config.HTTPResponse{Status: number[uint16](c, field+".status", m.GetStatus()), Body: m.GetBody(), BodyFile: m.GetBodyFile()}
	for _, h := range m.GetHeaders() {
		r.Headers = append(r.Headers, config.HTTPHeader{Name: h.GetName(), Value: h.GetValue()})
	}
	return r
}

// listenerConfigOfState shows a listener that is not in the configuration (any more) by what tells it apart.
func listenerConfigOfState(l *dpb.TcpListener) *vnfv1.TcpListenerConfig {
	o := &vnfv1.TcpListenerConfig{
		Name: l.GetName(), NetworkInstance: instanceName(l.GetVrf()), Address: addrString(l.GetAddress()), Port: l.GetPort(),
		Service: vnfv1.TcpServiceKind(l.GetService()),
	}
	if p := l.GetProxy(); p != nil {
		o.Proxy = &vnfv1.TcpProxyConfig{Pool: p.GetPool(), BackupPool: p.GetBackupPool()}
	}
	return o
}

func listenerStateOut(s *dpb.TcpListenerState) *vnfv1.TcpListenerState {
	return &vnfv1.TcpListenerState{
		Present: true, Healthy: s.GetHealthy(), Draining: s.GetDraining(), Id: s.GetId(), Active: s.GetActive(), HalfOpen: s.GetHalfOpen(),
		Accepted: s.GetAccepted(), Closed: s.GetClosed(), CookiesSent: s.GetCookiesSent(), CookiesValid: s.GetCookiesValid(),
		CookiesInvalid: s.GetCookiesInvalid(), RefusedLimit: s.GetRefusedLimit(), RefusedRate: s.GetRefusedRate(),
		RefusedSource: s.GetRefusedSource(), RefusedAcl: s.GetRefusedAcl(), RefusedMemory: s.GetRefusedMemory(),
		RefusedService: s.GetRefusedService(), FastOpenAccepted: s.GetFastOpenAccepted(),
		FastOpenCookieInvalid: s.GetFastOpenCookieInvalid(), BytesIn: s.GetBytesIn(), BytesOut: s.GetBytesOut(),
		Service: tcpCountersOut(s.GetService()),
	}
}
