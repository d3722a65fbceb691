package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/routing/rib"
	"millrace/server/auth"
	grpcserver "millrace/server/grpc"
	"millrace/server/grpc/grpctest"
)

const boxConfig = `
interfaces:
  - {name: eth1, type: port, iface: tap1, addresses: [192.0.2.1/24], description: uplink}
  - {name: eth2, type: port, device: "0000:00:05.0", enabled: false}
network-instances:
  - name: default
    static-routes:
      - {prefix: 198.51.100.0/24, next-hops: [{address: 192.0.2.9}]}
`

// frame is an Ethernet frame with an ICMP echo request from 192.0.2.9 to 192.0.2.1.
var frame = []byte{
	2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0,
	0x45, 0, 0, 28, 0, 1, 0, 0, 64, 1, 0xf6, 0xd5, 192, 0, 2, 9, 192, 0, 2, 1,
	8, 0, 0xf7, 0xfe, 0, 0, 0, 1,
}

func newBox(t *testing.T) *grpctest.Box {
	t.Helper()
	b := grpctest.New(t, boxConfig)
	b.Alarms.List = []grpcserver.Alarm{{ID: "a", Severity: grpcserver.Major, Resource: "interface eth2", Text: "no such device"}}
	b.Seam.Set(func(s *dpb.ListResult, _ *dpb.Info) {
		s.Interfaces = []*dpb.InterfaceState{{
			Config: &dpb.Interface{Name: "eth1", Kind: dpb.InterfaceKind_INTERFACE_KIND_PORT, AdminUp: true}, Mtu: 1500, Speed: 10000,
			OperStatus: dpb.OperStatus_OPER_STATUS_UP, Ifindex: 3, Mac: []byte{2, 0, 0, 0, 0, 1}, Driver: "net_af_packet", RxQueues: 1, TxQueues: 1,
			Counters: &dpb.InterfaceCounters{RxPackets: 7, RxOctets: 700, TxPackets: 3, TxOctets: 300},
		}}
		s.Addresses = []*dpb.AddressState{{Interface: "eth1", Address: []byte{192, 0, 2, 1}, PrefixLen: 24, Dad: dpb.DadState_DAD_STATE_PREFERRED}}
		s.Vrfs = []*dpb.VrfState{{Name: "default", Ip4Routes: 3, Ip4RoutesMax: 100}}
		s.Workers = []*dpb.WorkerState{{Cpu: -1, BusyCycles: 25, IdleCycles: 25, SleepCycles: 50, RxQueues: []string{"eth1:0"}}}
		s.Drops = []*dpb.DropState{{Reason: "ip4-no-route", Packets: 5, Description: "no route"}}
		s.Nodes = []*dpb.NodeState{
			{Name: "rx", Source: true, Calls: 10, Packets: 100, Cycles: 2000, Edges: []string{"ip4", "drop"}}, {Name: "ip4"}, {Name: "drop", Drop: true},
		}
		s.Neighbors = []*dpb.NeighborState{{
			Interface: "eth1", Address: []byte{192, 0, 2, 9}, Mac: []byte{2, 0, 0, 0, 0, 9}, Nud: dpb.NeighborNud_NEIGHBOR_NUD_REACHABLE, Age: 75,
		}}
		s.Xstats = []*dpb.XStat{{Interface: "eth1", Name: "rx_q0_packets", Value: 7}, {Interface: "eth1", Name: "rx_zero"}}
	})
	b.RIB.SetInterfaceState("eth1", true)
	b.RIB.Apply([]rib.Change{
		{Route: rib.Route{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Source: rib.SourceConnected, NextHops: []rib.NextHop{{Interface: "eth1"}}}},
		{Route: rib.Route{
			Prefix: netip.MustParsePrefix("198.51.100.0/24"), Source: rib.SourceStatic,
			NextHops: []rib.NextHop{{Addr: netip.MustParseAddr("192.0.2.9")}},
		}},
	})
	return b
}

type result struct {
	code     int
	out, err string
}

func run(t *testing.T, b *grpctest.Box, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var out bytes.Buffer
	code, errs := runTo(ctx, b, &out, stdin, args...)
	return result{code, out.String(), errs}
}

func runTo(ctx context.Context, b *grpctest.Box, out io.Writer, stdin string, args ...string) (code int, stderr string) {
	var errs bytes.Buffer
	code = Run(ctx, Environment{
		Args: append([]string{"--address", b.Address, "--tls-dir", b.PKI}, args...), Stdin: strings.NewReader(stdin), Stdout: out,
		Stderr: &errs, Getenv: func(string) string { return "" }, Version: "test",
	})
	return code, errs.String()
}

