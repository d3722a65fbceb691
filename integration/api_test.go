package integration

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"millrace/internal/lab"
)

// generic is a client that knows of the API only what the appliance's reflection tells: no code generated from our .proto files.
type generic struct {
	conn  *grpc.ClientConn
	files *protoregistry.Files
}

func dialBox(t *testing.T, box *lab.Box, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///127.0.0.1:9339", grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			var c net.Conn
			err := box.NS.Do(func() (err error) {
				c, err = new(net.Dialer).DialContext(ctx, "tcp", address)
				return err
			})
			return c, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func operator(t *testing.T, box *lab.Box) *tls.Config {
	t.Helper()
	ca, err := os.ReadFile(filepath.Join(box.TLSDir(), "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatal("no certificate in ca.pem")
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(box.TLSDir(), "client.pem"), filepath.Join(box.TLSDir(), "client-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}, ServerName: "localhost", MinVersion: tls.VersionTLS13}
}

// discover asks for the services and for the files that describe them.
func discover(ctx context.Context, conn *grpc.ClientConn) (*generic, []string, error) {
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		return nil, nil, err
	}
	ask := func(r *reflectionpb.ServerReflectionRequest) (*reflectionpb.ServerReflectionResponse, error) {
		if err := stream.Send(r); err != nil {
			return nil, err
		}
		return stream.Recv()
	}
	resp, err := ask(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{ListServices: "*"}})
	if err != nil {
		return nil, nil, err
	}
	var services []string
	set := map[string]*descriptorpb.FileDescriptorProto{}
	var fetch func(r *reflectionpb.ServerReflectionRequest) error
	fetch = func(r *reflectionpb.ServerReflectionRequest) error {
		resp, err := ask(r)
		if err != nil {
			return err
		}
		if e := resp.GetErrorResponse(); e != nil {
			return errors.New(e.GetErrorMessage())
		}
		for _, raw := range resp.GetFileDescriptorResponse().GetFileDescriptorProto() {
			var f descriptorpb.FileDescriptorProto
			if err := proto.Unmarshal(raw, &f); err != nil {
				return err
			}
			if set[f.GetName()] != nil {
				continue
			}
			set[f.GetName()] = &f
			for _, d := range f.GetDependency() {
				if set[d] == nil {
					q := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileByFilename{FileByFilename: d}}
					if err := fetch(q); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
	for _, s := range resp.GetListServicesResponse().GetService() {
		services = append(services, s.GetName())
		q := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: s.GetName()}}
		if err := fetch(q); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", s.GetName(), err)
		}
	}
	var all descriptorpb.FileDescriptorSet
	for _, f := range set {
		all.File = append(all.File, f)
	}
	files, err := protodesc.NewFiles(&all)
	return &generic{conn: conn, files: files}, services, err
}

// call makes a unary call in JSON.
func (g *generic) call(ctx context.Context, method, request string) (map[string]any, *dynamicpb.Message, error) {
	service, name, _ := strings.Cut(method, "/")
	d, err := g.files.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil, nil, err
	}
	m := d.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(name))
	if m == nil {
		return nil, nil, fmt.Errorf("%s has no method %s", service, name)
	}
	in, out := dynamicpb.NewMessage(m.Input()), dynamicpb.NewMessage(m.Output())
	if err := (protojson.UnmarshalOptions{Resolver: dynamicpb.NewTypes(g.files)}).Unmarshal([]byte(request), in); err != nil {
		return nil, nil, err
	}
	if err := g.conn.Invoke(ctx, "/"+method, in, out); err != nil {
		return nil, nil, err
	}
	fields := map[string]any{}
	out.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		fields[string(f.Name())] = v.Interface()
		return true
	})
	return fields, out, nil
}

// violations are the fields that an error's details name.
func violations(err error) []string {
	var fields []string
	for _, d := range status.Convert(err).Details() {
		if br, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range br.GetFieldViolations() {
				fields = append(fields, v.GetField())
			}
		}
	}
	return fields
}

