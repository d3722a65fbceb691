package gnmiserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	epb "github.com/openconfig/gnmi/proto/gnmi_ext"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"millrace/server/auth"
	"millrace/server/config"
	"millrace/server/store"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

const (
	defaultRollback = 10 * time.Minute
	maxRollback     = 30 * 24 * time.Hour
	maxCommitID     = 255
)

// operation of a Set.
type operation struct {
	op   gpb.UpdateResult_Operation
	sent *gpb.Path
	// field of the request that the operation is.
	field string
	path  tree.Path
	val   *gpb.TypedValue
}

// Set makes a commit of a request: what is deleted first, then what is replaced, then what is updated.
func (s *Server) Set(ctx context.Context, req *gpb.SetRequest) (*gpb.SetResponse, error) {
	ext, err := readExtensions(req.GetExtension(), "Set", extArbitration, extCommit)
	if err != nil {
		return nil, err
	}
	ops, err := s.operations(req)
	if err != nil {
		return nil, err
	}
	if err := s.arbitration.elect(ext.arbitration); err != nil {
		return nil, err
	}
	at, err := s.commit(ctx, ops, ext)
	if err != nil {
		return nil, commitError(err)
	}
	resp := &gpb.SetResponse{Prefix: req.GetPrefix(), Timestamp: at.UnixNano()}
	for _, o := range ops {
		resp.Response = append(resp.Response, &gpb.UpdateResult{Path: o.sent, Op: o.op})
	}
	return resp, nil
}

// operations of a request in their order, with paths that are in the schema.
func (s *Server) operations(req *gpb.SetRequest) ([]operation, error) {
	prefix := req.GetPrefix()
	if err := checkPrefix(prefix); err != nil {
		return nil, err
	}
	count := len(req.GetDelete()) + len(req.GetReplace()) + len(req.GetUpdate()) + len(req.GetUnionReplace())
	if count > maxSetPaths {
		return nil, status.Errorf(codes.InvalidArgument, "%d operations, at most %d are allowed", count, maxSetPaths)
	}
	if n := len(req.GetUnionReplace()); n > 0 && n != count {
		return nil, status.Error(codes.InvalidArgument, "union_replace: cannot be together with delete, replace or update")
	}
	ops := make([]operation, 0, count)
	add := func(op gpb.UpdateResult_Operation, list string, i int, p *gpb.Path, u *gpb.Update) error {
		o := operation{op: op, sent: p, field: fmt.Sprintf("%s[%d]", list, i)}
		var err error
		if o.path, err = fromPath(prefix, p, o.field+".path"); err != nil {
			return err
		}
		if err := known(s.schema, o.path); err != nil {
			if op != gpb.UpdateResult_DELETE || wildcards(o.path) == 0 {
				e, _ := treeErrors(err)
				return faults(codes.NotFound, e)
			}
		}
		if u != nil {
			//lint:ignore SA1019 what is deprecated is refused by name
			if u.GetVal() == nil && u.GetValue() != nil {
				return fault(codes.InvalidArgument, o.path.String(), "the field value is deprecated: use val")
			}
			if o.val = u.GetVal(); o.val.GetValue() == nil {
				return fault(codes.InvalidArgument, o.path.String(), "has no value (%s.val)", o.field)
			}
		}
		ops = append(ops, o)
		return nil
	}
	for i, p := range req.GetDelete() {
		if err := add(gpb.UpdateResult_DELETE, "delete", i, p, nil); err != nil {
			return nil, err
		}
	}
	for _, list := range []struct {
		op   gpb.UpdateResult_Operation
		name string
		all  []*gpb.Update
	}{
		{gpb.UpdateResult_REPLACE, "replace", req.GetReplace()}, {gpb.UpdateResult_UPDATE, "update", req.GetUpdate()},
		{gpb.UpdateResult_UNION_REPLACE, "union_replace", req.GetUnionReplace()},
	} {
		for i, u := range list.all {
			if u == nil {
				u = &gpb.Update{}
			}
			if err := add(list.op, list.name, i, u.GetPath(), u); err != nil {
				return nil, err
			}
		}
	}
	return ops, nil
}

