package model

import (
	"net"
	"net/netip"
	"strconv"

	"millrace/server/config"
	"millrace/yang/tree"
)

// systemSection is /system without users.
func systemSection() section {
	return section{
		read:   readSystem,
		write:  writeSystem,
		names:  []string{"system"},
		locate: locateSystem,
	}
}

// defaultGRPCServer is OpenConfig's name of a gRPC server that has been given none.
const defaultGRPCServer = "DEFAULT"

// DefaultGRPCPort is where the gRPC server listens if the configuration does not say; it is registered for gNMI.
const DefaultGRPCPort = 9339

// none is the address of a listener that there is not to be.
const none = "none"

// severities of syslog are the levels of the log.
var severities = map[config.LogLevel]string{"debug": "DEBUG", "info": "INFORMATIONAL", "warn": "WARNING", "error": "ERROR"}

const (
	grpcServers = "system/grpc-servers/grpc-server"
	selectors   = "system/logging/console/selectors/selector"
)

func readSystem(x *reader) {
	s := &x.C.System
	s.Hostname = x.Root.Text("system/config/hostname")
	s.MetricsListen = x.Root.Text("system/service/config/metrics-listen")
	s.PKIDirectory = x.Root.Text("system/service/config/pki-directory")
	first := true
	for n := range x.Root.List(grpcServers) {
		at := top("system/grpc-servers").With(n.Elem())
		if !first {
			x.fail(at, "there can be only one gRPC server")
		}
		first = false
		s.GRPCListen = x.grpcListen(at, n)
	}
	first = true
	for n := range x.Root.List(selectors) {
		at := top("system/logging/console/selectors").With(n.Elem())
		if !first {
			x.fail(at, "there can be only one selector")
		}
		first = false
		s.LogLevel = x.logLevel(at, n)
	}
}

// grpcListen makes host:port of the leaves of a server.
func (x *reader) grpcListen(at tree.Path, n *tree.Node) string {
	if on := flag(n, "config/enable"); on != nil && !*on {
		return none
	}
	port, ok := n.Uint("config/port")
	switch {
	case !ok:
		port = DefaultGRPCPort
	case port == 0:
		x.failAt(at, "config/port", "0 is no port to listen on")
	}
	host := "::"
	switch hosts := n.Texts("config/listen-addresses"); {
	case len(hosts) > 1:
		x.failAt(at, "config/listen-addresses", "only one address is possible, or ANY")
	case len(hosts) == 1 && hosts[0] != "ANY":
		host = hosts[0]
	}
	return net.JoinHostPort(host, strconv.FormatUint(port, 10))
}

func (x *reader) logLevel(at tree.Path, n *tree.Node) config.LogLevel {
	if f := n.Key("facility"); f != "ALL" {
		x.failAt(at, "config/facility", "%s is not told apart: only ALL", f)
	}
	for level, sev := range severities {
		if sev == n.Key("severity") {
			return level
		}
	}
	x.failAt(at, "config/severity", "%s is none of DEBUG, INFORMATIONAL, WARNING, ERROR", n.Key("severity"))
	return ""
}

func writeSystem(w *writer) {
	s := &w.C.System
	w.opt(top("system"), "config/hostname", s.Hostname)
	w.opt(top("system"), "service/config/metrics-listen", s.MetricsListen)
	w.opt(top("system"), "service/config/pki-directory", s.PKIDirectory)
	if s.LogLevel != "" {
		at := entry(nil, selectors, "facility", "ALL", "severity", severities[s.LogLevel])
		w.set(at, "config/severity", severities[s.LogLevel])
	}
	if s.GRPCListen == "" {
		return
	}
	at := grpcServerPath(w.Hint)
	w.set(at, "config/enable", s.GRPCListen != none)
	host, port, err := net.SplitHostPort(s.GRPCListen)
	if s.GRPCListen == none || err != nil {
		return
	}
	w.set(at, "config/port", port)
	switch a, err := netip.ParseAddr(host); {
	case err == nil && a == netip.IPv6Unspecified(), host == "":
		host = "ANY"
	case err != nil:
		host = "127.0.0.1" // localhost, the one name that is allowed
	}
	w.set(at, "config/listen-addresses", []string{host})
}

// grpcServerPath is the server, by the name that it has in the tree.
func grpcServerPath(root *tree.Node) tree.Path {
	for n := range root.List(grpcServers) {
		return top("system/grpc-servers").With(n.Elem())
	}
	return entry(nil, grpcServers, "name", defaultGRPCServer)
}

func locateSystem(l *locator, steps []step) tree.Path {
	switch s := stepAt(steps, 1); s.Name {
	case "hostname":
		return top("system/config/hostname")
	case "metrics-listen", "pki-directory":
		return top("system/service/config/" + s.Name)
	case "grpc-listen":
		return grpcServerPath(l.Tree)
	case "log-level":
		return top("system/logging/console/selectors")
	case "dataplane":
		switch leaf := stepAt(steps, 2).Name; leaf {
		case "":
		case "groups":
			return top("dataplane/config/next-hop-groups")
		default:
			return top("dataplane/config/" + leaf)
		}
		return top("dataplane/config")
	}
	return top("system")
}
