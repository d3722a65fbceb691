package integration

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openconfig/gnoi/file"
	"github.com/openconfig/gnoi/healthz"
	"github.com/openconfig/gnoi/system"
	"github.com/openconfig/gnoi/types"
	"github.com/openconfig/gnsi/certz"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"millrace/internal/lab"
)

// gnoiBed has a Linux router r2 with a host behind it.
type gnoiBed struct {
	*bed
	conn *grpc.ClientConn
	sys  system.SystemClient
}

const farHost = "10.99.0.2"

func newGNOIBed(t *testing.T) *gnoiBed {
	b := &gnoiBed{bed: newBed(t, 1)}
	b.stub("r2", "10.99.0.0/24", "2001:db8:99::/64")
	b.start(b.interfaces() + "network-instances: [{name: default, static-routes: [{prefix: 10.99.0.0/24, next-hops: [{address: 10.0.2.2}]}, " +
		"{prefix: \"2001:db8:99::/64\", next-hops: [{address: \"2001:db8:0:2::2\"}]}]}]\n")
	b.conn = dialBox(t, b.box, credentials.NewTLS(operator(t, b.box)))
	b.sys = system.NewSystemClient(b.conn)
	b.installed("10.99.0.0/24", "2001:db8:99::/64")
	return b
}

func (b *gnoiBed) ctx() context.Context {
	ctx, cancel := context.WithTimeout(b.t.Context(), 2*time.Minute)
	b.t.Cleanup(cancel)
	return ctx
}

