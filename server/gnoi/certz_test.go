package gnoiserver

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/openconfig/gnoi/system"
	"github.com/openconfig/gnsi/certz"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"millrace/server/auth"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  crypto.Signer
}

func sign(t *testing.T, tmpl, parent *x509.Certificate, pub any, key crypto.Signer) *x509.Certificate {
	t.Helper()
	tmpl.SerialNumber = big.NewInt(time.Now().UnixNano())
	if tmpl.NotAfter.IsZero() {
		tmpl.NotBefore, tmpl.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key := newKey(t)
	tmpl := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	return &authority{t, sign(t, tmpl, tmpl, key.Public(), key), key}
}

// below is another authority, which this one signs.
func (a *authority) below(name string) *authority {
	key := newKey(a.t)
	tmpl := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	return &authority{a.t, sign(a.t, tmpl, a.cert, key.Public(), a.key), key}
}

func (a *authority) leaf(pub any, usage x509.ExtKeyUsage, change ...func(*x509.Certificate)) *x509.Certificate {
	tmpl := &x509.Certificate{
		Subject: pkix.Name{CommonName: "leaf"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{usage}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	for _, f := range change {
		f(tmpl)
	}
	return sign(a.t, tmpl, a.cert, pub, a.key)
}

// clientDir is a folder with a client's certificates of this authority.
func (a *authority) clientDir() string {
	dir, key := a.t.TempDir(), newKey(a.t)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{
		auth.CAFile:        {Type: "CERTIFICATE", Bytes: a.cert.Raw},
		auth.ClientFile:    {Type: "CERTIFICATE", Bytes: a.leaf(key.Public(), x509.ExtKeyUsageClientAuth).Raw},
		auth.ClientKeyFile: {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(b), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return dir
}

func pemOf(c *x509.Certificate) *certz.Certificate {
	return &certz.Certificate{
		Type: certz.CertificateType_CERTIFICATE_TYPE_X509, Encoding: certz.CertificateEncoding_CERTIFICATE_ENCODING_PEM,
		CertificateType: &certz.Certificate_RawCertificate{RawCertificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})},
	}
}

func derOf(c *x509.Certificate, key crypto.Signer) *certz.Certificate {
	m := &certz.Certificate{
		Type: certz.CertificateType_CERTIFICATE_TYPE_X509, Encoding: certz.CertificateEncoding_CERTIFICATE_ENCODING_DER,
		CertificateType: &certz.Certificate_RawCertificate{RawCertificate: c.Raw},
	}
	if key != nil {
		b, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			panic(err)
		}
		m.PrivateKeyType = &certz.Certificate_RawPrivateKey{RawPrivateKey: b}
	}
	return m
}

func chainOf(all ...*certz.Certificate) *certz.Entity {
	var top *certz.CertificateChain
	for i := len(all) - 1; i >= 0; i-- {
		top = &certz.CertificateChain{Certificate: all[i], Parent: top}
	}
	return &certz.Entity{Entity: &certz.Entity_CertificateChain{CertificateChain: top}}
}

func trustOf(all ...*x509.Certificate) *certz.Entity {
	e := chainOf()
	var top *certz.CertificateChain
	for _, c := range all {
		top = &certz.CertificateChain{Certificate: pemOf(c), Parent: top}
	}
	e.Entity = &certz.Entity_TrustBundle{TrustBundle: top}
	return e
}

func uploading(e ...*certz.Entity) *certz.RotateCertificateRequest {
	return &certz.RotateCertificateRequest{SslProfileId: profile, RotateRequest: &certz.RotateCertificateRequest_Certificates{Certificates: &certz.UploadRequest{Entities: e}}}
}

func generating(s certz.CSRSuite) *certz.RotateCertificateRequest {
	return &certz.RotateCertificateRequest{SslProfileId: profile, RotateRequest: &certz.RotateCertificateRequest_GenerateCsr{
		GenerateCsr: &certz.GenerateCSRRequest{Params: &certz.CSRParams{
			CsrSuite: s, CommonName: "box", San: &certz.V3ExtensionSAN{Dns: []string{"localhost"}, Ips: []string{"127.0.0.1"}},
		}},
	}}
}

var finalize = &certz.RotateCertificateRequest{
	SslProfileId: profile, RotateRequest: &certz.RotateCertificateRequest_FinalizeRotation{FinalizeRotation: &certz.FinalizeRequest{}},
}

type rotating struct {
	t *testing.T
	s grpc.BidiStreamingClient[certz.RotateCertificateRequest, certz.RotateCertificateResponse]
}

func (b *bed) rotate(conn *grpc.ClientConn) *rotating {
	b.t.Helper()
	s, err := certz.NewCertzClient(conn).Rotate(b.ctx())
	if err != nil {
		b.t.Fatal(err)
	}
	return &rotating{b.t, s}
}

func (r *rotating) do(m *certz.RotateCertificateRequest) (*certz.RotateCertificateResponse, error) {
	if err := r.s.Send(m); err != nil {
		r.t.Fatal(err)
	}
	return r.s.Recv()
}

// works says whether a new connection with the certificates of a directory gets through.
func (b *bed) works(pki string) error {
	b.t.Helper()
	_, err := system.NewSystemClient(b.dial(pki)).Time(b.ctx(), &system.TimeRequest{})
	return err
}

// shows is the serial number that the server shows to a new connection.
func (b *bed) shows() string {
	b.t.Helper()
	c, err := tls.Dial("tcp", b.box.Address, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // to look at the certificate
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// TestRotate: a new certificate of a new authority for a key made by the appliance, in all stages.
func TestRotate(t *testing.T) {
	b := newBed(t)
	oldClient := t.TempDir() // ca.pem of the server's folder is to change
	if err := os.CopyFS(oldClient, os.DirFS(b.pki)); err != nil {
		t.Fatal(err)
	}
	old := b.dial(oldClient)
	clock := func() {
		t.Helper()
		if _, err := system.NewSystemClient(old).Time(b.ctx(), &system.TimeRequest{}); err != nil {
			t.Errorf("the connection that was there: %v", err)
		}
	}
	root := newAuthority(t, "new")
	middle := root.below("middle")
	first, newClient := b.shows(), root.clientDir()
	// The connection has to be there before.
	clock()
	for _, end := range []string{"a second upload", "the stream ends", "the client goes"} {
		r := b.rotate(old)
		got, err := r.do(generating(certz.CSRSuite_CSRSUITE_X509_KEY_TYPE_ECDSA_PRIME256V1_SIGNATURE_ALGORITHM_SHA_2_256))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(got.GetGeneratedCsr().GetCertificateSigningRequest().GetCertificateSigningRequest())
		csr, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil || csr.CheckSignature() != nil || csr.Subject.CommonName != "box" || csr.DNSNames[0] != "localhost" || !csr.IPAddresses[0].Equal(net.IPv4(127, 0, 0, 1)) {
			t.Fatalf("%v %v", csr, err)
		}
		if b.shows() != first {
			t.Error("the certificate changed before it was uploaded")
		}
		leaf := middle.leaf(csr.PublicKey, x509.ExtKeyUsageServerAuth)
		if _, err := r.do(uploading(chainOf(pemOf(leaf), pemOf(middle.cert)), trustOf(root.cert))); err != nil {
			t.Fatal(err)
		}
		if s := b.shows(); s != leaf.SerialNumber.String() {
			t.Errorf("new connections are shown %s, want %v", s, leaf.SerialNumber)
		}
		if err := b.works(newClient); err != nil {
			t.Errorf("a client of the new authority: %v", err)
		}
		if b.works(oldClient) == nil {
			t.Error("a client of the old authority is let in")
		}
		clock()
		switch end {
		case "the stream ends":
			if err := r.s.CloseSend(); err != nil {
				t.Fatal(err)
			}
			_, err := r.s.Recv()
			refused(t, end, err, codes.Aborted, "as it was")
		case "the client goes":
			old.Close()
		case "a second upload":
			if _, err := r.do(uploading(trustOf(root.cert))); err == nil {
				t.Error("a second upload was taken")
			} else {
				refused(t, "a second upload", err, codes.FailedPrecondition, "already")
			}
		}
		waitFor(t, func() bool { return b.shows() == first })
		if err := b.works(oldClient); err != nil {
			t.Errorf("%s: a client of the old authority: %v", end, err)
		}
	}

	old = b.dial(oldClient)
	r := b.rotate(old)
	key := newKey(t)
	leaf := middle.leaf(key.Public(), x509.ExtKeyUsageServerAuth)
	if _, err := r.do(uploading(chainOf(derOf(leaf, key), derOf(middle.cert, nil)), trustOf(root.cert))); err != nil {
		t.Fatal(err)
	}
	if err := r.s.Send(finalize); err != nil {
		t.Fatal(err)
	}
	if _, err := r.s.Recv(); err == nil || err.Error() != "EOF" {
		t.Fatalf("finalize: %v", err)
	}
	clock()
	if b.shows() != leaf.SerialNumber.String() || b.works(newClient) != nil || b.works(oldClient) == nil {
		t.Error("the new certificates are not in force")
	}
	// For good: another start reads the same, and has nothing of the old authority.
	p, err := auth.Open(auth.Options{Dir: b.pki})
	if err != nil {
		t.Fatal(err)
	}
	if cas, err := p.Authorities(); err != nil || len(cas) != 1 || !cas[0].Equal(root.cert) {
		t.Errorf("authorities %v %v", cas, err)
	}
	entries, _ := os.ReadDir(b.pki)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if len(names) != 5 { // ca, server, server-key, and the operator's two
		t.Errorf("files %v", names)
	}
}

func TestRotateRefused(t *testing.T) {
	b := newBed(t)
	conn, first := b.conn(), b.shows()
	root, other, key := newAuthority(t, "new"), newAuthority(t, "other"), newKey(t)
	good := root.leaf(key.Public(), x509.ExtKeyUsageServerAuth)
	late := root.leaf(key.Public(), x509.ExtKeyUsageServerAuth, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	})
	early := root.leaf(key.Public(), x509.ExtKeyUsageServerAuth, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	})
	keyPEM := derOf(good, key)
	keyPEM.PrivateKeyType = &certz.Certificate_RawPrivateKey{RawPrivateKey: []byte("no key")}
	noType := derOf(good, key)
	noType.Type = certz.CertificateType_CERTIFICATE_TYPE_UNSPECIFIED
	garbage := derOf(good, key)
	garbage.CertificateType = &certz.Certificate_RawCertificate{RawCertificate: []byte("garbage")}
	noPEM := pemOf(good)
	noPEM.CertificateType = &certz.Certificate_RawCertificate{RawCertificate: []byte("garbage")}
	encoding := derOf(good, key)
	encoding.Encoding = certz.CertificateEncoding_CERTIFICATE_ENCODING_UNSPECIFIED
	long := make([]*certz.Certificate, maxChain+1)
	for i := range long {
		long[i] = derOf(good, key)
	}
	trust := trustOf(root.cert)
	wrongProfile := uploading(trust)
	wrongProfile.SslProfileId = "other"
	noProfile := uploading(trust)
	noProfile.SslProfileId = ""
	integrity := generating(certz.CSRSuite_CSRSUITE_X509_KEY_TYPE_EDDSA_ED25519)
	integrity.GetGenerateCsr().Integrities = []*certz.ReferenceIntegritySpec{{}}
	for _, c := range []struct {
		name string
		code codes.Code
		word string
		req  *certz.RotateCertificateRequest
	}{
		{"nothing", codes.InvalidArgument, "rotate_request", &certz.RotateCertificateRequest{SslProfileId: profile}},
		{"no profile", codes.InvalidArgument, "ssl_profile_id", noProfile},
		{"another profile", codes.NotFound, "ssl_profile_id", wrongProfile},
		{"finalize first", codes.FailedPrecondition, "nothing was uploaded", finalize},
		{"no entities", codes.InvalidArgument, "entities: ", uploading()},
		{"an empty entity", codes.Unimplemented, "entities[0]", uploading(&certz.Entity{})},
		{"two chains", codes.InvalidArgument, "entities[1]", uploading(chainOf(derOf(good, key)), chainOf(derOf(good, key)))},
		{"two bundles", codes.InvalidArgument, "entities[1]", uploading(trust, trust)},
		{"no key", codes.InvalidArgument, "raw_private_key: is missing", uploading(chainOf(derOf(good, nil)), trust)},
		{"a bad key", codes.InvalidArgument, "raw_private_key: ", uploading(chainOf(keyPEM), trust)},
		{"another's key", codes.InvalidArgument, "is not the key of", uploading(chainOf(derOf(good, newKey(t))), trust)},
		{"no type", codes.InvalidArgument, "certificate.type", uploading(chainOf(noType), trust)},
		{"no encoding", codes.InvalidArgument, "encoding", uploading(chainOf(encoding), trust)},
		{"no certificate", codes.InvalidArgument, "raw_certificate", uploading(chainOf(garbage), trust)},
		{"no PEM", codes.InvalidArgument, "no PEM block", uploading(chainOf(derOf(good, key), noPEM), trust)},
		{"a long chain", codes.InvalidArgument, "more than 64", uploading(chainOf(long...), trust)},
		{"an authority that does not fit", codes.InvalidArgument, "not good with", uploading(chainOf(derOf(good, key)), trustOf(other.cert))},
		{"no authority for it", codes.InvalidArgument, "not good with", uploading(chainOf(derOf(good, key)))},
		{"an authority that the server's is not of", codes.InvalidArgument, "not good with", uploading(trust)},
		{"expired", codes.InvalidArgument, "expired", uploading(chainOf(derOf(late, key)), trust)},
		{"not yet good", codes.InvalidArgument, "not valid before", uploading(chainOf(derOf(early, key)), trust)},
		{"a client's", codes.InvalidArgument, "not good with", uploading(chainOf(derOf(root.leaf(key.Public(), x509.ExtKeyUsageClientAuth), key)), trust)},
		{"an unknown suite", codes.InvalidArgument, "csr_suite", generating(certz.CSRSuite_CSRSUITE_CIPHER_UNSPECIFIED)},
		{"integrity", codes.InvalidArgument, "integrities", integrity},
	} {
		_, err := b.rotate(conn).do(c.req)
		refused(t, c.name, err, c.code, c.word)
		if b.shows() != first {
			t.Fatalf("%s: the certificate changed", c.name)
		}
	}
	if entries, _ := filepath.Glob(filepath.Join(b.pki, ".rotate*")); len(entries) > 0 {
		t.Errorf("left: %v", entries)
	}

	// Two at one time.
	one, two := b.rotate(conn), b.rotate(conn)
	up := uploading(chainOf(derOf(good, key)), trust)
	if _, err := one.do(up); err != nil {
		t.Fatal(err)
	}
	_, err := two.do(up)
	refused(t, "a second rotation", err, codes.Aborted, "being tried")
	if b.shows() != good.SerialNumber.String() {
		t.Error("the second rotation took the first away")
	}
	if err := one.s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	_, err = one.s.Recv()
	refused(t, "the first one's end", err, codes.Aborted, "as it was")
	waitFor(t, func() bool { return b.shows() == first })

	cl := certz.NewCertzClient(conn)
	if l, err := cl.GetProfileList(b.ctx(), &certz.GetProfileListRequest{}); err != nil || len(l.GetSslProfileIds()) != 1 || l.GetSslProfileIds()[0] != profile {
		t.Errorf("%v %v", l, err)
	}
	_, err = cl.AddProfile(b.ctx(), &certz.AddProfileRequest{SslProfileId: profile})
	refused(t, "add", err, codes.AlreadyExists, profile)
	_, err = cl.AddProfile(b.ctx(), &certz.AddProfileRequest{SslProfileId: "x"})
	refused(t, "add", err, codes.Unimplemented, "one profile")
	_, err = cl.DeleteProfile(b.ctx(), &certz.DeleteProfileRequest{SslProfileId: profile})
	refused(t, "delete", err, codes.FailedPrecondition, "in use")
	_, err = cl.DeleteProfile(b.ctx(), &certz.DeleteProfileRequest{SslProfileId: "x"})
	refused(t, "delete", err, codes.NotFound, "x")
}

// TestSuites: requests are what they are said to be. Long RSA keys take long to make, and are only asked about.
func TestSuites(t *testing.T) {
	b := newBed(t)
	cl := certz.NewCertzClient(b.conn())
	for n, name := range certz.CSRSuite_name {
		s := certz.CSRSuite(n)
		params := generating(s).GetGenerateCsr().GetParams()
		can, err := cl.CanGenerateCSR(b.ctx(), &certz.CanGenerateCSRRequest{Params: params})
		if err != nil || can.GetCanGenerate() != (n != 0) {
			t.Errorf("%s: %v %v", name, can, err)
		}
		if n == 0 || bytes.Contains([]byte(name), []byte("RSA_3072")) || bytes.Contains([]byte(name), []byte("RSA_4096")) {
			continue
		}
		g, err := generate(params)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		block, _ := pem.Decode(g.pem)
		csr, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil || csr.CheckSignature() != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := map[string]string{"SHA_2_256": "SHA256", "SHA_2_384": "SHA384", "SHA_2_512": "SHA512", "ED25519": "Ed25519"}
		for end, alg := range want {
			if bytes.HasSuffix([]byte(name), []byte(end)) && !bytes.Contains([]byte(csr.SignatureAlgorithm.String()), []byte(alg)) {
				t.Errorf("%s is signed by %v", name, csr.SignatureAlgorithm)
			}
		}
	}
	for _, p := range []*certz.CSRParams{
		{CsrSuite: 1}, {CsrSuite: 1, CommonName: "x", IpAddress: "y"}, {CsrSuite: 99, CommonName: "x"},
		{CsrSuite: 1, CommonName: "x", San: &certz.V3ExtensionSAN{Uris: []string{":"}}},
	} {
		if can, err := cl.CanGenerateCSR(b.ctx(), &certz.CanGenerateCSRRequest{Params: p}); err != nil || can.GetCanGenerate() {
			t.Errorf("%v: %v %v", p, can, err)
		}
	}
}