func TestTables(t *testing.T) {
	b := newBox(t)
	for _, tc := range []struct {
		args string
		want string
	}{
		{"interface list", `NAME  KIND  STATUS    MTU   SPEED  MAC                INSTANCE  ADDRESSES
eth1  port  up        1500  10G    02:00:00:00:00:01  default   192.0.2.1/24
eth2  port  disabled  -     -      -                  default   -
`},
		{"interface xstats eth1", "NAME           VALUE\nrx_q0_packets  7\n"},
		{"route list", `   PREFIX           SOURCE     DIST/METRIC  NEXT HOPS
*  192.0.2.0/24     connected  0/0          dev eth1
+  198.51.100.0/24  static     1/0          via 192.0.2.9 dev eth1
`},
		{"neighbor list", `INTERFACE  ADDRESS    MAC                STATE      CONFIRMED  ROLE  QUEUED  TX-PACKETS
eth1       192.0.2.9  02:00:00:00:00:09  reachable  1m15s      -     0       0
`},
		{"system workers --interval 0", `WORKER  LCORE  CPU  UTILIZATION  ASLEEP  RX-PACKETS  DISPATCHED  LOST  QUEUES
0       0      -    25.0%        50.0%   0           0           0     eth1:0
`},
		{"system drops", "PACKETS  REASON        MEANING\n5        ip4-no-route  no route\n"},
		{"system nodes", "NODE  CALLS  PACKETS  PACKETS/CALL  CYCLES/PACKET\nrx    10     100      10.0          20.0\n"},
		{"system network-instances", `NAME     IPV4-ROUTES  IPV4-TBL8  IPV6-ROUTES  IPV6-TBL8  INTERFACES
default  3/100        0/0        0/0          0/0        eth1
`},
		{"system log-level", "info\n"},
		{"graph", "NODE  PACKETS  TO\ndrop  0        \nip4   0        \nrx    100      ip4 drop\n"},
		{"health", "SERVICE     STATUS\nvnf         serving\ndata plane  serving\n"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			r := run(t, b, "", strings.Fields(tc.args)...)
			for end := time.Now().Add(time.Minute); tc.args == "health" && r.out != tc.want && time.Now().Before(end); {
				r = run(t, b, "", strings.Fields(tc.args)...) // the server looks once a second
			}
			if r.code != 0 || r.out != tc.want {
				t.Errorf("exit %d\ngot:\n%s\nwant:\n%s\n%s", r.code, r.out, tc.want, r.err)
			}
		})
	}
}

func TestEveryReadingInEveryFormat(t *testing.T) {
	b := newBox(t)
	for _, args := range []string{
		"interface list", "interface list --counters", "interface show eth1", "interface xstats eth1 --all", "route list --all", "route summary",
		"route lookup 198.51.100.7", "neighbor list", "system info", "system workers", "system drops --all", "system nodes --all", "system alarms",
		"system network-instances", "graph", "config show", "config history", "config history 1", "bgp show",
	} {
		for _, format := range []string{"table", "json", "yaml"} {
			r := run(t, b, "", append(strings.Fields(args), "-o", format)...)
			if r.code != 0 || r.out == "" {
				t.Errorf("%s -o %s: exit %d, %s", args, format, r.code, r.err)
			}
			var v any
			if format == "json" && json.Unmarshal([]byte(r.out), &v) != nil {
				t.Errorf("%s: not JSON:\n%s", args, r.out)
			}
		}
	}
}

