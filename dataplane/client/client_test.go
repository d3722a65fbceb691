package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client"
	"millrace/dataplane/client/clienttest"
)

// start runs a fake data plane and a client that is connected to it.
func start(t *testing.T, edit func(*client.Options)) (*clienttest.Server, *client.Client) {
	t.Helper()
	sock := filepath.Join(t.TempDir(), "s")
	s, err := clienttest.Listen(sock, 11)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, run(t, sock, edit)
}

func run(t *testing.T, sock string, edit func(*client.Options)) *client.Client {
	t.Helper()
	o := client.Options{Socket: sock, Owner: "vnf", Epoch: epochs(5), BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond}
	if edit != nil {
		edit(&o)
	}
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Error("Run did not end with its context")
		}
	})
	wctx, wcancel := context.WithTimeout(ctx, time.Minute)
	defer wcancel()
	if err := c.Wait(wctx); err != nil {
		t.Fatal(err)
	}
	return c
}

// epochs counts from n on.
func epochs(n uint64) func() (uint64, error) {
	next := atomic.Uint64{}
	next.Store(n - 1)
	return func() (uint64, error) { return next.Add(1), nil }
}

// soon is a context for what has to come soon: much longer than it takes.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func routes(n int) []*pb.Op {
	ops := make([]*pb.Op, n)
	for i := range ops {
		ops[i] = &pb.Op{Op: &pb.Op_Route{Route: &pb.Route{
			Prefix: []byte{10, byte(i >> 16), byte(i >> 8), byte(i)}, PrefixLen: 32, GroupId: 1,
		}}}
	}
	return ops
}

func TestApplyAndList(t *testing.T) {
	s, c := start(t, nil)
	const n = 20000
	s.SetRefuse(func(op *pb.Op) *pb.Error {
		if p := op.GetRoute().GetPrefix(); p[2] == 0x27 && p[3] == 0x10 { // number 10,000
			return &pb.Error{Code: pb.Code_CODE_TABLE_FULL, Field: "batch.ops[1].route", Message: "no room"}
		}
		return nil
	})
	res, err := c.Apply(soon(t), routes(n))
	if err != nil || res.Applied != n-1 || len(res.Failed) != 1 || res.Failed[0].Index != 10000 {
		t.Fatalf("%d applied, failed %v, %v", res.Applied, res.Failed, err)
	}
	if err := res.Err(); client.CodeOf(err) != pb.Code_CODE_TABLE_FULL || err.Error() != "data plane: batch.ops[1].route: no room (table full)" {
		t.Error(err)
	}
	list, err := client.Collect(c.Routes(soon(t), "", false))
	if err != nil || len(list) != n-1 {
		t.Errorf("%d routes, %v", len(list), err)
	}
	for range c.Routes(soon(t), "", false) {
		break // a walk may be left
	}
	if res, err := c.Apply(soon(t), nil); err != nil || res.Applied != 0 {
		t.Error(res, err)
	}
}

