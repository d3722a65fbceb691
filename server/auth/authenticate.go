package auth

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"millrace/server/config"
)

// Authenticator finds out who calls and in which role.
type Authenticator struct {
	aaa       func() *config.AAA
	passwords *Passwords
}

// NewAuthenticator takes the users and roles from a function, which is called for each call of a client.
func NewAuthenticator(aaa func() *config.AAA) (*Authenticator, error) {
	p, err := NewPasswords(nil)
	if err != nil {
		return nil, err
	}
	return &Authenticator{aaa: aaa, passwords: p}, nil
}

// TakesPasswords says that there are users with a password: clients need no certificate then.
func (a *Authenticator) TakesPasswords() bool {
	for _, u := range a.aaa().Users {
		if u.PasswordHash != "" {
			return true
		}
	}
	return false
}

// Authenticate returns who makes a call. Metadata with a username and a password, as gNMI's clients send them, come before a
// certificate. A user of a certificate is known by its common name; who comes over a unix socket is an admin. The error is a status:
// UNAUTHENTICATED, or RESOURCE_EXHAUSTED after too many wrong passwords.
func (a *Authenticator) Authenticate(ctx context.Context) (Identity, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return Identity{}, status.Error(codes.Unauthenticated, "the client is not known")
	}
	address := ""
	if p.Addr != nil {
		if host, _, err := net.SplitHostPort(p.Addr.String()); err == nil {
			address = host
		}
	}
	aaa := a.aaa()
	md, _ := metadata.FromIncomingContext(ctx)
	if names, words := md.Get("username"), md.Get("password"); len(names) > 0 || len(words) > 0 {
		if len(names) != 1 || len(words) != 1 {
			return Identity{}, status.Error(codes.Unauthenticated, "metadata: username and password are needed once each")
		}
		return a.byPassword(aaa, names[0], words[0], address)
	}
	id, ok := IdentityOf(p.AuthInfo)
	if !ok {
		return Identity{}, status.Error(codes.Unauthenticated, "neither a client certificate nor a username and password")
	}
	id.Peer = address
	if id.Method == "unix" {
		id.Role = AdminRole()
		return id, nil
	}
	find := func(aaa *config.AAA) Role { return certificateRole(aaa, id.Name) }
	if id.Role = find(aaa); id.Role.Name == "" {
		return Identity{}, status.Errorf(codes.Unauthenticated, "the certificate's name %s is no user's", id.Name)
	}
	id.live = a.follow(aaa, id.Role, find)
	return id, nil
}

// certificateRole is the role of a certificate's name; the zero one if it has none.
func certificateRole(aaa *config.AAA, name string) Role {
	role := aaa.CertificateRole
	for _, u := range aaa.Users {
		if u.Name == name {
			role = u.Role
		}
	}
	if role == "" {
		role = config.RoleAdmin
	}
	r, _ := RoleOf(aaa, role)
	return r
}

// follow returns a function that finds the role anew when users and roles have changed.
func (a *Authenticator) follow(aaa *config.AAA, role Role, find func(*config.AAA) Role) func() Role {
	type found struct {
		of   *config.AAA
		role Role
	}
	var last atomic.Pointer[found]
	last.Store(&found{aaa, role})
	return func() Role {
		now, l := a.aaa(), last.Load()
		if l.of != now {
			l = &found{now, find(now)}
			last.Store(l)
		}
		return l.role
	}
}

func (a *Authenticator) byPassword(aaa *config.AAA, name, password, address string) (Identity, error) {
	var user config.User
	for _, u := range aaa.Users {
		if u.Name == name {
			user = u
		}
	}
	if err := a.passwords.Check(name, user.PasswordHash, password, address); err != nil {
		code := codes.Unauthenticated
		if errors.Is(err, ErrBlocked) {
			code = codes.ResourceExhausted
		}
		return Identity{}, status.Error(code, err.Error())
	}
	// Who has another password now has to show it.
	find := func(aaa *config.AAA) Role {
		for _, u := range aaa.Users {
			if u.Name == name && u.PasswordHash == user.PasswordHash {
				r, _ := RoleOf(aaa, u.Role)
				return r
			}
		}
		return Role{}
	}
	role := find(aaa)
	if role.Name == "" {
		return Identity{}, status.Errorf(codes.Unauthenticated, "the user %s has no role", name)
	}
	return Identity{Name: name, Method: "password", Peer: address, Role: role, live: a.follow(aaa, role, find)}, nil
}
