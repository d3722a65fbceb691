package console

import (
	"context"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/preflight"
	grpcserver "millrace/server/grpc"
	"millrace/server/grpc/grpctest"
)

var update = flag.Bool("update", false, "write the golden files")

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: shown is\n%s\nwant\n%s", name, got, want)
	}
	for _, line := range strings.Split(got, "\n") {
		if len(strings.ReplaceAll(line, `\\`, `\`)) > width {
			t.Errorf("%s: %d columns: %q", name, len(line), line)
		}
		if strings.Trim(line, " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~") != "" {
			t.Errorf("%s: not printable: %q", name, line)
		}
	}
}

func TestRender(t *testing.T) {
	good := Status{
		Version: "1.4.0", Hostname: "edge-1.example.net", Management: prefixes("192.0.2.17/24", "2001:db8::17/64"), ManagementDevice: "ens3",
		Port: 9339, Control: Running, Dataplane: Running, Workers: 3, Ports: 2, PortsUp: 2, Sessions: 2, Established: 2,
		Machine: "4 vCPUs, 8000 MiB, 2650 MiB of them for packets and tables",
	}
	golden(t, "good", Render(&good))

	bad := good
	bad.PortsUp, bad.Established, bad.Workers = 1, 0, 1
	bad.Alarms = []Alarm{
		{"major", "interface wan", "the link is down, and has been for so long that this text must be broken into more than one line to be seen whole"},
		{"major", "bgp neighbour 198.51.100.1", "\x1b[2Jhold timer expired\x00 \\n"}, {"minor", "a", "b…"}, {"minor", "ä", "ö"}, {"warning", "c", "d"}, {"warning", "e", "f"},
	}
	bad.Notes = []string{"600 hugepages of 2 MiB could be had of the 1325 that the tables of this machine's size take; restart it to have all", "b", "c", "d", "e"}
	bad.Management = prefixes("192.0.2.1/24", "192.0.2.2/24", "192.0.2.3/24", "192.0.2.4/24", "192.0.2.5/24")
	golden(t, "alarms", Render(&bad))

	down := Status{
		Version: "1.4.0-12-g0123456", Hostname: strings.Repeat("very-long-name.", 5) + "example.net", Control: "FAILED: journalctl -u vnf.service",
		Dataplane: "running (vnf would know more)", ManagementDevice: "ens3", Port: 9339,
	}
	golden(t, "down", Render(&down))

	old := Status{
		Version: "1.4.0", Hostname: "vnf", Control: "starting", Dataplane: "not started", Management: prefixes("2001:db8::1/64"), Port: 9339,
		Problems: []string{"Intel Core 2 Duo lacks popcnt sse4_1 sse4_2. The data plane needs the x86-64-v2 instructions and ends at once without them.", "OpenStack: cpu_mode=host-model in nova.conf"},
	}
	golden(t, "old-cpu", Render(&old))
	golden(t, "nothing", Render(&Status{Control: "not known", Dataplane: "not known"}))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func sources(t *testing.T, socket string) Sources {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "nics.json"), `{"nics": [{"name": "wan", "role": "data", "pci": "0000:00:04.0", "problem": "no driver takes it"},
		{"name": "mgmt", "role": "management", "pci": "0000:00:03.0", "netdev": "ens3"}]}`)
	write(t, filepath.Join(dir, "sizing.json"), `{"vcpus": 2, "memory-mib": 1950, "workers": 1, "dataplane-memory-mib": 650, "notes": ["less"]}`)
	write(t, filepath.Join(dir, "day0.json"), `{"stage": "boot", "problems": [{"field": "millrace.config", "reason": "is not taken"}]}`)
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return Sources{
		Version: "1.4.0", RuntimeDir: dir, Conn: conn, Hostname: func() string { return "kernel" },
		Unit: func(_ context.Context, name string) string {
			return map[string]string{"vnf.service": "failed", "vnf-dataplane.service": "active"}[name]
		},
		Addresses: func(device string) []netip.Prefix {
			if device != "ens3" {
				t.Errorf("asked for the addresses of %q", device)
			}
			return prefixes("192.0.2.17/24")
		},
		CPU: func() preflight.Result { return preflight.Result{Level: preflight.OK} },
	}
}

const config = `
system: {grpc-listen: "[::]:50051"}
interfaces:
  - {name: eth1, type: port, iface: tap1, addresses: [192.0.2.1/24]}
  - {name: eth2, type: port, device: "0000:00:05.0"}
  - {name: eth3, type: port, device: "0000:00:06.0", enabled: false}
`

func TestCollect(t *testing.T) {
	b := grpctest.New(t, config)
	b.Alarms.List = []grpcserver.Alarm{{ID: "a", Severity: grpcserver.Minor, Resource: "r", Text: "t"}, {ID: "b", Severity: grpcserver.Major, Resource: "wan", Text: "down"}}
	b.Seam.Set(func(s *dpb.ListResult, i *dpb.Info) {
		i.Workers = 3
		s.Interfaces = []*dpb.InterfaceState{{
			Config:     &dpb.Interface{Name: "eth1", Kind: dpb.InterfaceKind_INTERFACE_KIND_PORT, AdminUp: true},
			OperStatus: dpb.OperStatus_OPER_STATUS_UP,
		}}
		s.Vrfs = []*dpb.VrfState{{Name: "default"}}
	})
	golden(t, "collected", Render(Collect(context.Background(), sources(t, b.Unix))))
}

// With vnf away there is a text all the same, and it says what is wrong.
func TestCollectWithoutVnf(t *testing.T) {
	s := sources(t, filepath.Join(t.TempDir(), "none.sock"))
	s.CPU = func() preflight.Result {
		return preflight.Result{Level: preflight.Fail, Found: "Core 2 lacks popcnt", Meaning: "It is too old.", Fix: []string{"another model"}}
	}
	golden(t, "collected-down", Render(Collect(context.Background(), s)))
}

func TestRun(t *testing.T) {
	s := sources(t, filepath.Join(t.TempDir(), "none.sock"))
	file := filepath.Join(t.TempDir(), "issue.d", "millrace.issue")
	states, drawn := make(chan string, 10), make(chan string, 10)
	states <- "starting"
	now := ""
	s.Unit = func(context.Context, string) string {
		select {
		case now = <-states:
		default:
		}
		return now
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{Sources: s, File: file, Period: time.Millisecond, Redraw: func(context.Context) error {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Error(err)
			}
			drawn <- string(b)
			return nil
		}})
	}()
	for _, want := range []string{"starting", "failed", "inactive"} {
		if want != "starting" {
			states <- want
		}
		if text, word := <-drawn, map[string]string{"failed": "FAILED", "inactive": "not started"}[want]; !strings.Contains(text, word) {
			t.Errorf("no %q in\n%s", word, text)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := len(drawn); n != 0 {
		t.Errorf("redrawn %d times although nothing changed", n)
	}
}
