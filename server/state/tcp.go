package state

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client"
	"millrace/server/config"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// TCPDataplane is what the state of TCP termination is read from; *client.Client is one.
type TCPDataplane interface {
	TCPListeners(ctx context.Context, name string) iter.Seq2[*dpb.TcpListenerState, error]
	TCPPools(ctx context.Context, name string) iter.Seq2[*dpb.TcpPoolState, error]
	TCPBackends(ctx context.Context, pool string) iter.Seq2[*dpb.TcpBackendState, error]
	TCPConnections(ctx context.Context, f *dpb.TcpFilter) iter.Seq2[*dpb.TcpConnection, error]
	TCPCounters(ctx context.Context) iter.Seq2[*dpb.TcpCounter, error]
	TCPWorkers(ctx context.Context) iter.Seq2[*dpb.TcpWorkerState, error]
	Addresses(ctx context.Context, iface string) iter.Seq2[*dpb.AddressState, error]
	Subscribe(ctx context.Context) (*client.Stream, error)
}

// TCPOptions of the source of TCP termination. All but Refused, Announced and Logger have to be given.
type TCPOptions struct {
	Schema    *schema.Schema
	Dataplane TCPDataplane
	// Config returns the configuration in force.
	Config func() *config.Config
	// Announced are the prefixes of virtual addresses that BGP announces in a network instance.
	Announced func(instance string) map[netip.Prefix]bool
	// Refused are the reasons for which the data plane did not take objects, by their path in the configuration, such as
	// `tcp.listeners[web]`.
	Refused func() map[string]string
	Logger  *slog.Logger
}

// TCP is the source of what /tcp-termination holds of state: listeners, pools, backends, virtual addresses, engines. Run has to go
// for Watch to tell anything.
type TCP struct {
	o     TCPOptions
	roots []string

	mu sync.Mutex
	// since is when the status of an object became what it is, by path.
	since map[string]tcpSince
	// now is what was last found by Run; next is closed when there is something newer.
	now  tcpSnapshot
	next chan struct{}
	poke chan struct{}

	summary tcpSummary
}

type tcpSince struct {
	status string
	at     time.Time
}

const tcpTop = "tcp-termination"

