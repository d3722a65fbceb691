package grpcserver_test

import (
	"context"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/server/auth"
	"millrace/server/bundle"
	"millrace/server/config"
	grpcserver "millrace/server/grpc"
	"millrace/server/grpc/grpctest"
)

// asRole is an Authenticator for whom everybody has the role that the call's metadata names.
type asRole struct{ aaa *config.AAA }

func (a asRole) Authenticate(ctx context.Context) (auth.Identity, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	r, ok := auth.RoleOf(a.aaa, md.Get("role")[0])
	if !ok {
		return auth.Identity{}, status.Error(codes.Unauthenticated, "no such role")
	}
	return auth.Identity{Name: "someone", Role: r}, nil
}

func supportBundle(ctx context.Context, t *testing.T, c vnfv1.SystemServiceClient, role string) error {
	t.Helper()
	stream, err := c.GetSupportBundle(metadata.AppendToOutgoingContext(ctx, "role", role), &vnfv1.GetSupportBundleRequest{})
	for err == nil {
		_, err = stream.Recv()
	}
	if err == io.EOF {
		return nil
	}
	return err
}

func TestSupportBundleRights(t *testing.T) {
	aaa := &config.AAA{Roles: []config.Role{
		{Name: "narrow", Rules: []config.RoleRule{{Path: "/system", Access: config.AccessWrite}}},
		{Name: "blind", Rules: []config.RoleRule{{Path: "/", Access: config.AccessWrite}, {Path: "/interfaces", Access: config.AccessDeny}}},
		{Name: "wide", Rules: []config.RoleRule{{Path: "/", Access: config.AccessRead}, {Path: "/system", Access: config.AccessWrite}, {Path: "/system/aaa", Access: config.AccessDeny}}},
	}}
	entered, leave := make(chan struct{}), make(chan struct{})
	hold := false
	var seen auth.Role
	b := grpctest.New(t, testConfig, func(o *grpcserver.Options) {
		o.Auth = asRole{aaa}
		o.SupportParts = func(lines int) []bundle.Part {
			return []bundle.Part{{Name: "mine.txt", Collect: func(ctx context.Context, _ io.Writer) error {
				id, _ := auth.FromContext(ctx)
				seen = id.Role
				if lines != 5000 {
					t.Errorf("%d lines", lines)
				}
				if hold {
					close(entered)
					<-leave
				}
				return nil
			}}}
		}
	})
	c := vnfv1.NewSystemServiceClient(grpc.ClientConnInterface(b.Dial(t)))
	ctx := testContext(t)
	for role, want := range map[string]codes.Code{
		"admin": codes.OK, "operator": codes.OK, "wide": codes.OK, "read-only": codes.PermissionDenied, "narrow": codes.PermissionDenied,
		"blind": codes.PermissionDenied,
	} {
		if err := supportBundle(ctx, t, c, role); status.Code(err) != want {
			t.Errorf("%s: %v, want %v", role, err, want)
		}
		if want == codes.OK && (seen.Secrets() || seen.Name != config.RoleReadOnly) {
			t.Errorf("%s: the parts are collected as %s", role, seen.Name)
		}
	}
	// One at a time.
	hold = true
	first := make(chan error, 1)
	go func() { first <- supportBundle(ctx, t, c, "admin") }()
	<-entered
	if err := supportBundle(ctx, t, c, "admin"); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a second one: %v", err)
	}
	hold = false
	close(leave)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := supportBundle(ctx, t, c, "admin"); err != nil {
		t.Error(err)
	}
}
