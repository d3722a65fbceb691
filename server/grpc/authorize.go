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

// places are the parts of the management tree that our own services are about.
var places = map[string]string{
	"millrace.vnf.v1.InterfaceService":   "/interfaces",
	"millrace.vnf.v1.NeighborService":    "/interfaces",
	"millrace.vnf.v1.RouteService":       "/network-instances",
	"millrace.vnf.v1.BgpService":         "/network-instances",
	"millrace.vnf.v1.TerminationService": "/tcp-termination",
	"millrace.vnf.v1.SystemService":      "/system",
	"gribi.gRIBI":                        "/network-instances",
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
	ctx = auth.WithIdentity(ctx, id)
	return ctx, allowed(id.Role, method)
}

// allowed holds a role against a method of our own services: whoever may read something there may call what only reads, and to change
// something is a matter of what is changed, which the configuration store looks at. gNMI and gNOI look at paths themselves.
func allowed(r auth.Role, method string) error {
	service, name := path.Split(method)
	service = strings.Trim(service, "/")
	place, ok := places[service]
	if !ok {
		if strings.HasPrefix(service, "gnoi.") || strings.HasPrefix(service, "gnsi.") {
			place = "/system"
		} else {
			return nil // gNMI; health and reflection, which tell nothing
		}
	}
	need, have := auth.Read, r.Any(place)
	if changes(method) {
		need = auth.Write
	}
	switch name {
	case "GetConfig", "ApplyConfig":
		have = r.Any("/")
	}
	if have >= need {
		return nil
	}
	return status.Errorf(codes.PermissionDenied, "the role %s may not %s %s, which %s needs", r.Name, need, place, name)
}