func TestConcurrentCalls(t *testing.T) {
	_, c := start(t, nil)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 50 {
				if i, err := c.Info(soon(t)); err != nil || i.GetBootId() != 11 {
					t.Error(i, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestReconnectAndNewBoot(t *testing.T) {
	var mu sync.Mutex
	var sessions []client.Session
	got := make(chan struct{}, 10)
	var lost atomic.Int32
	s, _ := start(t, func(o *client.Options) {
		o.OnSession = func(_ context.Context, s client.Session) {
			mu.Lock()
			sessions = append(sessions, s)
			mu.Unlock()
			got <- struct{}{}
		}
		o.OnLost = func(error) { lost.Add(1) }
	})
	<-got
	s.Disconnect()
	<-got
	s.Reboot(12)
	<-got
	mu.Lock()
	defer mu.Unlock()
	if !sessions[0].NewBoot || sessions[0].PreviousEpoch != 0 {
		t.Errorf("first: %+v", sessions[0])
	}
	if sessions[1].NewBoot || sessions[1].PreviousEpoch != 5 || sessions[1].Epoch != 6 {
		t.Errorf("same boot: %+v", sessions[1])
	}
	if !sessions[2].NewBoot || sessions[2].BootID != 12 {
		t.Errorf("new boot: %+v", sessions[2])
	}
	if lost.Load() != 2 {
		t.Errorf("lost %d times", lost.Load())
	}
}

func TestDisconnectMidBatch(t *testing.T) {
	s, c := start(t, nil)
	n := 0
	s.SetHandle(func(q *pb.Request) []*pb.Response {
		if q.GetBatch() == nil {
			return nil
		}
		if n++; n == 2 {
			s.Disconnect()
			return []*pb.Response{}
		}
		return nil
	})
	res, err := c.Apply(soon(t), routes(30000))
	// The first batch counts if its answer was read before the connection was found broken in writing the next.
	if !errors.Is(err, client.ErrDisconnected) || res.Applied != 8192 && res.Applied != 0 {
		t.Errorf("%d applied, %v", res.Applied, err)
	}
}

func TestStalled(t *testing.T) {
	s, c := start(t, func(o *client.Options) { o.CallTimeout, o.KeepAlive = 50*time.Millisecond, 10*time.Millisecond })
	s.SetHandle(func(q *pb.Request) []*pb.Response {
		if q.GetHello() != nil {
			return nil
		}
		return []*pb.Response{} // no answer
	})
	if _, err := c.Lookup(context.Background(), &pb.Lookup{}); !errors.Is(err, client.ErrStalled) && !errors.Is(err, client.ErrDisconnected) {
		t.Error(err)
	}
	// The check of the connection finds it dead and makes another.
	deadline := time.Now().Add(time.Minute)
	first, _ := c.Session()
	for {
		if now, up := c.Session(); up && now.Since.After(first.Since) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the connection was kept")
		}
		time.Sleep(5 * time.Millisecond)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Info(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, client.ErrDisconnected) {
		t.Error(err)
	}
}

func TestLateAnswerIsIgnored(t *testing.T) {
	s, c := start(t, nil)
	hold := make(chan struct{})
	s.SetHandle(func(q *pb.Request) []*pb.Response {
		if q.GetLookup() != nil {
			<-hold
			return []*pb.Response{{Id: q.GetId(), Result: &pb.Response_Lookup{Lookup: &pb.LookupResult{}}}}
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Lookup(ctx, &pb.Lookup{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	close(hold)
	if _, err := c.Info(soon(t)); err != nil {
		t.Error(err)
	}
}

func TestNotThere(t *testing.T) {
	c, err := client.New(client.Options{Socket: filepath.Join(t.TempDir(), "none"), Owner: "vnf", Epoch: epochs(1)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Info(context.Background()); !errors.Is(err, client.ErrDisconnected) {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	go func() { _ = c.Run(ctx) }()
	if err := c.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	for _, o := range []client.Options{{Owner: "vnf", Epoch: epochs(1)}, {Socket: "x", Owner: "V", Epoch: epochs(1)}, {Socket: "x", Owner: "vnf"}} {
		if _, err := client.New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

func TestGarbageFromTheOtherSide(t *testing.T) {
	for name, b := range map[string][]byte{
		"too long": {0xff, 0xff, 0xff, 0xff}, "not a message": {0, 0, 0, 2, 0xff, 0xff}, "cut short": {0, 0, 0, 9, 1},
	} {
		sock := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", sock)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = nc.Write(b)
				_ = nc.Close()
			}
		}()
		c, err := client.New(client.Options{Socket: sock, Owner: "vnf", Epoch: epochs(1), BackoffMin: time.Millisecond, BackoffMax: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = c.Run(ctx) }()
		for end := soon(t); c.LastError() == nil && end.Err() == nil; time.Sleep(time.Millisecond) {
			if c.Connected() {
				t.Errorf("%s: connected", name)
			}
		}
		cancel()
		<-done
		_ = l.Close()
		if c.Connected() || c.LastError() == nil {
			t.Errorf("%s: connected %v, %v", name, c.Connected(), c.LastError())
		}
	}
}

func link(i int) *pb.Event {
	return &pb.Event{Event: &pb.Event_Link{Link: &pb.LinkEvent{Interface: fmt.Sprint(i)}}}
}

func TestSubscribe(t *testing.T) {
	s, c := start(t, nil)
	st, err := c.Subscribe(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	s.Push(link(1))
	if e, err := st.Next(soon(t)); err != nil || e.GetLink().GetInterface() != "1" {
		t.Fatal(e, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := st.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// A reader that is too slow gets one Overflow in the place of what was lost, and then goes on.
	for i := range 4096 + 10 {
		s.Push(link(i))
	}
	if _, err := c.Info(soon(t)); err != nil { // all of them have come
		t.Fatal(err)
	}
	e, err := st.Next(soon(t))
	if err != nil || e.GetOverflow().GetDropped() != 4097 {
		t.Fatal(e, err)
	}
	if e, err = st.Next(soon(t)); err != nil || e.GetLink().GetInterface() != "4097" {
		t.Error(e, err)
	}
	s.Disconnect()
	for err == nil {
		_, err = st.Next(soon(t))
	}
	if !errors.Is(err, client.ErrDisconnected) {
		t.Error(err)
	}
	st.Close()
}

func TestTraceEnds(t *testing.T) {
	s, c := start(t, nil)
	s.SetHandle(func(q *pb.Request) []*pb.Response {
		if q.GetTrace() == nil {
			return nil
		}
		if q.GetTrace().GetFilter() == "bad" {
			return []*pb.Response{{Id: q.GetId(), Error: &pb.Error{Code: pb.Code_CODE_INVALID, Field: "trace.filter", Message: "no"}}}
		}
		ev := func(e *pb.Event) *pb.Response {
			return &pb.Response{Id: q.GetId(), Result: &pb.Response_Event{Event: e}}
		}
		return []*pb.Response{
			{Id: q.GetId(), Result: &pb.Response_Done{Done: &pb.Done{}}},
			ev(&pb.Event{Event: &pb.Event_Trace{Trace: &pb.TraceRecord{Sequence: 1}}}),
			ev(&pb.Event{Event: &pb.Event_End{End: &pb.StreamEnd{Reason: "count"}}}),
		}
	})
	st, err := c.Trace(soon(t), &pb.Trace{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for e, err := range st.All(soon(t)) {
		if err != nil || e.GetTrace().GetSequence() != 1 {
			t.Error(e, err)
		}
		n++
	}
	if _, err := st.Next(soon(t)); n != 1 || err != io.EOF || st.Reason() != "count" {
		t.Error(n, err, st.Reason())
	}
	_, err = c.Trace(soon(t), &pb.Trace{Filter: "bad"})
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Field != "trace.filter" {
		t.Error(err)
	}
}

func TestNextEpoch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "epoch")
	now := time.Unix(1000, 0)
	for i, want := range []uint64{1000, 1001, 1002} {
		if e, err := client.NextEpoch(path, now); err != nil || e != want {
			t.Errorf("%d: %d, %v", i, e, err)
		}
	}
	if e, err := client.NextEpoch(path, time.Unix(5000, 0)); err != nil || e != 5000 {
		t.Error(e, err)
	}
	if err := os.WriteFile(path, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if e, err := client.NextEpoch(path, now); err != nil || e != 1000 {
		t.Error(e, err)
	}
}
