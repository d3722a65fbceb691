package grpcserver

import (
	"context"
	"path"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"millrace/server/auth"
)

// Authenticator finds out who calls; *auth.Authenticator is one. Its errors are statuses.
type Authenticator interface {
	Authenticate(ctx context.Context) (auth.Identity, error)
}

// rule is what a role needs for a method: access to a place of the management tree and all below it.
type rule struct {
	place  string
	access auth.Access
	// some: access to something there is enough; the configuration store holds each thing that changes against the role.
	some bool
}

// The places that methods are about.
const (
	atInterfaces = "/interfaces"
	atInstances  = "/network-instances"
	atStatic     = "/network-instances/network-instance/protocols/protocol/static-routes"
	atBGP        = "/network-instances/network-instance/protocols/protocol/bgp"
	atAFT        = "/network-instances/network-instance/afts"
	atListeners  = "/tcp-termination/listeners"
	atPools      = "/tcp-termination/pools"
	atVIPs       = "/tcp-termination/virtual-addresses"
	atConns      = "/tcp-termination/connections"
	atTCP        = "/tcp-termination"
	atDataplane  = "/dataplane"
	atSystem     = "/system"
	atAAA        = "/system/aaa"
	atServers    = "/system/grpc-servers"
	atLogging    = "/system/logging"
	atComponents = "/components"
)

func reads(place string) rule  { return rule{place: place, access: auth.Read} }
func writes(place string) rule { return rule{place: place, access: auth.Write} }

// edits is the rule of a method that changes the configuration and nothing else.
func edits(place string) rule { return rule{place: place, access: auth.Write, some: true} }

// ruleOf is the rule of a method; a method that has none is for who may do everything.
func ruleOf(method string) (r rule, ok bool) {
	service, name := path.Split(method)
	switch strings.Trim(service, "/") {
	case "millrace.vnf.v1.InterfaceService":
		return interfaceRule(name), true
	case "millrace.vnf.v1.NeighborService":
		return neighborRule(name), true
	case "millrace.vnf.v1.RouteService":
		return routeRule(name), true
	case "millrace.vnf.v1.BgpService":
		return bgpRule(name), true
	case "millrace.vnf.v1.TerminationService":
		return terminationRule(name), true
	case "millrace.vnf.v1.SystemService":
		return systemRule(name), true
	case "gribi.gRIBI":
		if name == "Get" {
			return reads(atAFT), true
		}
		return writes(atAFT), true
	case "gnoi.system.System":
		switch name {
		case "Time", "RebootStatus":
			return reads("/system/state"), true
		}
		return writes(atSystem), true
	case "gnoi.file.File":
		if name == "Stat" {
			return reads(atSystem), true
		}
		return writes(atSystem), true // Get too: files may be of any kind
	case "gnoi.healthz.Healthz":
		switch name {
		case "Get", "List", "Check":
			return reads(atComponents), true
		case "Artifact": // tells something of everything
			return reads("/"), true
		}
		return writes(atComponents), true
	case "gnoi.factory_reset.FactoryReset":
		return writes("/"), true
	case "gnsi.certz.v1.Certz":
		switch name {
		case "GetProfileList", "CanGenerateCSR", "GetIntegrityManifest":
			return reads(atServers), true
		}
		return writes(atAAA), true // decides who gets in
	case "gnmi.gNMI", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection":
		// gNMI looks at paths itself; the others tell nothing.
		return rule{}, true
	}
	return rule{}, false
}

func readsByName(name string) bool {
	for _, p := range []string{"List", "Get", "Watch", "Lookup"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

func interfaceRule(name string) rule {
	switch {
	case readsByName(name):
		return reads(atInterfaces)
	case name == "ClearInterfaceCounters":
		return writes(atInterfaces)
	}
	return edits(atInterfaces)
}

func neighborRule(name string) rule {
	switch {
	case readsByName(name):
		return reads(atInterfaces)
	case name == "FlushNeighbors":
		return writes(atInterfaces)
	}
	return edits(atInterfaces)
}

func routeRule(name string) rule {
	if readsByName(name) {
		return reads(atInstances)
	}
	return writes(atStatic) // routes that are not part of the configuration too
}

func bgpRule(name string) rule {
	switch {
	case readsByName(name):
		return reads(atBGP)
	case name == "ResetBgpNeighbor", name == "SetBgpNeighborEnabled":
		return writes(atBGP)
	}
	return edits(atInstances)
}

func terminationRule(name string) rule {
	place := atTCP
	for word, at := range map[string]string{
		"Listener": atListeners, "Pool": atPools, "Backend": atPools, "Health": atPools, "Vip": atVIPs, "Connection": atConns,
	} {
		if strings.Contains(name, word) {
			place = at
		}
	}
	switch {
	case readsByName(name):
		return reads(place)
	case name == "KillTcpConnections":
		return writes(place)
	}
	return edits(place)
}

func systemRule(name string) rule {
	switch name {
	case "GetSystemInfo":
		return reads("/system/state")
	case "ListWorkers", "ListDrops", "GetGraph":
		return reads(atDataplane)
	case "ListAlarms":
		return reads("/system/alarms")
	case "GetLogLevel":
		return reads(atLogging)
	case "SetLogLevel":
		return writes(atLogging)
	case "ListNetworkInstances":
		return reads(atInstances)
	case "Trace", "Capture": // see any packet
		return writes(atDataplane)
	case "GetConfig", "ListCommits", "GetCommit", "DiffConfig":
		return reads("/")
	case "ApplyConfig", "RollbackConfig":
		return edits("/")
	case "GetSupportBundle": // tells of everything, and who did what; it looks itself whether that may be read
		return writes(atSystem)
	case "ConfirmCommit", "CancelCommit": // whatever was committed, by whomever
		return writes("/")
	}
	return writes(atSystem) // Ping, Traceroute
}

// identify puts who calls, and in which role, into the context. Without an Authenticator, in tests, nobody is asked.
func (s *Server) identify(ctx context.Context, method string) (context.Context, error) {
	if s.opt.Auth == nil {
		if p, ok := peer.FromContext(ctx); ok {
			if id, ok := auth.IdentityOf(p.AuthInfo); ok {
				id.Role = auth.AdminRole()
				return auth.WithIdentity(ctx, id), nil
			}
		}
		return ctx, nil
	}
	id, err := s.opt.Auth.Authenticate(ctx)
	if err != nil {
		return ctx, err
	}
	return auth.WithIdentity(ctx, id), allowed(id.Role, method)
}

// allowed holds a role against a method. Who reads everything at a place need not see users and roles there: none of our own services
// tells of them, apart from GetConfig, which looks itself.
func allowed(role auth.Role, method string) error {
	r, known := ruleOf(method)
	have := role.At(r.place)
	switch {
	case !known:
		r, have = writes("/"), role.Below("/")
	case r.place == "":
		return nil
	case r.some:
		have = role.Any(r.place)
	case r.access == auth.Read:
		have = role.Below(r.place, atAAA)
	}
	if have >= r.access {
		return nil
	}
	return status.Errorf(codes.PermissionDenied, "the role %s may not %s %s, which %s needs", role.Name, r.access, r.place, path.Base(method))
}
