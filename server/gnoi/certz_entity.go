package gnoiserver

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"

	"github.com/openconfig/gnsi/certz"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"millrace/server/auth"
)

// maxChain bounds the certificates of a chain or bundle.
const maxChain = 64

// generated is a request for a certificate whose key never leaves the appliance.
type generated struct {
	key crypto.Signer
	pem []byte
}

type suite struct {
	signature x509.SignatureAlgorithm
	make      func() (crypto.Signer, error)
}

func rsaSuite(bits int, a x509.SignatureAlgorithm) suite {
	return suite{a, func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, bits) }}
}

func ecSuite(c elliptic.Curve, a x509.SignatureAlgorithm) suite {
	return suite{a, func() (crypto.Signer, error) { return ecdsa.GenerateKey(c, rand.Reader) }}
}

func suiteOf(s certz.CSRSuite) (suite, bool) {
	const first = certz.CSRSuite_CSRSUITE_X509_KEY_TYPE_RSA_2048_SIGNATURE_ALGORITHM_SHA_2_256
	switch {
	case s == certz.CSRSuite_CSRSUITE_X509_KEY_TYPE_EDDSA_ED25519:
		return suite{x509.PureEd25519, func() (crypto.Signer, error) {
			_, k, err := ed25519.GenerateKey(rand.Reader)
			return k, err
		}}, true
	case s < first || s > certz.CSRSuite_CSRSUITE_X509_KEY_TYPE_ECDSA_SECP521R1_SIGNATURE_ALGORITHM_SHA_2_512:
		return suite{}, false
	}
	n := int(s - first)
	if n < 9 {
		hashes := []x509.SignatureAlgorithm{x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA}
		return rsaSuite([]int{2048, 3072, 4096}[n/3], hashes[n%3]), true
	}
	hashes := []x509.SignatureAlgorithm{x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512}
	return ecSuite([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}[(n-9)/3], hashes[n%3]), true
}

func one(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// csrTemplate checks the parameters of a request.
func csrTemplate(p *certz.CSRParams) (*x509.CertificateRequest, error) {
	s, ok := suiteOf(p.GetCsrSuite())
	if !ok {
		return nil, invalid("params.csr_suite", "%s is not known", p.GetCsrSuite())
	}
	if p.GetCommonName() == "" {
		return nil, invalid("params.common_name", "is missing")
	}
	t := &x509.CertificateRequest{
		SignatureAlgorithm: s.signature,
		Subject: pkix.Name{
			CommonName: p.GetCommonName(), Country: one(p.GetCountry()), Province: one(p.GetState()), Locality: one(p.GetCity()),
			Organization: one(p.GetOrganization()), OrganizationalUnit: one(p.GetOrganizationalUnit()),
		},
		DNSNames:       p.GetSan().GetDns(),
		EmailAddresses: append(one(p.GetEmailId()), p.GetSan().GetEmails()...),
	}
	for _, text := range append(one(p.GetIpAddress()), p.GetSan().GetIps()...) {
		ip := net.ParseIP(text)
		if ip == nil {
			return nil, invalid("params.san.ips", "%q is not an address", text)
		}
		t.IPAddresses = append(t.IPAddresses, ip)
	}
	for _, text := range p.GetSan().GetUris() {
		u, err := url.Parse(text)
		if err != nil {
			return nil, invalid("params.san.uris", "%q is not a URI", text)
		}
		t.URIs = append(t.URIs, u)
	}
	return t, nil
}

func generate(p *certz.CSRParams) (*generated, error) {
	t, err := csrTemplate(p)
	if err != nil {
		return nil, err
	}
	s, _ := suiteOf(p.GetCsrSuite())
	key, err := s.make()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, t, key)
	if err != nil {
		return nil, invalid("params", "%v", err)
	}
	return &generated{key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})}, nil
}

