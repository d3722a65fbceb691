package auth

import (
	"errors"
	"testing"
	"time"

	"millrace/server/config"
)

func TestRoles(t *testing.T) {
	aaa := &config.AAA{Roles: []config.Role{{Name: "lb", Rules: []config.RoleRule{
		{Path: "/interfaces", Access: config.AccessRead},
		{Path: "/vnf-tcp-termination:tcp-termination", Access: config.AccessWrite},
		{Path: "/tcp-termination/listeners", Access: config.AccessDeny},
	}}}}
	for _, c := range []struct {
		role, path      string
		at, below, most Access
	}{
		{"admin", "/", Write, Write, Write},
		{"admin", "/system/aaa/authentication", Write, Write, Write},
		{"operator", "/", Write, Deny, Write},
		{"operator", "/system", Write, Deny, Write},
		{"operator", "/system/aaa/authentication/users", Deny, Deny, Deny},
		{"operator", "/system/aaa-like", Write, Write, Write},
		{"operator", "/system/grpc-servers/grpc-server", Read, Read, Read},
		{"read-only", "/interfaces/interface", Read, Read, Read},
		{"read-only", "/", Read, Deny, Read},
		{"lb", "/", Deny, Deny, Write},
		{"lb", "/interfaces/interface/config", Read, Read, Read},
		{"lb", "/tcp-termination", Write, Deny, Write},
		{"lb", "/tcp-termination/pools", Write, Write, Write},
		{"lb", "/tcp-termination/listeners/listener", Deny, Deny, Deny},
		{"lb", "/network-instances", Deny, Deny, Deny},
	} {
		r, ok := RoleOf(aaa, c.role)
		if !ok {
			t.Fatalf("no role %s", c.role)
		}
		if r.At(c.path) != c.at || r.Below(c.path) != c.below || r.Any(c.path) != c.most {
			t.Errorf("%s at %s: %v, below %v, any %v; want %v, %v, %v", c.role, c.path, r.At(c.path), r.Below(c.path), r.Any(c.path), c.at, c.below, c.most)
		}
	}
	if _, ok := RoleOf(aaa, "nobody"); ok {
		t.Error("a role that is not there")
	}
	if (Role{}).At("/") != Deny {
		t.Error("no role may do something")
	}
}

func TestPasswords(t *testing.T) {
	now := time.Unix(1000, 0)
	p, err := NewPasswords(func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	own, err := HashPassword("secret")
	if err != nil {
		t.Fatal(err)
	}
	// Made by `openssl passwd -6 -salt abcdefgh secret` and `openssl passwd -5 -salt abcdefgh secret`.
	const sha512 = "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG."
	const sha256 = "$5$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM."
	for _, hash := range []string{own, sha512, sha256} {
		if err := p.Check("u", hash, "secret", "192.0.2.1"); err != nil {
			t.Errorf("%s: %v", hash, err)
		}
		if err := p.Check("u", hash, "Secret", "192.0.2.2"); !errors.Is(err, ErrPassword) {
			t.Errorf("%s: the wrong password: %v", hash, err)
		}
		now = now.Add(2 * failWindow)
	}
	if err := p.Check("nobody", "", "", "192.0.2.1"); !errors.Is(err, ErrPassword) {
		t.Errorf("no user: %v", err)
	}
	for range maxFailures {
		if err := p.Check("v", own, "no", "192.0.2.9"); !errors.Is(err, ErrPassword) {
			t.Fatal(err)
		}
	}
	if err := p.Check("v", own, "secret", "192.0.2.3"); !errors.Is(err, ErrBlocked) {
		t.Errorf("the user is not blocked: %v", err)
	}
	if err := p.Check("w", own, "secret", "192.0.2.9"); !errors.Is(err, ErrBlocked) {
		t.Errorf("the address is not blocked: %v", err)
	}
	now = now.Add(blockFor + time.Second)
	if err := p.Check("v", own, "secret", "192.0.2.9"); err != nil {
		t.Errorf("blocked for ever: %v", err)
	}
	// Known now, and yet another hash is asked for at once.
	other, err := HashPassword("other")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check("v", other, "secret", "192.0.2.9"); !errors.Is(err, ErrPassword) {
		t.Errorf("the old password still is good: %v", err)
	}
	if _, err := HashPassword(""); err == nil {
		t.Error("an empty password")
	}
}
