package gnmiserver

import (
	"context"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/grpc/codes"

	"millrace/yang/schema"
)

// Capabilities says which models there are, with OpenConfig's version of each, or else its revision.
func (s *Server) Capabilities(_ context.Context, req *gpb.CapabilityRequest) (*gpb.CapabilityResponse, error) {
	if _, err := readExtensions(req.GetExtension(), "Capabilities"); err != nil {
		return nil, err
	}
	resp := &gpb.CapabilityResponse{SupportedEncodings: encodings, GNMIVersion: Version}
	for _, m := range s.schema.Modules {
		resp.SupportedModels = append(resp.SupportedModels, &gpb.ModelData{
			Name: m.Name, Organization: m.Organization, Version: versionOf(m),
		})
	}
	return resp, nil
}

func versionOf(m schema.Module) string {
	if m.Version != "" {
		return m.Version
	}
	return m.Revision
}

// models are those that a client confines itself to; nil: all.
type models map[string]bool

func (s *Server) readModels(all []*gpb.ModelData) (models, error) {
	if len(all) == 0 {
		return nil, nil
	}
	out := models{}
	for _, d := range all {
		m, ok := s.schema.Module(d.GetName())
		if !ok {
			return nil, fault(codes.InvalidArgument, "use_models", "there is no model %q", d.GetName())
		}
		if v := d.GetVersion(); v != "" && v != versionOf(m) {
			return nil, fault(codes.InvalidArgument, "use_models", "model %s has the version %s, not %s", m.Name, versionOf(m), v)
		}
		out[m.Name] = true
	}
	return out, nil
}

// has says that a node and all above it are of the models.
func (m models) has(n *schema.Node) bool {
	if m == nil {
		return true
	}
	for ; n.Parent != nil; n = n.Parent {
		if !m[n.Module] {
			return false
		}
	}
	return true
}
