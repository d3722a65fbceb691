package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/server/bundle/bundletest"
)

func TestSupportBundle(t *testing.T) {
	b := newBox(t)
	r := run(t, b, "", "support-bundle", "-o", "-")
	if r.code != exitOK {
		t.Fatal(r.err)
	}
	_, files := bundletest.Unpack(t, strings.NewReader(r.out))
	for name, want := range map[string]string{
		"system.json": `"hostname": "box"`, "alarms.json": "no such device", "config/tree.json": "uplink", "dataplane/workers.json": "eth1:0",
		"dataplane/drops.json": "ip4-no-route", "dataplane/graph.json": `"name": "ip4"`, "interfaces/interfaces.json": "net_af_packet",
		"interfaces/xstats.json": "rx_q0_packets", "interfaces/neighbors.json": "02:00:00:00:00:09", "routes/summary.json": "static",
		"routes/first-default.json": "198.51.100.0/24", "dataplane/network-instances.json": "default", "manifest.json": `"requested-by": "`,
	} {
		if !strings.Contains(strings.ToLower(files[name]), strings.ToLower(want)) {
			t.Errorf("%s has no %q: %.300s", name, want, files[name])
		}
	}
	dir := t.TempDir()
	r = run(t, b, "", "support-bundle", "-o", dir)
	made, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || r.code != exitOK || len(made) != 1 || !strings.HasPrefix(r.out, made[0]+", ") || !strings.HasPrefix(filepath.Base(made[0]), "millrace-support-box-") {
		t.Fatalf("%q %q %q", made, r.out, r.err)
	}
	if st, err := os.Stat(made[0]); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st, err)
	}
	file := filepath.Join(dir, "mine.tgz")
	if r = run(t, b, "", "support-bundle", "-o", file); r.code != exitOK || !strings.HasPrefix(r.out, file+", ") {
		t.Errorf("%q %q", r.out, r.err)
	}
	if r = run(t, b, "", "support-bundle", "-o", filepath.Join(dir, "none", "x")); r.code != exitUsage {
		t.Errorf("%d %q", r.code, r.err)
	}
	if r = run(t, b, "", "support-bundle", "-o", dir, "--log-lines", "20001"); r.code != exitRefused || !strings.Contains(r.err, "log_lines") {
		t.Errorf("%d %q", r.code, r.err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}