// bundle reads the entities of an upload.
func bundle(all []*certz.Entity, csr *generated) (auth.Bundle, error) {
	var b auth.Bundle
	if len(all) == 0 {
		return b, invalid("entities", "there are none")
	}
	for i, e := range all {
		at := fmt.Sprintf("entities[%d]", i)
		switch {
		case e.GetCertificateChain() != nil:
			if b.Chain != nil {
				return b, invalid(at, "a certificate chain is there twice")
			}
			var err error
			if b.Chain, b.Key, err = chain(at+".certificate_chain", e.GetCertificateChain(), csr); err != nil {
				return b, err
			}
		case e.GetTrustBundle() != nil:
			if b.CA != nil {
				return b, invalid(at, "a trust bundle is there twice")
			}
			for c, n := e.GetTrustBundle(), 0; c != nil; c, n = c.GetParent(), n+1 {
				cert, err := certificate(at+".trust_bundle", c.GetCertificate(), n)
				if err != nil {
					return b, err
				}
				b.CA = append(b.CA, cert)
			}
		default:
			return b, status.Errorf(codes.Unimplemented, "%s: only certificate_chain and trust_bundle are taken", at)
		}
	}
	return b, nil
}

func certificate(at string, c *certz.Certificate, n int) (*x509.Certificate, error) {
	if n >= maxChain {
		return nil, invalid(at, "has more than %d certificates", maxChain)
	}
	if c.GetType() != certz.CertificateType_CERTIFICATE_TYPE_X509 {
		return nil, invalid(at+".certificate.type", "is not X509")
	}
	raw := c.GetRawCertificate()
	if len(raw) == 0 {
		return nil, invalid(at+".certificate.raw_certificate", "is missing")
	}
	raw, err := der(at+".certificate.raw_certificate", raw, c.GetEncoding())
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, invalid(at+".certificate.raw_certificate", "%v", err)
	}
	return cert, nil
}

func der(at string, raw []byte, e certz.CertificateEncoding) ([]byte, error) {
	switch e {
	case certz.CertificateEncoding_CERTIFICATE_ENCODING_DER:
		return raw, nil
	case certz.CertificateEncoding_CERTIFICATE_ENCODING_PEM, certz.CertificateEncoding_CERTIFICATE_ENCODING_CRT:
		block, _ := pem.Decode(raw)
		if block == nil {
			return nil, invalid(at, "holds no PEM block")
		}
		return block.Bytes, nil
	}
	return nil, invalid(at, "the encoding is none of PEM, DER and CRT")
}

// chain reads the appliance's certificate, with its key or for the key that was generated.
func chain(at string, c *certz.CertificateChain, csr *generated) ([]*x509.Certificate, crypto.Signer, error) {
	var key crypto.Signer
	switch raw := c.GetCertificate().GetRawPrivateKey(); {
	case len(raw) > 0:
		b, err := der(at+".certificate.raw_private_key", raw, c.GetCertificate().GetEncoding())
		if err != nil {
			return nil, nil, err
		}
		if key, err = parseKey(b); err != nil {
			return nil, nil, invalid(at+".certificate.raw_private_key", "%v", err)
		}
	case csr != nil:
		key = csr.key
	default:
		return nil, nil, invalid(at+".certificate.raw_private_key", "is missing, and no key was generated on this stream")
	}
	var out []*x509.Certificate
	for n := 0; c != nil; c, n = c.GetParent(), n+1 {
		cert, err := certificate(at, c.GetCertificate(), n)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, cert)
	}
	return out, key, nil
}

func parseKey(b []byte) (crypto.Signer, error) {
	if k, err := x509.ParsePKCS8PrivateKey(b); err == nil {
		if s, ok := k.(crypto.Signer); ok {
			return s, nil
		}
	}
	if k, err := x509.ParseECPrivateKey(b); err == nil {
		return k, nil
	}
	if k, err := x509.ParsePKCS1PrivateKey(b); err == nil {
		return k, nil
	}
	return nil, fmt.Errorf("is no key in PKCS #8, PKCS #1 or SEC 1")
}
