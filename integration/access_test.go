package integration

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/internal/lab"
	"millrace/yang/tree"
)

const (
	usersPath = "/system/aaa/authentication/users"
	authzPath = "/system/aaa/authorization"
	hostPath  = "/system/config/hostname"
	peerPath  = "/network-instances/network-instance[name=default]/protocols/protocol[identifier=BGP][name=bgp]/bgp/neighbors/neighbor[neighbor-address=10.0.2.2]/config"
	bgpSecret = "the-bgp-secret"
)

// accessBed is a box, and a client that comes with a user and a password.
type accessBed struct {
	*bed
	stub gpb.GNMIClient
	tls  *tls.Config
}

// login makes a call one of a user.
func (b *accessBed) login(user, password string) context.Context {
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	b.t.Cleanup(cancel)
	return metadata.AppendToOutgoingContext(ctx, "username", user, "password", password)
}

func word(user string) string { return "word-of-" + user }

func (b *accessBed) as(user string) context.Context { return b.login(user, word(user)) }

func gpath(t *testing.T, s string) *gpb.Path {
	t.Helper()
	p, err := tree.ParsePath(s)
	if err != nil {
		t.Fatal(err)
	}
	out := &gpb.Path{}
	for _, e := range p {
		el := &gpb.PathElem{Name: e.Name, Key: map[string]string{}}
		for _, k := range e.Keys {
			el.Key[k.Name] = k.Value
		}
		out.Elem = append(out.Elem, el)
	}
	return out
}

// set updates paths, given with a JSON value each.
func (b *accessBed) set(ctx context.Context, pairs ...string) error {
	b.t.Helper()
	m := &gpb.SetRequest{}
	for i := 0; i < len(pairs); i += 2 {
		m.Update = append(m.Update, &gpb.Update{
			Path: gpath(b.t, pairs[i]), Val: &gpb.TypedValue{Value: &gpb.TypedValue_JsonIetfVal{JsonIetfVal: []byte(pairs[i+1])}},
		})
	}
	_, err := b.stub.Set(ctx, m)
	return err
}

func (b *accessBed) drop(ctx context.Context, paths ...string) error {
	b.t.Helper()
	m := &gpb.SetRequest{}
	for _, p := range paths {
		m.Delete = append(m.Delete, gpath(b.t, p))
	}
	_, err := b.stub.Set(ctx, m)
	return err
}

// read is what Get answers, as text.
func (b *accessBed) read(ctx context.Context, path string) (string, error) {
	b.t.Helper()
	r, err := b.stub.Get(ctx, &gpb.GetRequest{Path: []*gpb.Path{gpath(b.t, path)}, Encoding: gpb.Encoding_JSON_IETF})
	if err != nil {
		return "", err
	}
	var s strings.Builder
	for _, n := range r.GetNotification() {
		for _, u := range n.GetUpdate() {
			s.Write(u.GetVal().GetJsonIetfVal())
		}
	}
	return s.String(), nil
}

// once is what a subscription tells until it is in step.
func (b *accessBed) once(ctx context.Context, path string) (string, error) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := b.subscribe(ctx, path, gpb.SubscriptionList_ONCE)
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return all.String(), nil
		}
		if err != nil {
			return all.String(), err
		}
		all.WriteString(m.String())
	}
}

func (b *accessBed) subscribe(ctx context.Context, path string, mode gpb.SubscriptionList_Mode) (grpc.BidiStreamingClient[gpb.SubscribeRequest, gpb.SubscribeResponse], error) {
	s, err := b.stub.Subscribe(ctx)
	if err != nil {
		return nil, err
	}
	return s, s.Send(&gpb.SubscribeRequest{Request: &gpb.SubscribeRequest_Subscribe{Subscribe: &gpb.SubscriptionList{
		Mode: mode, Encoding: gpb.Encoding_JSON_IETF,
		Subscription: []*gpb.Subscription{{Path: gpath(b.t, path), Mode: gpb.SubscriptionMode_SAMPLE, SampleInterval: uint64(time.Second)}},
	}}})
}

// is checks the code of an error and a word of its text; codes.OK is for none.
func (b *accessBed) is(what string, err error, code codes.Code, word string) {
	b.t.Helper()
	if status.Code(err) != code || err != nil && !strings.Contains(err.Error(), word) {
		b.t.Errorf("%s: %v, want %v with %q", what, err, code, word)
	}
}

