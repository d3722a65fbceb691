package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openconfig/gnoi/factory_reset"
	"github.com/openconfig/gnoi/system"
	"google.golang.org/grpc/credentials"

	"millrace/internal/lab"
)

// asUnits has the parts of the box run as the systemd units have them: the control plane as a user without rights.
func asUnits(o *lab.BoxOptions) { o.Units = true }

// said is what systemctl was asked for.
func (b *bed) said(word string) error {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(b.box.File()), "systemctl.log"))
	if err == nil && !strings.Contains(string(text), word) {
		err = fmt.Errorf("systemctl was not asked for %q: %q", word, text)
	}
	return err
}

// statusLine is a line of /proc/PID/status.
func statusLine(pid int, name string) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.Join(strings.Fields(v), " "), nil
		}
	}
	return "", fmt.Errorf("no %s of process %d", name, pid)
}

// TestUnitsPrivileges: with what the units leave them, the programs forward, speak BGP with MD5 and GTSM, are managed, and start again.
func TestUnitsPrivileges(t *testing.T) {
	b := newBed(t, 2)
	b.start(b.interfaces()+bgpConfig(65001, `networks: ["10.0.1.0/24"]`,
		"address: 10.0.2.2, remote-as: 65010, password: secret, "+bothFamilies,
		"address: 10.0.3.2, remote-as: 65020, ttl-security: 1, "+bothFamilies), asUnits)
	for i, options := range map[int]string{2: "neighbor 10.0.2.1 password secret", 3: "neighbor 10.0.3.1 ttl-security hops 1"} {
		v4, v6 := fmt.Sprintf("203.0.%d.0/24", i), fmt.Sprintf("2001:db8:c%d::/64", i)
		b.stub(fmt.Sprintf("r%d", i), v4, v6)
		b.frr(fmt.Sprintf("r%d", i), frrPeer(i, 65000+10*(i-1), 65001, v4, v6, options))
	}
	for which, want := range map[string]map[string]string{
		// Bits of linux/capability.h: 10 NET_BIND_SERVICE; 12 NET_ADMIN, 13 NET_RAW, 14 IPC_LOCK, 17 SYS_RAWIO, 21 SYS_ADMIN.
		"control":   {"Uid": "65431 65431 65431 65431", "CapEff": "0000000000000400", "CapBnd": "0000000000000400", "NoNewPrivs": "1"},
		"dataplane": {"Uid": "0 0 0 0", "CapEff": "0000000000227000", "CapBnd": "0000000000227000", "NoNewPrivs": "1"},
	} {
		pid, err := b.box.Child(which)
		b.ok(err)
		for name, v := range want {
			if got, err := statusLine(pid, name); err != nil || got != v {
				t.Errorf("%s: %s is %s, want %s (%v)", which, name, got, v, err)
			}
		}
	}
	b.established("10.0.2.2", "10.0.3.2")
	b.installed("203.0.2.0/24", "2001:db8:c2::/64", "203.0.3.0/24", "2001:db8:c3::/64")
	b.pings("a", "203.0.2.2", "2001:db8:c3::2")
	b.unitsManaged()

	// Both start again, and what was is there again.
	for _, which := range []string{"control", "dataplane"} {
		b.ok(b.box.Kill(which))
		b.eventually(60*time.Second, func() error { _, err := b.box.Ctl("system", "info"); return err })
		b.established("10.0.2.2", "10.0.3.2")
		b.eventually(60*time.Second, func() error { return pingErr(b, "a", "203.0.2.2") })
	}
}

func pingErr(b *bed, from, to string) error {
	_, err := b.lab.NS(from).Output("ping", "-c", "1", "-W", "1", to)
	return err
}

// unitsManaged does by gNOI and by the configuration what the control plane may not do itself.
func (b *bed) unitsManaged() {
	b.t.Helper()
	t := b.t
	b.eventually(20*time.Second, func() error {
		name, err := os.ReadFile(filepath.Join(filepath.Dir(b.box.File()), "hostname"))
		if err == nil && string(name) != "box\n" {
			err = fmt.Errorf("the hostname kept is %q", name)
		}
		return err
	})
	if out, err := b.box.NS.Output("curl", "-sf", "http://127.0.0.1:9273/metrics"); err != nil || !strings.Contains(out, "millrace_") {
		t.Errorf("metrics in the namespace of the management: %.200s, %v", out, err)
	}
	conn := dialBox(t, b.box, credentials.NewTLS(operator(t, b.box)))
	sys := system.NewSystemClient(conn)
	before, err := b.box.Child("dataplane")
	b.ok(err)
	if _, err := sys.KillProcess(t.Context(), &system.KillProcessRequest{Name: "vnf-dataplane", Signal: system.KillProcessRequest_SIGNAL_TERM, Restart: true}); err != nil {
		t.Fatal(err)
	}
	b.ok(b.said("kill --kill-whom=main --signal=SIGTERM vnf-dataplane.service"))
	b.eventually(60*time.Second, func() error {
		pid, err := b.box.Child("dataplane")
		if err == nil && pid == before {
			err = errors.New("the data plane is the same")
		}
		return err
	})
	b.established("10.0.2.2", "10.0.3.2")
	b.eventually(60*time.Second, func() error { return pingErr(b, "a", "203.0.2.2") })
	if _, err := factory_reset.NewFactoryResetClient(conn).Start(t.Context(), &factory_reset.StartRequest{}); err != nil {
		t.Error(err)
	}
	b.ok(b.said("start --no-block vnf-reset.service"))
	if _, err := sys.Reboot(t.Context(), &system.RebootRequest{Method: system.RebootMethod_COLD, Message: "test"}); err != nil {
		t.Error(err)
	}
	b.eventually(20*time.Second, func() error { return b.said("start --no-block --job-mode=replace-irreversibly reboot.target") })
}