// received are all messages of a stream.
func received[T any](s grpc.ServerStreamingClient[T], err error) (all []*T, _ error) {
	for err == nil {
		var m *T
		if m, err = s.Recv(); err == nil {
			all = append(all, m)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return all, err
}

// TestGNOITools: the clock, pings and routes that are traced, as a Linux host and a Linux router see them; files; health.
func TestGNOITools(t *testing.T) {
	b := newGNOIBed(t)
	now, err := b.sys.Time(b.ctx(), &system.TimeRequest{})
	b.ok(err)
	if d := time.Since(time.Unix(0, int64(now.GetTime()))); d < 0 || d > time.Minute {
		t.Errorf("the time is %v off", d)
	}
	b.ping()
	b.traceroute()
	b.files()
	b.health()
	b.grpcurl()
}

// grpcurl is a client of others that knows the services by reflection only; the requests are those of docs/gnoi.md.
func (b *gnoiBed) grpcurl() {
	run := func(method, request, want string) {
		b.t.Helper()
		pki := b.box.TLSDir()
		out, err := b.box.NS.Output(b.lab.Bin("tools/grpcurl"), "-cacert", filepath.Join(pki, "ca.pem"), "-cert", filepath.Join(pki, "client.pem"),
			"-key", filepath.Join(pki, "client-key.pem"), "-d", request, "127.0.0.1:9339", method)
		if err != nil || !strings.Contains(out, want) {
			b.t.Errorf("grpcurl %s: %v, without %q: %s", method, err, want, out)
		}
	}
	const path = `{"elem": [{"name": "components"}, {"name": "component", "key": {"name": "eth1"}}]}`
	run("gnoi.system.System/Ping", `{"destination": "10.0.2.2", "count": 3}`, `"received": 3`)
	run("gnoi.system.System/Traceroute", `{"destination": "2001:db8:99::2", "l4protocol": "UDP"}`, `"address": "2001:db8:99::2"`)
	run("gnoi.system.System/Reboot", `{"method": "WARM", "delay": 60000000000, "message": "new version"}`, "{}")
	run("gnoi.system.System/RebootStatus", "{}", `"reason": "new version"`)
	run("gnoi.system.System/CancelReboot", "{}", "{}")
	run("gnoi.healthz.Healthz/Get", `{"path": `+path+`}`, "STATUS_HEALTHY")
	run("gnoi.healthz.Healthz/List", `{"path": `+path+`, "includeAcknowledged": true}`, "STATUS_UNHEALTHY")
	run("gnoi.healthz.Healthz/Check", `{"path": `+path+`}`, `"artifacts"`)
	run("gnoi.file.File/Stat", `{"path": "/"}`, "{")
	run("gnsi.certz.v1.Certz/GetProfileList", "{}", "system_default_profile")
}

func (b *gnoiBed) ping() {
	for _, to := range []string{farHost, "2001:db8:99::2", "10.0.1.2"} {
		b.pings("r2", to) // neighbours are known
		b.eventually(10*time.Second, func() error {
			all, err := received(b.sys.Ping(b.ctx(), &system.PingRequest{Destination: to, Count: 4, Interval: int64(20 * time.Millisecond), Size: 500}))
			if err != nil || len(all) != 5 {
				return fmt.Errorf("%s: %v %w", to, all, err)
			}
			last := all[4]
			if last.GetSent() != 4 || last.GetReceived() != 4 || last.GetMinTime() <= 0 || last.GetMinTime() > last.GetAvgTime() || last.GetAvgTime() > last.GetMaxTime() {
				return fmt.Errorf("%s: %v", to, last)
			}
			return nil
		})
	}
	all, err := received(b.sys.Ping(b.ctx(), &system.PingRequest{Destination: "10.0.2.99", Count: 2, Wait: int64(200 * time.Millisecond), Interval: int64(20 * time.Millisecond)}))
	b.ok(err)
	if n := len(all); n != 1 || all[0].GetSent() != 2 || all[0].GetReceived() != 0 {
		b.t.Errorf("an address that nobody has: %v", all)
	}
	if _, err := received(b.sys.Ping(b.ctx(), &system.PingRequest{Destination: farHost, NetworkInstance: "nothing"})); status.Code(err) != codes.FailedPrecondition {
		b.t.Errorf("an instance that is not there: %v", err)
	}
	// A ping without an end stops with its client.
	ctx, cancel := context.WithCancel(b.ctx())
	s, err := b.sys.Ping(ctx, &system.PingRequest{Destination: farHost, Count: -1, Interval: int64(10 * time.Millisecond)})
	b.ok(err)
	for range 3 {
		_, err := s.Recv()
		b.ok(err)
	}
	cancel()
	for err == nil {
		_, err = s.Recv()
	}
	if status.Code(err) != codes.Canceled {
		b.t.Errorf("a cancelled ping: %v", err)
	}
}

func (b *gnoiBed) traceroute() {
	b.lab.NS("r2").Sysctl("net.ipv4.icmp_ratelimit", "0")
	b.lab.NS("r2").Sysctl("net.ipv6.icmp.ratelimit", "0")
	for _, c := range []struct{ to, hop string }{{farHost, "10.0.2.2"}, {"2001:db8:99::2", "2001:db8:0:2::2"}} {
		for _, l4 := range []system.TracerouteRequest_L4Protocol{system.TracerouteRequest_ICMP, system.TracerouteRequest_UDP} {
			b.eventually(15*time.Second, func() error {
				all, err := received(b.sys.Traceroute(b.ctx(), &system.TracerouteRequest{Destination: c.to, L4Protocol: l4, MaxTtl: 5, Wait: int64(500 * time.Millisecond)}))
				if err != nil || len(all) != 7 {
					return fmt.Errorf("%s by %v: %v %w", c.to, l4, all, err)
				}
				if m := all[1]; m.GetHop() != 1 || m.GetAddress() != c.hop || m.GetRtt() <= 0 {
					return fmt.Errorf("%s by %v: hop 1 is %v", c.to, l4, m)
				}
				if m := all[6]; m.GetHop() != 2 || m.GetAddress() != c.to || m.GetState() != system.TracerouteResponse_DEFAULT {
					return fmt.Errorf("%s by %v: hop 2 is %v", c.to, l4, m)
				}
				return nil
			})
		}
	}
}

func (b *gnoiBed) files() {
	c := file.NewFileClient(b.conn)
	data := bytes.Repeat([]byte("millrace\n"), 50_000)
	sum := sha256.Sum256(data)
	put := func(name string) error {
		s, err := c.Put(b.ctx())
		b.ok(err)
		_ = s.Send(&file.PutRequest{Request: &file.PutRequest_Open{Open: &file.PutRequest_Details{RemoteFile: name, Permissions: 644}}})
		for rest := data; len(rest) > 0; {
			n := min(64<<10, len(rest))
			_ = s.Send(&file.PutRequest{Request: &file.PutRequest_Contents{Contents: rest[:n]}})
			rest = rest[n:]
		}
		_ = s.Send(&file.PutRequest{Request: &file.PutRequest_Hash{Hash: &types.HashType{Method: types.HashType_SHA256, Hash: sum[:]}}})
		_, err = s.CloseAndRecv()
		return err
	}
	b.ok(put("/backup.txt"))
	if err := put("/../pki/ca.pem"); status.Code(err) != codes.InvalidArgument {
		b.t.Errorf("a path that leads out: %v", err)
	}
	all, err := received(c.Get(b.ctx(), &file.GetRequest{RemoteFile: "/backup.txt"}))
	b.ok(err)
	var back []byte
	for _, m := range all {
		back = append(back, m.GetContents()...)
	}
	if !bytes.Equal(back, data) || !bytes.Equal(all[len(all)-1].GetHash().GetHash(), sum[:]) {
		b.t.Errorf("%d bytes came back", len(back))
	}
	st, err := c.Stat(b.ctx(), &file.StatRequest{Path: "/"})
	b.ok(err)
	if l := st.GetStats(); len(l) != 1 || l[0].GetPath() != "/backup.txt" || l[0].GetSize() != uint64(len(data)) || l[0].GetPermissions() != 644 {
		b.t.Errorf("the folder has %v", l)
	}
	_, err = c.Remove(b.ctx(), &file.RemoveRequest{RemoteFile: "/backup.txt"})
	b.ok(err)
	if st, err = c.Stat(b.ctx(), &file.StatRequest{Path: "/"}); err != nil || len(st.GetStats()) != 0 {
		b.t.Errorf("after that %v %v", st, err)
	}
}

// is waits for a component to have a status, and returns the event.
func (b *gnoiBed) is(name string, want healthz.Status) (c *healthz.ComponentStatus) {
	b.t.Helper()
	path := &types.Path{Elem: []*types.PathElem{{Name: "components"}, {Name: "component", Key: map[string]string{"name": name}}}}
	b.eventually(20*time.Second, func() error {
		r, err := healthz.NewHealthzClient(b.conn).Get(b.ctx(), &healthz.GetRequest{Path: path})
		if c = r.GetComponent(); err != nil || c.GetStatus() != want {
			return fmt.Errorf("%s is %v, %w", name, c, err)
		}
		return nil
	})
	return c
}

func (b *gnoiBed) health() {
	for _, name := range []string{"vnf", "vnf-dataplane", "eth1", "eth2"} {
		b.is(name, healthz.Status_STATUS_HEALTHY)
	}
	if n := len(b.is("chassis", healthz.Status_STATUS_HEALTHY).GetSubcomponents()); n != 4 {
		b.t.Errorf("the chassis has %d components", n)
	}
	b.farEnd(b.lab.NS("a"), "down")
	ev := b.is("eth1", healthz.Status_STATUS_UNHEALTHY)
	b.is("chassis", healthz.Status_STATUS_UNHEALTHY)
	b.is("eth2", healthz.Status_STATUS_HEALTHY)
	if len(ev.GetArtifacts()) != 1 {
		b.t.Fatalf("the event is %v", ev)
	}
	all, err := received(healthz.NewHealthzClient(b.conn).Artifact(b.ctx(), &healthz.ArtifactRequest{Id: ev.GetArtifacts()[0].GetId()}))
	b.ok(err)
	var text strings.Builder
	for _, m := range all {
		text.Write(m.GetBytes())
	}
	for _, word := range []string{"eth1: UNHEALTHY: its link is down", "eth2: UP", "DPDK", "goroutine"} {
		if !strings.Contains(text.String(), word) {
			b.t.Errorf("%q is not in\n%s", word, text.String())
		}
	}
	b.farEnd(b.lab.NS("a"), "up")
	b.is("eth1", healthz.Status_STATUS_HEALTHY)
}

// back waits until vnf answers again after it ended.
func (b *gnoiBed) back(old int) {
	b.t.Helper()
	b.eventually(30*time.Second, func() error {
		if pid, err := b.box.Child("control"); err != nil || pid == old {
			return fmt.Errorf("the process is %d, %w", pid, err)
		}
		_, err := b.sys.Time(b.ctx(), &system.TimeRequest{})
		return err
	})
}

func (b *gnoiBed) child(which string) int {
	b.t.Helper()
	pid, err := b.box.Child(which)
	b.ok(err)
	return pid
}

// TestGNOIReboot: vnf alone, under traffic of which nothing is lost; not, when it is cancelled; and with the data plane, which is also
// killed and comes back.
func TestGNOIReboot(t *testing.T) {
	b := newGNOIBed(t)
	b.pings("a", farHost)
	sinks := map[string]*lab.NS{"r2h": b.lab.NS("r2h")}
	tr := startTraffic(t, b.lab.NS("a"), farHost, 16, 1000, sinks)
	b.ok(tr.settle(10 * time.Second))
	control, plane := b.child("control"), b.child("dataplane")

	_, err := b.sys.Reboot(b.ctx(), &system.RebootRequest{Method: system.RebootMethod_COLD, Delay: uint64(4 * time.Second), Message: "upgrade"})
	b.ok(err)
	st, err := b.sys.RebootStatus(b.ctx(), &system.RebootStatusRequest{})
	b.ok(err)
	if !st.GetActive() || st.GetReason() != "upgrade" || st.GetWait() == 0 || st.GetWait() > uint64(4*time.Second) {
		t.Errorf("the reboot is %v", st)
	}
	_, err = b.sys.CancelReboot(b.ctx(), &system.CancelRebootRequest{Message: "not now"})
	b.ok(err)
	time.Sleep(4500 * time.Millisecond)
	if b.child("control") != control || b.child("dataplane") != plane {
		t.Error("a reboot that was cancelled happened")
	}

	_, err = b.sys.Reboot(b.ctx(), &system.RebootRequest{Method: system.RebootMethod_WARM, Message: "warm"})
	b.ok(err)
	b.back(control)
	b.installed("10.99.0.0/24")
	time.Sleep(time.Second)
	b.lossless(tr)
	if b.child("dataplane") != plane {
		t.Error("a warm reboot took the data plane along")
	}
	tr.close()

	// The data plane alone.
	kill := &system.KillProcessRequest{Name: "vnf-dataplane", Signal: system.KillProcessRequest_SIGNAL_KILL, Restart: true}
	_, err = b.sys.KillProcess(b.ctx(), kill)
	b.ok(err)
	b.eventually(20*time.Second, func() error {
		if pid, err := b.box.Child("dataplane"); err != nil || pid == plane {
			return fmt.Errorf("the process is %d, %w", pid, err)
		}
		return nil
	})
	b.is("vnf-dataplane", healthz.Status_STATUS_HEALTHY)
	b.pings("a", farHost)
	if _, err := b.sys.KillProcess(b.ctx(), &system.KillProcessRequest{Pid: 1, Signal: system.KillProcessRequest_SIGNAL_KILL, Restart: true}); status.Code(err) != codes.NotFound {
		t.Errorf("a process that is not the appliance's: %v", err)
	}

	// All of it.
	control, plane = b.child("control"), b.child("dataplane")
	_, err = b.sys.Reboot(b.ctx(), &system.RebootRequest{Method: system.RebootMethod_COLD})
	b.ok(err)
	b.back(control)
	b.eventually(20*time.Second, func() error {
		if now, err := b.box.Child("dataplane"); err != nil || now == plane {
			return fmt.Errorf("after a cold reboot the data plane is process %d, before %d, %w", now, plane, err)
		}
		return nil
	})
	b.pings("a", farHost)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(b.box.TLSDir()), "audit.log"))
	b.ok(err)
	for _, word := range []string{"gnoi.system.System/Reboot", "gnoi.system.System/CancelReboot", "gnoi.system.System/KillProcess", `"who":"operator"`} {
		if !strings.Contains(string(text), word) {
			t.Errorf("the audit log does not tell of %s:\n%s", word, text)
		}
	}
}

