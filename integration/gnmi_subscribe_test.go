package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/lab"
)

// subscribe starts gnmi_cli with a subscription list, given in the text format of protobuf; what it prints are the answers in the same
// format.
func (c gnmiCLI) subscribe(list string, args ...string) (*lab.Proc, error) {
	box := c.b.box
	pki := box.TLSDir()
	all := append([]string{"-a", "127.0.0.1:9339", "-server_name", "localhost", "-ca_crt", filepath.Join(pki, "ca.pem"),
		"-client_crt", filepath.Join(pki, "client.pem"), "-client_key", filepath.Join(pki, "client-key.pem"), "-dt", "proto",
		"-proto", "subscribe {prefix {} encoding: PROTO " + list + "}"}, args...)
	return box.NS.Start(c.b.lab.Bin("tools/gnmi_cli"), all...)
}

// subscription is one of a list, in the text format of protobuf.
func subscription(path, how string) string {
	return fmt.Sprintf(" subscription {path {%s} %s}", textPath(path), how)
}

// prints waits until a process has printed some words, blanks apart, more often than before, and returns how often.
func (b *bed) prints(p *lab.Proc, before int, words string) int {
	b.t.Helper()
	n := 0
	b.eventually(10*time.Second, func() error {
		// protobuf's text format puts one blank or two after a colon, to keep people from parsing it.
		out := strings.Join(strings.Fields(p.Output()), "")
		if n = strings.Count(out, strings.Join(strings.Fields(words), "")); n > before {
			return nil
		}
		if !p.Running() {
			return fmt.Errorf("gnmi_cli has ended:\n%s", p.Output())
		}
		return fmt.Errorf("gnmi_cli has not said %q more than %d times:\n%s", words, before, tail(p.Output(), 3000))
	})
	return n
}

// What happens on the box comes to subscribers that gnmi_cli is: links that go down and up, what other clients configure, counters.
func TestGNMISubscribe(t *testing.T) {
	b, c := newEmptyBox(t)
	c.must(operation{"update", "/", document(object{
		"openconfig-interfaces:interfaces": object{"interface": array{portEntry(1), portEntry(2)}},
	})})
	b.ok(b.box.WaitInterfaces("eth1", "eth2"))
	const eth2 = "/interfaces/interface[name=eth2]"

	status, err := c.subscribe(subscription("/interfaces/interface[name=*]/state/oper-status", "mode: ON_CHANGE") +
		subscription(eth2+"/config", "mode: ON_CHANGE") + subscription(eth2+"/state/description", "mode: TARGET_DEFINED"))
	b.ok(err)
	b.prints(status, 0, "sync_response:true")
	if n := b.prints(status, 1, `string_val:"UP"`); n != 2 {
		t.Errorf("%d ports are up", n)
	}
	r2 := b.lab.NS("r2")
	b.runs(r2, "ip", "link", "set", "eth0", "down")
	b.prints(status, 0, `string_val:"DOWN"`)
	b.runs(r2, "ip", "link", "set", "eth0", "up")
	b.prints(status, 2, `string_val:"UP"`)

	c.must(operation{"update", eth2 + "/config/description", `"to the right"`})
	b.prints(status, 1, `"to the right"`) // config and state
	_, err = b.box.Ctl("interface", "set", "eth2", "--description", "by another API")
	b.ok(err)
	b.prints(status, 1, `"by another API"`)
	c.must(operation{op: "delete", path: eth2 + "/config/description"})
	b.prints(status, 1, `delete:{elem:{name:"description"`)

	// The stream outlives the data plane.
	ups := b.prints(status, 2, `string_val:"UP"`)
	b.ok(b.box.Kill("dataplane"))
	b.prints(status, ups+1, `string_val:"UP"`)
	b.ok(b.box.WaitInterfaces("eth1", "eth2"))
	r2.IP("link", "set", "eth0", "down")
	downs := b.prints(status, 1, `string_val:"DOWN"`)
	r2.IP("link", "set", "eth0", "up")
	t.Logf("a port was told to be down %d times", downs)
	status.Stop()
	if n := strings.Count(strings.Join(strings.Fields(status.Output()), ""), "sync_response:true"); n != 1 {
		t.Errorf("%d sync_response", n)
	}

	// Counters, at the shortest interval.
	sample, err := c.subscribe(subscription(eth2+"/state/counters/in-pkts", "mode: SAMPLE sample_interval: 100000000"))
	b.ok(err)
	b.prints(sample, 30, "uint_val:")
	before := b.packets(sample.Output())
	b.runs(r2, "ping", "-c", "5", "-i", "0.2", "10.0.2.1")
	b.eventually(5*time.Second, func() error {
		if now := b.packets(sample.Output()); now < before+5 {
			return fmt.Errorf("in-pkts went from %d to %d with 5 packets", before, now)
		}
		return nil
	})
	sample.Stop()

	// ONCE and POLL, as gnmi_cli asks for them itself.
	out, err := c.run("-query_type", "once", "-q", "/interfaces/interface[name=*]/state/oper-status")
	b.ok(err)
	if strings.Count(out, " UP") != 2 {
		t.Errorf("once:\n%s", out)
	}
	out, err = c.run("-query_type", "polling", "-polling_interval", "300ms", "-count", "3", "-q", "/interfaces/interface[name=eth1]/state/oper-status")
	b.ok(err)
	if strings.Count(out, " UP") < 3 {
		t.Errorf("polled three times:\n%s", out)
	}
}

// runs a command in a namespace, which has to succeed.
func (b *bed) runs(ns *lab.NS, name string, args ...string) {
	b.t.Helper()
	_, err := ns.Output(name, args...)
	b.ok(err)
}

// packets is the last value in what gnmi_cli printed.
func (b *bed) packets(out string) (n int) {
	out = strings.ReplaceAll(out, " ", "")
	if i := strings.LastIndex(out, "uint_val:"); i >= 0 {
		_, _ = fmt.Sscanf(out[i:], "uint_val:%d", &n)
	}
	return n
}
