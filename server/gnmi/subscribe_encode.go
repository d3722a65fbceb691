package gnmiserver

import (
	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/protobuf/proto"

	"millrace/server/telemetry"
	"millrace/yang/tree"
)

// maxUpdates are in one message, so that none is too big for a client's default limit of 4 MiB.
const maxUpdates = 512

// form is how the messages of a call look. Calls of the same form share them.
type form struct {
	encoding       gpb.Encoding
	target, origin string
}

// responses are the messages of an event, already encoded.
func (f form) responses(e *telemetry.Event) []*gpb.SubscribeResponse {
	var out []*gpb.SubscribeResponse
	leaves, deleted, dups := e.Leaves, e.Deleted, e.Duplicates
	for len(leaves) > 0 || len(deleted) > 0 {
		nd := min(len(deleted), maxUpdates)
		nl := min(len(leaves), maxUpdates-nd)
		if e.Object != nil {
			nl = len(leaves) // it cannot be split
		}
		var d []uint32
		if len(dups) > 0 {
			d, dups = dups[:nl], dups[nl:]
		}
		n := f.notification(leaves[:nl], deleted[:nd], d, e.Object)
		n.Timestamp = e.Time.UnixNano()
		out = append(out, sealed(&gpb.SubscribeResponse{Response: &gpb.SubscribeResponse_Update{Update: n}}))
		leaves, deleted = leaves[nl:], deleted[nd:]
	}
	return out
}

// sealed encodes a message for good: the message that is returned has the encoding in the place of fields that are not known, which are
// copied as they are. So what many clients get is encoded once.
func sealed(m *gpb.SubscribeResponse) *gpb.SubscribeResponse {
	b, err := proto.Marshal(m)
	if err != nil {
		return m // then it is up to grpc to say what is wrong with it
	}
	out := &gpb.SubscribeResponse{}
	out.ProtoReflect().SetUnknown(b)
	return out
}

// notification has what all paths begin with in its prefix.
func (f form) notification(leaves []telemetry.Leaf, deleted []tree.Path, dups []uint32, object tree.Path) *gpb.Notification {
	top := object
	if object == nil {
		top = common(leaves, deleted)
	}
	n := &gpb.Notification{Prefix: toPath(top), Atomic: object != nil}
	n.Prefix.Target, n.Prefix.Origin = f.target, f.origin
	if len(top) == 0 && f.target == "" && f.origin == "" {
		n.Prefix = nil
	}
	for _, p := range deleted {
		n.Delete = append(n.Delete, toPath(p[len(top):]))
	}
	if len(leaves) > 0 {
		n.Update = make([]*gpb.Update, len(leaves))
	}
	var w pathWriter
	for i, l := range leaves {
		u := &gpb.Update{Path: w.path(l.Path[len(top):]), Val: encode(l.Value, f.encoding)}
		if i < len(dups) {
			u.Duplicates = dups[i]
		}
		n.Update[i] = u
	}
	return n
}

// common is what all paths begin with, and leaves each at least one step.
func common(leaves []telemetry.Leaf, deleted []tree.Path) tree.Path {
	var top tree.Path
	first := true
	join := func(p tree.Path) {
		if first {
			top, first = p[:max(0, len(p)-1)], false
			return
		}
		n := min(len(top), max(0, len(p)-1))
		i := 0
		for i < n && same(top[i], p[i]) {
			i++
		}
		top = top[:i]
	}
	for _, p := range deleted {
		join(p)
	}
	for _, l := range leaves {
		join(l.Path)
	}
	return top
}

func same(a, b tree.Elem) bool {
	if a.Name != b.Name || len(a.Keys) != len(b.Keys) {
		return false
	}
	for i := range a.Keys {
		if a.Keys[i] != b.Keys[i] {
			return false
		}
	}
	return true
}

// merger makes one event of several small ones of the same time that follow each other.
type merger struct {
	emit func(*telemetry.Event) error
	next *telemetry.Event
}

func (m *merger) add(e *telemetry.Event) error {
	if m.next != nil {
		if e.Object == nil && m.next.Object == nil && e.Time.Equal(m.next.Time) && len(e.Deleted)+len(m.next.Deleted) == 0 &&
			len(e.Leaves)+len(m.next.Leaves) <= maxUpdates/2 {
			m.next = &telemetry.Event{Batch: telemetry.Batch{Time: e.Time, Leaves: append(m.next.Leaves[:len(m.next.Leaves):len(m.next.Leaves)], e.Leaves...)}}
			return nil
		}
		if err := m.flush(); err != nil {
			return err
		}
	}
	m.next = e
	return nil
}

func (m *merger) flush() error {
	e := m.next
	m.next = nil
	if e == nil {
		return nil
	}
	return m.emit(e)
}
