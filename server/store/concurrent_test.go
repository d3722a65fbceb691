package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"millrace/server/config"
	"millrace/yang/tree"
)

// TestConcurrentCommits: none is lost, and watchers see them one after another.
func TestConcurrentCommits(t *testing.T) {
	b := open(t)
	b.run()
	var last *tree.Tree
	var ids []uint64
	b.Watch(func(e Event) {
		if last != nil && e.Old != last {
			t.Error("a watcher missed a commit")
		}
		last = e.Tree
		ids = append(ids, e.Entry.ID)
	})
	const clients, each = 8, 6
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for n := range each {
				name := fmt.Sprintf("lo%d-%d", c, n)
				var err error
				if n%2 == 0 {
					_, err = b.Commit(context.Background(), Request{}, func(e *tree.Edit) error {
						return e.Put("/interfaces/interface[name="+name+"]/config/type", "softwareLoopback")
					})
				} else {
					err = b.Edit(context.Background(), func(c *config.Config) error {
						c.Interfaces = append(c.Interfaces, config.Interface{Name: name, Type: config.Loopback})
						return nil
					})
				}
				if err != nil {
					t.Error(err)
				}
				_ = b.History()
				_, _ = b.Pending()
			}
		})
	}
	wg.Wait()
	if n := len(b.Config().Interfaces); n != clients*each || len(ids) != n {
		t.Errorf("%d interfaces after %d commits, want %d", n, len(ids), clients*each)
	}
	for i := 1; i < len(ids); i++ {
		if ids[i] != ids[i-1]+1 {
			t.Errorf("commits %v", ids)
			break
		}
	}
}

func TestWaitingForAnotherCommitEnds(t *testing.T) {
	b := open(t)
	ctx, cancel := context.WithCancel(context.Background())
	if err := b.acquire(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := b.Commit(ctx, Request{}, func(e *tree.Edit) error { return e.Put(hostname, "x") }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := b.Confirm(ctx, Request{}, ""); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := b.Reload(ctx); err == nil {
		t.Error("reloaded")
	}
	b.release()
	b.mustSet(hostname, "y")
}

func TestBeforeBind(t *testing.T) {
	s := loadSchema(t)
	st, err := Open(Options{Dir: t.TempDir(), Schema: s, Model: small{s}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Commit(context.Background(), Request{}, func(e *tree.Edit) error { return e.Put(hostname, "x") }); err == nil {
		t.Error("a commit without a system")
	}
	for _, o := range []Options{{}, {Dir: "/proc/none", Schema: s, Model: small{s}}, {Dir: t.TempDir(), Schema: s, Model: small{s}, Secrets: []string{"/none"}}} {
		if _, err := Open(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
