// Package telemetry brings together all that can be read of the management tree: the configuration, the state that mirrors it, and what
// the sources know of the running system; and it tells who watches what has changed.
package telemetry

import (
	"context"
	"fmt"
	"strings"
	"time"

	"millrace/yang/schema"
	"millrace/yang/tree"
)

// Leaf is the value of one leaf of state.
type Leaf struct {
	Path   tree.Path
	Schema *schema.Node
	Value  schema.Value
}

// Batch is leaves of one time. A source hands over those of one object (an interface, a route, a neighbour) together.
type Batch struct {
	// Time of the event that made the values what they are; for counters and gauges, when they were read.
	Time   time.Time
	Leaves []Leaf
	// Deleted nodes, with all below them. They went before the leaves came.
	Deleted []tree.Path
}

// Source knows the state at some places of the tree. Its methods may be called from several goroutines at the same time.
type Source interface {
	// Roots are the schema paths of what the source knows: each is a container, a list or a leaf of state, and none lies in another
	// source's. The more exact they are, the less the source is asked in vain.
	Roots() []string
	// Read calls emit with all leaves that m takes or that lie below what it takes; it may give others too, which are left out then,
	// but looks into m to do no work in vain (one interface of a thousand, one prefix of a million). It holds no lock during emit
	// and no more than a page in memory. It ends with emit's error, if that returns one.
	Read(ctx context.Context, m tree.Pattern, emit func(Batch) error) error
}

// Watcher is a source that knows when something changes. What a source without Watch knows is read again and again for those who
// watch it.
type Watcher interface {
	Source
	// Watch calls emit with the changes of what m takes, or more, from before it calls ready until ctx ends; each value once it
	// has changed, with the time of the event. What can only be read, such as counters, is left out: Sampled says what. Of an entry of
	// an AFT all leaves are told if any has changed: what it had before and has not now is gone (OpenConfig's telemetry-atomic).
	Watch(ctx context.Context, m tree.Pattern, ready func(), emit func(Batch) error) error
	// Sampled says that changes of a leaf are not told by Watch: counters and the like.
	Sampled(*schema.Node) bool
}

// Object gathers the leaves of one object for a Batch: its path and the schema of what is below.
type Object struct {
	path tree.Path
	node *schema.Node
	all  []Leaf
	// steps are the memory of paths.
	steps []tree.Elem
	err   error
}

// NewObject begins an object at a path whose keys are in the schema's order.
func NewObject(s *schema.Schema, p tree.Path) *Object {
	o := &Object{path: p, node: s.Root}
	for _, e := range p {
		if o.node = o.node.Child(e.Name); o.node == nil {
			o.err = fmt.Errorf("telemetry: %s is not in the schema", p)
			break
		}
	}
	return o
}

// Set adds a leaf at names below the object ("state/counters/in-octets"). A leaf that the schema has not is an error of the program.
// Its value is one that schema.Node.FromGo takes; nil is left out.
func (o *Object) Set(below string, value any) *Object {
	if value == nil || o.err != nil {
		return o
	}
	p := o.room(len(o.path) + strings.Count(below, "/") + 1)
	p = append(p, o.path...)
	n := o.node
	for rest, more := below, true; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		if n = n.Child(name); n == nil {
			o.err = fmt.Errorf("telemetry: %s/%s is not in the schema", o.path, below)
			return o
		}
		p = append(p, tree.Elem{Name: n.Name})
	}
	v, err := n.FromGo(value)
	if err != nil {
		o.err = fmt.Errorf("telemetry: %s: %w", p, err)
		return o
	}
	if o.all == nil {
		o.all = make([]Leaf, 0, usualLeaves)
	}
	o.all = append(o.all, Leaf{p, n, v})
	return o
}

// usualLeaves is how many leaves an object makes room for at a time.
const usualLeaves = 4

// room returns an empty path with room for n steps and no more. Paths of one object share their memory: there may be millions of objects.
func (o *Object) room(n int) tree.Path {
	if cap(o.steps)-len(o.steps) < n {
		o.steps = make([]tree.Elem, 0, n*usualLeaves)
	}
	at := len(o.steps)
	o.steps = o.steps[:at+n]
	return tree.Path(o.steps[at : at : at+n])
}

// Leaves are those that were set, or the first error.
func (o *Object) Leaves() ([]Leaf, error) { return o.all, o.err }

// Batch of the leaves that were set.
func (o *Object) Batch(t time.Time) (Batch, error) { return Batch{Time: t, Leaves: o.all}, o.err }