// TestAPIFromOutside drives the appliance by what its reflection tells, and asks for its health.
func TestAPIFromOutside(t *testing.T) {
	b := newBed(t, 1)
	b.lab.NS("r2").Addr("lo", "203.0.113.1/32")
	b.start(b.interfaces())
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn := dialBox(t, b.box, credentials.NewTLS(operator(t, b.box)))
	g, services, err := discover(ctx, conn)
	b.ok(err)
	const v1 = "millrace.vnf.v1."
	for _, s := range []string{"InterfaceService", "RouteService", "NeighborService", "BgpService", "SystemService"} {
		if !slices.Contains(services, v1+s) {
			t.Errorf("no %s among %v", s, services)
		}
	}

	// A route is set, its way explained, and it takes packets.
	out, _, err := g.call(ctx, v1+"RouteService/AddRoutes", `{"routes":[{"prefix":"203.0.113.0/24","next_hops":[{"gateway":"10.0.2.2"}]}]}`)
	b.ok(err)
	if out["applied"] != uint32(1) {
		t.Errorf("AddRoutes: %v", out)
	}
	b.pings("a", "203.0.113.1")
	_, msg, err := g.call(ctx, v1+"RouteService/LookupRoute", `{"destination":"203.0.113.1"}`)
	b.ok(err)
	text, err := protojson.Marshal(msg)
	b.ok(err)
	for _, w := range []string{"203.0.113.0/24", "ROUTE_SOURCE_STATIC", "10.0.2.2", "eth2"} {
		if !strings.Contains(string(text), w) {
			t.Errorf("LookupRoute does not say %s: %s", w, text)
		}
	}

	// Pages, each with the token of the one before.
	seen, token, pages := 0, "", 0
	for {
		out, _, err := g.call(ctx, v1+"RouteService/ListRoutes", fmt.Sprintf(`{"page_size":2,"page_token":%q}`, token))
		b.ok(err)
		if l, ok := out["routes"].(protoreflect.List); ok {
			if l.Len() > 2 {
				t.Fatalf("a page of %d", l.Len())
			}
			seen += l.Len()
		}
		pages++
		token, _ = out["next_page_token"].(string)
		if token == "" || pages > 100 {
			break
		}
	}
	if seen != 5 || pages < 3 {
		t.Errorf("%d routes on %d pages, want 5 on 3", seen, pages)
	}

	// What is wrong is told by code and field.
	for _, c := range []struct {
		method, request string
		code            codes.Code
		field           string
	}{
		{"RouteService/LookupRoute", `{"destination":"nonsense"}`, codes.InvalidArgument, "destination"},
		{"RouteService/LookupRoute", `{"destination":"192.0.2.1","source_port":70000}`, codes.InvalidArgument, "source_port"},
		{"RouteService/ListRoutes", `{"page_token":"made up"}`, codes.InvalidArgument, "page_token"},
		{"RouteService/ListRoutes", `{"prefix":"10.0.0.1/8"}`, codes.InvalidArgument, "prefix"},
		{"RouteService/ListRoutes", `{"network_instance":"nosuch"}`, codes.NotFound, "network_instance"},
		{"InterfaceService/GetInterface", `{"name":"eth77"}`, codes.NotFound, "name"},
		{"NeighborService/AddNeighbor", `{"interface":"eth1","address":"10.0.1.7","mac":"xx"}`, codes.InvalidArgument, "mac"},
		{"SystemService/SetLogLevel", `{"level":"loud"}`, codes.InvalidArgument, "level"},
		{"SystemService/ApplyConfig", `{"document":"aW50ZXJmYWNlczogW3tuYW1lOiBldGgxfV0K"}`, codes.InvalidArgument, "interfaces[eth1].type"},
		{"BgpService/ListBgpNeighbors", `{}`, codes.FailedPrecondition, ""},
	} {
		_, _, err := g.call(ctx, v1+c.method, c.request)
		if status.Code(err) != c.code || c.field != "" && !slices.Contains(violations(err), c.field) {
			t.Errorf("%s %s: %v, fields %q; want %v, %q", c.method, c.request, err, violations(err), c.code, c.field)
		}
	}
	// In a batch each item for itself.
	out, _, err = g.call(ctx, v1+"RouteService/AddRoutes", `{"routes":[{"prefix":"198.51.100.0/24","action":"ROUTE_ACTION_BLACKHOLE"},
		{"prefix":"198.51.100.1/24","action":"ROUTE_ACTION_BLACKHOLE"}]}`)
	b.ok(err)
	failed, _ := out["failed"].(protoreflect.List)
	if out["applied"] != uint32(1) || failed == nil || failed.Len() != 1 || !strings.Contains(fmt.Sprint(failed.Get(0).Message().Interface()), "routes[1].prefix") {
		t.Errorf("a batch with a fault: %v", out)
	}

	// Health, also of the data plane.
	health := healthpb.NewHealthClient(conn)
	serving := func(want healthpb.HealthCheckResponse_ServingStatus, service string) {
		t.Helper()
		b.eventually(15*time.Second, func() error {
			r, err := health.Check(ctx, &healthpb.HealthCheckRequest{Service: service})
			if err == nil && r.GetStatus() != want {
				err = fmt.Errorf("%q is %v", service, r.GetStatus())
			}
			return err
		})
	}
	serving(healthpb.HealthCheckResponse_SERVING, "")
	serving(healthpb.HealthCheckResponse_SERVING, "millrace.dataplane")
	b.freezeSupervisor(func() {
		b.ok(b.box.Kill("dataplane"))
		serving(healthpb.HealthCheckResponse_NOT_SERVING, "millrace.dataplane")
		serving(healthpb.HealthCheckResponse_SERVING, "")
		if _, _, err := g.call(ctx, v1+"SystemService/ListWorkers", `{}`); status.Code(err) != codes.Unavailable {
			t.Errorf("ListWorkers without a data plane: %v", err)
		}
		if _, _, err := g.call(ctx, v1+"RouteService/ListRoutes", `{}`); err != nil {
			t.Errorf("ListRoutes without a data plane: %v", err)
		}
	})
	serving(healthpb.HealthCheckResponse_SERVING, "millrace.dataplane")
	b.pings("a", "203.0.113.1")
}

