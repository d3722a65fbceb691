package gnmiserver

import (
	"sync"

	epb "github.com/openconfig/gnmi/proto/gnmi_ext"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxRoles are remembered.
const maxRoles = 1024

// arbitration knows the master of each role: the one with the largest election id seen.
type arbitration struct {
	mu    sync.Mutex
	roles map[string]election
}

type election struct{ high, low uint64 }

func newArbitration() *arbitration { return &arbitration{roles: map[string]election{}} }

// elect lets the master of a role pass, and whoever comes with a larger election id, who is the master from then on.
func (a *arbitration) elect(m *epb.MasterArbitration) error {
	if m == nil {
		return nil
	}
	if m.GetElectionId() == nil {
		return status.Error(codes.InvalidArgument, "master_arbitration.election_id: is missing")
	}
	role := m.GetRole().GetId()
	if len(role) > 255 {
		return status.Error(codes.InvalidArgument, "master_arbitration.role.id: has more than 255 bytes")
	}
	id := election{m.GetElectionId().GetHigh(), m.GetElectionId().GetLow()}
	a.mu.Lock()
	defer a.mu.Unlock()
	have, ok := a.roles[role]
	switch {
	case !ok && len(a.roles) >= maxRoles:
		return status.Errorf(codes.ResourceExhausted, "master_arbitration.role: there are %d roles, more are not allowed", maxRoles)
	case ok && (id.high < have.high || id.high == have.high && id.low < have.low):
		return status.Errorf(codes.PermissionDenied,
			"master_arbitration.election_id: %d:%d (high:low) is not that of the master of role %q, %d:%d", id.high, id.low, role, have.high, have.low)
	}
	a.roles[role] = id
	return nil
}
