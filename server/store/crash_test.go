package store

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/yang/tree"
)

// The child of TestKilledAtEveryStep is this test binary with these in its environment.
const (
	crashDir  = "STORE_CRASH_DIR"
	crashStep = "STORE_CRASH_STEP"
)

// crashScript is what the child does. Each step says what is in force after it.
var crashScript = []struct {
	name string
	do   func(context.Context, *box) error
	want string
}{
	{"first", func(_ context.Context, b *box) error { return b.set(hostname, "h1") }, "h1"},
	{"second", func(_ context.Context, b *box) error { return b.set(hostname, "h2") }, "h2"},
	{"tidy", func(_ context.Context, b *box) error { b.tidy(); return nil }, "h2"},
	{"big", func(_ context.Context, b *box) error {
		_, err := b.Commit(context.Background(), Request{}, func(e *tree.Edit) error {
			for n := range 300 {
				if err := e.Put(fmt.Sprintf("/interfaces/interface[name=lo%d]/config/type", n), "softwareLoopback"); err != nil {
					return err
				}
				if err := e.Put(fmt.Sprintf("/interfaces/interface[name=lo%d]/config/description", n), strings.Repeat("x", 250)); err != nil {
					return err
				}
			}
			return e.Put(hostname, "h3")
		})
		return err
	}, "h3"},
	{"confirmed", func(_ context.Context, b *box) error { _, err := b.confirmed("h4", "x", time.Hour); return err }, "h4"},
	{"compress", func(_ context.Context, b *box) error { b.tidy(); return nil }, "h4"},
	{"deadline", func(ctx context.Context, b *box) error { return b.SetDeadline(ctx, Request{}, "x", 2*time.Hour) }, "h4"},
	{"cancel", func(ctx context.Context, b *box) error { _, err := b.Cancel(ctx, Request{}, "x"); return err }, "h3"},
	{"again", func(_ context.Context, b *box) error { _, err := b.confirmed("h5", "y", time.Hour); return err }, "h5"},
	{"confirm", func(ctx context.Context, b *box) error { return b.Confirm(ctx, Request{}, "y") }, "h5"},
	{"rollback", func(ctx context.Context, b *box) error { _, err := b.Rollback(ctx, Request{}, 2); return err }, "h1"},
}

func TestCrashChild(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		t.Skip("not a child")
	}
	left, err := strconv.Atoi(os.Getenv(crashStep))
	if err != nil {
		t.Fatal(err)
	}
	s := loadSchema(t)
	b := reopen(t, Options{Dir: dir, Schema: s, Model: small{s}})
	b.hook = func(string) {
		if left--; left == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	for _, c := range crashScript {
		fmt.Println("begin", c.name)
		if err := c.do(context.Background(), b); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		fmt.Println("answered", c.name)
	}
	fmt.Println("done")
}

func TestKilledAtEveryStep(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	for step := 1; ; step++ {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0], "-test.run=^TestCrashChild$", "-test.v")
		cmd.Env = append(os.Environ(), crashDir+"="+dir, crashStep+"="+strconv.Itoa(step))
		out, err := cmd.CombinedOutput()
		begun, answered := -1, -1
		for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
			for n, c := range crashScript {
				switch lines.Text() {
				case "begin " + c.name:
					begun = n
				case "answered " + c.name:
					answered = n
				}
			}
		}
		if begun < 0 {
			t.Fatalf("the child said %s, %v", out, err)
		}
		s := loadSchema(t)
		b := reopen(t, Options{Dir: dir, Schema: s, Model: small{s}})
		got := b.Config().System.Hostname
		before := ""
		if answered >= 0 {
			before = crashScript[answered].want
		}
		if got != before && got != crashScript[begun].want {
			t.Errorf("step %d: killed in %q after %d were answered, and %q is in force", step, crashScript[begun].name, answered+1, got)
		}
		if got == "h3" && b.Tree().Root().At("interfaces/interface").Len() != 300 {
			t.Errorf("step %d: half a commit is in force", step)
		}
		p, pending := b.Pending()
		switch got {
		case "h4", "h5":
			confirmed := crashScript[begun].name == "confirm" || begun > 9
			if !pending && !confirmed || pending && answered >= 9 {
				t.Errorf("step %d: in %q, pending %v %+v", step, crashScript[begun].name, pending, p)
			}
		default:
			if pending {
				t.Errorf("step %d: %+v is pending with %q", step, p, got)
			}
		}
		if len(b.Alarms()) > 0 && !pending || len(b.files("*"+corrupt)) > 0 || len(b.files(temporary+"*")) > 0 {
			t.Errorf("step %d: alarms %v, files %v", step, b.Alarms(), b.files("*"))
		}
		for _, e := range b.History() {
			if _, _, err := b.Get(e.ID); err != nil {
				t.Errorf("step %d: commit %d: %v", step, e.ID, err)
			}
		}
		if err == nil { // it came to the end
			if step < 5*len(crashScript) || answered != len(crashScript)-1 {
				t.Errorf("only %d steps; the child said %s", step, out)
			}
			return
		}
	}
}

// TestKilledAnywhere kills a child that commits without end at any time.
func TestKilledAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	dir := t.TempDir()
	s := loadSchema(t)
	last := 0
	for range 15 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestEndlessChild$", "-test.v")
		cmd.Env = append(os.Environ(), crashDir+"="+dir, crashStep+"="+strconv.Itoa(last))
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(pipe)
		for lines.Scan() && lines.Text() != "ready" {
		}
		var kill *time.Timer
		for more := 1 + rand.N(8); lines.Scan(); {
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				continue
			}
			last = n
			if more--; more == 0 {
				kill = time.AfterFunc(rand.N(20*time.Millisecond), func() { _ = cmd.Process.Kill() })
			}
		}
		if kill == nil {
			t.Fatalf("the child ended by itself: %v", cmd.Wait())
		}
		_ = cmd.Wait()
		kill.Stop()
		b := reopen(t, Options{Dir: dir, Schema: s, Model: small{s}})
		got, _ := strconv.Atoi(strings.TrimPrefix(b.Config().System.Hostname, "h"))
		if got != last && got != last+1 {
			t.Fatalf("%d was answered, and %d is in force", last, got)
		}
		if b.alarm(corruptAlarm) {
			t.Fatal("a file is damaged")
		}
		last = got
	}
	if last < 15 {
		t.Errorf("only %d commits", last)
	}
}

func TestEndlessChild(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		t.Skip("not a child")
	}
	n, err := strconv.Atoi(os.Getenv(crashStep))
	if err != nil {
		t.Fatal(err)
	}
	s := loadSchema(t)
	b := reopen(t, Options{Dir: dir, Schema: s, Model: small{s}})
	b.run()
	fmt.Println("ready")
	for {
		n++
		if err := b.set(hostname, fmt.Sprintf("h%d", n)); err != nil {
			t.Fatal(err)
		}
		fmt.Println(n)
	}
}

// TestOrderOfSteps: a file has its name only when it is on the disk, and the commit is in force only when the name is.
func TestOrderOfSteps(t *testing.T) {
	b := open(t)
	var steps []string
	b.hook = func(s string) {
		steps = append(steps, s)
		if b.Config().System.Hostname == "one" {
			t.Error("in force too early")
		}
	}
	b.mustSet(hostname, "one")
	if got := strings.Join(steps, " "); got != "created half written synced renamed durable" {
		t.Error(got)
	}
}
