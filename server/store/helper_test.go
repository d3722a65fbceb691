package store

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/server/config"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// small translates as much as these tests need: the host's name and loopback interfaces.
type small struct{ s *schema.Schema }

func (small) ToConfig(t *tree.Tree) (*config.Config, error) {
	c := new(config.Config)
	c.System.Hostname = t.Root().Text("system/config/hostname")
	for x := range t.Root().List("interfaces/interface") {
		if x.Text("config/type") != "softwareLoopback" {
			return nil, tree.Errors{{Path: "/interfaces/interface[name=" + x.Key("name") + "]/config/type", Reason: "is no loopback"}}
		}
		f := config.Interface{Name: x.Key("name"), Type: config.Loopback, Description: x.Text("config/description")}
		if n, ok := x.Uint("config/mtu"); ok {
			f.MTU = uint32(n)
		}
		c.Interfaces = append(c.Interfaces, f)
	}
	return c, nil
}

func (m small) FromConfig(c *config.Config, _ *tree.Tree) (*tree.Tree, error) {
	e := tree.New(m.s).Edit()
	var err error
	put := func(path string, v any) { err = errors.Join(err, e.Put(path, v)) }
	if c.System.Hostname != "" {
		put("/system/config/hostname", c.System.Hostname)
	}
	for _, f := range c.Interfaces {
		at := "/interfaces/interface[name=" + f.Name + "]/config/"
		put(at+"type", "softwareLoopback")
		if f.Description != "" {
			put(at+"description", f.Description)
		}
		if f.MTU != 0 {
			put(at+"mtu", f.MTU)
		}
	}
	if err != nil {
		return nil, err
	}
	return e.Commit()
}

func (small) Errors(err error, _ *config.Config, _ *tree.Tree) error {
	var list config.Errors
	if !errors.As(err, &list) {
		return err
	}
	var out tree.Errors
	for _, e := range list {
		out = append(out, tree.Error{Path: "/" + strings.NewReplacer("interfaces[", "interfaces/interface[name=", "].", "]/config/", ".", "/").Replace(e.Path), Reason: e.Reason})
	}
	return out
}

// system is what the configuration is brought to.
type system struct {
	mu    sync.Mutex
	cfg   *config.Config
	fault error
	// forget has Apply not call save, as an applier may that has nothing to do.
	forget bool
}

func (y *system) Apply(_ context.Context, next *config.Config, save func() error) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.fault != nil {
		return y.fault
	}
	if !y.forget {
		if err := save(); err != nil {
			return err
		}
	}
	y.cfg = next
	return nil
}

func loadSchema(t testing.TB) *schema.Schema {
	t.Helper()
	s, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// box is a store in a directory of its own.
type box struct {
	*Store
	t   testing.TB
	sys *system
	opt Options
}

func open(t testing.TB, adjust ...func(*Options)) *box {
	t.Helper()
	s := loadSchema(t)
	o := Options{Dir: t.TempDir(), Schema: s, Model: small{s}}
	for _, f := range adjust {
		f(&o)
	}
	return reopen(t, o)
}

func reopen(t testing.TB, o Options) *box {
	t.Helper()
	st, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	b := &box{Store: st, t: t, sys: &system{}, opt: o}
	st.Bind(b.sys)
	return b
}

// again is what a new start finds.
func (b *box) again() *box {
	b.t.Helper()
	return reopen(b.t, b.opt)
}

func (b *box) set(path string, value any) error {
	_, err := b.Commit(context.Background(), Request{Who: "tester", API: "test"}, func(e *tree.Edit) error { return e.Put(path, value) })
	return err
}

func (b *box) mustSet(path string, value any) {
	b.t.Helper()
	if err := b.set(path, value); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) text() string { return string(b.Tree().JSON()) }

func (b *box) want(text string) {
	b.t.Helper()
	if got := b.text(); got != text {
		b.t.Fatalf("in force is %s, want %s", got, text)
	}
}

func (b *box) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { b.Run(ctx) })
	b.t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

func (b *box) eventually(what string, f func() bool) {
	b.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if f() {
			return
		}
	}
	b.t.Fatalf("%s does not come about", what)
}

func (b *box) file(id uint64) string { return b.path(id) }

func (b *box) files(pattern string) []string {
	f, _ := filepath.Glob(filepath.Join(b.dir, pattern))
	return f
}

const hostname = "/system/config/hostname"

func host(name string) string {
	return `{"openconfig-system:system":{"config":{"hostname":"` + name + `"}}}`
}
