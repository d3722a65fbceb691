package gnmiserver

import (
	"context"
	"fmt"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// Get answers each path of a request with a notification, and in it each node that the path takes with an update.
func (s *Server) Get(ctx context.Context, req *gpb.GetRequest) (*gpb.GetResponse, error) {
	if _, ok := gpb.GetRequest_DataType_name[int32(req.GetType())]; !ok {
		return nil, status.Errorf(codes.InvalidArgument, "type: there is no type %d", req.GetType())
	}
	if err := checkEncoding(req.GetEncoding()); err != nil {
		return nil, err
	}
	ext, err := readExtensions(req.GetExtension(), "Get", extDepth)
	if err != nil {
		return nil, err
	}
	use, err := s.readModels(req.GetUseModels())
	if err != nil {
		return nil, err
	}
	if n := len(req.GetPath()); n > maxGetPaths {
		return nil, status.Errorf(codes.InvalidArgument, "path: %d paths, at most %d are allowed", n, maxGetPaths)
	}
	paths := req.GetPath()
	if len(paths) == 0 && len(req.GetPrefix().GetElem()) > 0 {
		paths = []*gpb.Path{{}} // the prefix is the path
	}
	if err := checkPrefix(req.GetPrefix()); err != nil {
		return nil, err
	}
	select {
	case s.gets <- struct{}{}:
		defer func() { <-s.gets }()
	case <-ctx.Done():
		return nil, contextError(ctx.Err(), codes.Canceled)
	}
	g := &get{s: s, ctx: ctx, kind: req.GetType(), use: use, depth: int(ext.depth), encoding: req.GetEncoding(), left: s.opt.MaxAnswer}
	resp := &gpb.GetResponse{}
	for i, p := range paths {
		at, err := fromPath(req.GetPrefix(), p, fmt.Sprintf("path[%d]", i))
		if err != nil {
			return nil, err
		}
		n, err := g.path(at)
		if err != nil {
			return nil, err
		}
		n.Prefix = toPrefix(req.GetPrefix())
		resp.Notification = append(resp.Notification, n)
	}
	return resp, nil
}

// get is a call of Get.
type get struct {
	s        *Server
	ctx      context.Context
	kind     gpb.GetRequest_DataType
	use      models
	depth    int
	encoding gpb.Encoding
	// left of the bytes that may be answered.
	left   int
	denied error
}

// path reads all that one path of the request takes.
func (g *get) path(p tree.Path) (*gpb.Notification, error) {
	pats, err := expand(g.s.schema, p)
	if err != nil {
		return nil, err
	}
	out := &gpb.Notification{Timestamp: g.s.now().UnixNano()}
	g.denied = nil
	for _, m := range pats {
		if err := g.pattern(m, out); err != nil {
			return nil, err
		}
	}
	if len(out.Update) == 0 {
		switch {
		case g.denied != nil:
			return nil, g.denied
		case !wild(p, pats):
			return nil, fault(codes.NotFound, p.String(), "there is no such %s", what(pats[0].Schema, g.kind))
		}
	}
	return out, nil
}

func what(n *schema.Node, t gpb.GetRequest_DataType) string {
	if n.Parent == nil {
		return "data"
	}
	s := n.Kind.String()
	if n.Kind == schema.List {
		s = "entry"
	}
	if t != gpb.GetRequest_ALL {
		s += " with data of the type " + t.String()
	}
	return s
}

// pattern adds an update for each node that a pattern takes; in the encodings that have no structure, for each leaf.
func (g *get) pattern(m tree.Pattern, out *gpb.Notification) error {
	flat := g.encoding == gpb.Encoding_PROTO || g.encoding == gpb.Encoding_ASCII
	b := newBuilder(g.s.schema, len(m.Path))
	err := g.leaves(m, func(p tree.Path, n *schema.Node, v schema.Value) error {
		if !flat {
			return b.add(p, n, v)
		}
		out.Update = append(out.Update, &gpb.Update{Path: toPath(p), Val: encode(v, g.encoding)})
		return nil
	})
	if err != nil || flat {
		return err
	}
	b.each(func(p tree.Path, x *object) {
		u := &gpb.Update{Path: toPath(p)}
		if ietf := g.encoding == gpb.Encoding_JSON_IETF; ietf {
			u.Val = &gpb.TypedValue{Value: &gpb.TypedValue_JsonIetfVal{JsonIetfVal: x.appendJSON(nil, true, "")}}
		} else {
			u.Val = &gpb.TypedValue{Value: &gpb.TypedValue_JsonVal{JsonVal: x.appendJSON(nil, false, "")}}
		}
		out.Update = append(out.Update, u)
	})
	return nil
}

// leaves calls f for each leaf that a pattern takes or that is below what it takes, and that the caller asked for and may read.
func (g *get) leaves(m tree.Pattern, f func(tree.Path, *schema.Node, schema.Value) error) error {
	sieve := map[*schema.Node]bool{}
	take := func(p tree.Path, n *schema.Node, v schema.Value) error {
		ok, seen := sieve[n]
		if !seen {
			ok = g.use.has(n)
			sieve[n] = ok
		}
		if !ok || g.depth > 0 && len(p)-len(m.Path) > g.depth {
			return nil
		}
		if err := g.s.may(g.ctx, p, false); err != nil {
			g.denied = err
			return nil
		}
		if g.left -= sizeOf(p, v); g.left < 0 {
			return status.Errorf(codes.ResourceExhausted,
				"%s: the answer would have more than %d bytes: ask for less, or use Subscribe with the mode ONCE", m.Path, g.s.opt.MaxAnswer)
		}
		return f(p, n, v)
	}
	err := g.s.opt.Hub.Read(g.ctx, m, types[g.kind], func(b telemetry.Batch) error {
		for _, l := range b.Leaves {
			if err := take(l.Path, l.Schema, l.Value); err != nil {
				return err
			}
		}
		return g.ctx.Err()
	})
	if err != nil {
		return contextError(err, codes.Unavailable)
	}
	return nil
}

var types = map[gpb.GetRequest_DataType]telemetry.What{
	gpb.GetRequest_ALL: telemetry.All, gpb.GetRequest_CONFIG: telemetry.Config, gpb.GetRequest_STATE: telemetry.State,
	gpb.GetRequest_OPERATIONAL: telemetry.Operational,
}

// sizeOf is about what a leaf takes in an answer.
func sizeOf(p tree.Path, v schema.Value) int {
	n := 16
	for _, e := range p[max(0, len(p)-2):] {
		n += len(e.Name) + 4
		for _, k := range e.Keys {
			n += len(k.Name) + len(k.Value) + 6
		}
	}
	if l := v.List(); l != nil {
		for _, e := range l {
			n += len(e.Text()) + 4
		}
		return n
	}
	return n + len(v.Text())
}
