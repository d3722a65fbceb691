package bgp

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestRoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where the clock stands still while anybody works
		var r roll
		var n uint32
		var hold chan struct{}
		read := func() ([]NeighborState, error) {
			n++
			x := []NeighborState{{PeerAS: n}}
			if hold != nil {
				<-hold
			}
			return x, nil
		}
		block := func() { synctest.Wait(); hold = make(chan struct{}) }
		open := func() { close(hold); synctest.Wait(); hold = nil }
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ask := func(want uint32) time.Duration {
			t.Helper()
			time.Sleep(time.Millisecond) // what was read at the same time is good
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
		block()
		for range 3 {
			if d := ask(2); d != rollPatience {
				t.Errorf("took %s", d)
			}
		}
		open()
		ask(3) // it was dear, so it does for a while
		time.Sleep(rollShare * rollPatience)
		ask(3)
		r.forget()
		ask(4)
		// What was being read when the configuration changed is not kept.
		block()
		ask(4)
		r.forget()
		open()
		ask(6)
		cancel()
		block()
		r.forget()
		if _, err := r.neighbors(ctx, read); err == nil {
			t.Error("no error though the context has ended")
		}
		open()
	})
}
