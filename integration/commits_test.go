package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hostnameDoc is a document to be merged.
func hostnameDoc(t *testing.T, name string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "doc.json")
	if err := os.WriteFile(file, []byte(`{"openconfig-system:system":{"config":{"hostname":"`+name+`"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestCommits: the history of the configuration as an operator sees it, with a loss of power between: commits that are not confirmed go,
// also when vnf was not there to see their time run out; those that were answered stay; a damaged file is set aside.
func TestCommits(t *testing.T) {
	b := newBed(t, 1)
	b.start(b.interfaces())
	b.ok(b.box.WaitInterfaces("eth1"))
	has := func(word string, args ...string) {
		t.Helper()
		b.eventually(20*time.Second, func() error {
			out, err := b.box.Ctl(args...)
			if err == nil && !strings.Contains(out, word) {
				err = fmt.Errorf("vnfctl %v does not say %q:\n%s", args, word, out)
			}
			return err
		})
	}
	load := func(name string, more ...string) string {
		t.Helper()
		return b.ctl(append([]string{"config", "load", "--merge", hostnameDoc(t, name)}, more...)...)
	}
	powerLoss := func() {
		t.Helper()
		for _, child := range []string{"control", "dataplane"} {
			_ = b.box.Kill(child)
		}
		b.ok(b.box.Proc.Signal(syscall.SIGKILL))
		_ = b.box.Proc.Wait(10 * time.Second)
		for _, child := range []string{"control", "dataplane"} { // what was started anew in between
			_ = b.box.Kill(child)
		}
	}

	has("startup", "config", "history")
	if out := load("kept", "--comment", "the good one"); !strings.Contains(out, "-> kept") {
		t.Errorf("load said %s", out)
	}
	load("brief", "--confirm", "6s")
	has("hostname: brief", "config", "show")
	has("hostname: kept", "config", "show")
	has("not confirmed in time", "config", "history")

	load("confirmed", "--confirm", "60s")
	powerLoss()
	b.ok(b.box.Start())
	has("hostname: confirmed", "config", "show")
	has("to be confirmed", "config", "history")
	b.ctl("config", "confirm")

	load("late", "--confirm", "1s")
	powerLoss()
	time.Sleep(1200 * time.Millisecond)
	b.ok(b.box.Start())
	has("hostname: confirmed", "config", "show")

	load("damaged")
	powerLoss()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(b.box.TLSDir()), "commits", "*.commit"))
	b.ok(err)
	last := files[len(files)-1]
	doc, err := os.ReadFile(last)
	b.ok(err)
	b.ok(os.WriteFile(last, doc[:len(doc)-7], 0o600))
	b.ok(b.box.Start())
	has("hostname: confirmed", "config", "show")
	b.alarm(true, "set aside")
	b.ok(os.Remove(last + ".corrupt"))
	b.alarm(false, "set aside")

	// Back to the good one, with packets.
	out := b.ctl("config", "history")
	id := ""
	for _, line := range strings.Split(out, "\n") {
		if strings.Contains(line, "the good one") {
			id = strings.Fields(line)[0]
		}
	}
	if b.ctl("config", "rollback", id); id == "" {
		t.Fatalf("no commit with the comment in:\n%s", out)
	}
	has("hostname: kept", "config", "show")
	b.pings("a", "10.0.2.2")
	audit, err := os.ReadFile(filepath.Join(filepath.Dir(b.box.TLSDir()), "audit.log"))
	b.ok(err)
	if n := strings.Count(string(audit), `"action":"commit","result":"ok"`); n < 6 {
		t.Errorf("%d commits in the audit log:\n%s", n, audit)
	}
}