// freezeSupervisor keeps processes that die from being started again while f runs.
func (b *bed) freezeSupervisor(f func()) {
	b.t.Helper()
	p := b.box.Proc
	b.ok(p.Signal(syscall.SIGSTOP))
	defer func() { _ = p.Signal(syscall.SIGCONT) }()
	f()
}

// TestAPIOnlyForOperators: no certificate, one of another authority, or no TLS at all, and there is no API; seen by OpenSSL, too.
func TestAPIOnlyForOperators(t *testing.T) {
	b := newBed(t, 0)
	b.start(b.interfaces())
	good := operator(t, b.box)
	none := good.Clone()
	none.Certificates = nil
	stranger := good.Clone()
	stranger.Certificates = []tls.Certificate{strangersCertificate(t)}
	old := good.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	for _, c := range []struct {
		name  string
		creds credentials.TransportCredentials
		ok    bool
	}{
		{"operator", credentials.NewTLS(good), true},
		{"no certificate", credentials.NewTLS(none), false},
		{"another authority", credentials.NewTLS(stranger), false},
		{"TLS 1.2", credentials.NewTLS(old), false},
		{"no TLS", insecure.NewCredentials(), false},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		_, _, err := discover(ctx, dialBox(t, b.box, c.creds))
		cancel()
		if c.ok != (err == nil) || err != nil && status.Code(err) != codes.Unavailable && !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	openssl := func(more ...string) string {
		args := append([]string{"s_client", "-connect", "127.0.0.1:9339", "-alpn", "h2", "-CAfile", filepath.Join(b.box.TLSDir(), "ca.pem"),
			"-verify_return_error", "-verify_hostname", "localhost"}, more...)
		// Standard input ends at once, and with it the session; -ign_eof waits for the server's alert.
		out, _ := b.box.NS.Output("timeout", append([]string{"10", "openssl"}, append(args, "-ign_eof")...)...)
		return out
	}
	if out := openssl(); !strings.Contains(out, "certificate required") {
		t.Errorf("openssl without a certificate: %s", out)
	}
	dir := b.box.TLSDir()
	out := openssl("-cert", filepath.Join(dir, "client.pem"), "-key", filepath.Join(dir, "client-key.pem"))
	if strings.Contains(out, "certificate required") || !strings.Contains(out, "Verify return code: 0") || !strings.Contains(out, "ALPN protocol: h2") {
		t.Errorf("openssl as operator: %s", out)
	}
	// The keys are nobody else's to read, and the unix socket is root's.
	for _, f := range []string{filepath.Join(dir, "client-key.pem"), filepath.Join(dir, "server-key.pem"), b.box.Socket(),
		filepath.Join(filepath.Dir(b.box.Socket()), "vnf.sock")} {
		st, err := os.Stat(f)
		b.ok(err)
		if st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", f, st.Mode())
		}
	}
}

// strangersCertificate says that it is the operator's, and nobody has signed it.
func strangersCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "operator"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
