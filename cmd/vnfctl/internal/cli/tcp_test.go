package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/server/grpc/grpctest"
)

const tcpConfig = `
interfaces:
  - {name: eth1, type: port, iface: tap1, addresses: [192.0.2.1/24]}
tcp:
  vips:
    - {name: web, address: 192.0.2.80, announce: true}
  pools:
    - name: app
      algorithm: maglev
      backends: [{name: a, address: 192.0.2.201, port: 8080, weight: 2}, {name: b, address: 192.0.2.202, port: 8080}]
      health-check: {type: http, path: /health}
  listeners:
    - {name: echo, port: 7, service: echo}
    - {name: web, address: 192.0.2.80, port: 80, service: proxy, proxy: {pool: app}, rate: 100, options: {nagle: false, keepalive-idle: 30s}}
`

func newTCPBox(t *testing.T) *grpctest.Box {
	t.Helper()
	b := grpctest.New(t, tcpConfig)
	b.Seam.Set(func(s *dpb.ListResult, _ *dpb.Info) {
		s.Addresses = []*dpb.AddressState{{Interface: "eth1", Address: []byte{192, 0, 2, 80}, PrefixLen: 32}}
		s.TcpListeners = []*dpb.TcpListenerState{
			{Config: &dpb.TcpListener{Name: "echo"}, Healthy: true, Active: 2, Accepted: 9, BytesIn: 2048, BytesOut: 10},
			{Config: &dpb.TcpListener{Name: "web", Proxy: &dpb.TcpProxy{Pool: "app"}}, RefusedRate: 3, RefusedAcl: 4},
		}
		s.TcpPools = []*dpb.TcpPoolState{{Config: &dpb.TcpPool{Name: "app"}, Backends: 2, BackendsEnabled: 2, NoBackend: 5}}
		s.TcpBackends = []*dpb.TcpBackendState{
			{Pool: "app", Config: &dpb.TcpBackend{Name: "a"}, Health: dpb.TcpHealth_TCP_HEALTH_DOWN, Reason: "status 503", Checks: 4, CheckTime: 2500000},
			{Pool: "app", Config: &dpb.TcpBackend{Name: "b"}, Health: dpb.TcpHealth_TCP_HEALTH_UNKNOWN, EffectiveWeight: 250},
		}
		s.TcpConnections = []*dpb.TcpConnection{
			{
				Vrf: "default", LocalAddress: []byte{192, 0, 2, 80}, LocalPort: 7, RemoteAddress: []byte{198, 51, 100, 7}, RemotePort: 40000,
				State: dpb.TcpState_TCP_STATE_ESTABLISHED, Listener: "echo", Passive: true, Timestamps: true, Sack: true, WindowScale: true,
				SndWscale: 7, RcvWscale: 8, Rto: 204000, Srtt: 1500, Rttvar: 750, MinRtt: 900, Cwnd: 10, Ssthresh: 20, Mss: 1448, Pmtu: 1500,
				Advmss: 1460, BytesSent: 3000, BytesRetrans: 100, SegsOut: 9, Retrans: 1, TotalRetrans: 3, PacingRate: 1<<64 - 1,
				DeliveryRate: 1250000, Age: 2500, Idle: 20, Timer: 200, TimerName: "retransmit", SendQueue: 512,
			},
			{State: dpb.TcpState_TCP_STATE_TIME_WAIT, Vrf: "red", LocalPort: 9, Timer: 59000, TimerName: "time-wait"},
		}
		s.TcpCounters = []*dpb.TcpCounter{{Name: "retrans-rto", Value: 3, Description: "segments retransmitted after a timeout"}, {Name: "rtos"}}
		s.TcpWorkers = []*dpb.TcpWorkerState{{
			Connections: 6, ConnectionsMax: 100000, TimeWait: 1, TimeWaitMax: 50, Memory: 1 << 20, MemoryLimit: 8 << 20, ConnectionBytes: 448,
		}}
	})
	return b
}

