package cli

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"millrace/server/auth"
)

// The largest answer: a page of routes with many next hops.
const maxAnswer = 64 << 20

// tlsDirectory is where the certificates are looked for.
func (a *app) tlsDirectory() (string, error) {
	if a.tlsDir != "" {
		return a.tlsDir, nil
	}
	if d := a.env.Getenv("MILLRACE_PKI"); d != "" {
		return d, nil
	}
	home := a.env.Getenv("HOME")
	if home == "" {
		var err error
		if home, err = os.UserHomeDir(); err != nil {
			return "", &certificateError{fmt.Errorf("--tls-dir is needed: %w", err)}
		}
	}
	return filepath.Join(home, ".config", "millrace"), nil
}

// dial makes the connection; nothing is sent before the first call.
func (a *app) dial() (grpc.ClientConnInterface, error) {
	if a.conn != nil {
		return a.conn, nil
	}
	target, creds, err := a.target()
	if err != nil {
		return nil, err
	}
	c, err := grpc.NewClient(target, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithUserAgent("vnfctl/"+a.env.Version))
	if err != nil {
		return nil, usagef("--address: %v", err)
	}
	a.conn = c
	return c, nil
}

func (a *app) target() (string, credentials.TransportCredentials, error) {
	if path, ok := strings.CutPrefix(a.address, "unix:"); ok {
		if path = strings.TrimPrefix(path, "//"); path == "" {
			return "", nil, usagef("--address: unix: lacks a path")
		}
		// The kernel tells the server who we are.
		return "unix:" + path, insecure.NewCredentials(), nil
	}
	address := a.address
	if _, _, err := net.SplitHostPort(address); err != nil {
		// A name or address without a port gets the usual one.
		address = net.JoinHostPort(strings.Trim(address, "[]"), "9339")
		if _, _, err := net.SplitHostPort(address); err != nil || a.address == "" {
			return "", nil, usagef("--address: %q is not host:port or unix:/path", a.address)
		}
	}
	dir, err := a.tlsDirectory()
	if err != nil {
		return "", nil, err
	}
	cfg, err := auth.ClientConfig(dir, a.serverName)
	if err != nil {
		return "", nil, &certificateError{err}
	}
	return "passthrough:///" + address, credentials.NewTLS(cfg), nil
}
