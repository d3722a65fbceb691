package store

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"millrace/server/auth"
	"millrace/server/config"
	"millrace/yang/tree"
)

// TestAuthorized holds changes, by whichever way they come, against the role of who asks.
func TestAuthorized(t *testing.T) {
	b := open(t, func(o *Options) { o.Authorize = auth.NewAuthorizer(nil).Change })
	role := func(name string) context.Context {
		r, ok := auth.RoleOf(&config.AAA{Roles: []config.Role{{Name: "net", Rules: []config.RoleRule{{Path: "/interfaces", Access: config.AccessWrite}}}}}, name)
		if !ok {
			t.Fatal(name)
		}
		return auth.WithIdentity(t.Context(), auth.Identity{Name: "somebody", Role: r})
	}
	host := func(e *tree.Edit) error { return e.Put("/system/config/hostname", "box") }
	loop := func(e *tree.Edit) error {
		return e.Put("/interfaces/interface[name=lo0]/config/type", "softwareLoopback")
	}
	both := func(c *config.Config) error {
		c.System.Hostname = "other"
		c.Interfaces = append(c.Interfaces, config.Interface{Name: "lo9", Type: config.Loopback})
		return nil
	}
	if _, err := b.Commit(role("net"), Request{}, loop); err != nil {
		t.Error(err)
	}
	before := string(b.Tree().JSON())
	_, err := b.Commit(role("net"), Request{}, host)
	if status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "/system/config/hostname") {
		t.Errorf("the host's name by the role net: %v", err)
	}
	if err := b.Edit(role("net"), both); status.Code(err) != codes.PermissionDenied {
		t.Errorf("both by the role net: %v", err)
	}
	if _, err := b.Commit(role("read-only"), Request{DryRun: true}, host); status.Code(err) != codes.PermissionDenied {
		t.Errorf("read-only: %v", err)
	}
	if got := string(b.Tree().JSON()); got != before {
		t.Errorf("refused, and yet it is\n%s", got)
	}
	if err := b.Edit(role("operator"), both); err != nil {
		t.Errorf("operator: %v", err)
	}
	if _, err := b.Commit(t.Context(), Request{}, host); err != nil {
		t.Errorf("vnf itself: %v", err)
	}
}
