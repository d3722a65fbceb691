package store

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/yang/tree"
)

// clock is one that tests set.
type clock struct {
	mu  sync.Mutex
	off time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.off)
}

func (c *clock) skip(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off += d
}

func (b *box) confirmed(value, id string, d time.Duration) (Result, error) {
	return b.Commit(context.Background(), Request{Who: "tester", Confirm: d, ConfirmID: id}, func(e *tree.Edit) error { return e.Put(hostname, value) })
}

func (b *box) alarm(id string) bool {
	for _, a := range b.Alarms() {
		if a.ID == id {
			return true
		}
	}
	return false
}

func TestConfirm(t *testing.T) {
	ctx := context.Background()
	b := open(t)
	b.run()
	b.mustSet(hostname, "one")
	if err := b.Confirm(ctx, Request{}, ""); !errors.Is(err, ErrNotPending) {
		t.Error(err)
	}
	res, err := b.confirmed("two", "x", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	p, ok := b.Pending()
	if !ok || p.ID != "x" || p.Commit != res.ID || p.Revert != res.ID-1 || !b.alarm(pendingAlarm) {
		t.Errorf("%+v", p)
	}
	if err := b.set(hostname, "three"); !errors.Is(err, ErrPending) {
		t.Error(err)
	}
	if _, err := b.confirmed("three", "x", time.Hour); !errors.Is(err, ErrPending) {
		t.Error(err)
	}
	if err := b.Confirm(ctx, Request{}, "y"); !errors.Is(err, ErrOtherCommit) {
		t.Error(err)
	}
	if err := b.SetDeadline(ctx, Request{}, "x", 2*time.Hour); err != nil {
		t.Error(err)
	}
	if q, _ := b.Pending(); q.Deadline.Sub(p.Deadline) < 50*time.Minute {
		t.Errorf("%v after %v", q.Deadline, p.Deadline)
	}
	if err := b.Confirm(ctx, Request{}, "x"); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.Pending(); ok || b.alarm(pendingAlarm) {
		t.Error("still to be confirmed")
	}
	b.want(host("two"))
	n := b.again()
	n.want(host("two"))
	if _, ok := n.Pending(); ok {
		t.Error("to be confirmed again after a start")
	}
	if h := n.History()[0]; h.Confirm == nil || h.Confirm.Confirmed.IsZero() {
		t.Errorf("%+v", h)
	}
	b.mustSet(hostname, "three")
}

func TestCancel(t *testing.T) {
	ctx := context.Background()
	b := open(t)
	b.mustSet(hostname, "one")
	if _, err := b.Cancel(ctx, Request{}, "x"); !errors.Is(err, ErrNotPending) {
		t.Error(err)
	}
	if _, err := b.confirmed("two", "x", time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Cancel(ctx, Request{}, "y"); !errors.Is(err, ErrOtherCommit) {
		t.Error(err)
	}
	b.sys.fault = errors.New("no")
	if _, err := b.Cancel(ctx, Request{}, "x"); err == nil {
		t.Error("taken back against the system's will")
	}
	if _, ok := b.Pending(); !ok {
		t.Error("forgotten")
	}
	b.sys.fault = nil
	if _, err := b.Cancel(ctx, Request{}, "x"); err != nil {
		t.Fatal(err)
	}
	b.want(host("one"))
	if _, ok := b.Pending(); ok || b.sys.cfg.System.Hostname != "one" {
		t.Error("not taken back")
	}
	// Even one that changed nothing has to be ended.
	if _, err := b.confirmed("one", "z", time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := b.set(hostname, "two"); !errors.Is(err, ErrPending) {
		t.Error(err)
	}
	if _, err := b.Cancel(ctx, Request{}, "z"); err != nil {
		t.Error(err)
	}
	b.mustSet(hostname, "two")
}

func TestNotConfirmed(t *testing.T) {
	b := open(t)
	b.run()
	b.mustSet(hostname, "one")
	if _, err := b.confirmed("two", "", 3*time.Second); err != nil {
		t.Fatal(err)
	}
	b.want(host("two"))
	b.eventually("it is taken back", func() bool { return b.text() == host("one") })
	if h := b.History()[0]; h.API != apiConfirm || !strings.Contains(h.Comment, "not confirmed in time") {
		t.Errorf("%+v", h)
	}
	b.again().want(host("one"))
	b.mustSet(hostname, "three")
}

func TestNotConfirmedAcrossRestarts(t *testing.T) {
	c := new(clock)
	b := open(t, func(o *Options) { o.Now = c.now })
	b.mustSet(hostname, "one")
	res, err := b.confirmed("two", "x", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c.skip(59 * time.Minute)
	b = b.again()
	b.want(host("two"))
	if p, ok := b.Pending(); !ok || p.ID != "x" || p.Commit != res.ID {
		t.Fatalf("%+v", p)
	}
	if err := b.set(hostname, "three"); !errors.Is(err, ErrPending) {
		t.Error(err)
	}
	c.skip(2 * time.Minute)
	if cfg, err := Preview(b.opt); err != nil || cfg.System.Hostname != "one" {
		t.Errorf("%v, %v", cfg, err)
	}
	b = b.again()
	b.want(host("one"))
	if _, ok := b.Pending(); ok {
		t.Error("still to be confirmed")
	}
	if h := b.History(); h[0].API != apiConfirm || h[0].Base != res.ID || h[0].ID <= res.ID {
		t.Errorf("%+v", h[0])
	}
	b.again().want(host("one"))

	// Confirmed in the second life, by the operator of the first.
	if _, err := b.confirmed("two", "x", time.Hour); err != nil {
		t.Fatal(err)
	}
	b = b.again()
	if err := b.Confirm(context.Background(), Request{}, "x"); err != nil {
		t.Fatal(err)
	}
	c.skip(2 * time.Hour)
	b.again().want(host("two"))

	// Cancelled in the second life.
	if _, err := b.confirmed("three", "x", time.Hour); err != nil {
		t.Fatal(err)
	}
	b = b.again()
	if _, err := b.Cancel(context.Background(), Request{}, "x"); err != nil {
		t.Fatal(err)
	}
	b.want(host("two"))

	// In time, in the life after.
	if _, err := b.confirmed("three", "x", 5*time.Second); err != nil {
		t.Fatal(err)
	}
	b = b.again()
	b.want(host("three"))
	b.run()
	b.eventually("it is taken back", func() bool { return b.text() == host("two") })
}

func TestTakingBackIsTriedAgain(t *testing.T) {
	b := open(t)
	b.mustSet(hostname, "one")
	if _, err := b.confirmed("two", "", time.Millisecond); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond)
	b.sys.fault = errors.New("no")
	if again, ok := b.expire(context.Background()); !ok || again != revertRetry || !b.alarm("configuration/revert") {
		t.Errorf("%v, %v, %v", again, ok, b.Alarms())
	}
	b.sys.fault = nil
	if _, ok := b.expire(context.Background()); ok || len(b.Alarms()) != 0 {
		t.Errorf("%v", b.Alarms())
	}
	b.want(host("one"))
}
