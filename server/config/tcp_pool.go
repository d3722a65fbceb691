package config

import "net/netip"

// TCPAlgorithm chooses backends.
type TCPAlgorithm string

// Maglev is the consistent hash.
const Maglev TCPAlgorithm = "maglev"

// Values are the algorithms, in the order of their numbers in the seam.
func (TCPAlgorithm) Values() []string {
	return []string{"round-robin", "least-connections", string(Maglev)}
}

// HashKey is what a consistent hash is over.
type HashKey string

// Values are the keys, in the order of their numbers in the seam.
func (HashKey) Values() []string { return []string{"source", "5-tuple"} }

// SourceMode is where connections to backends come from.
type SourceMode string

// SourcePool takes the pool's own addresses.
const SourcePool SourceMode = "pool"

// Values are the modes, in the order of their numbers in the seam.
func (SourceMode) Values() []string { return []string{"auto", string(SourcePool), "transparent"} }

// TCPPool is a set of backends of a proxy.
type TCPPool struct {
	Name string `cfg:"name,key"`
	// Description is for people, at most 255 bytes.
	Description string       `cfg:"description"`
	Backends    []TCPBackend `cfg:"backends"`
	// Algorithm defaults to round-robin.
	Algorithm TCPAlgorithm `cfg:"algorithm"`
	// HashKey of maglev; default source. MaglevSize is a prime up to 1,048,573; default 65,537. HashSeed is the same on boxes that
	// are to choose alike.
	HashKey    HashKey `cfg:"hash-key"`
	MaglevSize uint32  `cfg:"maglev-size"`
	HashSeed   uint64  `cfg:"hash-seed"`
	// HealthCheck defaults to none.
	HealthCheck HealthCheck `cfg:"health-check"`
	// PassiveCheck is on by default.
	PassiveCheck PassiveCheck `cfg:"passive-check"`
	// SlowStart is the time in which a backend that came up gets to its whole share, up to 1h; default at once.
	SlowStart Duration `cfg:"slow-start"`
	// MaxConnections to all backends; 0: no limit.
	MaxConnections uint32 `cfg:"max-connections"`
	// MinHealthy is the number of backends that have to be up for the pool to be healthy; default 1.
	MinHealthy uint32 `cfg:"min-healthy"`
	// SourceMode defaults to auto. SourceAddresses are those of mode pool.
	SourceMode      SourceMode   `cfg:"source-mode"`
	SourceAddresses []netip.Addr `cfg:"source-addresses"`
	// Options of the connections to backends.
	Options TCPOptions `cfg:"options"`
}

// BackendAdmin is what an operator wants of a backend.
type BackendAdmin string

// The admin states.
const (
	BackendEnabled BackendAdmin = "enabled"
	// BackendDrain: no new connections.
	BackendDrain BackendAdmin = "drain"
	// BackendDisabled: no connections.
	BackendDisabled BackendAdmin = "disabled"
)

// Values are the states, in the order of their numbers in the seam.
func (BackendAdmin) Values() []string {
	return []string{string(BackendEnabled), string(BackendDrain), string(BackendDisabled)}
}

// TCPBackend is a server that a proxy connects to.
type TCPBackend struct {
	Name    string     `cfg:"name,key"`
	Address netip.Addr `cfg:"address"`
	Port    uint16     `cfg:"port"`
	// NetworkInstance that it is reached in; default "default".
	NetworkInstance string `cfg:"network-instance"`
	// Weight of its share of new connections, 1 to 255; default 1.
	Weight uint8 `cfg:"weight"`
	// Admin defaults to enabled.
	Admin BackendAdmin `cfg:"admin"`
	// MaxConnections at one time; 0: no limit.
	MaxConnections uint32 `cfg:"max-connections"`
	// DrainTimeout is how long connections may go on when it is drained or left out; default without end.
	DrainTimeout Duration `cfg:"drain-timeout"`
}

// HealthCheckType is how backends are checked.
type HealthCheckType string

// The types of health checks.
const (
	CheckNone    HealthCheckType = "none"
	CheckConnect HealthCheckType = "connect"
	CheckHTTP    HealthCheckType = "http"
)

// Values are the types, in the order of their numbers in the seam.
func (HealthCheckType) Values() []string {
	return []string{string(CheckNone), string(CheckConnect), string(CheckHTTP)}
}

// CheckMethod is the method of an HTTP check.
type CheckMethod string

// Values are the methods.
func (CheckMethod) Values() []string { return []string{"GET", "HEAD"} }

// HealthCheck finds out which backends can be used.
type HealthCheck struct {
	// Type defaults to none.
	Type HealthCheckType `cfg:"type"`
	// Interval from 100ms to 1h, default 5s; Timeout from 10ms to 10m, default 2s.
	Interval Duration `cfg:"interval"`
	Timeout  Duration `cfg:"timeout"`
	// Rise and Fall are good and bad checks in a row, 1 to 100; default 2 and 3.
	Rise uint8 `cfg:"rise"`
	Fall uint8 `cfg:"fall"`
	// Port defaults to the backend's.
	Port uint16 `cfg:"port"`
	// Method defaults to GET, Path to "/", Host to the backend's address and port; HTTP only.
	Method CheckMethod `cfg:"method"`
	Path   string      `cfg:"path"`
	Host   string      `cfg:"host"`
	// StatusMin and StatusMax bound the good statuses; default 200 and 399; HTTP only.
	StatusMin uint16 `cfg:"status-min"`
	StatusMax uint16 `cfg:"status-max"`
	// ProxyProtocol is the header that checks begin with; default off.
	ProxyProtocol ProxyProtocol `cfg:"proxy-protocol"`
}

// PassiveCheck takes a backend out that refuses connections of clients.
type PassiveCheck struct {
	// Enabled defaults to true.
	Enabled *bool `cfg:"enabled"`
	// Fall is failed connections in a row, up to 1,000; default 5. Time is how long it is out, up to 1h; default 10s.
	Fall uint32   `cfg:"fall"`
	Time Duration `cfg:"time"`
}

// Instance is the network instance of the backend.
func (b *TCPBackend) Instance() string { return instanceOf(b.NetworkInstance) }
