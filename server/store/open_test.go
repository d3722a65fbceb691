package store

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/yang/tree"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedFilesAreSetAside(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"empty":     func([]byte) []byte { return nil },
		"cut":       func(b []byte) []byte { return b[:len(b)-3] },
		"cut head":  func(b []byte) []byte { return b[:20] },
		"bit":       func(b []byte) []byte { b[len(b)-5] ^= 1; return b },
		"bit above": func(b []byte) []byte { b[130] ^= 4; return b },
		"longer":    func(b []byte) []byte { return append(b, "{}"...) },
		"kind":      func(b []byte) []byte { return []byte(strings.Replace(string(b), " json ", " what ", 1)) },
		"gzip":      func(b []byte) []byte { return []byte(strings.Replace(string(b), " json ", " gzip ", 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			b.mustSet(hostname, "one")
			b.mustSet(hostname, "two")
			last, _, _ := b.Current()
			file := b.file(last.ID)
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			write(t, file, string(damage(raw)))
			if cfg, err := Preview(b.opt); err != nil || cfg.System.Hostname != "one" {
				t.Errorf("preview %v, %v", cfg, err)
			}
			if _, err := os.Stat(file); err != nil {
				t.Error("a preview has changed something")
			}
			b = b.again()
			b.want(host("one"))
			if !b.alarm(corruptAlarm) || len(b.files("*"+corrupt)) != 1 {
				t.Errorf("alarms %v, files %v", b.Alarms(), b.files("*"))
			}
			b.mustSet(hostname, "three")
			if now, _, _ := b.Current(); now.ID != last.ID+1 {
				t.Errorf("commit %d after %d", now.ID, last.ID)
			}
			b = b.again()
			b.want(host("three"))
			if !b.alarm(corruptAlarm) {
				t.Error("the alarm ended while the file is there")
			}
			for _, f := range b.files("*" + corrupt) {
				_ = os.Remove(f)
			}
			b.tidy()
			if b.alarm(corruptAlarm) {
				t.Error("the alarm goes on")
			}
		})
	}
}

