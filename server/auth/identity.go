package auth

import (
	"context"
	"crypto/x509"
)

// Identity is who a client proved to be.
type Identity struct {
	// Name is the certificate's common name, or "uid:N" over a unix socket.
	Name string
	// Serial of the certificate, in hexadecimal; empty over a unix socket.
	Serial string
	// Method is "mtls", "unix", or "password".
	Method string
	// Peer is the address of the other end, without the port; empty over a unix socket.
	Peer string
	// Role is what the client may do.
	Role Role
	// live is asked for Role each time; nil: it stays as it is.
	live func() Role
}

type identityKey struct{}

// WithIdentity returns a context that carries the identity.
func WithIdentity(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// FromContext returns who made the call, with the role of now: what a client of a long stream may do changes with users and roles. The
// role is the zero one if the client would no longer be let in.
func FromContext(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(identityKey{}).(Identity)
	if id.live != nil {
		id.Role = id.live()
	}
	return id, ok
}

// CertificateIdentity is the identity of a verified client certificate.
func CertificateIdentity(c *x509.Certificate) Identity {
	name := c.Subject.CommonName
	if name == "" {
		name = c.Subject.String()
	}
	return Identity{Name: name, Serial: c.SerialNumber.Text(16), Method: "mtls"}
}