func TestTCPTables(t *testing.T) {
	b := newTCPBox(t)
	for _, tc := range []struct{ args, want string }{
		{"tcp listener list", `NAME  INSTANCE  ADDRESS        SERVICE    STATUS     ACTIVE  ACCEPTED  REFUSED  IN       OUT
echo  default   *:7            echo       healthy    2       9         0        2.0 KiB  10 B
web   default   192.0.2.80:80  proxy app  unhealthy  0       0         7        0 B      0 B
`},
		{"tcp pool list", `NAME  ALGORITHM  STATUS     UP   ACTIVE  CONNECTIONS  FAILED  RETRIES  IN   OUT  LISTENERS
app   maglev     unhealthy  0/2  0       0            5       0        0 B  0 B  web
`},
		{"tcp vip list", `NAME  ADDRESS     INSTANCE  INTERFACE  STATUS     BGP        LISTENERS
web   192.0.2.80  default   eth1       unhealthy  withdrawn  web
`},
		{"tcp connections", `STATE        RECV-Q  SEND-Q  LOCAL         REMOTE              SERVICE
ESTABLISHED  0       512     192.0.2.80:7  198.51.100.7:40000  echo
	timer:(retransmit,200ms) ts sack cubic wscale:7,8 rto:204 rtt:1.5/0.75 mss:1448 pmtu:1500 advmss:1460 cwnd:10 ssthresh:20 ` +
			`bytes_sent:3000 bytes_retrans:100 segs_out:9 send 77.2Mbps age:2500 idle:20 delivery_rate 10Mbps retrans:1/3 minrtt:0.9 worker:0
TIME-WAIT    0       0       *:9           *:0                 @red
	timer:(time-wait,59000ms)
`},
		{"tcp connections --brief --limit 1", `STATE        RECV-Q  SEND-Q  LOCAL         REMOTE              SERVICE
ESTABLISHED  0       512     192.0.2.80:7  198.51.100.7:40000  echo
`},
		{"tcp statistics", "VALUE  COUNTER      MEANING\n3      retrans-rto  segments retransmitted after a timeout\n"},
		{"tcp workers", `WORKER  CONNECTIONS  HALF-OPEN  TIME-WAIT  SEGMENTS  MEMORY              PRESSURE  BYTES/CONNECTION
0       6/100000     0          1/50       0         1.0 MiB of 8.0 MiB  none      448
`},
	} {
		t.Run(tc.args, func(t *testing.T) {
			r := run(t, b, "", strings.Fields(tc.args)...)
			if r.code != 0 || r.out != tc.want {
				t.Errorf("exit %d\ngot:\n%s\nwant:\n%s\n%s", r.code, r.out, tc.want, r.err)
			}
		})
	}
	for _, want := range []string{
		"unhealthy: no pool of it is healthy", "keepalive-idle=30s nagle=false", "per second 100", "3 by rate, 0 by source, 4 by prefixes",
	} {
		if r := run(t, b, "", "tcp", "listener", "show", "web"); !strings.Contains(r.out, want) {
			t.Errorf("lacks %q:\n%s%s", want, r.out, r.err)
		}
	}
	for _, want := range []string{
		"unhealthy, 0 of 2 backends are up, 1 are needed", "maglev by source", "http every 5s, timeout 2s, /health",
		"a        192.0.2.201:8080  2       down     -      0       0            0       0 B  0 B  2.5ms  status 503", "0.2/1   unknown",
	} {
		r := run(t, b, "", "tcp", "pool", "show", "app")
		if !strings.Contains(r.out, want) {
			t.Errorf("lacks %q:\n%s%s", want, r.out, r.err)
		}
	}
}

