package gnoiserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/openconfig/gnoi/healthz"
	"github.com/openconfig/gnoi/types"
	"google.golang.org/grpc/codes"

	dpb "millrace/api/proto/dataplane/v1"
	grpcserver "millrace/server/grpc"
)

func waitFor(t *testing.T, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come")
		}
	}
}

// fetch is an artifact with what its header says checked.
func fetch(ctx context.Context, c healthz.HealthzClient, id string) (string, error) {
	all, err := drain(c.Artifact(ctx, &healthz.ArtifactRequest{Id: id}))
	if err != nil {
		return "", err
	}
	h := all[0].GetHeader()
	if h.GetId() != id || all[len(all)-1].GetTrailer() == nil {
		return "", fmt.Errorf("it begins with %v and ends with %v", all[0], all[len(all)-1])
	}
	var b []byte
	for _, m := range all[1 : len(all)-1] {
		b = append(b, m.GetBytes()...)
	}
	if sum := sha256.Sum256(b); int64(len(b)) != h.GetFile().GetSize() || !bytes.Equal(sum[:], h.GetFile().GetHash().GetHash()) {
		return "", fmt.Errorf("%d bytes do not fit %v", len(b), h)
	}
	return string(b), nil
}

func TestHealthz(t *testing.T) {
	b := newBed(t)
	c, ctx := healthz.NewHealthzClient(b.conn()), b.ctx()
	get := func(name string) *healthz.ComponentStatus {
		t.Helper()
		r, err := c.Get(ctx, &healthz.GetRequest{Path: componentPath(name)})
		if err != nil {
			t.Fatal(err)
		}
		return r.GetComponent()
	}
	is := func(want healthz.Status, names ...string) {
		t.Helper()
		for _, n := range names {
			if s := get(n); s.GetStatus() != want || s.GetId() == "" || s.GetPath().String() != componentPath(n).String() {
				t.Errorf("%s: %v, want %v", n, s, want)
			}
		}
	}
	is(healthz.Status_STATUS_HEALTHY, "chassis", "vnf", "vnf-dataplane", "eth1", "eth2", "eth3")
	if n := len(get("chassis").GetSubcomponents()); n != 5 {
		t.Errorf("the chassis has %d components", n)
	}
	for _, p := range []*types.Path{
		nil, {}, {Elem: componentPath("x").GetElem()[:1]}, {Origin: "rfc7951", Elem: componentPath("eth1").GetElem()}, componentPath(""),
		{Elem: []*types.PathElem{{Name: "components"}, {Name: "component", Key: map[string]string{"id": "eth1"}}}},
		{Elem: append(componentPath("eth1").GetElem(), &types.PathElem{Name: "state"})},
	} {
		_, err := c.Get(ctx, &healthz.GetRequest{Path: p})
		refused(t, p.String(), err, codes.InvalidArgument, "path")
	}
	for name, code := range map[string]codes.Code{"eth9": codes.NotFound, "lo1": codes.NotFound, "eth1.7": codes.NotFound, "cpu": codes.FailedPrecondition} {
		_, err := c.Get(ctx, &healthz.GetRequest{Path: componentPath(name)})
		refused(t, name, err, code, name)
	}

	// A link goes down, and a VLAN of another port has an alarm.
	b.box.Seam.Set(func(l *dpb.ListResult, _ *dpb.Info) { l.Interfaces[1].OperStatus = dpb.OperStatus_OPER_STATUS_DOWN })
	b.alarms.set(grpcserver.Alarm{ID: "dad", Severity: grpcserver.Major, Resource: "interface eth1.7", Text: "an address is a duplicate", Since: b.now})
	is(healthz.Status_STATUS_UNHEALTHY, "eth1", "eth2", "chassis")
	is(healthz.Status_STATUS_HEALTHY, "vnf", "vnf-dataplane", "eth3")
	ev := get("eth2")
	if ev.GetCreated().AsTime().UnixNano() != b.now.UnixNano() || ev.GetAcknowledged() || len(ev.GetArtifacts()) != 1 {
		t.Fatalf("%v", ev)
	}
	text, err := fetch(ctx, c, ev.GetArtifacts()[0].GetId())
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{
		"Millrace 1.2.3", "eth2: UNHEALTHY: its link is down", "vnf: healthy", "an address is a duplicate", "vnf-dataplane: process 200",
		"DPDK test", "eth2: DOWN, driver net_test", "0: busy 25.0 %", "ip4-bad-checksum: 7", "goroutine",
	} {
		if !strings.Contains(text, word) {
			t.Errorf("%q is not in\n%s", word, text)
		}
	}

	// Seen, listed, acknowledged, and well again.
	list := func(all bool) int {
		t.Helper()
		r, err := c.List(ctx, &healthz.ListRequest{Path: componentPath("eth2"), IncludeAcknowledged: all})
		if err != nil {
			t.Fatal(err)
		}
		return len(r.GetStatuses())
	}
	if a, n := list(true), list(false); a != 2 || n != 2 {
		t.Errorf("%d events, %d of them not acknowledged", a, n)
	}
	for range 2 {
		r, err := c.Acknowledge(ctx, &healthz.AcknowledgeRequest{Path: componentPath("eth2"), Id: ev.GetId()})
		if err != nil || !r.GetStatus().GetAcknowledged() || r.GetStatus().GetId() != ev.GetId() {
			t.Errorf("%v %v", r, err)
		}
	}
	if a, n := list(true), list(false); a != 2 || n != 1 {
		t.Errorf("%d events, %d of them not acknowledged", a, n)
	}
	_, err = c.Acknowledge(ctx, &healthz.AcknowledgeRequest{Path: componentPath("eth1"), Id: ev.GetId()})
	refused(t, "another component's event", err, codes.NotFound, "no event")
	_, err = c.Acknowledge(ctx, &healthz.AcknowledgeRequest{Path: componentPath("eth1")})
	refused(t, "no event", err, codes.InvalidArgument, "id: ")
	b.box.Seam.Set(func(l *dpb.ListResult, _ *dpb.Info) { l.Interfaces = l.Interfaces[:1] })
	if s := get("eth2"); s.GetStatus() != healthz.Status_STATUS_UNHEALTHY || s.GetId() == ev.GetId() {
		t.Errorf("a port that is not there is %v", s)
	}
	b.alarms.set()
	is(healthz.Status_STATUS_HEALTHY, "eth1")

	// Check collects, for an event that there is or a new one, and so often.
	r, err := c.Check(ctx, &healthz.CheckRequest{Path: componentPath("vnf")})
	if err != nil || r.GetStatus().GetStatus() != healthz.Status_STATUS_HEALTHY || len(r.GetStatus().GetArtifacts()) != 1 {
		t.Fatalf("%v %v", r, err)
	}
	first := r.GetStatus().GetArtifacts()[0]
	for n := 2; n <= maxArtifacts; n++ {
		again, err := c.Check(ctx, &healthz.CheckRequest{Path: componentPath("vnf"), EventId: r.GetStatus().GetId()})
		if err != nil || len(again.GetStatus().GetArtifacts()) != n || again.GetStatus().GetArtifacts()[0].String() != first.String() {
			t.Fatalf("%v %v", again, err)
		}
	}
	_, err = c.Check(ctx, &healthz.CheckRequest{Path: componentPath("vnf"), EventId: r.GetStatus().GetId()})
	refused(t, "a further artifact", err, codes.ResourceExhausted, "event_id")
	_, err = c.Check(ctx, &healthz.CheckRequest{Path: componentPath("vnf"), EventId: "x"})
	refused(t, "no event", err, codes.NotFound, "event_id")
	for range maxAllArtifacts {
		if _, err := c.Check(ctx, &healthz.CheckRequest{Path: componentPath("vnf")}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = fetch(ctx, c, first.GetId())
	refused(t, "an old artifact", err, codes.NotFound, "no more")
	all, err := c.List(ctx, &healthz.ListRequest{Path: componentPath("vnf"), IncludeAcknowledged: true})
	if err != nil || len(all.GetStatuses()) != maxEvents {
		t.Errorf("%d events are kept, %v", len(all.GetStatuses()), err)
	}
	_, err = fetch(ctx, c, "")
	refused(t, "no artifact", err, codes.InvalidArgument, "id: ")
}

// TestHealthzFollows: events are noted while nobody asks.
func TestHealthzFollows(t *testing.T) {
	b := newBed(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { b.server.Run(ctx); close(done) }()
	z := &b.server.health.events
	waitFor(t, func() bool { return len(z.list("vnf", true)) == 1 })
	b.alarms.set(grpcserver.Alarm{ID: "bgp-config", Severity: grpcserver.Critical, Resource: "bgp", Text: "no BGP"})
	waitFor(t, func() bool { return len(z.list("vnf", true)) == 2 })
	b.alarms.set(grpcserver.Alarm{ID: "fib", Severity: grpcserver.Critical, Resource: "fib", Text: "full"})
	waitFor(t, func() bool { return len(z.list("vnf", true)) == 3 && len(z.list("vnf-dataplane", true)) == 2 })
	if why := z.list("vnf-dataplane", true)[0].why; fmt.Sprint(why) != "[full]" {
		t.Errorf("%v", why)
	}
	// Nothing is noted twice.
	b.alarms.set(b.alarms.Alarms()...)
	time.Sleep(100 * time.Millisecond)
	if n := len(z.list("vnf-dataplane", true)); n != 2 {
		t.Errorf("%d events", n)
	}
	cancel()
	<-done
}

func TestArtifactIsBounded(t *testing.T) {
	e := events{of: map[string][]*event{}}
	ev := e.add("vnf", nil, time.Now())
	e.attach(ev, make([]byte, 2*maxArtifact))
	if n := len(ev.artifacts[0].text); n < maxArtifact || n > maxArtifact+100 {
		t.Errorf("%d bytes", n)
	}
	for range 3 * maxAllArtifacts {
		e.attach(e.add("vnf", nil, time.Now()), []byte("x"))
	}
	if len(e.artifacts) > maxAllArtifacts || len(e.of["vnf"]) != maxEvents {
		t.Errorf("%d artifacts, %d events", len(e.artifacts), len(e.of["vnf"]))
	}
	e.keep(health{})
	if len(e.artifacts) != 0 || len(e.of) != 0 {
		t.Errorf("of a component that has gone %d artifacts are left", len(e.artifacts))
	}
}