// NewTCP makes the source.
func NewTCP(o TCPOptions) (*TCP, error) {
	top := o.Schema.Find("/" + tcpTop)
	if top == nil {
		return nil, errors.New("state: the schema has no /tcp-termination")
	}
	if o.Announced == nil {
		o.Announced = func(string) map[netip.Prefix]bool { return nil }
	}
	if o.Refused == nil {
		o.Refused = func() map[string]string { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	t := &TCP{
		o: o, since: map[string]tcpSince{}, next: make(chan struct{}), poke: make(chan struct{}, 1), summary: newTCPSummary(),
	}
	top.Walk(func(n *schema.Node) {
		if n.IsLeaf() && !n.Config && !mirrored(n) {
			t.roots = append(t.roots, n.Path())
		}
	})
	return t, nil
}

// mirrored says that a leaf of state is what its twin in config says. Where a virtual address is, is found out.
func mirrored(n *schema.Node) bool {
	return n.Parent.Name == "state" && n.Parent.Parent.Child("config").Child(n.Name) != nil && n.Name != "interface" && n.Name != "subinterface"
}

// Roots are all leaves of state that do not mirror configuration.
func (t *TCP) Roots() []string { return t.roots }

// Sampled says that a leaf is a counter or a gauge; the others say how things are, and Watch tells their changes.
func (t *TCP) Sampled(n *schema.Node) bool {
	switch n.Name {
	case "effective-weight", "check-time", "active-connections", "half-open-connections":
		return true
	}
	for at := n; at != nil; at = at.Parent {
		switch at.Name {
		case "counters", "workers", "connections", "service-counters", "draining-listeners":
			return true
		}
	}
	return n.Parent.Parent.Name == tcpTop
}

// tcpSink takes what the parts of the source find.
type tcpSink struct {
	s *schema.Schema
	m tree.Pattern
	// at is when what is new came about, as far as the data plane does not say it itself.
	at time.Time
	// status: only what Watch tells is wanted.
	status bool
	emit   func(telemetry.Batch) error
}

// wants says whether something at or below a path of the schema was asked for.
func (k *tcpSink) wants(path string) bool {
	return related(k.s.Find(path), k.m.Schema)
}

// only is the one entry of a list that was asked for; empty if it may be several.
func (k *tcpSink) only(elem, key string) string { return keyOf(k.m, elem, key) }

func (k *tcpSink) object(p tree.Path) *telemetry.Object { return telemetry.NewObject(k.s, p) }

func (k *tcpSink) tell(o *telemetry.Object, at time.Time) error {
	b, err := o.Batch(at)
	if err != nil || len(b.Leaves) == 0 {
		return err
	}
	return k.emit(b)
}

// Read tells the state that a pattern takes.
func (t *TCP) Read(ctx context.Context, m tree.Pattern, emit func(telemetry.Batch) error) error {
	return t.read(ctx, &tcpSink{s: t.o.Schema, m: m, at: time.Now(), emit: emit})
}

func (t *TCP) read(ctx context.Context, k *tcpSink) error {
	for _, part := range []struct {
		roots  []string
		status bool
		read   func(context.Context, *tcpSink) error
	}{
		{[]string{"state", "workers"}, false, t.workers},
		{[]string{"counters"}, false, t.counters},
		{[]string{"connections"}, false, t.connections},
		{[]string{"virtual-addresses"}, true, t.vips},
		{[]string{"pools"}, true, t.pools},
		{[]string{"listeners", "draining-listeners"}, true, t.listeners},
	} {
		wanted := func(root string) bool { return k.wants("/" + tcpTop + "/" + root) }
		if k.status && !part.status || !slices.ContainsFunc(part.roots, wanted) {
			continue
		}
		if err := part.read(ctx, k); err != nil {
			return fmt.Errorf("state of TCP termination: %w", err)
		}
	}
	return nil
}

// changed is since when an object has a status.
func (t *TCP) changed(p tree.Path, status string, at time.Time) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := p.String()
	if s := t.since[id]; s.status == status {
		return s.at
	}
	t.since[id] = tcpSince{status, at}
	return at
}

// tcpAbsent says that the data plane has nothing to tell: it is not there, has no such object, or no TCP.
func tcpAbsent(err error) bool {
	switch client.CodeOf(err) {
	case dpb.Code_CODE_NOT_FOUND, dpb.Code_CODE_INVALID, dpb.Code_CODE_UNSUPPORTED, dpb.Code_CODE_UNKNOWN_REQUEST:
		return true
	}
	return errors.Is(err, client.ErrDisconnected)
}

// tcpLost is the reason for which nothing is known of an object.
func tcpLost(err error) string {
	if errors.Is(err, client.ErrDisconnected) {
		return "the data plane is not there"
	}
	return "the data plane does not have it"
}

// tcpEntry is a path below /tcp-termination: names with slashes between, the last being a list with a key.
func tcpEntry(at tree.Path, rel, key, value string) tree.Path {
	for name := range strings.SplitSeq(rel, "/") {
		at = at.Name(name)
	}
	at[len(at)-1].Keys = []tree.Key{{Name: key, Value: value}}
	return at
}

func tcpRoot() tree.Path { return tree.Path{{Name: tcpTop}} }

// tcpNanos is a time of the schema.
func tcpNanos(at time.Time) uint64 { return uint64(at.UnixNano()) }

// tcpEach goes through a list of the data plane until it ends or there is nothing to tell; lost is why it has nothing.
func tcpEach[T any](seq iter.Seq2[T, error], f func(T) error) (lost string, err error) {
	for row, err := range seq {
		if err != nil && tcpAbsent(err) {
			return tcpLost(err), nil
		}
		if err == nil {
			err = f(row)
		}
		if err != nil {
			return "", err
		}
	}
	return "", nil
}
