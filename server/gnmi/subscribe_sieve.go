package gnmiserver

import (
	"context"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// rightsInterval is how long what a subscriber may read is taken for known.
const rightsInterval = 5 * time.Second

// sieve keeps from a subscriber what it did not ask for and what it may not read: of which models, how deep, and by its role, which is
// about places of the schema.
type sieve struct {
	s     *Server
	ctx   context.Context
	use   models
	depth int
	tops  []*schema.Node
	since time.Time
	// all: nothing is left out.
	all  bool
	take map[*schema.Node]bool
}

func newSieve(s *Server, ctx context.Context, use models, depth int, subs []subscription) *sieve {
	v := &sieve{s: s, ctx: ctx, use: use, depth: depth}
	seen := map[*schema.Node]bool{}
	for _, sub := range subs {
		for _, m := range sub.patterns {
			if !seen[m.Schema] {
				seen[m.Schema] = true
				v.tops = append(v.tops, m.Schema)
			}
		}
	}
	return v
}

// refresh finds out what passes. That nothing may be read of a subscription is an error.
func (v *sieve) refresh(now time.Time) error {
	if now.Sub(v.since) < rightsInterval {
		return nil
	}
	v.since, v.all, v.take = now, true, map[*schema.Node]bool{}
	rights := map[*schema.Node]error{}
	for _, top := range v.tops {
		var denied error
		may := false
		v.leaves(top, 0, func(n *schema.Node, below int) {
			if !v.use.has(n) || v.depth > 0 && below > v.depth {
				v.all = false
				return
			}
			err, known := rights[n]
			if !known {
				err = v.s.may(v.ctx, pathTo(n), false)
				rights[n] = err
			}
			if err != nil {
				denied, v.all = err, false
				return
			}
			may, v.take[n] = true, true
		})
		if denied != nil && !may {
			return deniedAt(top, denied)
		}
	}
	return nil
}

func (v *sieve) leaves(n *schema.Node, below int, f func(*schema.Node, int)) {
	if n.IsLeaf() {
		f(n, below)
		return
	}
	for _, c := range n.Children() {
		v.leaves(c, below+1, f)
	}
}

func deniedAt(top *schema.Node, err error) error {
	if isStatus(err) {
		return err
	}
	return fault(codes.PermissionDenied, top.Path(), "%s", err.Error())
}

// pathTo is the path of a place in the schema, with any entry of the lists on the way.
func pathTo(n *schema.Node) tree.Path {
	if n.Parent == nil {
		return nil
	}
	e := tree.Elem{Name: n.Name}
	if n.Kind == schema.List {
		for _, k := range n.Keys {
			e.Keys = append(e.Keys, tree.Key{Name: k, Value: "*"})
		}
	}
	return pathTo(n.Parent).With(e)
}

// event is the part of an event that passes; nil if there is none.
func (v *sieve) event(e *telemetry.Event) (*telemetry.Event, error) {
	if err := v.refresh(time.Now()); err != nil {
		return nil, err
	}
	if v.all {
		return e, nil
	}
	out := &telemetry.Event{Batch: telemetry.Batch{Time: e.Time}, Object: e.Object}
	for i, l := range e.Leaves {
		if !v.take[l.Schema] {
			continue
		}
		out.Leaves = append(out.Leaves, l)
		if i < len(e.Duplicates) {
			out.Duplicates = append(out.Duplicates, e.Duplicates[i])
		}
	}
	for _, p := range e.Deleted {
		if n := v.s.schema.Find(p.SchemaPath()); n != nil && v.some(n) {
			out.Deleted = append(out.Deleted, p)
		}
	}
	if len(out.Leaves)+len(out.Deleted) == 0 {
		return nil, nil
	}
	return out, nil
}

// some says that anything at or below a node passes.
func (v *sieve) some(n *schema.Node) bool {
	if n.IsLeaf() {
		return v.take[n]
	}
	for _, c := range n.Children() {
		if v.some(c) {
			return true
		}
	}
	return false
}

// violated are the fields that an error names.
func violated(st *status.Status) (out []string) {
	for _, d := range st.Details() {
		if b, ok := d.(*errdetails.BadRequest); ok {
			for _, f := range b.GetFieldViolations() {
				out = append(out, f.GetField())
			}
		}
	}
	return out
}