// authorityFor signs certificates of a rotation.
type authorityFor struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthorityFor(t *testing.T) *authorityFor {
	a := &authorityFor{t: t}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{Subject: pkix.Name{CommonName: "site"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.cert = a.sign(tmpl, tmpl, a.key.Public())
	return a
}

func (a *authorityFor) sign(tmpl, parent *x509.Certificate, pub any) *x509.Certificate {
	a.t.Helper()
	tmpl.SerialNumber, tmpl.NotBefore, tmpl.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// client is a client of this authority's.
func (a *authorityFor) client(name string) *tls.Config {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.cert, key.Public())
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &tls.Config{
		RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{c.Raw}, PrivateKey: key}},
	}
}

// TestGNOICertificates: the box makes a key, gets a certificate of the site's authority for it, and changes over without a connection
// being lost; also vnf that starts anew has it.
func TestGNOICertificates(t *testing.T) {
	b := newGNOIBed(t)
	site := newAuthorityFor(t)
	works := func(c *tls.Config) error {
		_, err := system.NewSystemClient(dialBox(t, b.box, credentials.NewTLS(c))).Time(b.ctx(), &system.TimeRequest{})
		return err
	}
	old, fresh := operator(t, b.box), site.client("site-admin")
	ping, err := b.sys.Ping(b.ctx(), &system.PingRequest{Destination: farHost, Count: -1, Interval: int64(50 * time.Millisecond)})
	b.ok(err)
	alive := func() {
		t.Helper()
		_, err := ping.Recv()
		b.ok(err)
	}
	alive()
	const profile = "system_default_profile"
	for _, keep := range []bool{false, true} {
		s, err := certz.NewCertzClient(b.conn).Rotate(b.ctx())
		b.ok(err)
		b.ok(s.Send(&certz.RotateCertificateRequest{SslProfileId: profile, RotateRequest: &certz.RotateCertificateRequest_GenerateCsr{
			GenerateCsr: &certz.GenerateCSRRequest{Params: &certz.CSRParams{
				CsrSuite:   certz.CSRSuite_CSRSUITE_X509_KEY_TYPE_ECDSA_PRIME256V1_SIGNATURE_ALGORITHM_SHA_2_256,
				CommonName: "box", San: &certz.V3ExtensionSAN{Dns: []string{"localhost"}, Ips: []string{"127.0.0.1"}},
			}},
		}}))
		r, err := s.Recv()
		b.ok(err)
		block, _ := pem.Decode(r.GetGeneratedCsr().GetCertificateSigningRequest().GetCertificateSigningRequest())
		csr, err := x509.ParseCertificateRequest(block.Bytes)
		b.ok(err)
		leaf := site.sign(&x509.Certificate{
			Subject: csr.Subject, DNSNames: csr.DNSNames, IPAddresses: csr.IPAddresses, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}, site.cert, csr.PublicKey)
		link := func(c *x509.Certificate) *certz.CertificateChain {
			return &certz.CertificateChain{Certificate: &certz.Certificate{
				Type: certz.CertificateType_CERTIFICATE_TYPE_X509, Encoding: certz.CertificateEncoding_CERTIFICATE_ENCODING_DER,
				CertificateType: &certz.Certificate_RawCertificate{RawCertificate: c.Raw},
			}}
		}
		b.ok(s.Send(&certz.RotateCertificateRequest{SslProfileId: profile, RotateRequest: &certz.RotateCertificateRequest_Certificates{
			Certificates: &certz.UploadRequest{Entities: []*certz.Entity{
				{Entity: &certz.Entity_CertificateChain{CertificateChain: link(leaf)}}, {Entity: &certz.Entity_TrustBundle{TrustBundle: link(site.cert)}},
			}},
		}}))
		_, err = s.Recv()
		b.ok(err)
		if err := works(fresh); err != nil {
			t.Errorf("a client of the site: %v", err)
		}
		if works(old) == nil {
			t.Error("a client of before is let in")
		}
		alive()
		if !keep { // the client thinks better of it
			b.ok(s.CloseSend())
			if _, err := s.Recv(); status.Code(err) != codes.Aborted {
				t.Errorf("the end of the stream: %v", err)
			}
			b.ok(works(old))
			if works(fresh) == nil {
				t.Error("what was taken back is in use")
			}
			continue
		}
		b.ok(s.Send(&certz.RotateCertificateRequest{SslProfileId: profile, RotateRequest: &certz.RotateCertificateRequest_FinalizeRotation{}}))
		if _, err := s.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("finalize: %v", err)
		}
	}
	for range 5 {
		alive()
	}
	pid := b.child("control")
	b.conn = dialBox(t, b.box, credentials.NewTLS(fresh))
	b.sys = system.NewSystemClient(b.conn)
	_, err = b.sys.Reboot(b.ctx(), &system.RebootRequest{Method: system.RebootMethod_WARM})
	b.ok(err)
	b.back(pid)
	if works(old) == nil {
		t.Error("after a restart a client of before is let in")
	}
	if _, err := os.Stat(filepath.Join(b.box.TLSDir(), "ca-key.pem")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the key of an authority that is believed no more: %v", err)
	}
}
