package reset

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// box makes the files of an appliance that was in use, and says which of them are there.
func box(t *testing.T) (root string, left func() []string) {
	t.Helper()
	root = t.TempDir()
	for _, f := range []string{
		"var/lib/millrace/commits/1.json", "var/lib/millrace/pki/server-key.pem", "var/lib/millrace/audit.log",
		"var/lib/millrace-appliance/instance-id", "etc/millrace/startup.yaml", "etc/ssh/ssh_host_ed25519_key", "etc/machine-id",
		"var/lib/cloud/instance/sem", "home/admin/file",
	} {
		f = filepath.Join(root, f)
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, []byte("secret\n"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return root, func() []string {
		var out []string
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if strings.Contains(string(b), "secret") {
				out = append(out, strings.TrimPrefix(path, root+"/"))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		machine, reboot bool
		left            []string
	}{
		{false, true, []string{"etc/machine-id", "etc/ssh/ssh_host_ed25519_key", "home/admin/file", "var/lib/cloud/instance/sem"}},
		{true, false, []string{"home/admin/file"}},
	} {
		root, left := box(t)
		var calls []string
		err := Run(context.Background(), Options{Root: root, Machine: c.machine, Reboot: c.reboot, Systemctl: func(_ context.Context, args ...string) error {
			if args[0] == "stop" && len(left()) != 9 {
				t.Error("something is removed before vnf is stopped")
			}
			calls = append(calls, strings.Join(args, " "))
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if got := left(); !slices.Equal(got, c.left) {
			t.Errorf("machine %v: left are %q, want %q", c.machine, got, c.left)
		}
		want := []string{"stop vnf.socket vnf.service"}
		if c.reboot {
			want = append(want, "reboot")
		}
		if !slices.Equal(calls, want) {
			t.Errorf("systemctl %q, want %q", calls, want)
		}
		b, err := os.ReadFile(filepath.Join(root, "etc/millrace/startup.yaml"))
		st, err2 := os.Stat(filepath.Join(root, "etc/millrace/startup.yaml"))
		if err != nil || err2 != nil || string(b) != emptyConfig || st.Mode().Perm() != 0o640 {
			t.Errorf("startup configuration %q %v %v", b, st.Mode(), err)
		}
		if again, err := Resume(Options{Root: root}); again || err != nil {
			t.Errorf("a reset is pending: %v %v", again, err)
		}
	}
}

// A vnf that does not stop would write again: nothing is removed.
func TestRunRefused(t *testing.T) {
	root, left := box(t)
	err := Run(context.Background(), Options{Root: root, Systemctl: func(context.Context, ...string) error { return errors.New("busy") }})
	if err == nil || len(left()) != 9 {
		t.Errorf("%v, left are %q", err, left())
	}
}

// The power fails in the middle: the next boot goes on.
func TestResume(t *testing.T) {
	for _, machine := range []bool{false, true} {
		root, left := box(t)
		o := Options{Root: root, Machine: machine}
		o.fill()
		if err := begin(o); err != nil {
			t.Fatal(err)
		}
		again, err := Resume(Options{Root: root})
		if want := map[bool]int{false: 4, true: 1}[machine]; !again || err != nil || len(left()) != want {
			t.Errorf("machine %v: %v %v, left are %q", machine, again, err, left())
		}
		if again, err := Resume(Options{Root: root}); again || err != nil {
			t.Errorf("twice: %v %v", again, err)
		}
	}
}

// Where nothing is there is nothing to do.
func TestBare(t *testing.T) {
	root := t.TempDir()
	if err := Run(context.Background(), Options{Root: root, Machine: true, Systemctl: func(context.Context, ...string) error { return nil }}); err != nil {
		t.Error(err)
	}
}
