package config

import (
	"net/netip"
	"slices"
)

// TCP is what the TCP stack terminates.
type TCP struct {
	// MaxConnections of all workers together, 1,024 to 16,777,216; default 262,144. Sizes take effect when the first listener or
	// pool is made, after that when the data plane starts.
	MaxConnections uint32 `cfg:"max-connections"`
	// MaxTimeWait is the number of TIME-WAIT entries; default as MaxConnections.
	MaxTimeWait uint32 `cfg:"max-time-wait"`
	// MemoryLimit is MiB of packet buffers that connections may hold; default half of all.
	MemoryLimit uint32 `cfg:"memory-limit"`
	// TimeWait is how long closed connections are remembered, 1s to 4m; default 60s.
	TimeWait Duration `cfg:"time-wait"`
	// PortMin and PortMax are the ports of connections made from here; default 32,768 to 60,999.
	PortMin uint16 `cfg:"port-min"`
	PortMax uint16 `cfg:"port-max"`
	// ChallengeACKRate is challenge ACKs (RFC 5961 section 7) a second and worker, 1 to 1,000,000; default 1,000.
	ChallengeACKRate uint32 `cfg:"challenge-ack-rate"`
	// ResetRate is resets a second and worker for segments without a connection, 1 to 1,000,000; default 1,000.
	ResetRate uint32        `cfg:"reset-rate"`
	VIPs      []VIP         `cfg:"vips"`
	Pools     []TCPPool     `cfg:"pools"`
	Listeners []TCPListener `cfg:"listeners"`
}

// VIP is a virtual address: one of the box that has no network of its own.
type VIP struct {
	Name    string     `cfg:"name,key"`
	Address netip.Addr `cfg:"address"`
	// NetworkInstance defaults to "default".
	NetworkInstance string `cfg:"network-instance"`
	// Interface that answers for it by ARP or ND, or a loopback; default: the one whose network it is in.
	Interface string `cfg:"interface"`
	// Announce it in BGP while at least one listener on it is healthy.
	Announce bool `cfg:"announce"`
}

// TCPService is what is behind a listener.
type TCPService string

// The services.
const (
	ServiceEcho    TCPService = "echo"
	ServiceDiscard TCPService = "discard"
	ServiceChargen TCPService = "chargen"
	ServiceHTTP    TCPService = "http"
	ServiceProxy   TCPService = "proxy"
)

// Values are the services.
func (TCPService) Values() []string {
	return []string{string(ServiceEcho), string(ServiceDiscard), string(ServiceChargen), string(ServiceHTTP), string(ServiceProxy)}
}

// TCPListener is a service on an address and port.
type TCPListener struct {
	Name string `cfg:"name,key"`
	// Description is for people, at most 255 bytes.
	Description string `cfg:"description"`
	// Enabled defaults to true.
	Enabled *bool `cfg:"enabled"`
	// NetworkInstance defaults to "default".
	NetworkInstance string `cfg:"network-instance"`
	// Address of an interface or a VIP; default: all, of both families. 0.0.0.0 or ::, all of that family.
	Address netip.Addr `cfg:"address"`
	Port    uint16     `cfg:"port"`
	Service TCPService `cfg:"service"`
	HTTP    *TCPHTTP   `cfg:"http"`
	Proxy   *TCPProxy  `cfg:"proxy"`
	// ChargenLimit is octets after which a connection of chargen is closed; 0: no limit.
	ChargenLimit uint64     `cfg:"chargen-limit"`
	Options      TCPOptions `cfg:"options"`
	// Backlog is half-open connections a worker before SYN cookies are used, up to 1,048,576; default 1,024.
	Backlog uint32 `cfg:"backlog"`
	// MaxConnections at one time; 0: no limit.
	MaxConnections uint32 `cfg:"max-connections"`
	// Rate is new connections a second, Burst how many at once; 0: no limit, and as many as Rate.
	Rate  uint32 `cfg:"rate"`
	Burst uint32 `cfg:"burst"`
	// MaxPerSource is connections of one source address (IPv6: /64) and worker; 0: no limit.
	MaxPerSource uint32 `cfg:"max-per-source"`
	// Allow, if not empty, are the only ones that may connect; Deny wins.
	Allow []netip.Prefix `cfg:"allow"`
	Deny  []netip.Prefix `cfg:"deny"`
	// ResetDenied answers those who may not connect by a reset.
	ResetDenied bool `cfg:"reset-denied"`
	// IdleTimeout without data, default none (HTTP: 60s). TotalTimeout since it was accepted, default none.
	IdleTimeout  Duration `cfg:"idle-timeout"`
	TotalTimeout Duration `cfg:"total-timeout"`
	// HeaderTimeout for the head of an HTTP request (default 10s) or of the PROXY protocol (3s).
	HeaderTimeout Duration `cfg:"header-timeout"`
	// DrainTimeout is how long connections may go on when the listener is deleted; default not at all.
	DrainTimeout Duration `cfg:"drain-timeout"`
}

