package integration

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/lab"
)

// confirmed begins a commit that has to be confirmed.
func (c gnmiCLI) confirmed(id string, d time.Duration, o operation) error {
	_, err := c.run("-set", "-proto", fmt.Sprintf(
		"%s {path {%s} val {json_ietf_val: %q}} extension {commit {id: %q commit {rollback_duration {seconds: %d}}}}",
		o.op, textPath(o.path), o.doc, id, int(d.Seconds())))
	return err
}

// A commit that nobody confirms is taken back: by itself, and if vnf is killed and started again meanwhile, before or after the time
// is up.
func TestGNMICommitConfirmed(t *testing.T) {
	b, c := newEmptyBox(t)
	ping := func() error {
		_, err := b.lab.NS("a").Output("ping", "-c", "1", "-W", "1", "10.0.1.1")
		return err
	}
	c.must(operation{"update", "/interfaces", document(object{"openconfig-interfaces:interface": array{portEntry(1), portEntry(2)}})})
	b.ok(b.box.WaitInterfaces("eth1", "eth2"))
	b.eventually(10*time.Second, ping)
	off := operation{"replace", "/interfaces/interface[name=eth1]/config/enabled", "false"}
	down := func() {
		t.Helper()
		b.eventually(5*time.Second, func() error {
			if ping() == nil {
				return fmt.Errorf("the port is still on")
			}
			return nil
		})
	}
	// By itself.
	b.ok(c.confirmed("one", 10*time.Second, off))
	down()
	if err := c.set(operation{"update", "/system/config/hostname", `"other"`}); err == nil || !strings.Contains(err.Error(), "FailedPrecondition") {
		t.Errorf("a change meanwhile: %v", err)
	}
	b.eventually(15*time.Second, ping)
	// vnf is killed, and the time is up when it is back.
	b.ok(c.confirmed("two", 8*time.Second, off))
	down()
	revive := b.killControl()
	time.Sleep(8 * time.Second)
	revive()
	b.eventually(20*time.Second, ping)
	// vnf is killed, and the time is not up yet when it is back.
	b.ok(c.confirmed("three", 20*time.Second, off))
	down()
	b.killControl()()
	down()
	b.eventually(30*time.Second, ping)
	// Confirmed, it stays over a restart.
	b.ok(c.confirmed("four", 10*time.Second, off))
	_, err := c.run("-set", "-proto", `extension {commit {id: "four" confirm {}}}`)
	b.ok(err)
	down()
	b.killControl()()
	b.steady(11*time.Second, func() error {
		if ping() == nil {
			return fmt.Errorf("a confirmed commit was taken back")
		}
		return nil
	})
}

// grpcurl finds gNMI by reflection and calls it, with the operator's certificate.
func TestGNMIReflection(t *testing.T) {
	b := newBed(t, 0)
	if _, err := exec.LookPath(b.lab.Bin("tools/grpcurl")); err != nil {
		t.Skip("needs grpcurl: make tools")
	}
	box, err := b.lab.Box(b.lab.NS("r"), lab.BoxOptions{Config: "\n"})
	b.box = box
	b.ok(err)
	pki := box.TLSDir()
	run := func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		all := []string{"-cacert", filepath.Join(pki, "ca.pem"), "-cert", filepath.Join(pki, "client.pem"), "-key", filepath.Join(pki, "client-key.pem")}
		out, err := box.NS.Command(ctx, b.lab.Bin("tools/grpcurl"), append(all, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("grpcurl %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if out := run("127.0.0.1:9339", "list"); !strings.Contains(out, "gnmi.gNMI\n") {
		t.Errorf("services:\n%s", out)
	}
	if out := run("127.0.0.1:9339", "gnmi.gNMI/Capabilities"); !strings.Contains(out, `"gNMIVersion": "0.10.0"`) {
		t.Errorf("capabilities:\n%s", out)
	}
	run("-d", `{"update": [{"path": {"elem": [{"name": "system"}, {"name": "config"}, {"name": "hostname"}]}, "val": {"string_val": "curled"}}]}`,
		"127.0.0.1:9339", "gnmi.gNMI/Set")
	if out := run("-d", `{"path": [{"elem": [{"name": "system"}, {"name": "state"}, {"name": "hostname"}]}], "encoding": "PROTO"}`,
		"127.0.0.1:9339", "gnmi.gNMI/Get"); !strings.Contains(out, "curled") {
		t.Errorf("hostname:\n%s", out)
	}
}
