package gnmiserver

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// manyEntries is a source of as many AFT entries as asked for, made as they are read.
type manyEntries struct {
	s     *schema.Schema
	n     int
	told  atomic.Int64
	flood chan telemetry.Batch
}

const aft = "/network-instances/network-instance[name=default]/afts/ipv4-unicast"

func (m *manyEntries) Roots() []string {
	return []string{"/network-instances/network-instance/afts/ipv4-unicast"}
}

func (m *manyEntries) Sampled(*schema.Node) bool { return false }

func (m *manyEntries) entry(i, group int) telemetry.Batch {
	prefix := fmt.Sprintf("%d.%d.%d.0/24", 10+i>>16, i>>8&255, i&255)
	o := telemetry.NewObject(m.s, tree.MustPath(aft+"/ipv4-entry[prefix="+prefix+"]"))
	o.Set("prefix", prefix).Set("state/prefix", prefix).Set("state/next-hop-group", uint64(group)).Set("state/origin-protocol", "STATIC")
	b, err := o.Batch(time.Unix(9, 0))
	if err != nil {
		panic(err)
	}
	return b
}

func (m *manyEntries) Read(_ context.Context, p tree.Pattern, emit func(telemetry.Batch) error) error {
	for i := range m.n {
		if err := emit(m.entry(i, 1)); err != nil {
			return err
		}
	}
	return nil
}

func (m *manyEntries) Watch(ctx context.Context, _ tree.Pattern, ready func(), emit func(telemetry.Batch) error) error {
	ready()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b := <-m.flood:
			if err := emit(b); err != nil {
				return err
			}
			m.told.Add(1)
		}
	}
}

func newEntries(t testing.TB, n int) *manyEntries {
	s, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return &manyEntries{s: s, n: n, flood: make(chan telemetry.Batch)}
}

