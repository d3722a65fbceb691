package integration

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// listening says whether something takes connections at an address of the box's namespace.
func (r *router) listening(address string) error {
	return r.ns.Do(func() error {
		c, err := net.DialTimeout("tcp", address, 10*time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// TestGNMISystem: what is configured of /system is in force when it is answered, the address of the very server that answers too, and
// comes back after a restart.
func TestGNMISystem(t *testing.T) {
	r, c := newEmptyRouter(t, "gnmisys")
	const server = "/system/grpc-servers/grpc-server[name=DEFAULT]"
	c.want(server+"/state/port", "9339")
	c.want("/dataplane/state/workers", "1")
	c.want("/dataplane/state/mbufs", "8192")
	c.must(c.set(&gpb.SetRequest{
		Delete: []*gpb.Path{c.path("/system/logging")},
		Update: []*gpb.Update{
			c.update("/system/config/hostname", `"edge-1"`), c.update(server+"/config/port", "9340"),
			c.update("/system/service/config/metrics-listen", `"127.0.0.1:9274"`),
			c.update("/system/logging/console/selectors/selector[facility=ALL][severity=DEBUG]/config", `{"facility": "ALL", "severity": "DEBUG"}`),
		},
	}))
	for address, want := range map[string]bool{"127.0.0.1:9340": true, "127.0.0.1:9339": false, "127.0.0.1:9274": true, "127.0.0.1:9273": false} {
		if err := r.listening(address); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
	// The connection by which it was set goes on.
	c.want(server+"/state/port", "9340")
	c.want("/system/state/hostname", "edge-1")
	if doc := r.run(r.ns, "curl", "-s", "http://127.0.0.1:9274/metrics"); !strings.Contains(doc, "millrace_dataplane_up 1") {
		t.Errorf("no metrics at the new address:\n%s", tail(doc, 500))
	}
	out, err := r.ns.Output(r.lab.Bin("vnfctl"), "--address", "127.0.0.1:9340", "--tls-dir", r.box.TLSDir(), "system", "log-level")
	if err != nil || !strings.Contains(out, "debug") {
		t.Errorf("the log's level: %s (%v)", out, err)
	}

	// The machine and the appliance's two processes.
	for _, which := range []string{"control", "dataplane"} {
		pid, err := r.box.Child(which)
		c.must(err)
		if n := c.number(fmt.Sprintf("/system/processes/process[pid=%d]/state/memory-usage", pid)); n < 1<<20 {
			t.Errorf("%s has %d bytes", which, n)
		}
	}
	if all, used := c.number("/system/memory/state/physical"), c.number("/system/memory/state/used"); used == 0 || used > all {
		t.Errorf("%d of %d bytes are used", used, all)
	}
	r.eventually(10*time.Second, func() error {
		_, err := c.get("/system/cpus/cpu[index=ALL]/state/total/instant")
		_, err2 := c.get("/components/component[name=cpu]/cpu/utilization/state/avg")
		_, err3 := c.get("/dataplane/workers/worker[id=0]/state/utilization")
		return errors.Join(err, err2, err3)
	})

	// What cannot be had changes nothing.
	for path, val := range map[string]string{
		server + "/config/listen-addresses":                                        `["192.0.2.1"]`,
		server + "/config/port":                                                    "0",
		"/system/service/config/metrics-listen":                                    `"127.0.0.1:9340"`,
		"/system/service/config/pki-directory":                                     `"relative"`,
		"/dataplane/config/workers":                                                "33",
		"/system/grpc-servers/grpc-server[name=two]":                               `{"config": {"name": "two", "port": 1}}`,
		"/system/logging/console/selectors/selector[facility=ALL][severity=ALERT]": `{"config": {"facility": "ALL", "severity": "ALERT"}}`,
	} {
		err := c.set(&gpb.SetRequest{Update: []*gpb.Update{c.update(path, val)}})
		if code := status.Code(err); code != codes.InvalidArgument && code != codes.FailedPrecondition {
			t.Errorf("%s = %s: %v", path, val, err)
		}
	}
	if err := errors.Join(r.listening("127.0.0.1:9340"), r.listening("127.0.0.1:9274")); err != nil {
		t.Errorf("after refusals: %v", err)
	}

	// The control plane starts anew, and takes the address over from what it is given.
	if err := r.box.Kill("control"); err != nil {
		t.Fatal(err)
	}
	r.eventually(20*time.Second, func() error {
		out, err := r.ns.Output(r.lab.Bin("vnfctl"), "--address", "127.0.0.1:9340", "--tls-dir", r.box.TLSDir(), "system", "info")
		if err == nil && !strings.Contains(out, "edge-1") {
			err = fmt.Errorf("the name is gone: %s", out)
		}
		return err
	})
}