func TestExitCodes(t *testing.T) {
	b := newBox(t)
	for _, tc := range []struct {
		args string
		code int
		err  string
	}{
		{"interface show eth9", exitNotFound, `not found: name: there is no interface "eth9"`},
		{"interface set eth1 --mtu 70000", exitRefused, "config.mtu: "},
		{"interface set eth1", exitUsage, "nothing to change"},
		{"interface add eth3 --kind tunnel", exitUsage, "--kind"},
		{"interface show", exitUsage, "accepts 1 arg"},
		{"interface", exitUsage, "a subcommand is needed"},
		{"interface list --colour", exitUsage, "unknown flag"},
		{"interface list -o xml", exitUsage, "--output"},
		{"frobnicate", exitUsage, "unknown command"},
		{"route add 203.0.113.1/24 --via 192.0.2.2", exitRefused, "prefix: "},
		{"route add 203.0.113.0/24 --via 192.0.2.2,weight=0", exitUsage, "weight"},
		{"route delete 203.0.113.0/24", exitNotFound, "there is no static route"},
		{"route delete 203.0.113.0/24 198.51.100.0/24", exitPartial, "1 of 2 failed"},
		{"ping 203.0.113.7 --count 1", exitPartial, "nothing answered"},
		{"bgp neighbors", exitRefused, "BGP is not configured"},
		{"bgp reset", exitUsage, "--all"},
		{"config apply /nonexistent", exitUsage, "no such file"},
		{"--address 127.0.0.1:1 system info", exitUnreachable, "can't be reached"},
		{"--tls-dir /nonexistent system info", exitCertificates, "ca.pem is missing"},
		{"--server-name other.example.net system info", exitCertificates, "for other names"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			r := run(t, b, "", strings.Fields(tc.args)...)
			if r.code != tc.code || !strings.Contains(r.err, tc.err) {
				t.Errorf("exit %d, want %d; %q lacks %q", r.code, tc.code, r.err, tc.err)
			}
		})
	}
	other := filepath.Join(t.TempDir(), "pki")
	if _, err := auth.Open(auth.Options{Dir: other}); err != nil {
		t.Fatal(err)
	}
	if r := run(t, b, "", "--tls-dir", other, "system", "info"); r.code != exitCertificates || !strings.Contains(r.err, "not from the authority") {
		t.Errorf("another authority: exit %d, %s", r.code, r.err)
	}
	if r := run(t, b, "", "--address", "unix:"+b.Unix, "system", "info"); r.code != 0 {
		t.Errorf("unix socket: exit %d, %s", r.code, r.err)
	}
}

func TestChanges(t *testing.T) {
	b := newBox(t)
	for _, tc := range []struct {
		args, stdin, want string
	}{
		{"interface add lo0 --kind loopback --ip 203.0.113.1/32", "", "lo0 made: "},
		{"interface set eth1 --mtu 9000 --enabled=false", "", "eth1 changed: "},
		{"interface address add eth1 2001:db8::1/64", "", "eth1 has 2001:db8::1/64\n"},
		{"interface address delete eth1 2001:db8::1", "", "eth1 no longer has 2001:db8::1\n"},
		{"interface clear", "", "counters of 1 interfaces cleared\n"},
		{"interface delete lo0", "", "lo0 removed\n"},
		{"route add 203.0.113.0/24 --via 192.0.2.2,weight=3 --via 192.0.2.3", "", "1 set\n"},
		{"route add --file -", "203.0.114.0/24 192.0.2.2 # first\n\n203.0.115.0/24 blackhole\n203.0.116.0/24 dev=eth1\n", "3 set\n"},
		{"route add --transient 203.0.117.0/24 --via 192.0.2.2", "", "1 set\n"},
		{"route delete --transient 203.0.117.0/24", "", "1 deleted\n"},
		{"route delete --file -", "203.0.114.0/24\n203.0.115.0/24 blackhole\n", "2 deleted\n"},
		{"neighbor add eth1 192.0.2.7 02:00:00:00:00:07", "", "192.0.2.7 on eth1 is at 02:00:00:00:00:07\n"},
		{"neighbor delete eth1 192.0.2.7", "", "192.0.2.7 on eth1 deleted\n"},
		{"neighbor flush eth1", "", "1 forgotten\n"},
		{"system log-level debug", "", "debug\n"},
		{"config apply - --dry-run", boxConfig, "changes; not carried out"},
		{"config apply -", boxConfig, "changes, commit "},
		{"config apply -", boxConfig, "nothing changes\n"},
	} {
		r := run(t, b, tc.stdin, strings.Fields(tc.args)...)
		if r.code != 0 || !strings.Contains(r.out, tc.want) {
			t.Errorf("%s: exit %d, got %q, want %q; %s", tc.args, r.code, r.out, tc.want, r.err)
		}
	}
}

