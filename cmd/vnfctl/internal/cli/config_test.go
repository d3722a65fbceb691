package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigHistory(t *testing.T) {
	b := newBox(t)
	dir := t.TempDir()
	saved := filepath.Join(dir, "saved.json")
	for _, tc := range []struct {
		args, stdin string
		code        int
		want        string
	}{
		{"config history", "", exitOK, "in force"},
		{"config diff", "", exitUsage, "is the first"},
		{"config load - --merge -m hello", "system: {hostname: vnf1}", exitOK, "/system/config/hostname: not set -> vnf1\n1 change, commit 2, revision 2-"},
		{"config diff", "", exitOK, "+ /system/config/hostname: vnf1\n"},
		{"config history", "", exitOK, "hello"},
		{"config history 2", "", exitOK, "Comment:  hello"},
		{"config history 2", "", exitOK, "1 change\n/system/config/hostname: not set -> vnf1\n"},
		{"config history 99", "", exitNotFound, "there is no such commit: 99"},
		{"config history x", "", exitUsage, "is not the number of a commit"},
		{"config save " + saved + " --format tree", "", exitOK, "written"},
		{"config show 1", "", exitOK, "interfaces:"},
		{"config show --format tree", "", exitOK, `"hostname": "vnf1"`},
		{"config show --format toml", "", exitUsage, "none of yaml, json, tree"},
		{"config load - --merge --confirm 1h", `{"openconfig-system:system":{"config":{"hostname":"vnf2"}}}`, exitOK, "unless you say: vnfctl config confirm"},
		{"config history", "", exitOK, "to be confirmed"},
		{"config load - --merge", "system: {hostname: vnf3}", exitRefused, "waits to be confirmed"},
		{"interface set eth1 --mtu 1400", "", exitRefused, "waits to be confirmed"},
		{"config confirm nope", "", exitRefused, "another id"},
		{"config confirm 3", "", exitOK, "commit 3 confirmed\n"},
		{"config confirm", "", exitRefused, "no commit waits"},
		{"config diff 1 3", "", exitOK, "+ /system/config/hostname: vnf2\n"},
		{"config diff 3 2", "", exitOK, "~ /system/config/hostname: vnf2 -> vnf1\n"},
		{"config diff 3 1", "", exitOK, "- /system/config/hostname: vnf2\n"},
		{"config diff --file " + saved, "", exitOK, "~ /system/config/hostname: vnf2 -> vnf1\n"},
		{"config diff --file - --merge", "system: {hostname: vnf2}", exitOK, "nothing differs\n"},
		{"config diff --merge", "", exitUsage, "goes with --file"},
		{"config rollback 1 --dry-run", "", exitOK, "1 change; not carried out"},
		{"config rollback 1 --confirm 60s", "", exitOK, "commit 3 comes back at"},
		{"config cancel", "", exitOK, "not set -> vnf2"},
		{"config rollback 99", "", exitNotFound, "no such commit"},
		{"config load " + saved, "", exitOK, "vnf2 -> vnf1"},
		{"config load - --merge", `{"openconfig-system:system":{"config":{"hostname":"a b"}}}`, exitRefused, "/system/config/hostname"},
		{"config load - --merge", `{"openconfig-system:system":{"config":{"motd-banner":"hi"}}}`, exitRefused, "motd-banner: is not supported by this appliance"},
		{"config load - --merge", "system: {hostname: [1]}", exitRefused, "system.hostname"},
		{"config load - --merge --replace", "", exitUsage, "merge"},
		{"config load - --confirm 1ms", "{}", exitRefused, "confirm: "},
	} {
		r := run(t, b, tc.stdin, strings.Fields(tc.args)...)
		if out := r.out + r.err; r.code != tc.code || !strings.Contains(out, tc.want) {
			t.Errorf("%s: exit %d, got %q, want %d, %q", tc.args, r.code, out, tc.code, tc.want)
		}
	}
	if st, err := os.Stat(saved); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	if r := run(t, b, "", "__complete", "config", "rollback", ""); !strings.Contains(r.out, "2\t") || !strings.Contains(r.out, "hello") {
		t.Errorf("completion: %s", r.out)
	}
}