func newAccessBed(t *testing.T) *accessBed {
	b := &accessBed{bed: newBed(t, 1)}
	b.lab.NS("r").Addr("lo", "192.0.2.77/32")
	b.start(b.interfaces() + bgpConfig(65001, "", "address: 10.0.2.2, remote-as: 65010, password: "+bgpSecret))
	b.tls = operator(t, b.box)
	b.stub = gpb.NewGNMIClient(dialBox(t, b.box, credentials.NewTLS(b.tls)))
	return b
}

// TestAccess drives the box over TLS by clients that may do much, little and nothing.
func TestAccess(t *testing.T) {
	b := newAccessBed(t)
	none := b.tls.Clone()
	none.Certificates = nil
	b.strangers(none)
	b.bound()

	// The operator's certificate, which is an admin's by default, makes users and a role.
	user := func(name, role string) []string {
		return []string{fmt.Sprintf("%s/user[username=%s]/config", usersPath, name), fmt.Sprintf(`{"username": %q, "password": %q, "role": %q}`, name, word(name), role)}
	}
	var all []string
	for name, role := range map[string]string{"root": "admin", "ops": "operator", "reader": "read-only", "balancer": "lb", "leaver": "read-only"} {
		all = append(all, user(name, role)...)
	}
	all = append(all, authzPath+"/roles/role[name=lb]", `{"config": {"name": "lb"}, "rules": {"rule": [
		{"path": "/tcp-termination", "config": {"path": "/tcp-termination", "access": "WRITE"}},
		{"path": "/interfaces", "config": {"path": "/interfaces", "access": "READ"}},
		{"path": "/interfaces/interface/config/description", "config": {"path": "/interfaces/interface/config/description", "access": "DENY"}}
	]}}`)
	b.ok(b.set(t.Context(), all...))

	// From now on without a certificate.
	b.tls = none
	b.stub = gpb.NewGNMIClient(dialBox(t, b.box, credentials.NewTLS(none)))
	_, err := b.read(t.Context(), hostPath)
	b.is("neither certificate nor password", err, codes.Unauthenticated, "username")
	_, err = b.read(metadata.AppendToOutgoingContext(t.Context(), "username", "root"), hostPath)
	b.is("no password", err, codes.Unauthenticated, "once each")
	b.roles()
	b.secrets()
	b.cli()
	b.typed()
	b.revoked()
	b.limits()
	b.certificates()
	b.guesses()
	b.audited()
}

// strangers do not get as far as a call while no user has a password; nor does who speaks no TLS 1.3 at any time.
func (b *accessBed) strangers(none *tls.Config) {
	old, own := b.tls.Clone(), b.tls.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	own.Certificates = []tls.Certificate{strangersCertificate(b.t)}
	for what, creds := range map[string]credentials.TransportCredentials{
		"no certificate": credentials.NewTLS(none), "TLS 1.2": credentials.NewTLS(old), "another authority": credentials.NewTLS(own),
		"plaintext": insecure.NewCredentials(),
	} {
		stub := gpb.NewGNMIClient(dialBox(b.t, b.box, creds))
		_, err := stub.Capabilities(b.as("root"), &gpb.CapabilityRequest{})
		b.is(what, err, codes.Unavailable, "")
	}
}

// bound: the management listener is where it was configured, and nowhere else; above all not on addresses of ports.
func (b *accessBed) bound() {
	for _, from := range []struct {
		ns *lab.NS
		to string
	}{{b.lab.NS("r"), "192.0.2.77:9339"}, {b.lab.NS("a"), "10.0.1.1:9339"}, {b.lab.NS("a"), "[2001:db8:0:1::1]:9339"}} {
		err := from.ns.Do(func() error {
			c, err := net.DialTimeout("tcp", from.to, 2*time.Second)
			if err == nil {
				_ = c.Close()
			}
			return err
		})
		if err == nil {
			b.t.Errorf("%s takes connections", from.to)
		}
	}
	out, err := b.box.Inner.Output("ss", "-Hltn")
	b.ok(err)
	if strings.Contains(out, ":9339") {
		b.t.Errorf("where the ports are something listens:\n%s", out)
	}
	if out, err = b.lab.NS("r").Output("ss", "-Hltn"); err != nil || !strings.Contains(out, "127.0.0.1:9339") || strings.Count(out, ":9339") != 1 {
		b.t.Errorf("%v\n%s", err, out)
	}
}

