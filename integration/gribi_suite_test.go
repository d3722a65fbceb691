package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// suiteHash is sha256crypt of the password "suite".
const suiteHash = "$5$millrace$FT8FsEg1hlssBdHgMZBvixW/mkaReX4hM9clAFdQl0/"

// TestGRIBISuite runs the public compliance suite of gribigo against the box, in both modes of forward references. The suite is the
// program of MILLRACE_GRIBI_SUITE, which `make test-gribi` builds; it logs in by name and password over TLS.
func TestGRIBISuite(t *testing.T) {
	suite := os.Getenv("MILLRACE_GRIBI_SUITE")
	if suite == "" {
		t.Skip("make test-gribi builds the suite and sets MILLRACE_GRIBI_SUITE")
	}
	// The topology of the suite: three ports with a /31 each.
	b := newBed(t, 2)
	config := "aaa: {users: [{name: suite, password-hash: \"" + suiteHash + "\", role: admin}]}\n" +
		"network-instances: [{name: NON-DEFAULT-VRF}]\n" + b.interfaces()
	for i := 1; i <= 3; i++ {
		far := []string{"a", "r2", "r3"}[i-1]
		b.lab.NS(far).Addr("eth0", fmt.Sprintf("192.0.2.%d/31", 2*i-1))
		config = strings.Replace(config, fmt.Sprintf("addresses: [10.0.%d.1/24,", i),
			fmt.Sprintf("addresses: [10.0.%d.1/24, 192.0.2.%d/31,", i, 2*i-2), 1)
	}
	b.start(config)

	// Forward references wait; a test of MPLS that sends one would wait for its minute.
	got := b.suite(suite, "^TestCompliance$/("+needRefusal+"|^MPLS_)", "-initial_electionid=1")
	judge(t, "wait", got, 71, nil)

	// They are refused, by a change of the running box.
	b.ok(b.box.Apply("gribi: {forward-references: refuse}\n" + config))
	got = b.suite(suite, "", "-initial_electionid=1000", "-skip_reordering")
	judge(t, "refuse", got, 73, regexp.MustCompile("^MPLS_"))
}

// needRefusal are the tests that the suite marks as for servers that refuse forward references.
const needRefusal = "Add_a_forward_reference_to_a_server_that_disallows_it|Error:_Missing_NextHopGroup|Error:_Empty_NextHopGroup"

// suite runs gribigo's suite without the tests of skip and returns what became of the others.
func (b *bed) suite(program, skip string, args ...string) map[string]string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	args = append([]string{"-test.v", "-test.timeout=15m", "-test.skip=" + skip, "-addr=127.0.0.1:9339", "-username=suite", "-password=suite",
		"-default_ni_name=default"}, args...)
	out, err := b.box.NS.Command(ctx, program, args...).CombinedOutput()
	if p := os.Getenv("MILLRACE_GRIBI_OUT"); p != "" {
		f, err := os.OpenFile(p, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		b.ok(err)
		_, werr := f.Write(out)
		b.ok(errors.Join(werr, f.Close()))
	}
	got := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\s+--- (PASS|FAIL|SKIP): TestCompliance/(.*) \(`).FindAllStringSubmatch(string(out), -1) {
		got[m[2]] = m[1]
	}
	if len(got) == 0 {
		b.t.Fatalf("the suite: %v\n%s", err, tail(string(out), 4000))
	}
	return got
}

// judge wants at least so many tests to pass, and none to fail but those that may.
func judge(t *testing.T, mode string, got map[string]string, passes int, mayFail *regexp.Regexp) {
	t.Helper()
	n := map[string]int{}
	for name, r := range got {
		n[r]++
		switch {
		case r == "PASS":
		case r == "SKIP":
			t.Logf("%s: the suite skips %s", mode, name)
		case mayFail != nil && mayFail.MatchString(name):
			t.Logf("%s: %s fails, as it has to", mode, name)
		default:
			t.Errorf("%s: %s fails", mode, name)
		}
	}
	t.Logf("forward references %s: %v", mode, n)
	if n["PASS"] < passes {
		t.Errorf("%s: %d tests pass, want at least %d", mode, n["PASS"], passes)
	}
}