func TestUnusableCommits(t *testing.T) {
	b := open(t)
	b.mustSet(hostname, "one")
	// A newer version's: whole, but with a leaf that is not known here.
	id := b.nextCommit(0)
	raw, err := encodeFile(Entry{ID: id}, plainBody, []byte(`{"openconfig-system:system":{"config":{"color":"red"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	write(t, b.file(id), string(raw))
	b = b.again()
	b.want(host("one"))
	if !b.alarm("configuration/unusable") || len(b.files("*"+corrupt)) != 0 {
		t.Errorf("alarms %v, files %v", b.Alarms(), b.files("*"))
	}
	b.mustSet(hostname, "two")
	b.again().want(host("two"))
}

func TestAlarmsAreTold(t *testing.T) {
	b := open(t)
	b.mustSet(hostname, "one")
	write(t, b.file(1), "x")
	b = b.again()
	told := map[string]bool{}
	b.OnAlarm(func(a Alarm, on bool) { told[a.ID] = on })
	if !told[corruptAlarm] {
		t.Errorf("%v", told)
	}
	_ = os.Remove(b.files("*" + corrupt)[0])
	b.tidy()
	if told[corruptAlarm] {
		t.Errorf("%v", told)
	}
}

func TestStartupFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c.yaml")
	write(t, file, "system: {hostname: one}\n")
	b := open(t, func(o *Options) { o.Startup = file })
	b.want(host("one"))
	b.mustSet(hostname, "two")
	b = b.again()
	b.want(host("two")) // the file is the same
	write(t, file, host("three"))
	b = b.again()
	b.want(host("three"))
	if h := b.History()[0]; h.API != "startup" || h.Diff[0] != "/system/config/hostname: two -> three" {
		t.Errorf("%+v", h)
	}
	b = b.again()
	if n := len(b.History()); n != 3 {
		t.Errorf("%d commits", n)
	}
	write(t, file, "system: {hostname: [5]}\n")
	b = b.again()
	b.want(host("three"))
	if !b.alarm("configuration/startup") {
		t.Error("no alarm")
	}
	if err := b.Reload(context.Background()); err == nil {
		t.Error("a wrong file was taken")
	}
	b.want(host("three"))
	write(t, file, "openconfig-system:system:\n  config:\n    hostname: four\n")
	if err := b.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.want(host("four"))
	if b.alarm("configuration/startup") {
		t.Error("the alarm goes on")
	}
	b.mustSet(hostname, "five")
	b = b.again()
	b.want(host("five"))
	// Read again though it has not changed: what was changed since goes.
	if err := b.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.want(host("four"))
	// It may mean the same in other words; then it counts as read.
	write(t, file, "# by hand\n"+host("four"))
	if err := b.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	b.mustSet(hostname, "six")
	b.again().want(host("six"))

	for name, text := range map[string]string{"c1": "system: {hostname: [5]}", "c2": `{"openconfig-system:system":{"config":{"x":1}}}`, "c3": "\x00"} {
		bad := filepath.Join(dir, name)
		write(t, bad, text)
		o := b.opt
		o.Startup, o.Dir = bad, t.TempDir()
		if _, err := Open(o); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := open(t).Reload(context.Background()); err == nil {
		t.Error("reload without a file")
	}
}

func TestWhatEarlierVersionsKept(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c.yaml")
	write(t, file, "system: {hostname: file}\n")
	legacy := legacyName
	for name, c := range map[string]struct{ head, want string }{
		"same":  {checksum([]byte("system: {hostname: file}\n")), "kept"},
		"other": {checksum(nil), "file"},
	} {
		o := open(t).opt
		o.Dir = t.TempDir()
		o.Startup = file
		write(t, filepath.Join(o.Dir, legacy), "# The configuration in force, written by vnf. Startup file sha256:"+c.head+"\nsystem:\n  hostname: kept\n")
		b := reopen(t, o)
		if b.Config().System.Hostname != c.want {
			t.Errorf("%s: %s", name, b.text())
		}
		b.mustSet(hostname, "new")
		b.again().want(host("new"))
	}
}

func TestDocuments(t *testing.T) {
	for doc, want := range map[string]bool{
		"":                          false,
		"{}":                        false,
		"system: {hostname: x}":     false,
		`{"system":{}}`:             false,
		`{"a-b:system":{}}`:         true,
		"a-b:system:\n  x: 1\n":     true,
		"# c\n\n'a-b:system': {}\n": true,
		"interfaces:\n- {name: a}":  false,
		"{\n\"a:b\":\n 1}":          true,
		"system: a:b":               false,
	} {
		if got := IsTree([]byte(doc)); got != want {
			t.Errorf("%q: %v", doc, got)
		}
	}
}

func TestAuditLogIsRotated(t *testing.T) {
	b := open(t)
	b.audit.max = 4096
	for n := range 200 {
		b.Audit(AuditRecord{Who: "eve", API: "gnmi", Peer: "192.0.2.1:5", Action: "login", Reason: strings.Repeat("n", n*50), Time: time.Now()})
	}
	found, _ := filepath.Glob(filepath.Join(b.opt.Dir, "audit.log*"))
	if len(found) != auditFiles {
		t.Errorf("%v", found)
	}
	for _, f := range found {
		st, err := os.Stat(f)
		if err != nil || st.Mode().Perm() != 0o600 || st.Size() > 4096+auditReason {
			t.Errorf("%s: %v %v", f, st, err)
		}
	}
	last, err := os.ReadFile(filepath.Join(b.opt.Dir, "audit.log"))
	if err != nil || !strings.HasSuffix(string(last), "\n") || !strings.Contains(string(last), `"result":"refused"`) {
		t.Errorf("%s %v", last, err)
	}
	b.audit.close()
	_, _ = b.Commit(context.Background(), Request{Who: "a"}, func(e *tree.Edit) error { return e.Put(hostname, "x") })
	if last, _ = os.ReadFile(filepath.Join(b.opt.Dir, "audit.log")); !strings.Contains(string(last), `"action":"commit","result":"ok","commit":`) {
		t.Errorf("%s", last)
	}
}