func TestTraceAndPing(t *testing.T) {
	b := newBox(t)
	b.Seam.Events(&dpb.Event{Event: &dpb.Event_Trace{Trace: &dpb.TraceRecord{
		Sequence: 1, Interface: "eth1", Length: uint32(len(frame)), Packet: frame, DropReason: "ip4-no-route",
		Steps: []*dpb.TraceStep{{Node: "port-rx", Detail: "eth1 queue 0"}, {Node: "ip4-lookup", Ns: 120, Detail: "no route"}},
	}}}, &dpb.Event{Event: &dpb.Event_End{End: &dpb.StreamEnd{}}})
	r := run(t, b, "", "trace", "--count", "1", "icmp", "and", "host", "192.0.2.1")
	for _, want := range []string{"192.0.2.9->192.0.2.1 EchoRequest", "120 ns  ip4-lookup  no route", "dropped: ip4-no-route"} {
		if r.code != 0 || !strings.Contains(r.out, want) {
			t.Errorf("exit %d, lacks %q:\n%s%s", r.code, want, r.out, r.err)
		}
	}
	asked := b.Seam.Asked(func(q *dpb.Request) bool { return q.GetTrace() != nil })
	if f := asked[0].GetTrace().GetFilter(); f != "icmp and host 192.0.2.1" {
		t.Errorf("filter %q", f)
	}
	b.Seam.OnPing(func(p *dpb.Ping) (*dpb.PingResult, *dpb.Error) {
		if p.GetUdp() && p.GetTtl() < 2 {
			return &dpb.PingResult{Outcome: dpb.PingOutcome_PING_OUTCOME_TIME_EXCEEDED, From: []byte{10, 0, 0, 1}, RttNs: 1e6}, nil
		}
		return &dpb.PingResult{Outcome: dpb.PingOutcome_PING_OUTCOME_REPLY, From: p.GetDestination(), RttNs: 250e3, Ttl: 63, Length: 84}, nil
	})
	r = run(t, b, "", "ping", "203.0.113.7", "-c", "2", "--interval", "10ms")
	if r.code != 0 || !strings.Contains(r.out, "84 bytes from 203.0.113.7: seq=2 ttl=63 time=0.250 ms\n\n2 sent, 2 answered, 0.0% lost\n") {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
	}
	r = run(t, b, "", "traceroute", "203.0.113.7", "-q", "2")
	if want := " 1  10.0.0.1  1.000 ms  1.000 ms\n 2  203.0.113.7  0.250 ms  0.250 ms\n"; r.code != 0 || r.out != want {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
	}
}

func TestCaptureIsPcapng(t *testing.T) {
	b := newBox(t)
	packet := func(iface string, out bool, ns uint64) *dpb.CapturedPacket {
		return &dpb.CapturedPacket{Time: 1_700_000_000_123_456_789 + ns, Interface: iface, Outbound: out, Data: frame, Length: 100}
	}
	b.Seam.Events(
		&dpb.Event{Event: &dpb.Event_Captured{Captured: &dpb.CapturedPackets{Packets: []*dpb.CapturedPacket{
			packet("eth1", false, 0), packet("eth2", true, 1000),
		}}}},
		&dpb.Event{Event: &dpb.Event_Captured{Captured: &dpb.CapturedPackets{Dropped: 4, Packets: []*dpb.CapturedPacket{packet("eth1", true, 2000)}}}},
		&dpb.Event{Event: &dpb.Event_End{End: &dpb.StreamEnd{Reason: "count"}}})
	file := filepath.Join(t.TempDir(), "x.pcapng")
	r := run(t, b, "", "capture", "all", "icmp", "-w", file)
	if r.code != 0 || r.err != "3 packets captured, 4 lost\n" {
		t.Errorf("exit %d, %q", r.code, r.err)
	}
	r = run(t, b, "", "capture", "eth1", "icmp", "-c", "3")
	raw, err := os.ReadFile(file)
	if err != nil || len(raw) == 0 || r.code != 0 {
		t.Fatalf("%v, exit %d", err, r.code)
	}
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed")
	}
	for _, in := range []struct {
		name  string
		bytes string
		first string
	}{{"file", string(raw), "eth1"}, {"standard output", r.out, "eth1"}} {
		cmd := exec.Command(tshark, "-r", "-", "-T", "fields", "-e", "frame.interface_name", "-e", "frame.packet_flags_direction", "-e", "frame.len",
			"-e", "frame.cap_len", "-e", "frame.time_epoch", "-e", "ip.src", "-e", "icmp.type")
		cmd.Stdin = strings.NewReader(in.bytes)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v: %s", in.name, err, errs.String())
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		want := []string{
			`eth1\t0x0*1\t100\t42\t1700000000.123456789\t192.0.2.9\t8`, `eth2\t0x0*2\t100\t42\t1700000000.123457789\t192.0.2.9\t8`,
			`eth1\t0x0*2\t100\t42\t1700000000.123458789\t192.0.2.9\t8`,
		}
		if len(lines) != len(want) {
			t.Fatalf("%s: %q", in.name, lines)
		}
		for i := range want {
			if ok, _ := regexp.MatchString("^"+want[i]+"$", lines[i]); !ok {
				t.Errorf("%s: packet %d: %q, want %q", in.name, i, lines[i], want[i])
			}
		}
	}
}

