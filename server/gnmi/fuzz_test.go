package gnmiserver

import (
	"context"
	"strings"
	"testing"
	"unicode/utf8"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"millrace/server/model"
	"millrace/server/store"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// dry is the store, with commits that are checked and not carried out.
type dry struct{ *store.Store }

func (d dry) Commit(ctx context.Context, req store.Request, change func(*tree.Edit) error) (store.Result, error) {
	req.DryRun = true
	return d.Store.Commit(ctx, req, change)
}

func newFuzzServer(f *testing.F) *Server {
	s, err := schema.Load()
	if err != nil {
		f.Fatal(err)
	}
	st, err := store.Open(store.Options{Dir: f.TempDir(), Schema: s, Model: model.New(s)})
	if err != nil {
		f.Fatal(err)
	}
	st.Bind(new(applier))
	hub, err := telemetry.New(telemetry.Options{Schema: s, Config: st.Tree})
	if err != nil {
		f.Fatal(err)
	}
	server, err := New(Options{Schema: s, Store: dry{st}, Hub: hub, MaxAnswer: 1 << 20})
	if err != nil {
		f.Fatal(err)
	}
	_, err = st.Commit(context.Background(), store.Request{}, func(e *tree.Edit) error { return e.Replace(nil, []byte(routerDocument)) })
	if err != nil {
		f.Fatal(err)
	}
	return server
}

func seeds(f *testing.F) {
	add := func(req *gpb.SetRequest) {
		b, err := proto.Marshal(req)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, list := range [][]bad{badPaths, badValues, badMeanings, badExtensions} {
		for _, c := range list {
			if req := c.req; proto.Size(req) < 4096 {
				if b, err := proto.Marshal(req); err == nil {
					f.Add(b)
				}
			}
		}
	}
	add(&gpb.SetRequest{Replace: []*gpb.Update{{Path: &gpb.Path{}, Val: jsonVal(routerDocument)}}})
	add(&gpb.SetRequest{UnionReplace: []*gpb.Update{update("/system/config", `{"hostname": "x"}`), update("/interfaces", `{}`)}})
	add(&gpb.SetRequest{Delete: []*gpb.Path{pathOf("/interfaces/interface[name=*]/.../config"), pathOf("/*/*")}})
}

// fit holds an answer to what every answer has to be.
func fit(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	s, ok := status.FromError(err)
	if !ok || s.Code() == codes.Unknown || s.Code() == codes.Internal {
		t.Errorf("error %v", err)
	}
	if !utf8.ValidString(s.Message()) || s.Message() == "" || len(s.Message()) > 16<<10 {
		t.Errorf("message %q", s.Message())
	}
}

// Whatever a Set has in it, it is answered with a canonical code, and what is taken can be read back and set again.
func FuzzSet(f *testing.F) {
	s := newFuzzServer(f)
	seeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		req := &gpb.SetRequest{}
		if proto.Unmarshal(b, req) != nil {
			return
		}
		before := s.opt.Store.Tree()
		_, err := s.Set(context.Background(), req)
		fit(t, err)
		if s.opt.Store.Tree() != before {
			t.Error("the tree has changed")
		}
		ops, err := s.operations(req)
		if err != nil {
			return
		}
		e := before.Edit()
		if s.apply(e, ops) != nil {
			return
		}
		after, err := e.Commit()
		if err != nil {
			return
		}
		again, err := tree.Parse(s.schema, after.JSON())
		if err != nil {
			t.Fatalf("what was taken cannot be set: %v\n%s", err, after.JSON())
		}
		if string(again.JSON()) != string(after.JSON()) {
			t.Fatalf("%s is read back as\n%s", after.JSON(), again.JSON())
		}
	})
}

// Whatever path is read, the answer is a canonical code or values that have been asked for.
func FuzzGet(f *testing.F) {
	s := newFuzzServer(f)
	for _, p := range []string{"/", "/interfaces/interface[name=*]/config", "/.../mtu", "/*/*/*", "/interfaces/interface/.../ip", `/interfaces/interface[name=a\]b]`,
		"/network-instances/network-instance[name=default]/protocols/protocol[identifier=STATIC][name=static]", "/openconfig-system:system"} {
		for e := range 5 {
			f.Add(p, e, e%4, uint32(e))
		}
	}
	f.Fuzz(func(t *testing.T, path string, encoding, kind int, levels uint32) {
		p, err := tree.ParsePath(path)
		if err != nil {
			return
		}
		req := &gpb.GetRequest{Path: []*gpb.Path{toPath(p)}, Encoding: gpb.Encoding(encoding), Type: gpb.GetRequest_DataType(kind), Extension: depth(levels)}
		resp, err := s.Get(context.Background(), req)
		fit(t, err)
		if err != nil {
			return
		}
		if _, err := proto.Marshal(resp); err != nil {
			t.Error(err)
		}
		for _, u := range resp.GetNotification()[0].GetUpdate() {
			back, err := fromPath(nil, u.GetPath(), "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tree.Expand(s.schema, back); err != nil {
				t.Errorf("%s in the answer: %v", back, err)
			}
			if u.GetVal() == nil {
				t.Errorf("%s has no value", back)
			}
		}
	})
}

// Whatever value is given to a leaf, what comes of it is read back as it was written.
func FuzzTypedValue(f *testing.F) {
	s := newFuzzServer(f)
	var leaves []*schema.Node
	s.schema.Root.Walk(func(n *schema.Node) {
		if n.IsLeaf() && n.Config {
			leaves = append(leaves, n)
		}
	})
	for i, v := range []*gpb.TypedValue{
		strVal("x"), strVal("192.0.2.1"), uintVal(5), intVal(-5), list(strVal("a"), uintVal(1)), {Value: &gpb.TypedValue_BoolVal{BoolVal: true}},
		{Value: &gpb.TypedValue_DoubleVal{DoubleVal: 1.5}},
		//lint:ignore SA1019 clients still send it
		{Value: &gpb.TypedValue_DecimalVal{DecimalVal: &gpb.Decimal64{Digits: 15, Precision: 1}}},
		{Value: &gpb.TypedValue_FloatVal{FloatVal: 2}}, {Value: &gpb.TypedValue_BytesVal{BytesVal: []byte("x")}},
	} {
		b, err := proto.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i*7, b)
	}
	f.Fuzz(func(t *testing.T, leaf int, b []byte) {
		v := &gpb.TypedValue{}
		if leaf < 0 || proto.Unmarshal(b, v) != nil {
			return
		}
		n := leaves[leaf%len(leaves)]
		val, err := decode(n, v)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("an error without a word")
			}
			return
		}
		for _, e := range encodings {
			if encode(val, e).GetValue() == nil {
				t.Errorf("%s: no value in %s", n.Path(), e)
			}
		}
		back, err := decode(n, scalar(val))
		if err != nil || !back.Equal(val) {
			t.Errorf("%s: %s is read back as %s: %v", n.Path(), val.Text(), back.Text(), err)
		}
	})
}