// On says that the listener is switched on.
func (l *TCPListener) On() bool { return l.Enabled == nil || *l.Enabled }

// Instance is the network instance of the listener.
func (l *TCPListener) Instance() string { return instanceOf(l.NetworkInstance) }

// Covers says whether the listener takes connections to an address of an instance.
func (l *TCPListener) Covers(instance string, a netip.Addr) bool {
	if l.Instance() != instance {
		return false
	}
	return !l.Address.IsValid() || l.Address == a || l.Address.IsUnspecified() && l.Address.Is4() == a.Is4()
}

// TCPHTTP is what the HTTP responder answers.
type TCPHTTP struct {
	// Response to what no route takes; default: 200 and no body.
	Response HTTPResponse `cfg:"response"`
	Routes   []HTTPRoute  `cfg:"routes"`
	// Methods that are answered, others get 405; default all.
	Methods []HTTPMethod `cfg:"methods"`
	// Server is the value of that field; default: it is not sent.
	Server string `cfg:"server"`
	// BodyTimeout without progress within a request's body; default 30s.
	BodyTimeout Duration `cfg:"body-timeout"`
	// MaxBody is octets of a request's body; default 1 GiB.
	MaxBody uint64 `cfg:"max-body"`
	// MaxRequests of one connection; 0: no limit.
	MaxRequests uint32 `cfg:"max-requests"`
}

// HTTPMethod is a method of requests.
type HTTPMethod string

// Values are the methods, in the order of their numbers in the seam.
func (HTTPMethod) Values() []string {
	return []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}
}

// HTTPResponse is an answer.
type HTTPResponse struct {
	// Status from 200 to 599; default 200.
	Status  uint16       `cfg:"status"`
	Headers []HTTPHeader `cfg:"headers"`
	// Body is text of up to 1 MiB; BodyFile, instead, the absolute path of a file of up to 64 MiB.
	Body     string `cfg:"body"`
	BodyFile string `cfg:"body-file"`
}

// HTTPHeader is a field of an answer.
type HTTPHeader struct {
	Name  string `cfg:"name"`
	Value string `cfg:"value"`
}

// HTTPRoute is an answer for some paths.
type HTTPRoute struct {
	Path string `cfg:"path,key"`
	// Prefix also takes what is below Path.
	Prefix   bool         `cfg:"prefix"`
	Response HTTPResponse `cfg:"response"`
}

// ProxyProtocol is a version of the PROXY protocol.
type ProxyProtocol string

// ProxyAny is either version, from clients only.
const ProxyAny ProxyProtocol = "any"

// Values are the versions, in the order of their numbers in the seam.
func (ProxyProtocol) Values() []string { return []string{"off", "v1", "v2", string(ProxyAny)} }

// TCPProxy is where the connections of a listener go.
type TCPProxy struct {
	Pool string `cfg:"pool"`
	// BackupPool is used while Pool is not healthy; default none.
	BackupPool string `cfg:"backup-pool"`
	// ProxyProtocolIn is the header that clients begin with, ProxyProtocolOut the one sent to backends; default off.
	ProxyProtocolIn  ProxyProtocol `cfg:"proxy-protocol-in"`
	ProxyProtocolOut ProxyProtocol `cfg:"proxy-protocol-out"`
	// ConnectTimeout for the connection to a backend, up to 10m; default 5s.
	ConnectTimeout Duration `cfg:"connect-timeout"`
	// Retries with other backends, up to 15; default 0.
	Retries uint32 `cfg:"retries"`
	// ProxyProtocolTrusted, if not empty, are the only clients that may begin with a header; others are reset.
	ProxyProtocolTrusted []netip.Prefix `cfg:"proxy-protocol-trusted"`
	// HalfCloseTimeout without data once one side closed its direction; default none.
	HalfCloseTimeout Duration `cfg:"half-close-timeout"`
	// NoBackend is what becomes of a client that no backend can take; default reset.
	NoBackend NoBackend `cfg:"no-backend"`
	// WaitTimeout of NoBackendWait, up to 10m; default 5s.
	WaitTimeout Duration `cfg:"wait-timeout"`
}

