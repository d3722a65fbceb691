package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/credentials"
)

// NewCredentials returns a gRPC server's transport credentials: TLS of the certificates given for TCP connections, and the peer's
// user, as the kernel tells it, for unix sockets. Where p is nil only unix sockets are served.
func NewCredentials(p *PKI) credentials.TransportCredentials {
	c := &serverCredentials{uids: []uint32{0, uint32(os.Getuid())}}
	if p != nil {
		c.tls = credentials.NewTLS(p.ServerConfig())
	}
	return c
}

type serverCredentials struct {
	tls  credentials.TransportCredentials
	uids []uint32
}

// UnixInfo says who is at the other end of a unix socket.
type UnixInfo struct {
	credentials.CommonAuthInfo
	UID, PID int64
}

// AuthType implements credentials.AuthInfo.
func (UnixInfo) AuthType() string { return "unix" }

// IdentityOf returns who is at the other end of a connection that these credentials let in.
func IdentityOf(info credentials.AuthInfo) (Identity, bool) {
	switch i := info.(type) {
	case credentials.TLSInfo:
		if len(i.State.VerifiedChains) == 0 || len(i.State.VerifiedChains[0]) == 0 {
			return Identity{}, false
		}
		return CertificateIdentity(i.State.VerifiedChains[0][0]), true
	case UnixInfo:
		return Identity{Name: fmt.Sprintf("uid:%d", i.UID), Method: "unix"}, true
	}
	return Identity{}, false
}

func (c *serverCredentials) ServerHandshake(nc net.Conn) (net.Conn, credentials.AuthInfo, error) {
	uc, ok := nc.(*net.UnixConn)
	if !ok {
		if c.tls == nil {
			return nil, nil, errors.New("no certificates are configured; only unix sockets are served")
		}
		return c.tls.ServerHandshake(nc)
	}
	cred, err := peerCredentials(uc)
	if err != nil {
		return nil, nil, err
	}
	for _, uid := range c.uids {
		if cred.Uid == uid {
			return nc, UnixInfo{
				CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
				UID:            int64(cred.Uid), PID: int64(cred.Pid),
			}, nil
		}
	}
	return nil, nil, fmt.Errorf("user %d may not use this socket", cred.Uid)
}

func peerCredentials(uc *net.UnixConn) (*unix.Ucred, error) {
	raw, err := uc.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("ask who the peer is: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, credErr); err != nil {
		return nil, fmt.Errorf("ask who the peer is: %w", err)
	}
	return cred, nil
}

func (c *serverCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these are credentials of a server")
}

func (c *serverCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls", SecurityVersion: fmt.Sprintf("%#x", tls.VersionTLS13)}
}

func (c *serverCredentials) Clone() credentials.TransportCredentials {
	n := *c
	return &n
}

func (c *serverCredentials) OverrideServerName(string) error { return nil }