// TestSubscribeMillion streams a million leaves to a client that takes its time, in bounded memory.
func TestSubscribeMillion(t *testing.T) {
	n := 250_000
	if testing.Short() || raceEnabled {
		n = 25_000
	}
	b := newSubBed(t, nil, newEntries(t, n))
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	call := b.subscribe(subList(gpb.SubscriptionList_ONCE, aft))
	leaves, most := 0, uint64(0)
	for i := 0; ; i++ {
		r, err := call.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if r.GetSyncResponse() {
			break
		}
		u := r.GetUpdate()
		if !u.GetAtomic() || len(u.GetPrefix().GetElem()) != 5 {
			t.Fatalf("not an object that is told as a whole: %v", u)
		}
		leaves += len(u.GetUpdate())
		if i%(n/10) == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
	}
	if leaves != 4*n {
		t.Errorf("%d leaves, want %d", leaves, 4*n)
	}
	if grown := int64(most) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

// TestSubscribeSlow has a client that does not read while all entries change many times, and one that does. The slow one gets the last
// value of each with the number of those it missed, and the other is not held up.
func TestSubscribeSlow(t *testing.T) {
	const entries, rounds = 1000, 40
	src := newEntries(t, entries)
	b := newSubBed(t, nil, src)
	follow := func() *call {
		c := b.subscribe(subList(gpb.SubscriptionList_STREAM, aft+"@change"))
		if got := c.toSync(); len(got) != 4*entries {
			t.Fatalf("%d leaves at first", len(got))
		}
		return c
	}
	slow, fast := follow(), follow()
	last := make(chan int, 1)
	read := func(c *call) (got, missed int) {
		final := 0
		for final < entries {
			r, err := c.Recv()
			if err != nil {
				t.Error(err)
				return got, missed
			}
			for _, u := range r.GetUpdate().GetUpdate() {
				if e := u.GetPath().GetElem(); e[len(e)-1].GetName() == "next-hop-group" {
					got++
					missed += int(u.GetDuplicates())
					if u.GetVal().GetUintVal() == 1000+rounds-1 {
						final++
					}
				}
			}
		}
		return got, missed
	}
	go func() {
		got, missed := read(fast)
		last <- got + missed
	}()
	start := time.Now()
	for r := range rounds {
		for i := range entries {
			src.flood <- src.entry(i, 1000+r)
		}
	}
	pushed := time.Since(start)
	if n := <-last; n != entries*rounds {
		t.Errorf("the fast one was told of %d changes, want %d", n, entries*rounds)
	}
	fastDone := time.Since(start)
	got, missed := read(slow)
	if got+missed != entries*rounds || missed == 0 {
		t.Errorf("the slow one got %d and missed %d, want %d together and some missed", got, missed, entries*rounds)
	}
	t.Logf("%d changes pushed in %s, read by the fast one in %s; the slow one got %d, missed %d", entries*rounds, pushed, fastDone, got, missed)
}

// TestSubscribeOverflow has more change than is kept for a client that does not read: it is told that all is gone, and then what there is.
func TestSubscribeOverflow(t *testing.T) {
	const entries = 30_000 // 120,000 leaves
	src := newEntries(t, entries)
	b := newSubBed(t, nil, src)
	c := b.subscribe(subList(gpb.SubscriptionList_STREAM, aft+"@change"))
	c.toSync()
	for i := range entries {
		src.flood <- src.entry(i, 1001)
	}
	seen := map[string]bool{}
	gone := false
	for !gone || len(seen) < 4*entries {
		for _, i := range c.next() {
			if i.text == "-"+aft {
				gone, seen = true, map[string]bool{}
			}
			seen[i.text] = true
		}
		if gone {
			delete(seen, "-"+aft)
		}
	}
}

// TestSubscribeServerStops has a server with streams stop.
func TestSubscribeServerStops(t *testing.T) {
	b := newSubBed(t, nil)
	var calls []*call
	for range 20 {
		c := b.subscribe(subList(gpb.SubscriptionList_STREAM, "/interfaces@change", "/interfaces@sample"))
		c.toSync()
		calls = append(calls, c)
	}
	b.grpc.Stop()
	for _, c := range calls {
		for {
			if _, err := c.Recv(); err != nil {
				if status.Code(err) != codes.Unavailable {
					t.Errorf("after the server's stop: %v", err)
				}
				break
			}
		}
	}
	for range 6000 {
		b.ports.mu.Lock()
		n := len(b.ports.subs)
		b.ports.mu.Unlock()
		if n == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the source is still watched after the server has stopped")
}

// TestSubscribeCancelled has clients come and go while everything changes.
func TestSubscribeCancelled(t *testing.T) {
	b := newSubBed(t, nil)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				b.ports.set("eth1", i%2 == 0, time.Now())
				b.commit(time.Now(), fmt.Sprintf("%s/config/mtu=%d", eth1, 1000+i%1000))
				time.Sleep(time.Millisecond)
			}
		}
	}()
	for i := range 100 {
		c := b.subscribe(subList(gpb.SubscriptionList_STREAM, "/interfaces@change", "/system@sample", "/"))
		if i%3 > 0 {
			c.toSync()
		}
		if i%3 > 1 {
			c.next()
		}
		c.cancel()
	}
	close(stop)
	<-done
}

// FuzzSubscribe sends requests of any form: each is answered or refused, and nothing else happens.
func FuzzSubscribe(f *testing.F) {
	add := func(r *gpb.SubscribeRequest) {
		if raw, err := proto.Marshal(r); err == nil {
			f.Add(raw)
		}
	}
	for _, l := range []*gpb.SubscriptionList{
		subList(gpb.SubscriptionList_ONCE, "/interfaces/interface[name=*]/state/counters"), subList(gpb.SubscriptionList_STREAM, "/@sample", "/system@change"),
		subList(gpb.SubscriptionList_POLL, "/.../config"), subList(gpb.SubscriptionList_STREAM, "/interfaces/*/state"),
	} {
		add(&gpb.SubscribeRequest{Request: &gpb.SubscribeRequest_Subscribe{Subscribe: l}})
	}
	add(&gpb.SubscribeRequest{Request: &gpb.SubscribeRequest_Poll{Poll: &gpb.Poll{}}})
	b := newSubBed(f, nil)
	f.Fuzz(func(t *testing.T, raw []byte) {
		req := &gpb.SubscribeRequest{}
		if proto.Unmarshal(raw, req) != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		s, err := b.client.Subscribe(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Send(req); err != nil {
			t.Fatal(err)
		}
		for {
			r, err := s.Recv()
			if err != nil {
				switch status.Code(err) {
				case codes.InvalidArgument, codes.Unimplemented:
					return
				}
				t.Fatalf("%v is answered with %v", req, err)
			}
			if r.GetSyncResponse() {
				return
			}
		}
	})
}
