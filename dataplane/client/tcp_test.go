package client_test

import (
	"slices"
	"testing"

	pb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client"
)

func TestTCPObjects(t *testing.T) {
	s, c := start(t, nil)
	res, err := c.Apply(soon(t), []*pb.Op{
		{Op: &pb.Op_TcpPool{TcpPool: &pb.TcpPool{Name: "app", Backends: []*pb.TcpBackend{{Name: "a"}, {Name: "b"}}}}},
		{Op: &pb.Op_TcpListener{TcpListener: &pb.TcpListener{Name: "echo"}}},
		{Op: &pb.Op_TcpListener{TcpListener: &pb.TcpListener{Name: "web", Proxy: &pb.TcpProxy{Pool: "app"}}}},
	})
	if err != nil || res.Err() != nil {
		t.Fatal(res, err)
	}
	events, err := c.Subscribe(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	s.SetHealth("app", "b", pb.TcpHealth_TCP_HEALTH_DOWN, "connection refused")
	s.SetHealth("app", "", pb.TcpHealth_TCP_HEALTH_DOWN, "")
	if e, err := events.Next(soon(t)); err != nil || e.GetTcpHealth().GetBackend() != "b" || e.GetTcpHealth().GetReason() != "connection refused" {
		t.Fatal(e, err)
	}
	var got []string
	for l, err := range c.TCPListeners(soon(t), "") {
		if err != nil {
			t.Fatal(err)
		}
		health := "down"
		if l.GetHealthy() {
			health = "up"
		}
		got = append(got, l.GetConfig().GetName()+" "+health)
	}
	for p, err := range c.TCPPools(soon(t), "app") {
		if err != nil || p.GetBackends() != 2 || p.GetHealthy() {
			t.Error(p, err)
		}
	}
	for b, err := range c.TCPBackends(soon(t), "app") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b.GetConfig().GetName()+" "+b.GetHealth().String())
	}
	if want := []string{"echo up", "web down", "a TCP_HEALTH_UP", "b TCP_HEALTH_DOWN"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	res, err = c.Apply(soon(t), []*pb.Op{
		{Op: &pb.Op_TcpListenerDelete{TcpListenerDelete: &pb.TcpListenerKey{Name: "web"}}},
		{Op: &pb.Op_TcpPoolDelete{TcpPoolDelete: &pb.TcpPoolKey{Name: "app"}}},
	})
	if err != nil || res.Err() != nil || len(s.Keys()) != 1 {
		t.Error(res, err, s.Keys())
	}
}

// The pages of connections may be short or empty before the last.
func TestTCPConnections(t *testing.T) {
	s, c := start(t, nil)
	pages := map[string]*pb.ListResult{
		"":  {TcpConnections: []*pb.TcpConnection{{LocalPort: 1}}, NextCursor: []byte("a")},
		"a": {NextCursor: []byte("b")},
		"b": {TcpConnections: []*pb.TcpConnection{{LocalPort: 2}, {LocalPort: 3}}},
	}
	var filters []*pb.TcpFilter
	s.SetHandle(func(q *pb.Request) []*pb.Response {
		switch {
		case q.GetList() != nil:
			filters = append(filters, q.GetList().GetTcp())
			return []*pb.Response{{Id: q.GetId(), Result: &pb.Response_List{List: pages[string(q.GetList().GetCursor())]}}}
		case q.GetTcpKill() != nil:
			n := uint64(7)
			if q.GetTcpKill().GetAll() {
				n = 9
			}
			return []*pb.Response{{Id: q.GetId(), Result: &pb.Response_Done{Done: &pb.Done{Count: n}}}}
		}
		return nil
	})
	all, err := client.Collect(c.TCPConnections(soon(t), &pb.TcpFilter{Vrf: "red"}))
	if err != nil || len(all) != 3 || all[2].GetLocalPort() != 3 {
		t.Error(all, err)
	}
	for _, f := range filters {
		if f.GetVrf() != "red" {
			t.Error("the filter is not in each page's request:", f)
		}
	}
	if n, err := c.KillTCP(soon(t), &pb.TcpFilter{LocalPort: 80}, false); n != 7 || err != nil {
		t.Error(n, err)
	}
	if n, err := c.KillTCP(soon(t), nil, true); n != 9 || err != nil {
		t.Error(n, err)
	}
}