func (b *accessBed) roles() {
	const eth1 = "/interfaces/interface[name=eth1]/config/description"
	intended := func() string {
		b.t.Helper()
		r, err := b.stub.Get(b.as("root"), &gpb.GetRequest{Path: []*gpb.Path{{}}, Type: gpb.GetRequest_CONFIG, Encoding: gpb.Encoding_JSON_IETF})
		b.ok(err)
		return string(r.GetNotification()[0].GetUpdate()[0].GetVal().GetJsonIetfVal())
	}
	before := intended()
	for _, c := range []struct{ user, path, value string }{
		{"reader", hostPath, `"x"`}, {"reader", usersPath + "/user[username=reader]/config/role", `"admin"`},
		{"ops", usersPath + "/user[username=ops]/config/role", `"admin"`}, {"ops", usersPath + "/user[username=root]/config/password", `"mine"`},
		{"ops", authzPath + "/certificates/config/default-role", `"admin"`},
		{"balancer", eth1, `"x"`}, {"balancer", hostPath, `"x"`}, {"balancer", usersPath + "/user[username=balancer]/config/role", `"admin"`},
	} {
		place, _, _ := strings.Cut(c.path, "[")
		b.is(c.user+" sets "+c.path, b.set(b.as(c.user), c.path, c.value), codes.PermissionDenied, place)
	}
	b.is("ops deletes the users", b.drop(b.as("ops"), usersPath), codes.PermissionDenied, usersPath)
	b.is("ops deletes everything", b.drop(b.as("ops"), "/"), codes.PermissionDenied, "")
	// One of two changes is not allowed: none is made.
	b.is("a pair", b.set(b.as("balancer"), "/tcp-termination/listeners/listener[name=web]/config", `{"name": "web", "port": 80, "service": "ECHO"}`, hostPath, `"x"`),
		codes.PermissionDenied, hostPath)
	after := intended()
	if before != after || !strings.Contains(after, "balancer") {
		b.t.Errorf("refused, and yet it is\n%s\nafter\n%s", after, before)
	}

	// What a change changes counts, not what it names.
	b.ok(b.set(b.as("ops"), "/system", `{"config": {"hostname": "other"}}`))
	b.ok(b.set(b.as("balancer"), "/", `{"openconfig-system:system": {"config": {"hostname": "other"}},
		"vnf-tcp-termination:tcp-termination": {"listeners": {"listener": [{"name": "web", "config": {"name": "web", "port": 80, "service": "ECHO"}}]}}}`))

	// Reading: the same by Get and Subscribe.
	for name, f := range map[string]func(context.Context, string) (string, error){"Get": b.read, "Subscribe": b.once} {
		for _, path := range []string{"/", "/system"} {
			for _, u := range []string{"reader", "ops"} {
				out, err := f(b.as(u), path)
				b.ok(err)
				if !strings.Contains(out, "hostname") || strings.Contains(out, "username") || strings.Contains(out, "$2") || strings.Contains(out, "default-role") {
					b.t.Errorf("%s of %s by %s tells of users, or too little: %.300s", name, path, u, out)
				}
			}
		}
		out, err := f(b.as("balancer"), "/interfaces")
		b.ok(err)
		if !strings.Contains(out, "eth1") || strings.Contains(out, "description") {
			b.t.Errorf("%s of interfaces by the balancer: %.300s", name, out)
		}
		for _, path := range []string{"/system/aaa", usersPath + "/user[username=root]/config/role", hostPath} {
			_, err := f(b.as("balancer"), path)
			b.is(name+" by the balancer", err, codes.PermissionDenied, "/system")
		}
		if out, err = f(b.as("balancer"), "/"); err != nil || strings.Contains(out, "hostname") || !strings.Contains(out, "tcp-termination") {
			b.t.Errorf("%s of everything by the balancer: %v, %.300s", name, err, out)
		}
	}
}