// until is output that a function is told of each time that something is written.
type until struct {
	bytes.Buffer
	look func(text string)
}

func (u *until) Write(b []byte) (int, error) {
	n, err := u.Buffer.Write(b)
	u.look(u.String())
	return n, err
}

// interrupted runs a command until its output has a word so many times, and ends it then as Ctrl-C would.
func interrupted(b *grpctest.Box, word string, times int, args ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out := &until{look: func(text string) {
		if strings.Count(text, word) >= times {
			cancel()
		}
	}}
	code, errs := runTo(ctx, b, out, "", args...)
	return result{code, out.String(), errs}
}

func TestWatchAndTop(t *testing.T) {
	b := newBox(t)
	r := interrupted(b, "EVENT_KIND_SYNCED", 1, "route", "watch", "-o", "json")
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	if r.code != 0 || len(lines) != 3 || !strings.Contains(lines[2], "EVENT_KIND_SYNCED") {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
	}
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Errorf("not JSON: %s", l)
		}
	}
	r = interrupted(b, "ip4-no-route", 2, "system", "drops", "--watch=200ms")
	if n := strings.Count(r.out, "ip4-no-route"); r.code != 0 || n < 2 {
		t.Errorf("exit %d, shown %d times\n%s", r.code, n, r.err)
	}
	r = run(t, b, "", "top", "--once", "--interval", "100ms")
	for _, want := range []string{"box", "MAJOR: interface eth2: no such device", "INTERFACE", "worker 0", "ip4-no-route"} {
		if r.code != 0 || !strings.Contains(r.out, want) {
			t.Errorf("exit %d, lacks %q:\n%s%s", r.code, want, r.out, r.err)
		}
	}
	if strings.Contains(r.out, "\x1b") {
		t.Error("--once writes escape sequences")
	}
}

func TestDot(t *testing.T) {
	b := newBox(t)
	r := run(t, b, "", "graph", "--dot")
	for _, want := range []string{"digraph", `"rx" -> "ip4";`, `"rx" -> "drop";`, "mistyrose"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("lacks %q:\n%s", want, r.out)
		}
	}
	if r = run(t, b, "", "graph", "--dot", "--drops=false"); strings.Contains(r.out, "drop") {
		t.Errorf("drop nodes are shown:\n%s", r.out)
	}
}

// completes asks what may come after some words. Completion does without an answer that is late.
func completes(t *testing.T, b *grpctest.Box, words, want string) {
	t.Helper()
	args := append([]string{"__complete", "--address", b.Address, "--tls-dir", b.PKI}, strings.Fields(words)...)
	for end := time.Now().Add(time.Minute); ; {
		r := run(t, b, "", append(args, "")...)
		if strings.Contains(r.out, want) {
			return
		}
		if time.Now().After(end) {
			t.Errorf("%s: %q %s", words, r.out, r.err)
			return
		}
	}
}

func TestCompletion(t *testing.T) {
	b := newBox(t)
	completes(t, b, "interface show", "eth1\neth2\n")
	if r := run(t, b, "", "completion", "bash"); r.code != 0 || !strings.Contains(r.out, "__start_vnfctl") {
		t.Errorf("exit %d", r.code)
	}
}

func TestHelpTexts(t *testing.T) {
	a := &app{env: Environment{Getenv: func(string) string { return "" }, Version: "test"}}
	root := a.rootCommand()
	seen := 0
	for _, c := range root.Commands() {
		for _, s := range append(c.Commands(), c) {
			seen++
			if s.Short == "" || strings.HasSuffix(s.Short, ".") {
				t.Errorf("%s: short text %q", s.CommandPath(), s.Short)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d commands", seen)
	}
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m01s", 25 * time.Hour: "1d01h", 90 * time.Minute: "1h30m",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %q, want %q", d, got, want)
		}
	}
	for n, want := range map[float64]string{0: "0", 999: "999", 1500: "1.5k", 2.5e6: "2.5M", 1e10: "10G"} {
		if got := count(n); got != want {
			t.Errorf("count(%v) = %q, want %q", n, got, want)
		}
	}
	for _, s := range []string{"192.0.2.1", "fe80::1%eth1", "dev=eth1", "192.0.2.1,weight=4,in=blue"} {
		if _, err := parseNextHop(s); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []string{"192.0.2.1,weight=256", "192.0.2.1,foo=1", "192.0.2.1,192.0.2.2"} {
		if h, err := parseNextHop(s); err == nil {
			t.Error(fmt.Sprint(s, " gave ", h))
		}
	}
}