// commit carries out the operations, and what the client asked for about confirmation. It returns when.
func (s *Server) commit(ctx context.Context, ops []operation, ext extensions) (time.Time, error) {
	c := ext.commit
	req := store.Request{API: "gnmi"}
	if c != nil {
		if err := checkAction(c, len(ops)); err != nil {
			return time.Time{}, err
		}
		a, ok := c.GetAction().(*epb.Commit_Commit)
		if !ok {
			return s.settle(ctx, req, c)
		}
		req.ConfirmID, req.Confirm = c.GetId(), defaultRollback
		if d := a.Commit.GetRollbackDuration(); d != nil {
			req.Confirm = d.AsDuration()
		}
		if err := checkRollback(req.Confirm); err != nil {
			return time.Time{}, err
		}
	} else if len(ops) == 0 {
		return s.now(), nil
	}
	res, err := s.opt.Store.Commit(ctx, req, func(e *tree.Edit) error {
		// Another may have become the master while this one waited for its turn.
		if err := s.arbitration.elect(ext.arbitration); err != nil {
			return err
		}
		return s.apply(e, ops)
	})
	return res.Time, err
}

// checkAction finds what is wrong with an action of commit confirmed on its own.
func checkAction(c *epb.Commit, ops int) error {
	if id := c.GetId(); id == "" || len(id) > maxCommitID {
		return status.Errorf(codes.InvalidArgument, "commit.id: has to be there, with at most %d bytes", maxCommitID)
	}
	switch c.GetAction().(type) {
	case *epb.Commit_Commit:
		return nil
	case nil:
		return status.Error(codes.InvalidArgument, "commit: has no action")
	}
	if ops > 0 {
		return status.Error(codes.InvalidArgument, "commit: nothing can be set together with confirm, cancel or set_rollback_duration")
	}
	return nil
}

// maySettle is nil for who may write everything, and who made the commit in force.
func (s *Server) maySettle(ctx context.Context) error {
	err := s.may(ctx, nil, true)
	if err == nil {
		return nil
	}
	entry, _, _ := s.opt.Store.Current()
	if id, ok := auth.FromContext(ctx); ok && entry.Who == id.Name {
		return nil
	}
	return err
}

// settle decides about the commit that waits to be confirmed.
func (s *Server) settle(ctx context.Context, req store.Request, c *epb.Commit) (time.Time, error) {
	if err := s.maySettle(ctx); err != nil {
		return time.Time{}, err
	}
	switch a := c.GetAction().(type) {
	case *epb.Commit_Confirm:
		return s.now(), s.opt.Store.Confirm(ctx, req, c.GetId())
	case *epb.Commit_Cancel:
		res, err := s.opt.Store.Cancel(ctx, req, c.GetId())
		return res.Time, err
	case *epb.Commit_SetRollbackDuration:
		d := a.SetRollbackDuration.GetRollbackDuration().AsDuration()
		if err := checkRollback(d); err != nil {
			return time.Time{}, err
		}
		return s.now(), s.opt.Store.SetDeadline(ctx, req, c.GetId(), d)
	}
	return time.Time{}, status.Error(codes.Unimplemented, "commit: the action is not known")
}

func checkRollback(d time.Duration) error {
	if d <= 0 || d > maxRollback {
		return status.Errorf(codes.InvalidArgument, "commit.rollback_duration: %v is not more than 0 and up to %v", d, maxRollback)
	}
	return nil
}

// apply carries out the operations on an edit.
func (s *Server) apply(e *tree.Edit, ops []operation) error {
	if len(ops) > 0 && ops[0].op == gpb.UpdateResult_UNION_REPLACE {
		return s.union(e, ops)
	}
	for _, o := range ops {
		var err error
		if o.op == gpb.UpdateResult_DELETE {
			if _, err = expand(s.schema, o.path); err == nil {
				err = e.Delete(o.path)
			}
		} else {
			err = write(e, o, o.op == gpb.UpdateResult_REPLACE)
		}
		if err != nil {
			return invalid(err)
		}
	}
	return nil
}

