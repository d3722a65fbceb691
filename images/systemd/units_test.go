// Package systemd_test holds the units against what systemd says of them.
package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// exposed is the least exposure that systemd does not call OK any more.
const exposed = 5.0

func tool(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("needs systemd-analyze")
	}
	// Where not even this is understood, as in a container that lets it see too little, nothing is learned of ours.
	plain := filepath.Join(t.TempDir(), "plain.service")
	if err := os.WriteFile(plain, []byte("[Service]\nExecStart=/bin/true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"verify", "--man=no", plain}, {"security", "--offline=true", "--no-pager", plain}} {
		if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
			t.Skipf("systemd-analyze can't work here: %v: %s", err, out)
		}
	}
	return path
}

// units are ours, of all folders.
func units(t *testing.T, kinds ...string) (all []string) {
	t.Helper()
	for _, dir := range []string{".", "../appliance"} {
		for _, k := range kinds {
			found, err := filepath.Glob(filepath.Join(dir, "*."+k))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, found...)
		}
	}
	if len(all) == 0 {
		t.Fatal("no units")
	}
	return all
}

var overall = regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+) `)

func TestExposure(t *testing.T) {
	analyze := tool(t)
	for _, unit := range units(t, "service") {
		t.Run(filepath.Base(unit), func(t *testing.T) {
			path, err := filepath.Abs(unit)
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(analyze, "security", "--offline=true", "--no-pager", path).CombinedOutput()
			m := overall.FindSubmatch(out)
			if err != nil || m == nil {
				t.Fatalf("%v\n%s", err, out)
			}
			level, err := strconv.ParseFloat(string(m[1]), 64)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("exposure %.1f", level)
			if level >= exposed {
				t.Errorf("exposure %.1f, at most %.1f is OK:\n%s", level, exposed, out)
			}
		})
	}
}

// TestVerify has systemd read all units as they would be installed.
func TestVerify(t *testing.T) {
	analyze := tool(t)
	dir := t.TempDir()
	args := []string{"verify", "--man=no", "--recursive-errors=no"}
	// Programs that are not installed here stand for no mistake of a unit.
	programs := regexp.MustCompile(`(?m)^((?:Exec\w+)=[-+!:@]*)(/\S+)`)
	for _, unit := range units(t, "service", "socket", "slice") {
		b, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Base(unit))
		if err := os.WriteFile(path, programs.ReplaceAll(b, []byte("${1}/bin/true")), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	out, err := exec.Command(analyze, args...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, dir) || strings.Contains(line, "vnf") || strings.Contains(line, "millrace") {
			t.Error(strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
