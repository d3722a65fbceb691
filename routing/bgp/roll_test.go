package bgp

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

func TestRoll(t *testing.T) {
	var r roll
	var n atomic.Uint32
	var hold atomic.Pointer[chan struct{}]
	block := func() (open func()) {
		c := make(chan struct{})
		hold.Store(&c)
		return func() { hold.Store(nil); close(c) }
	}
	read := func() ([]NeighborState, error) {
		x := []NeighborState{{PeerAS: n.Add(1)}}
		if c := hold.Load(); c != nil {
			<-*c
		}
		return x, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ask := func(want uint32) time.Duration {
		t.Helper()
		begin := time.Now()
		list, err := r.neighbors(ctx, read)
		if err != nil || len(list) != 1 || list[0].PeerAS != want {
			t.Errorf("%+v %v, want reading %d", list, err, want)
		}
		return time.Since(begin)
	}
	ask(1)
	ask(2)
	// While a reading takes long, the one before is given, soon.
	open := block()
	for range 3 {
		if d := ask(2); d < rollPatience || d > 20*rollPatience {
			t.Errorf("took %s", d)
		}
	}
	open()
	for range 100 {
		r.mu.Lock()
		busy := r.reading != nil
		r.mu.Unlock()
		if !busy {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	ask(3) // it was dear, so it does for a while
	ask(3)
	r.forget()
	ask(4)
	// What was being read when the configuration changed is not kept.
	open = block()
	ask(4)
	r.forget()
	open()
	ask(6)
	cancel()
	open = block()
	defer open()
	r.forget()
	if _, err := r.neighbors(ctx, read); err == nil {
		t.Error("no error though the context has ended")
	}
}
