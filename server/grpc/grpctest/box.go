package grpctest

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"millrace/dataplane/client"
	"millrace/routing/rib"
	"millrace/server/auth"
	"millrace/server/config"
	grpcserver "millrace/server/grpc"
	"millrace/server/model"
	"millrace/server/store"
	"millrace/yang/schema"
)

// applier lets the store have its way: there is nothing to bring to a configuration.
type applier struct{}

func (applier) Apply(_ context.Context, _ *config.Config, save func() error) error { return save() }

func openStore(t testing.TB, yaml string) *store.Store {
	t.Helper()
	s, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "startup.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(store.Options{Dir: dir, Startup: file, Schema: s, Model: model.New(s), Secrets: model.Secrets()})
	if err != nil {
		t.Fatal(err)
	}
	st.Bind(applier{})
	return st
}

// Alarms is a list of alarms.
type Alarms struct{ List []grpcserver.Alarm }

// Alarms implements grpcserver.Alarms.
func (a *Alarms) Alarms() []grpcserver.Alarm { return a.List }

// Box is the whole.
type Box struct {
	Seam   *Seam
	Store  *store.Store
	RIB    *rib.RIB
	Client *client.Client
	Alarms *Alarms
	Level  *slog.LevelVar
	// PKI is the directory of the certificates, Address where the server listens with TLS, Unix its unix socket.
	PKI, Address, Unix string

	stop context.CancelFunc
}

// New starts a box with a configuration in YAML. It ends with the test, or with Stop.
func New(t testing.TB, yaml string, adjust ...func(*grpcserver.Options)) *Box {
	t.Helper()
	dir := t.TempDir()
	b := &Box{
		Seam: NewSeam(t), Store: openStore(t, yaml), RIB: rib.New(rib.Options{}), Alarms: &Alarms{}, Level: new(slog.LevelVar),
		PKI: filepath.Join(dir, "pki"), Unix: filepath.Join(dir, "vnf.sock"),
	}
	var err error
	b.Client, err = client.New(client.Options{
		Socket: b.Seam.Path, Owner: "test", Epoch: func() (uint64, error) { return uint64(time.Now().Unix()), nil }, Version: "test",
		BackoffMin: 10 * time.Millisecond, BackoffMax: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	pki, err := auth.Open(auth.Options{Dir: b.PKI})
	if err != nil {
		t.Fatal(err)
	}
	o := grpcserver.Options{
		Credentials: auth.NewCredentials(pki), Config: b.Store, Dataplane: b.Client, RIB: b.RIB, Alarms: b.Alarms, LogLevel: b.Level,
		Version: "test", Hostname: "box", Started: time.Now(),
	}
	for _, f := range adjust {
		f(&o)
	}
	s, err := grpcserver.New(o)
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.Address = tcp.Addr().String()
	ux, err := net.Listen("unix", b.Unix)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.stop = cancel
	var wg sync.WaitGroup
	wg.Go(func() { _ = b.Client.Run(ctx) })
	for _, l := range []net.Listener{tcp, ux} {
		wg.Go(func() {
			if err := s.Serve(ctx, l); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	wait, cancelWait := context.WithTimeout(ctx, time.Minute)
	defer cancelWait()
	if err := b.Client.Wait(wait); err != nil {
		t.Fatal(err)
	}
	return b
}

// Stop ends the server.
func (b *Box) Stop() { b.stop() }

// Dial connects with the operator's certificate.
func (b *Box) Dial(t testing.TB) *grpc.ClientConn {
	t.Helper()
	cfg, err := auth.ClientConfig(b.PKI, "")
	if err != nil {
		t.Fatal(err)
	}
	return Dial(t, b.Address, credentials.NewTLS(cfg))
}

// Dial connects until the test ends.
func Dial(t testing.TB, address string, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