func TestTCPInEveryFormat(t *testing.T) {
	b := newTCPBox(t)
	for _, args := range []string{
		"tcp listener list", "tcp listener show web", "tcp pool list", "tcp pool show app", "tcp vip list", "tcp connections", "tcp statistics",
		"tcp workers", "tcp kill --listener echo",
	} {
		for _, format := range []string{"table", "json", "yaml"} {
			r := run(t, b, "", append(strings.Fields(args), "-o", format)...)
			if r.code != 0 || r.out == "" {
				t.Errorf("%s -o %s: exit %d, %s", args, format, r.code, r.err)
			}
			if format == "json" && !json.Valid([]byte(r.out)) {
				t.Errorf("%s: not JSON:\n%s", args, r.out)
			}
		}
	}
	r := run(t, b, "", "tcp", "health", "app", "--once", "-o", "json")
	if r.code != 0 || strings.Count(r.out, "\n") != 3 {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
	}
	if r := interrupted(b, "status 503", 1, "tcp", "health"); r.code != 0 || !strings.Contains(r.out, "app               a                 down      -        status 503") {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
	}
}

func TestTCPChanges(t *testing.T) {
	b := newTCPBox(t)
	file := filepath.Join(t.TempDir(), "l.yaml")
	if err := os.WriteFile(file, []byte("port: 8080\nservice: TCP_SERVICE_KIND_HTTP\nhttp: {routes: [{path: /x, response: {status: 204}}]}\nidleTimeout: 5s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ args, want string }{
		{"tcp listener add d 9 discard --max-connections 5 --allow 192.0.2.0/24,2001:db8::/32 --idle-timeout 1m", "d made: not-present\n"},
		{"tcp listener add h [::]:81 http --status 404 --body-file /srv/x --header X-A:b --methods GET,HEAD", "h made: not-present\n"},
		{"tcp listener add p 192.0.2.1:82 proxy --pool app --proxy-protocol-out v2 --retries 1", "p made: not-present\n"},
		{"tcp listener add y -f " + file, "y made: not-present\n"},
		{"tcp listener set web --congestion-control bbr --nagle --rate 0 --enabled=false", "web changed: disabled"},
		{"tcp listener delete d --drain 5s", "d deleted\n"},
		{"tcp pool add q -b a=192.0.2.203:80,weight=3 -b b=[2001:db8::1]:80 --check connect --check-interval 500ms --passive=false", "q made: 2 backends\n"},
		{"tcp pool set q --algorithm least-connections --slow-start 10s", "q changed: not-present\n"},
		{"tcp backend set q c 192.0.2.204:80 --weight 9 --drain-timeout 5s", "q has backend c at 192.0.2.204:80\n"},
		{"tcp backend drain q c", "c in q: drain\n"},
		{"tcp backend delete q c", "c taken out of q\n"},
		{"tcp pool delete q", "q deleted\n"},
		{"tcp vip add v 192.0.2.81", "v made: 192.0.2.81 on eth1\n"},
		{"tcp vip delete v", "v deleted\n"},
		{"tcp kill 192.0.2.80:7 198.51.100.7:40000", "2 reset\n"},
		{"tcp kill --all", "2 reset\n"},
	} {
		r := run(t, b, "", strings.Fields(tc.args)...)
		if r.code != 0 || !strings.Contains(r.out, tc.want) {
			t.Errorf("%s: exit %d, got %q, want %q; %s", tc.args, r.code, r.out, tc.want, r.err)
		}
	}
	y, err := b.Store.Config().YAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"congestion-control: bbr", "nagle: true", "keepalive-idle: 30s", "body-file: /srv/x", "name: X-A", "path: /x", "idle-timeout: 5s", "proxy-protocol-out: v2",
	} {
		if !strings.Contains(string(y), want) {
			t.Errorf("the configuration lacks %q:\n%s", want, y)
		}
	}
	// What show prints, set takes.
	r := run(t, b, "", "tcp", "listener", "show", "h", "-o", "json")
	var shown struct{ Config json.RawMessage }
	if err := json.Unmarshal([]byte(r.out), &shown); err != nil {
		t.Fatal(err, r)
	}
	if r := run(t, b, string(shown.Config), "tcp", "listener", "set", "h", "-f", "-"); r.code != 0 {
		t.Error(r)
	}
	if again, _ := b.Store.Config().YAML(); string(again) != string(y) {
		t.Errorf("changed by writing it back:\n%s\nwas\n%s", again, y)
	}
}