// secrets: a password set in the clear is never seen again; other secrets are for admins.
func (b *accessBed) secrets() {
	out, err := b.read(b.as("root"), usersPath)
	b.ok(err)
	if !strings.Contains(out, "password-hashed") || !strings.Contains(out, "$2") || strings.Contains(out, "word-of") || strings.Contains(out, `"password"`) {
		b.t.Errorf("the users are %s", out)
	}
	for user, want := range map[string]bool{"root": true, "ops": false, "reader": false} {
		for name, f := range map[string]func(context.Context, string) (string, error){"Get": b.read, "Subscribe": b.once} {
			out, err := f(b.as(user), peerPath)
			b.ok(err)
			if strings.Contains(out, bgpSecret) != want || !strings.Contains(out, "peer-as") {
				b.t.Errorf("%s by %s: %s", name, user, out)
			}
		}
		_, err := b.read(b.as(user), peerPath+"/auth-password")
		if want {
			b.ok(err)
		} else {
			b.is(user, err, codes.PermissionDenied, "secrets")
		}
	}
	// A password that is no good is not told of, either.
	long := "word-of-" + strings.Repeat("x", 100)
	err = b.set(b.as("root"), usersPath+"/user[username=root]/config/password", fmt.Sprintf("%q", long))
	b.is("a long password", err, codes.InvalidArgument, "/config/password")
	if err != nil && strings.Contains(err.Error(), long) {
		b.t.Errorf("the error tells the password: %v", err)
	}
	b.ok(filepath.WalkDir(b.lab.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), "word-of-") {
			b.t.Errorf("%s holds a password", path)
		}
		return err
	}))
	if strings.Contains(b.box.Proc.Output(), "word-of-") {
		b.t.Error("the log holds a password")
	}
}