// NoBackend is what becomes of a client that no backend can take.
type NoBackend string

// NoBackendWait holds the client for a while.
const NoBackendWait NoBackend = "wait"

// Values are the outcomes, in the order of their numbers in the seam.
func (NoBackend) Values() []string { return []string{"reset", "close", string(NoBackendWait)} }

// CongestionControl is an algorithm of congestion control.
type CongestionControl string

// Values are the algorithms, in the order of their numbers in the seam.
func (CongestionControl) Values() []string { return []string{"cubic", "newreno", "bbr"} }

// TCPOptions of connections.
type TCPOptions struct {
	// CongestionControl defaults to cubic.
	CongestionControl CongestionControl `cfg:"congestion-control"`
	// These default to true.
	SACK        *bool `cfg:"sack"`
	Timestamps  *bool `cfg:"timestamps"`
	WindowScale *bool `cfg:"window-scale"`
	ECN         *bool `cfg:"ecn"`
	DelayedACK  *bool `cfg:"delayed-ack"`
	Nagle       *bool `cfg:"nagle"`
	MTUProbing  *bool `cfg:"mtu-probing"`
	// FastOpen takes data in the SYN (RFC 7413), SYNCookiesAlways answers every SYN by a cookie; listeners only.
	FastOpen         bool `cfg:"fast-open"`
	SYNCookiesAlways bool `cfg:"syn-cookies-always"`
	Pacing           bool `cfg:"pacing"`
	// TTL from 1 to 255, default 64; DSCP up to 63; MSS from 88 to 65,495, default what the MTU allows.
	TTL  uint8  `cfg:"ttl"`
	DSCP uint8  `cfg:"dscp"`
	MSS  uint16 `cfg:"mss"`
	// KeepaliveIdle is silence before the first probe, up to 24h; default: no keepalive. KeepaliveInterval between probes, default
	// 75s; KeepaliveCount of them, up to 255, default 9.
	KeepaliveIdle     Duration `cfg:"keepalive-idle"`
	KeepaliveInterval Duration `cfg:"keepalive-interval"`
	KeepaliveCount    uint8    `cfg:"keepalive-count"`
	// UserTimeout without acknowledgement ends a connection, up to 24h; default 15m.
	UserTimeout Duration `cfg:"user-timeout"`
	// FinWait2Timeout up to 24h; default 60s.
	FinWait2Timeout Duration `cfg:"fin-wait2-timeout"`
	// SYNACKRetries up to 15, default 5; listeners only.
	SYNACKRetries uint8 `cfg:"synack-retries"`
	// ReceiveBuffer and SendBuffer are octets at most, 4,096 to 1 GiB; default 6 MiB and 4 MiB.
	ReceiveBuffer uint32 `cfg:"receive-buffer"`
	SendBuffer    uint32 `cfg:"send-buffer"`
}

// VIPInterface is the interface that a virtual address is on: the one that it names, or the one whose network it is in. Empty: there
// is none, or more than one.
func (c *Config) VIPInterface(v *VIP) string {
	if v.Interface != "" {
		return v.Interface
	}
	found := ""
	for i := range c.Interfaces {
		f := &c.Interfaces[i]
		holds := func(p netip.Prefix) bool { return !p.IsSingleIP() && p.Contains(v.Address) }
		if f.Instance() == instanceOf(v.NetworkInstance) && slices.ContainsFunc(f.Addresses, holds) {
			if found != "" {
				return ""
			}
			found = f.Name
		}
	}
	return found
}

// VIPListeners are the listeners that decide whether a virtual address is healthy: those with that very address, or, if there are
// none, those on all addresses. (A service on all addresses would else keep an address alive whose own service is dead.)
func (c *Config) VIPListeners(v *VIP) []*TCPListener {
	var own, all []*TCPListener
	for i := range c.TCP.Listeners {
		l := &c.TCP.Listeners[i]
		if !l.On() || !l.Covers(v.Instance(), v.Address) {
			continue
		}
		if all = append(all, l); l.Address == v.Address {
			own = append(own, l)
		}
	}
	if len(own) > 0 {
		return own
	}
	return all
}

// Instance is the network instance of the address.
func (v *VIP) Instance() string { return instanceOf(v.NetworkInstance) }