func TestTCPExitCodes(t *testing.T) {
	b := newTCPBox(t)
	for _, tc := range []struct {
		args string
		code int
		err  string
	}{
		{"tcp", exitUsage, "a subcommand is needed"},
		{"tcp listener show nope", exitNotFound, `there is no listener "nope"`},
		{"tcp listener add x 70000 echo", exitUsage, `port "70000" is not from 1 to 65535`},
		{"tcp listener add x 80 gopher", exitUsage, `SERVICE: "gopher" is none of echo, discard, chargen, http, proxy`},
		{"tcp listener add x", exitUsage, "are needed"},
		{"tcp listener add x 80 proxy --pool none", exitRefused, "config.proxy.pool: there is no pool none"},
		{"tcp listener add x 80 echo --idle-timeout 5", exitUsage, "not a time such as 30s"},
		{"tcp listener add x 80 echo --congestion-control reno", exitUsage, "none of cubic, newreno, bbr"},
		{"tcp listener add x 80 echo --sack=maybe", exitUsage, "neither true nor false"},
		{"tcp listener add x 80 http --header nope", exitUsage, "is not 'Name: value'"},
		{"tcp listener set web", exitUsage, "nothing to change"},
		{"tcp listener set web -f /nonexistent", exitUsage, "no such file"},
		{"tcp pool set app -b a", exitUsage, "does not begin with NAME=ADDRESS:PORT"},
		{"tcp pool set app -b a=192.0.2.3:80,weight=x", exitUsage, "is none of weight=N"},
		{"tcp pool delete app", exitRefused, "tcp.listeners[web].proxy.pool: there is no pool app"},
		{"tcp backend drain app z", exitNotFound, `pool app has no backend "z"`},
		{"tcp vip add v 203.0.113.1", exitRefused, "config.interface: is missing"},
		{"tcp kill", exitUsage, "nothing says which"},
		{"tcp kill 192.0.2.80:7", exitUsage, "named by both sides"},
		{"tcp connections --state open", exitUsage, "is none of syn-sent"},
		{"tcp connections --local 192.0.2.1/24", exitRefused, "filter.local"},
		{"tcp health none", exitNotFound, `there is no pool "none"`},
	} {
		t.Run(tc.args, func(t *testing.T) {
			r := run(t, b, "", strings.Fields(tc.args)...)
			if r.code != tc.code || !strings.Contains(r.err, tc.err) {
				t.Errorf("exit %d, want %d; %q lacks %q", r.code, tc.code, r.err, tc.err)
			}
		})
	}
	b.Seam.Set(func(s *dpb.ListResult, _ *dpb.Info) { s.TcpConnections = nil })
	if r := run(t, b, "", "tcp", "kill", "192.0.2.80:7", "198.51.100.7:40000"); r.code != exitPartial {
		t.Errorf("exit %d, %s", r.code, r.err)
	}
}

func TestTopShowsListeners(t *testing.T) {
	b := newTCPBox(t)
	r := run(t, b, "", "top", "--once", "--interval", "100ms")
	for _, want := range []string{"LISTENER", "web                      proxy app              unhealthy"} {
		if r.code != 0 || !strings.Contains(r.out, want) {
			t.Errorf("exit %d, lacks %q:\n%s%s", r.code, want, r.out, r.err)
		}
	}
}

func TestTCPCompletion(t *testing.T) {
	b := newTCPBox(t)
	for args, want := range map[string]string{
		"tcp listener show":                         "echo\nweb\n",
		"tcp pool delete":                           "app\n",
		"tcp backend drain app":                     "a\nb\n",
		"tcp vip delete":                            "web\n",
		"tcp connections --state":                   "established\n",
		"tcp pool set app --algorithm":              "least-connections\n",
		"tcp listener add x 80":                     "chargen\n",
		"tcp listener set web --congestion-control": "bbr\n",
		"tcp listener list --pool":                  "app\n",
	} {
		completes(t, b, args, want)
	}
}
