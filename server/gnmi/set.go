package gnmiserver

import (
	"context"
	"fmt"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	epb "github.com/openconfig/gnmi/proto/gnmi_ext"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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
	at, err := s.commit(ctx, ops, ext.commit)
	if err != nil {
		return nil, s.commitError(err)
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

// commit carries out the operations, and what the client asked for about confirmation.
func (s *Server) commit(ctx context.Context, ops []operation, c *epb.Commit) (time.Time, error) {
	var com Commit
	if c != nil {
		if id := c.GetId(); id == "" || len(id) > maxCommitID {
			return time.Time{}, status.Errorf(codes.InvalidArgument, "commit.id: has to be there, with at most %d bytes", maxCommitID)
		}
		if c.GetCommit() == nil && len(ops) > 0 {
			return time.Time{}, status.Error(codes.InvalidArgument, "commit: nothing can be set together with this action")
		}
		switch a := c.GetAction().(type) {
		case *epb.Commit_Commit:
			com = Commit{ConfirmID: c.GetId(), Rollback: defaultRollback}
			if d := a.Commit.GetRollbackDuration(); d != nil {
				com.Rollback = d.AsDuration()
			}
			if err := checkRollback(com.Rollback); err != nil {
				return time.Time{}, err
			}
		case *epb.Commit_Confirm:
			if err := s.may(ctx, nil, true); err != nil {
				return time.Time{}, err
			}
			return s.opt.Store.Confirm(ctx, c.GetId())
		case *epb.Commit_Cancel:
			if err := s.may(ctx, nil, true); err != nil {
				return time.Time{}, err
			}
			return s.opt.Store.Cancel(ctx, c.GetId())
		case *epb.Commit_SetRollbackDuration:
			if err := s.may(ctx, nil, true); err != nil {
				return time.Time{}, err
			}
			d := a.SetRollbackDuration.GetRollbackDuration().AsDuration()
			if err := checkRollback(d); err != nil {
				return time.Time{}, err
			}
			return s.opt.Store.Postpone(ctx, c.GetId(), d)
		default:
			return time.Time{}, status.Error(codes.InvalidArgument, "commit: has no action")
		}
	}
	if len(ops) == 0 && com.ConfirmID == "" {
		return s.now(), nil
	}
	return s.opt.Store.Commit(ctx, com, func(e *tree.Edit) error {
		before := e.Root()
		if err := s.apply(e, ops); err != nil {
			return err
		}
		return s.mayChange(ctx, before, e.Root())
	})
}

func checkRollback(d time.Duration) error {
	if d <= 0 || d > maxRollback {
		return status.Errorf(codes.InvalidArgument, "commit.rollback_duration: %v is not more than 0 and up to %v", d, maxRollback)
	}
	return nil
}

// mayChange holds each leaf that changes against what the caller may write.
func (s *Server) mayChange(ctx context.Context, before, after *tree.Node) error {
	if s.opt.Authorize == nil {
		return nil
	}
	var err error
	tree.DiffNodes(nil, before, after, func(c tree.Change) {
		if err == nil {
			err = s.may(ctx, c.Path, true)
		}
	})
	return err
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
	switch v := o.val.GetValue().(type) {
	case *gpb.TypedValue_JsonIetfVal:
		return writeJSON(e, o.path, v.JsonIetfVal, replace)
	case *gpb.TypedValue_JsonVal:
		return writeJSON(e, o.path, v.JsonVal, replace)
	}
	n := schemaOf(e.Schema(), o.path)
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

// commitError gives what Store.Commit said a canonical code.
func (s *Server) commitError(err error) error {
	if isStatus(err) {
		return err
	}
	if all, ok := treeErrors(err); ok {
		return faults(codes.InvalidArgument, all)
	}
	return contextError(err, codes.Internal)
}
