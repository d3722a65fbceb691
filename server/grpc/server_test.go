package grpcserver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/server/auth"
	grpcserver "millrace/server/grpc"
	"millrace/server/grpc/grpctest"
)

func TestOnlyKnownClients(t *testing.T) {
	b := newBox(t)
	other := filepath.Join(t.TempDir(), "pki")
	if _, err := auth.Open(auth.Options{Dir: other}); err != nil {
		t.Fatal(err)
	}
	good, err := auth.ClientConfig(b.PKI, "")
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := auth.ClientConfig(other, "")
	if err != nil {
		t.Fatal(err)
	}
	stranger.RootCAs = good.RootCAs
	none := good.Clone()
	none.Certificates = nil
	old := expired(t, good, b.PKI)
	for _, tc := range []struct {
		name  string
		creds credentials.TransportCredentials
		ok    bool
	}{
		{"operator", credentials.NewTLS(good), true},
		{"another authority", credentials.NewTLS(stranger), false},
		{"no certificate", credentials.NewTLS(none), false},
		{"expired", credentials.NewTLS(old), false},
		{"no TLS", insecure.NewCredentials(), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := vnfv1.NewSystemServiceClient(grpctest.Dial(t, b.Address, tc.creds))
			_, err := c.GetSystemInfo(testContext(t), &vnfv1.GetSystemInfoRequest{})
			if tc.ok != (err == nil) || err != nil && status.Code(err) != codes.Unavailable {
				t.Error(err)
			}
		})
	}
	c, err := grpc.NewClient("unix:"+b.Unix, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := vnfv1.NewSystemServiceClient(c).GetSystemInfo(testContext(t), &vnfv1.GetSystemInfoRequest{}); err != nil {
		t.Errorf("unix socket: %v", err)
	}
}

// expired gives the operator a certificate that ended long ago, which a clock in the past makes.
func expired(t *testing.T, good *tls.Config, pki string) *tls.Config {
	t.Helper()
	dir := t.TempDir()
	for _, f := range []string{auth.CAFile, auth.CAKeyFile} {
		raw, err := os.ReadFile(filepath.Join(pki, f))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().AddDate(-5, 0, 0)
	// The authority itself is not yet valid then, so opening fails; the certificates are there all the same.
	_, _ = auth.Open(auth.Options{Dir: dir, Now: func() time.Time { return past }})
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, auth.ClientFile), filepath.Join(dir, auth.ClientKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil || time.Now().Before(leaf.NotAfter) {
		t.Fatalf("not expired: %v %v", leaf, err)
	}
	c := good.Clone()
	c.Certificates = []tls.Certificate{cert}
	return c
}

func TestHealthAndReflection(t *testing.T) {
	b := newBox(t)
	conn := b.Dial(t)
	ctx := testContext(t)
	h := healthpb.NewHealthClient(conn)
	for _, name := range []string{"", grpcserver.HealthDataplane} {
		r, err := h.Check(ctx, &healthpb.HealthCheckRequest{Service: name})
		if err != nil {
			t.Fatal(err)
		}
		if name == "" && r.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%q: %v", name, r.GetStatus())
		}
	}
	s, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{ListServices: ""},
	}); err != nil {
		t.Fatal(err)
	}
	r, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, x := range r.GetListServicesResponse().GetService() {
		names = append(names, x.GetName())
	}
	for _, want := range []string{"millrace.vnf.v1.RouteService", "millrace.vnf.v1.BgpService", "grpc.health.v1.Health"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not among %v", want, names)
		}
	}
}

// panicky panics when it is asked for alarms.
type panicky struct{}

func (panicky) Alarms() []grpcserver.Alarm { panic("boom") }

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestPanicAndLog(t *testing.T) {
	var log lockedBuffer
	b := grpctest.New(t, testConfig, func(o *grpcserver.Options) {
		o.Alarms = panicky{}
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	c := vnfv1.NewSystemServiceClient(b.Dial(t))
	_, err := c.ListAlarms(testContext(t), &vnfv1.ListAlarmsRequest{})
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), "boom") {
		t.Errorf("got %v", err)
	}
	if _, err := c.SetLogLevel(testContext(t), &vnfv1.SetLogLevelRequest{Level: "warn"}); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"boom", "method=/millrace.vnf.v1.SystemService/SetLogLevel", "client=operator"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
}

func TestStreamLimit(t *testing.T) {
	b := grpctest.New(t, testConfig, func(o *grpcserver.Options) { o.MaxStreams = 1 })
	c := vnfv1.NewRouteServiceClient(b.Dial(t))
	first, err := c.WatchRoutes(testContext(t), &vnfv1.WatchRoutesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Recv(); err != nil {
		t.Fatal(err)
	}
	second, err := c.WatchRoutes(testContext(t), &vnfv1.WatchRoutesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v", err)
	}
}

func TestStopIsQuick(t *testing.T) {
	b := newBox(t)
	c := vnfv1.NewRouteServiceClient(b.Dial(t))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := c.WatchRoutes(ctx, &vnfv1.WatchRoutesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	b.Stop()
	if _, err := s.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}