// union makes the configuration just what the operations say together. They may say the same twice, but not contradict each other.
func (s *Server) union(e *tree.Edit, ops []operation) error {
	if err := e.Replace(nil, []byte("{}")); err != nil {
		return invalid(err)
	}
	empty := tree.New(s.schema)
	for _, o := range ops {
		if len(ops) > 1 {
			one := empty.Edit()
			if err := write(one, o, false); err != nil {
				return invalid(err)
			}
			var clash error
			one.Root().Walk(nil, func(p tree.Path, n *tree.Node) bool {
				if have := lookup(e.Root(), p); have != nil && !have.Value().Equal(n.Value()) {
					clash = fault(codes.InvalidArgument, p.String(), "%s of %s contradicts %s before it", n.Value().Text(), o.field, have.Value().Text())
				}
				return clash == nil
			})
			if clash != nil {
				return clash
			}
		}
		if err := write(e, o, false); err != nil {
			return invalid(err)
		}
	}
	return nil
}

// lookup finds the node at a path whose keys are in the schema's order; nil if there is none.
func lookup(n *tree.Node, p tree.Path) *tree.Node {
	for _, el := range p {
		n = n.Child(el.Name)
		if len(el.Keys) > 0 {
			keys := make([]string, len(el.Keys))
			for i, k := range el.Keys {
				keys[i] = k.Value
			}
			n = n.Entry(keys...)
		}
	}
	return n
}

// write gives the node of an operation its value.
func write(e *tree.Edit, o operation, replace bool) error {
	at := o.path.String()
	n := schemaOf(e.Schema(), o.path)
	if n.Kind == schema.List && n.Config && len(o.path[len(o.path)-1].Keys) == 0 {
		// Specification section 3.4.5.
		return fault(codes.InvalidArgument, at, "key %s is missing: a list as a whole is set by what is around it", n.Keys[0])
	}
	switch v := o.val.GetValue().(type) {
	case *gpb.TypedValue_JsonIetfVal:
		return writeJSON(e, o.path, v.JsonIetfVal, replace)
	case *gpb.TypedValue_JsonVal:
		return writeJSON(e, o.path, v.JsonVal, replace)
	}
	if !n.IsLeaf() {
		return fault(codes.InvalidArgument, at, "is a %s: its value has to be JSON", n.Kind)
	}
	if v, ok := o.val.GetValue().(*gpb.TypedValue_AsciiVal); ok {
		return e.SetText(o.path, v.AsciiVal)
	}
	val, err := decode(n, o.val)
	switch {
	case isStatus(err):
		return fault(status.Code(err), at, "%s", status.Convert(err).Message())
	case err != nil:
		return tree.Error{Path: at, Reason: err.Error()}
	}
	return e.Set(o.path, val)
}

func writeJSON(e *tree.Edit, p tree.Path, doc []byte, replace bool) error {
	if replace {
		return e.Replace(p, doc)
	}
	return e.Update(p, doc)
}

// schemaOf is the node of the schema at a path that known lets pass.
func schemaOf(s *schema.Schema, p tree.Path) *schema.Node {
	n := s.Root
	for _, e := range p {
		n = n.Child(e.Name)
	}
	return n
}

// commitError gives what the store said a canonical code: a request that is wrong in itself is INVALID_ARGUMENT, one that does not go
// with the present state FAILED_PRECONDITION.
func commitError(err error) error {
	var refused *store.ApplyError
	all, placed := treeErrors(err)
	switch {
	case isStatus(err):
		return err
	case errors.Is(err, store.ErrPending), errors.Is(err, store.ErrNotPending):
		return status.Error(codes.FailedPrecondition, short("commit: "+err.Error()))
	case errors.Is(err, store.ErrOtherCommit):
		return status.Error(codes.InvalidArgument, short("commit.id: "+err.Error()))
	case errors.Is(err, store.ErrChanged):
		return status.Error(codes.Aborted, short(err.Error()))
	case placed && errors.As(err, &refused):
		return faults(codes.FailedPrecondition, all)
	case placed:
		return faults(codes.InvalidArgument, all)
	}
	var fields config.Errors
	if errors.As(err, &fields) && !errors.As(err, &refused) {
		return status.Error(codes.InvalidArgument, short(err.Error()))
	}
	return contextError(err, codes.Internal)
}
