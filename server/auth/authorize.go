package auth

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"millrace/yang/tree"
)

// Authorizer holds who calls against places of the management tree. The zero Authorizer knows no secrets.
type Authorizer struct {
	secrets map[string]bool
}

// NewAuthorizer takes the schema paths of leaves that only roles with the right see.
func NewAuthorizer(secrets []string) *Authorizer {
	a := &Authorizer{secrets: map[string]bool{}}
	for _, p := range secrets {
		a.secrets[p] = true
	}
	return a
}

// Check is nil if the caller in the context may read, or write, the node at a path. A call without a caller is vnf's own. The error is a
// status, PERMISSION_DENIED.
func (a *Authorizer) Check(ctx context.Context, p tree.Path, write bool) error {
	id, ok := FromContext(ctx)
	if !ok {
		return nil
	}
	need, at := Read, p.SchemaPath()
	if write {
		need = Write
	}
	if at == "" {
		at = "/"
	}
	if !write && a.secrets[at] && !id.Role.Secrets() {
		return status.Errorf(codes.PermissionDenied, "%s: the role %s may not see secrets", p, id.Role.Name)
	}
	if id.Role.At(at) < need {
		return status.Errorf(codes.PermissionDenied, "%s: the role %s may not %s it", p, id.Role.Name, need)
	}
	return nil
}

// Change is Check of a change, for the configuration store.
func (a *Authorizer) Change(ctx context.Context, c tree.Change) error {
	return a.Check(ctx, c.Path, true)
}
