package gnoiserver

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/server/auth"
	grpcserver "millrace/server/grpc"
	"millrace/server/grpc/grpctest"
)

const bedConfig = `
interfaces:
  - {name: eth1, type: port, iface: tap1, addresses: [192.0.2.1/24]}
  - {name: eth2, type: port, iface: tap2}
  - {name: eth3, type: port, iface: tap3, enabled: false}
  - {name: eth1.7, type: vlan, parent: eth1, vlan-id: 7}
  - {name: lo1, type: loopback}
`

// alarmList is a list of alarms that tests change.
type alarmList struct {
	mu   sync.Mutex
	list []grpcserver.Alarm
	told []chan struct{}
}

func (a *alarmList) Alarms() []grpcserver.Alarm {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.list
}

func (a *alarmList) AlarmsChanged(context.Context) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	ch := make(chan struct{}, 1)
	a.told = append(a.told, ch)
	return ch
}

func (a *alarmList) set(list ...grpcserver.Alarm) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = list
	for _, ch := range a.told {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// bed is the services on a server with TLS, over a data plane that is a list of answers.
type bed struct {
	t      *testing.T
	box    *grpctest.Box
	server *Server
	alarms *alarmList
	pki    string
	files  string
	log    *bytes.Buffer

	mu      sync.Mutex
	signals []string
	exits   chan string
	reloads int
	now     time.Time
}

type safeWriter struct {
	mu sync.Mutex
	b  *bytes.Buffer
}

func (w *safeWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func newBed(t *testing.T, change ...func(*Options)) *bed {
	t.Helper()
	dir := t.TempDir()
	b := &bed{
		t: t, alarms: &alarmList{}, pki: filepath.Join(dir, "pki"), files: filepath.Join(dir, "files"), log: &bytes.Buffer{},
		exits: make(chan string, 10), now: time.Now(),
	}
	log := slog.New(slog.NewTextHandler(&safeWriter{b: b.log}, nil))
	pki, err := auth.Open(auth.Options{Dir: b.pki, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	b.box = grpctest.New(t, bedConfig, func(o *grpcserver.Options) {
		o.Credentials = auth.NewCredentials(pki)
		opt := Options{
			Logger: log, Dataplane: o.Dataplane, Alarms: b.alarms, Config: o.Config.Config, Version: "1.2.3", PKI: pki, FileDir: b.files,
			Now: b.clock,
			Processes: func() ([]Process, error) {
				return []Process{{Name: "vnf", PID: 100}, {Name: "vnf-dataplane", PID: 200}}, nil
			},
			Signal: b.signal,
			Exit:   func(reason string) { b.exits <- reason },
			Reload: func() {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.reloads++
			},
		}
		for _, c := range change {
			c(&opt)
		}
		b.server, err = New(opt)
		if err != nil {
			t.Fatal(err)
		}
		o.Register = append(o.Register, b.server.Register)
	})
	up := func(name string, s dpb.OperStatus) *dpb.InterfaceState {
		return &dpb.InterfaceState{Config: &dpb.Interface{Name: name, Kind: dpb.InterfaceKind_INTERFACE_KIND_PORT}, OperStatus: s, Driver: "net_test"}
	}
	b.box.Seam.Set(func(l *dpb.ListResult, _ *dpb.Info) {
		l.Interfaces = []*dpb.InterfaceState{up("eth1", dpb.OperStatus_OPER_STATUS_UP), up("eth2", dpb.OperStatus_OPER_STATUS_UP)}
		l.Workers = []*dpb.WorkerState{{Id: 0, BusyCycles: 1, IdleCycles: 3}}
		l.Drops = []*dpb.DropState{{Reason: "ip4-bad-checksum", Packets: 7}}
	})
	t.Cleanup(func() { _ = b.server.Close() })
	return b
}

func (b *bed) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bed) signal(pid, sig int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.signals = append(b.signals, strings.Join([]string{itoa(pid), itoa(sig)}, " "))
	return nil
}

// sent are the signals so far.
func (b *bed) sent() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.signals, ", ")
}

func (b *bed) ctx() context.Context {
	ctx, cancel := context.WithTimeout(b.t.Context(), 2*time.Minute)
	b.t.Cleanup(cancel)
	return ctx
}

// dial connects with the certificates of a directory.
func (b *bed) dial(pki string) *grpc.ClientConn {
	b.t.Helper()
	c, err := auth.ClientConfig(pki, "localhost")
	if err != nil {
		b.t.Fatal(err)
	}
	return grpctest.Dial(b.t, b.box.Address, credentials.NewTLS(c))
}

func (b *bed) conn() *grpc.ClientConn { return b.dial(b.pki) }

// refused checks the code of an error and a word of its text.
func refused(t *testing.T, what string, err error, code codes.Code, word string) {
	t.Helper()
	if status.Code(err) != code || !strings.Contains(status.Convert(err).Message(), word) {
		t.Errorf("%s: %v, want %v with %q", what, err, code, word)
	}
}
