package control

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
)

func TestHostKeeper(t *testing.T) {
	var mu sync.Mutex
	want, have, calls := "", "localhost", make(chan string, 10)
	var fail error
	h := &hostKeeper{
		log: slog.New(slog.DiscardHandler), alarms: newAlarms(slog.New(slog.DiscardHandler)), wake: make(chan struct{}, 1),
		want: func() string { mu.Lock(); defer mu.Unlock(); return want },
		have: func() (string, error) { mu.Lock(); defer mu.Unlock(); return have, nil },
		set: func(_ context.Context, name string) error {
			mu.Lock()
			defer mu.Unlock()
			calls <- name
			if fail == nil {
				have = name
			}
			return fail
		},
	}
	// Nothing is configured: it stays what it is.
	h.look(t.Context())
	if len(calls) != 0 {
		t.Errorf("set to %s", <-calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { h.run(ctx) })
	mu.Lock()
	want = "r1"
	mu.Unlock()
	h.poke()
	if got := <-calls; got != "r1" {
		t.Errorf("set to %s", got)
	}
	cancel()
	wg.Wait()
	fail, want = errors.New("no leave"), "r2"
	h.look(t.Context())
	if a := h.alarms.Alarms(); len(a) != 1 || a[0].ID != hostnameAlarm || a[0].Text != "the machine's hostname is r1, not r2: no leave" {
		t.Errorf("%+v", a)
	}
	fail = nil
	h.look(t.Context())
	if a := h.alarms.Alarms(); len(a) != 0 || have != "r2" {
		t.Errorf("%+v, %s", a, have)
	}
	// Without an agent there is none.
	var none *hostKeeper
	none.poke()
	none.run(t.Context())
}
