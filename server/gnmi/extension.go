package gnmiserver

import (
	"fmt"

	epb "github.com/openconfig/gnmi/proto/gnmi_ext"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// extensions of a request.
type extensions struct {
	arbitration *epb.MasterArbitration
	commit      *epb.Commit
	// depth is 0 if all is wanted.
	depth uint32
	// configOnly is the start of a subscription to configuration only.
	configOnly bool
}

// extension names, for what a call knows.
const (
	extArbitration = "master_arbitration"
	extCommit      = "commit"
	extDepth       = "depth"
	extConfig      = "config_subscription"
)

// readExtensions reads the extensions of a request. Those that the call does not know are refused, since leaving one out would change
// what the client asked for.
func readExtensions(all []*epb.Extension, call string, knows ...string) (extensions, error) {
	var out extensions
	seen := map[string]bool{}
	for i, e := range all {
		name := "one that is not known"
		switch x := e.GetExt().(type) {
		case *epb.Extension_MasterArbitration:
			name, out.arbitration = extArbitration, x.MasterArbitration
		case *epb.Extension_Commit:
			name, out.commit = extCommit, x.Commit
		case *epb.Extension_Depth:
			name, out.depth = extDepth, x.Depth.GetLevel()
		case *epb.Extension_ConfigSubscription:
			name, out.configOnly = extConfig, x.ConfigSubscription.GetStart() != nil
		case *epb.Extension_History:
			name = "history"
		case *epb.Extension_RegisteredExt:
			name = fmt.Sprintf("registered_ext with the id %d", x.RegisteredExt.GetId())
		}
		ok := false
		for _, k := range knows {
			ok = ok || k == name
		}
		if !ok {
			return out, status.Errorf(codes.Unimplemented, "extension[%d]: %s is not supported in %s", i, name, call)
		}
		if seen[name] {
			return out, status.Errorf(codes.InvalidArgument, "extension[%d]: %s is there twice", i, name)
		}
		seen[name] = true
	}
	return out, nil
}
