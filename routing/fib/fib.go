// Package fib programs the forwarding table of the data plane from the RIB's
// feed: in coalesced, acknowledged batches, with failures kept in view and
// retried, and all of it replayed when the data plane comes back.
//
// # Use
//
//	p := fib.New(r, client, fib.Options{OnAlarm: alarm, OnReplayed: done})
//	go p.Run(ctx)
//	p.Replay(epoch)      // on every (re)connection to the data plane
//	p.WaitSynced(ctx)    // all changes up to now are in the FIB, or have failed
//	p.Converged()        // with Options.HoldSweep: what is stale may be swept now
//
// The programmer keeps no copy of the routes: what is pending, programmed and
// failed is a mark on the RIB's prefixes. A prefix that flaps while a batch is on
// its way costs one operation.
//
// # Order
//
// A batch lists next hops before groups before routes, and deletions in
// reverse; the data plane applies it in order. Batches of routes alone overlap,
// up to Options.Outstanding; a batch that touches next hops or groups is answered
// before another is sent, and no two operations on one object are ever under way
// at once. So a Dataplane may run concurrent calls of Apply in any order.
package fib

import (
	"context"
	"fmt"
	"net/netip"

	"millrace/routing/rib"
)

// Dataplane is the connection to the data plane. Its methods must be safe for
// concurrent use.
type Dataplane interface {
	// Apply carries the operations out in order. The result has one error per
	// operation, nil for done; an *Error tells why not. A second error means
	// that the connection failed and that nothing is known: the programmer then
	// sends no more until Replay, and the connection, if it still stands, has to
	// be given up for a new one. ops is not used after the return.
	// A deletion of what does not exist answers CodeNotFound.
	Apply(ctx context.Context, ops []Op) ([]error, error)
	// Sweep removes every next hop, group and route of this owner whose epoch
	// is another than the given one.
	Sweep(ctx context.Context, epoch uint32) error
}

// OpType says what an Op does.
type OpType uint8

// The types of operations, in the order within a batch.
const (
	NextHopUpsert OpType = iota
	GroupUpsert
	RouteUpsert
	RouteDelete
	GroupDelete
	NextHopDelete
)

var opNames = [...]string{"next-hop upsert", "group upsert", "route upsert", "route delete", "group delete", "next-hop delete"}

func (t OpType) String() string { return opNames[t] }

// Op is one operation of a batch. Identifiers are unique per type within an
// epoch, which is their upper half.
type Op struct {
	Type  OpType
	Epoch uint32

	ID uint64 // of the next hop or group; of a route, its group

	// Of a next hop: its kind, and for KindUnicast where it leads.
	Kind      rib.Kind
	VRF       string     // instance of Interface; of KindLookup, the one to look in; of a route, its own
	Interface string     // egress
	Gateway   netip.Addr // invalid: the packet's destination is on the link

	Members []Member // of a GroupUpsert: 1 to rib.MaxNextHops
	Like    uint64   // of a GroupUpsert: the group that its first route had, 0 for none; common members keep their flows

	Prefix netip.Prefix // of a route
}

// Member is a next hop of a group with its weight, 1 to rib.MaxWeight, and the
// number of its backup: see rib.Member.
type Member struct {
	NextHop uint64
	Weight  uint32
	Backup  uint8
}

// Code says why the data plane refused an operation.
type Code uint8

// The codes. Codes of the data plane that are not known here are CodeOther.
const (
	CodeOK        Code = iota
	CodeInvalid        // a field is not acceptable
	CodeNotFound       // the object, or one it refers to, does not exist
	CodeTableFull      // no room
	CodeExists         // in the way of another object
	CodeBusy           // cannot be done now
	CodeOther
)

var codeNames = [...]string{"OK", "INVALID", "NOT_FOUND", "TABLE_FULL", "EXISTS", "BUSY", "OTHER"}

func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("CODE(%d)", uint8(c))
}

// Error is the data plane's reason for refusing an operation.
type Error struct {
	Code  Code
	Field string // the field of the request that is at fault, if one is
	Msg   string
}

func (e *Error) Error() string {
	if e.Field != "" {
		return fmt.Sprintf("%s: %s: %s", e.Code, e.Field, e.Msg)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Msg)
}