// cli is a client of others with a user and a password, over TLS without a certificate.
func (b *accessBed) cli() {
	run := func(password string, args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
		defer cancel()
		cmd := b.box.NS.Command(ctx, filepath.Join(filepath.Dir(b.lab.Bin("vnf")), "tools", "gnmi_cli"), append([]string{
			"-address", "127.0.0.1:9339", "-ca_crt", filepath.Join(b.box.TLSDir(), "ca.pem"), "-server_name", "localhost", "-with_user_pass",
		}, args...)...)
		cmd.Env = append(os.Environ(), "GNMI_USER=reader", "GNMI_PASS="+password)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	const what = `path: {elem: {name: "system"} elem: {name: "config"} elem: {name: "hostname"}} encoding: JSON_IETF`
	if out, err := run(word("reader"), "-get", "-proto", what); err != nil || !strings.Contains(out, "other") {
		b.t.Errorf("gnmi_cli: %v, %s", err, out)
	}
	if out, err := run("wrong", "-get", "-proto", what); err == nil || !strings.Contains(out, "Unauthenticated") {
		b.t.Errorf("gnmi_cli with the wrong password: %v, %s", err, out)
	}
	if out, err := run(word("reader"), "-set", "-proto", `delete: {elem: {name: "system"}}`); err == nil || !strings.Contains(out, "PermissionDenied") {
		b.t.Errorf("gnmi_cli -set: %v, %s", err, out)
	}
	if out, err := run(word("reader"), "-query", "/system/config/hostname", "-query_type", "once"); err != nil || !strings.Contains(out, "other") {
		b.t.Errorf("gnmi_cli -query: %v, %s", err, out)
	}
}

// typed are our own services, which are held against the same roles.
func (b *accessBed) typed() {
	conn := dialBox(b.t, b.box, credentials.NewTLS(b.tls))
	ifs, tcp, sys := vnfv1.NewInterfaceServiceClient(conn), vnfv1.NewTerminationServiceClient(conn), vnfv1.NewSystemServiceClient(conn)
	lo := func(user string) error {
		_, err := ifs.CreateInterface(b.as(user), &vnfv1.CreateInterfaceRequest{Config: &vnfv1.InterfaceConfig{Name: "lo5", Kind: vnfv1.InterfaceKind_INTERFACE_KIND_LOOPBACK}})
		return err
	}
	b.is("an interface by reader", lo("reader"), codes.PermissionDenied, "/interfaces")
	b.is("an interface by the balancer", lo("balancer"), codes.PermissionDenied, "/interfaces")
	b.ok(lo("ops"))
	_, err := tcp.DeleteTcpListener(b.as("reader"), &vnfv1.DeleteTcpListenerRequest{Name: "web"})
	b.is("a listener by reader", err, codes.PermissionDenied, "/tcp-termination")
	_, err = tcp.DeleteTcpListener(b.as("balancer"), &vnfv1.DeleteTcpListenerRequest{Name: "web"})
	b.ok(err)
	_, err = ifs.ListInterfaces(b.as("reader"), &vnfv1.ListInterfacesRequest{})
	b.ok(err)
	_, err = ifs.ListInterfaces(b.as("balancer"), &vnfv1.ListInterfacesRequest{})
	b.is("interfaces with a part that is denied", err, codes.PermissionDenied, "/interfaces")
	_, err = sys.SetLogLevel(b.as("reader"), &vnfv1.SetLogLevelRequest{})
	b.is("the log level by reader", err, codes.PermissionDenied, "/system/logging")

	// The whole configuration: without users for the operator, who may hand it back.
	doc, err := sys.GetConfig(b.as("ops"), &vnfv1.GetConfigRequest{Format: vnfv1.ConfigFormat_CONFIG_FORMAT_YAML})
	b.ok(err)
	if text := string(doc.GetDocument()); strings.Contains(text, "reader") || strings.Contains(text, bgpSecret) || !strings.Contains(text, "lo5") {
		b.t.Errorf("the operator sees\n%s", text)
	}
	_, err = sys.GetConfig(b.as("ops"), &vnfv1.GetConfigRequest{WithSecrets: true})
	b.is("secrets by ops", err, codes.PermissionDenied, "with_secrets")
	_, err = sys.ApplyConfig(b.as("ops"), &vnfv1.ApplyConfigRequest{Document: doc.GetDocument()})
	b.ok(err)
	if out, err := b.read(b.as("root"), usersPath); err != nil || !strings.Contains(out, "reader") {
		b.t.Errorf("the users are gone: %v, %s", err, out)
	}
	bad := strings.Replace(string(doc.GetDocument()), "interfaces:", "aaa: {users: [{name: ops, role: admin}]}\ninterfaces:", 1)
	_, err = sys.ApplyConfig(b.as("ops"), &vnfv1.ApplyConfigRequest{Document: []byte(bad)})
	b.is("users by ops", err, codes.PermissionDenied, "/system/aaa")
	_, err = sys.ApplyConfig(b.as("ops"), &vnfv1.ApplyConfigRequest{Document: []byte(bad), DryRun: true})
	b.is("users by ops, dry", err, codes.PermissionDenied, "/system/aaa")
	_, err = sys.GetConfig(b.as("balancer"), &vnfv1.GetConfigRequest{Format: vnfv1.ConfigFormat_CONFIG_FORMAT_YAML})
	b.is("everything by the balancer", err, codes.PermissionDenied, "")
}

// revoked: a stream ends when its user goes.
func (b *accessBed) revoked() {
	s, err := b.subscribe(b.as("leaver"), "/system/state", gpb.SubscriptionList_STREAM)
	b.ok(err)
	for range 3 {
		_, err := s.Recv()
		b.ok(err)
	}
	b.ok(b.drop(b.as("root"), usersPath+"/user[username=leaver]"))
	end := time.Now().Add(time.Minute)
	for err == nil && time.Now().Before(end) {
		_, err = s.Recv()
	}
	b.is("the stream of a user that is gone", err, codes.Unauthenticated, "leaver")
	_, err = b.read(b.as("leaver"), hostPath)
	b.is("a call of a user that is gone", err, codes.Unauthenticated, "unknown user")
}

// limits of messages and streams.
func (b *accessBed) limits() {
	b.is("a big message", b.set(b.as("root"), hostPath, `"`+strings.Repeat("x", 17<<20)+`"`), codes.ResourceExhausted, "larger than max")
	var err error
	for range 6 {
		ifs := vnfv1.NewInterfaceServiceClient(dialBox(b.t, b.box, credentials.NewTLS(b.tls)))
		for range 60 {
			s, e := ifs.WatchInterfaces(b.as("reader"), &vnfv1.WatchInterfacesRequest{})
			b.ok(e)
			if _, e := s.Recv(); e != nil {
				err = e
			}
		}
	}
	b.is("360 streams", err, codes.ResourceExhausted, "streams are open")
	if _, err := b.read(b.as("root"), hostPath); err != nil {
		b.t.Errorf("with many streams: %v", err)
	}
}

// certificates: their common name is a user's; who is none may be refused.
func (b *accessBed) certificates() {
	stub := gpb.NewGNMIClient(dialBox(b.t, b.box, credentials.NewTLS(operator(b.t, b.box))))
	cert := &accessBed{b.bed, stub, b.tls}
	b.ok(b.set(b.as("root"), usersPath+"/user[username=operator]/config", `{"username": "operator", "role": "read-only"}`))
	_, err := cert.read(b.t.Context(), hostPath)
	b.ok(err)
	b.is("a certificate of a read-only user", cert.set(b.t.Context(), hostPath, `"x"`), codes.PermissionDenied, hostPath)
	b.is("a password with a certificate", cert.set(b.as("root"), hostPath, `"boss"`), codes.OK, "")
	b.is("a user without a password", cert.set(b.login("operator", ""), hostPath, `"x"`), codes.Unauthenticated, "")
	b.ok(b.set(b.as("root"), authzPath+"/certificates/config/default-role", `"none"`))
	_, err = cert.read(b.t.Context(), hostPath) // still a user
	b.ok(err)
	b.ok(b.drop(b.as("root"), usersPath+"/user[username=operator]"))
	_, err = cert.read(b.t.Context(), hostPath)
	b.is("a certificate that is nobody's", err, codes.Unauthenticated, "operator")
	out, err := b.box.NS.Output(b.lab.Bin("vnfctl"), "--address", "unix:"+filepath.Join(filepath.Dir(b.box.Socket()), "vnf.sock"), "system", "info")
	if err != nil {
		b.t.Errorf("the unix socket: %v, %s", err, out)
	}
	b.ok(b.set(b.as("root"), authzPath+"/certificates/config/default-role", `"operator"`))
	b.is("a certificate of the role operator", cert.drop(b.t.Context(), usersPath), codes.PermissionDenied, usersPath)
	b.ok(cert.set(b.t.Context(), hostPath, `"box"`))
}

// guesses of passwords are limited; who is known goes on.
func (b *accessBed) guesses() {
	var codesSeen []codes.Code
	for range 8 {
		_, err := b.read(b.login("reader", "guess"), hostPath)
		codesSeen = append(codesSeen, status.Code(err))
	}
	text := fmt.Sprint(codesSeen)
	if !strings.HasPrefix(text, "[Unauthenticated") || !strings.HasSuffix(text, "ResourceExhausted ResourceExhausted]") {
		b.t.Errorf("guesses are answered %s", text)
	}
	if _, err := b.read(b.as("reader"), hostPath); err != nil {
		b.t.Errorf("a password that was right before: %v", err)
	}
	_, err := b.read(b.as("nobody"), hostPath)
	b.is("another user from there", err, codes.ResourceExhausted, "too many wrong passwords")
}

// audited: changes and refusals are in the log.
func (b *accessBed) audited() {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(b.box.TLSDir()), "audit.log"))
	b.ok(err)
	var all []map[string]any
	for line := range strings.Lines(string(text)) {
		var m map[string]any
		b.ok(json.Unmarshal([]byte(line), &m))
		all = append(all, m)
	}
	has := func(want ...string) {
		b.t.Helper()
		for _, m := range all {
			line, _ := json.Marshal(m)
			found := true
			for _, w := range want {
				found = found && strings.Contains(string(line), w)
			}
			if found {
				return
			}
		}
		b.t.Errorf("no line of the audit log has %q", want)
	}
	has(`"who":"ops"`, `"action":"commit"`, `"result":"ok"`, `"api":"gnmi"`)
	has(`"who":"reader"`, `"result":"refused"`, hostPath)
	has(`"who":"balancer"`, `"result":"refused"`, "InterfaceService/CreateInterface")
	has(`"who":"reader"`, `"result":"refused"`, "SetLogLevel")
	has(`"result":"refused"`, "unknown user or wrong password", "gNMI/Get")
	has(`"result":"refused"`, "too many wrong passwords")
}
