package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/server/config"
	"millrace/yang/tree"
)

func TestCommit(t *testing.T) {
	b := open(t)
	b.want("{}")
	first, _, _ := b.Current()
	var seen []Event
	stop := b.Watch(func(e Event) { seen = append(seen, e) })
	res, err := b.Commit(context.Background(), Request{Who: "anna", API: "gnmi", Comment: "why not"},
		func(e *tree.Edit) error { return e.Put(hostname, "one") })
	if err != nil || res.ID != first.ID+1 || len(res.Changes) != 1 || res.Changes[0].String() != "/system/config/hostname: not set -> one" {
		t.Fatalf("%+v, %v", res, err)
	}
	if b.Config().System.Hostname != "one" || b.sys.cfg.System.Hostname != "one" {
		t.Error("the commit is not in force")
	}
	if len(seen) != 1 || seen[0].Old.Root().Text("system/config/hostname") != "" || seen[0].Tree != b.Tree() || seen[0].Entry.Who != "anna" {
		t.Errorf("watchers saw %+v", seen)
	}
	stop()
	// What changes nothing is no commit.
	if again, err := b.Commit(context.Background(), Request{}, func(e *tree.Edit) error { return e.Put(hostname, "one") }); err != nil || again.ID != res.ID || len(again.Changes) != 0 {
		t.Errorf("%+v, %v", again, err)
	}
	n := b.again()
	n.want(host("one"))
	h := n.History()
	if len(h) != 2 || h[0].Who != "anna" || h[0].Comment != "why not" || h[0].Base != first.ID || h[0].Diff[0] != res.Changes[0].String() {
		t.Errorf("history: %+v", h)
	}
	if st, err := os.Stat(b.file(res.ID)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if len(seen) != 1 {
		t.Error("a watcher that stopped is called")
	}
}

func TestRefusals(t *testing.T) {
	b := open(t)
	b.mustSet(hostname, "one")
	before, _, _ := b.Current()
	edit := func(f func(*tree.Edit) error) error {
		_, err := b.Commit(context.Background(), Request{Who: "eve", API: "test"}, f)
		return err
	}
	mine := errors.New("mine")
	var faults tree.Errors
	var refused *ApplyError
	for name, c := range map[string]struct {
		do func() error
		ok func(error) bool
	}{
		"change": {func() error { return edit(func(*tree.Edit) error { return mine }) }, func(err error) bool { return err == mine }},
		"value":  {func() error { return b.set(hostname, "a b") }, func(err error) bool { return err != nil }},
		"model": {func() error { return b.set("/interfaces/interface[name=e]/config/type", "ethernetCsmacd") }, func(err error) bool {
			return errors.As(err, &faults) && faults[0].Path == "/interfaces/interface[name=e]/config/type"
		}},
		"validation": {func() error {
			return edit(func(e *tree.Edit) error {
				return errors.Join(e.Put("/interfaces/interface[name=e]/config/type", "softwareLoopback"), e.Put("/interfaces/interface[name=e]/config/mtu", 20))
			})
		}, func(err error) bool {
			return errors.As(err, &faults) && faults[0].Path == "/interfaces/interface[name=e]/config/mtu" && !errors.As(err, &refused)
		}},
		"system": {func() error {
			b.sys.fault = fmt.Errorf("apply: %w", config.Errors{{Path: "interfaces[lo].mtu", Reason: "no room"}})
			defer func() { b.sys.fault = nil }()
			return b.set(hostname, "two")
		}, func(err error) bool {
			return errors.As(err, &faults) && faults[0].Path == "/interfaces/interface[name=lo]/config/mtu" && errors.As(err, &refused)
		}},
		"expect": {func() error {
			_, err := b.Commit(context.Background(), Request{Expect: before.ID - 1}, func(e *tree.Edit) error { return e.Put(hostname, "x") })
			return err
		}, func(err error) bool { return errors.Is(err, ErrChanged) }},
		"disk": {func() error {
			if err := os.Chmod(b.dir, 0o500); err != nil {
				return err
			}
			if err := os.Rename(b.dir, b.dir+"x"); err != nil {
				return err
			}
			defer func() { _ = os.Rename(b.dir+"x", b.dir); _ = os.Chmod(b.dir, 0o700) }()
			return b.set(hostname, "two")
		}, func(err error) bool {
			return errors.As(err, &refused) && strings.Contains(err.Error(), "save configuration")
		}},
		"edit": {func() error {
			return b.Edit(context.Background(), func(c *config.Config) error { c.System.Hostname = "-"; return nil })
		}, func(err error) bool {
			var f config.Errors
			return errors.As(err, &f) && f[0].Path == "system.hostname"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.do(); !c.ok(err) {
				t.Errorf("error %T %v", err, err)
			}
			b.want(host("one"))
			if now, _, _ := b.Current(); now.ID != before.ID || b.sys.cfg.System.Hostname != "one" {
				t.Error("something has changed")
			}
			b.again().want(host("one"))
			if left := b.files(temporary + "*"); len(left) != 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
	res, err := b.Commit(context.Background(), Request{DryRun: true}, func(e *tree.Edit) error { return e.Put(hostname, "two") })
	if err != nil || len(res.Changes) != 1 || res.Tree.Root().Text("system/config/hostname") != "two" {
		t.Errorf("dry run: %+v, %v", res, err)
	}
	b.want(host("one"))
	log, err := os.ReadFile(filepath.Join(b.opt.Dir, "audit.log"))
	if err != nil || strings.Count(string(log), `"result":"refused"`) < 7 || strings.Count(string(log), `"result":"ok"`) != 1 {
		t.Errorf("audit log: %s, %v", log, err)
	}
}

func TestApplierThatForgetsToSave(t *testing.T) {
	b := open(t)
	b.sys.forget = true
	b.mustSet(hostname, "one")
	b.again().want(host("one"))
}

func TestEdit(t *testing.T) {
	b := open(t)
	// What a configuration cannot say stays in the tree.
	b.mustSet("/system/service/config/metrics-listen", "127.0.0.1:1")
	ctx := WithRequest(context.Background(), Request{Who: "bob", API: "grpc", Comment: "by hand"})
	if err := b.Edit(ctx, func(c *config.Config) error {
		c.System.Hostname = "one"
		c.Interfaces = append(c.Interfaces, config.Interface{Name: "lo1", Type: config.Loopback, MTU: 1400})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	r := b.Tree().Root()
	if r.Text("system/service/config/metrics-listen") != "127.0.0.1:1" || r.At("interfaces/interface").Entry("lo1").Text("config/mtu") != "1400" {
		t.Errorf("in force is %s", b.text())
	}
	if e, _, _ := b.Current(); e.Who != "bob" || e.API != "grpc" || e.Comment != "by hand" {
		t.Errorf("entry %+v", e)
	}
	if err := b.Edit(ctx, func(c *config.Config) error { c.Interfaces = nil; return nil }); err != nil {
		t.Fatal(err)
	}
	if r := b.Tree().Root(); r.Has("interfaces") || r.Text("system/service/config/metrics-listen") == "" {
		t.Errorf("in force is %s", b.text())
	}
}

func TestHistoryAndRollback(t *testing.T) {
	b := open(t)
	b.run()
	ids := []uint64{}
	for n := range Keep + 10 {
		b.mustSet(hostname, fmt.Sprintf("h%d", n))
		e, _, _ := b.Current()
		ids = append(ids, e.ID)
	}
	b.eventually("only the last are kept", func() bool { return len(b.files("*"+suffix)) == Keep })
	if h := b.History(); len(h) != Keep || h[0].ID != ids[len(ids)-1] || h[Keep-1].ID != ids[10] {
		t.Errorf("history of %d", len(h))
	}
	if h := b.again().History(); len(h) != Keep {
		t.Errorf("history of %d after a start", len(h))
	}
	changes, err := b.Diff(ids[20], ids[30])
	if err != nil || len(changes) != 1 || changes[0].String() != "/system/config/hostname: h20 -> h30" {
		t.Errorf("diff %v, %v", changes, err)
	}
	if _, err := b.Diff(ids[0], 0); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, err := b.Rollback(context.Background(), Request{Who: "anna"}, ids[0]); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if res, err := b.Rollback(context.Background(), Request{Who: "anna"}, ids[20]); err != nil || len(res.Changes) != 1 {
		t.Error(err)
	}
	b.want(host("h20"))
	b.again().want(host("h20"))
	if e := b.History()[0]; e.Comment != fmt.Sprintf("back to commit %d", ids[20]) {
		t.Errorf("%+v", e)
	}
}

func TestBigTreesAreCompressed(t *testing.T) {
	b := open(t)
	if err := b.Edit(context.Background(), func(c *config.Config) error {
		for n := range 1000 {
			c.Interfaces = append(c.Interfaces, config.Interface{Name: fmt.Sprintf("lo%d", n), Type: config.Loopback, Description: strings.Repeat("x", 50)})
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	big, all := b.History()[0], b.text()
	if !big.DiffCut || len(big.Diff) < 500 || big.Changes < 2000 {
		t.Errorf("%d lines, cut %v, %d changes", len(big.Diff), big.DiffCut, big.Changes)
	}
	size := func() int64 {
		st, err := os.Stat(b.file(big.ID))
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	before := size()
	b.tidy()
	if size() != before {
		t.Error("the commit in force is compressed")
	}
	b.mustSet(hostname, "one")
	b.tidy()
	if size() > before/2 {
		t.Errorf("%d bytes of %d", size(), before)
	}
	if _, tr, err := b.Get(big.ID); err != nil || string(tr.JSON()) != all {
		t.Error("what was compressed is another", err)
	}
}

func TestSecrets(t *testing.T) {
	b := open(t, func(o *Options) { o.Secrets = []string{"/system/service/config/metrics-listen"} })
	b.mustSet("/system/service/config/metrics-listen", "10.9.8.7:123")
	if d := b.History()[0].Diff; len(d) != 1 || d[0] != "/system/service/config/metrics-listen: changed" {
		t.Errorf("%q", d)
	}
	if j := b.JSON(b.Tree(), false); strings.Contains(string(j), "10.9.8.7:123") {
		t.Errorf("%s", j)
	}
	if j := b.JSON(b.Tree(), true); !strings.Contains(string(j), "10.9.8.7:123") {
		t.Errorf("%s", j)
	}
	log, _ := os.ReadFile(filepath.Join(b.opt.Dir, "audit.log"))
	if strings.Contains(string(log), "10.9.8.7:123") {
		t.Errorf("%s", log)
	}
}
