package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"millrace/server/config"
	"millrace/yang/tree"
)

// caller is a call from an address, with a certificate of a common name, if it is not empty, and metadata.
func caller(address, cn string, pairs ...string) context.Context {
	info := credentials.TLSInfo{}
	if cn != "" {
		c := &x509.Certificate{Subject: pkix.Name{CommonName: cn}, SerialNumber: big.NewInt(255)}
		info.State = tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{c}}}
	}
	ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{IP: net.ParseIP(address), Port: 1}, AuthInfo: info})
	return metadata.NewIncomingContext(ctx, metadata.Pairs(pairs...))
}

type users struct {
	atomic.Pointer[config.AAA]
}

func newUsers(t *testing.T) (*users, *Authenticator) {
	t.Helper()
	u := &users{}
	u.Store(&config.AAA{})
	a, err := NewAuthenticator(func() *config.AAA { return u.Load() })
	if err != nil {
		t.Fatal(err)
	}
	return u, a
}

// hashOf is a hash that does not take long.
func hashOf(t *testing.T, word string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(word), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func TestAuthenticate(t *testing.T) {
	u, a := newUsers(t)
	if a.TakesPasswords() {
		t.Error("passwords without users")
	}
	u.Store(&config.AAA{
		Users: []config.User{
			{Name: "root", Role: "admin", PasswordHash: hashOf(t, "right")}, {Name: "nopass", Role: "admin"}, {Name: "alice", Role: "read-only"},
			{Name: "lost", Role: "no-such-role", PasswordHash: hashOf(t, "right")},
		},
		Roles: []config.Role{{Name: "lb"}},
	})
	if !a.TakesPasswords() {
		t.Error("no passwords with a user who has one")
	}
	for i, c := range []struct {
		cn    string
		pairs []string
		role  string // empty: refused
		name  string
	}{
		{"", nil, "", ""},
		{"", []string{"username", "root", "password", "right"}, "admin", "root"},
		{"", []string{"username", "root", "password", "wrong"}, "", ""},
		{"", []string{"username", "nobody", "password", "right"}, "", ""},
		{"", []string{"username", "nopass", "password", ""}, "", ""},
		{"", []string{"username", "lost", "password", "right"}, "", ""},
		{"", []string{"username", "root"}, "", ""},
		{"", []string{"password", "right"}, "", ""},
		{"", []string{"username", "root", "username", "root", "password", "right"}, "", ""},
		{"alice", nil, "read-only", "alice"},
		{"bob", nil, "admin", "bob"}, // the default
		{"alice", []string{"username", "root", "password", "right"}, "admin", "root"},
		{"alice", []string{"username", "root", "password", "wrong"}, "", ""}, // not by the certificate then
	} {
		// Each from another address, so that none is blocked for the others.
		id, err := a.Authenticate(caller(net.IPv4(192, 0, 2, byte(i)).String(), c.cn, c.pairs...))
		if c.role == "" {
			if status.Code(err) != codes.Unauthenticated {
				t.Errorf("%v: %v %v", c, id, err)
			}
			continue
		}
		if err != nil || id.Role.Name != c.role || id.Name != c.name || id.Peer == "" {
			t.Errorf("%v: %v %v", c, id, err)
		}
	}
	aaa := *u.Load()
	for role, want := range map[string]string{"none": "", "lb": "lb", "operator": "operator"} {
		next := aaa
		next.CertificateRole = role
		u.Store(&next)
		if id, err := a.Authenticate(caller("192.0.2.1", "bob")); id.Role.Name != want || (err == nil) != (want != "") {
			t.Errorf("certificates are %s: %v %v", role, id, err)
		}
		if id, err := a.Authenticate(caller("192.0.2.1", "alice")); err != nil || id.Role.Name != "read-only" {
			t.Errorf("certificates are %s: a user: %v %v", role, id, err)
		}
	}
	if _, err := a.Authenticate(context.Background()); status.Code(err) != codes.Unauthenticated {
		t.Errorf("nobody: %v", err)
	}
	unix := peer.NewContext(context.Background(), &peer.Peer{Addr: &net.UnixAddr{}, AuthInfo: UnixInfo{UID: 0}})
	if id, err := a.Authenticate(unix); err != nil || id.Role.Name != "admin" || id.Name != "uid:0" {
		t.Errorf("the unix socket: %v %v", id, err)
	}
}

// TestRoleChanges: the role of a call is that of now, not of when it began.
func TestRoleChanges(t *testing.T) {
	u, a := newUsers(t)
	hash := hashOf(t, "right")
	u.Store(&config.AAA{Users: []config.User{{Name: "root", Role: "admin", PasswordHash: hash}}})
	id, err := a.Authenticate(caller("192.0.2.1", "", "username", "root", "password", "right"))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.Authenticate(caller("192.0.2.1", "root"))
	if err != nil {
		t.Fatal(err)
	}
	role := func(id Identity) string {
		got, _ := FromContext(WithIdentity(t.Context(), id))
		return got.Role.Name
	}
	for _, c := range []struct {
		user           []config.User
		byWord, byCert string
	}{
		{[]config.User{{Name: "root", Role: "operator", PasswordHash: hash}}, "operator", "operator"},
		{[]config.User{{Name: "root", Role: "admin", PasswordHash: hashOf(t, "other")}}, "", "admin"},
		{[]config.User{{Name: "root", Role: "read-only"}}, "", "read-only"},
		{nil, "", "operator"},
		{[]config.User{{Name: "root", Role: "gone", PasswordHash: hash}}, "", ""},
	} {
		u.Store(&config.AAA{Users: c.user, CertificateRole: "operator"})
		if w, x := role(id), role(cert); w != c.byWord || x != c.byCert {
			t.Errorf("%v: by password %q, by certificate %q", c.user, w, x)
		}
	}
}

// TestManyAtOnce: of passwords that are tried at the same time only the first few are looked at.
func TestManyAtOnce(t *testing.T) {
	began := time.Now()
	p, err := NewPasswords(func() time.Time { return began })
	if err != nil {
		t.Fatal(err)
	}
	hash := hashOf(t, "right")
	var wrong, blocked atomic.Int32
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			switch err := p.Check("root", hash, "wrong", "192.0.2.1"); {
			case errors.Is(err, ErrPassword):
				wrong.Add(1)
			case errors.Is(err, ErrBlocked):
				blocked.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := wrong.Load(); n < maxFailures || n > maxFailures+maxHashing {
		t.Errorf("%d were looked at, %d were not", n, blocked.Load())
	}
}

// TestUnknownUserTakesAsLong: who asks does not learn from the time which users there are.
func TestUnknownUserTakesAsLong(t *testing.T) {
	p, err := NewPasswords(nil)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := HashPassword("right")
	if err != nil {
		t.Fatal(err)
	}
	// What counts is what this thread is given, so that others on the machine don't.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	used := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	took := func(user, hash string) time.Duration {
		best := time.Hour
		for n := range 3 {
			began := used()
			if err := p.Check(user, hash, "wrong", "192.0.2."+string(rune('0'+n))); !errors.Is(err, ErrPassword) {
				t.Fatal(err)
			}
			best = min(best, used()-began)
		}
		return best
	}
	known, unknown := took("root", hash), took("nobody", "")
	if unknown < known/2 {
		t.Errorf("a user takes %v, nobody %v", known, unknown)
	}
}

func TestAuthorizer(t *testing.T) {
	a := NewAuthorizer([]string{"/bgp/password"})
	as := func(name string) context.Context {
		r, _ := RoleOf(&config.AAA{Roles: []config.Role{{Name: "bgp", Rules: []config.RoleRule{{Path: "/bgp", Access: config.AccessWrite}}}}}, name)
		return WithIdentity(t.Context(), Identity{Name: "x", Role: r})
	}
	for _, c := range []struct {
		role, path  string
		read, write bool
	}{
		{"admin", "/bgp/password", true, true}, {"operator", "/bgp/password", false, true}, {"read-only", "/bgp/password", false, false},
		{"bgp", "/bgp/password", false, true}, {"bgp", "/bgp/peers/peer[name=x]/config", true, true}, {"bgp", "/system", false, false},
		{"operator", "/system/aaa/authentication", false, false}, {"operator", "/system/grpc-servers", true, false}, {"read-only", "/system", true, false},
	} {
		p, err := tree.ParsePath(c.path)
		if err != nil {
			t.Fatal(err)
		}
		for write, want := range map[bool]bool{false: c.read, true: c.write} {
			err := a.Check(as(c.role), p, write)
			if (err == nil) != want || err != nil && (status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), c.path)) {
				t.Errorf("%s, write %v: %v", c.role, write, err)
			}
		}
		if err := a.Change(as(c.role), tree.Change{Path: p}); (err == nil) != c.write {
			t.Errorf("%s changes: %v", c.role, err)
		}
		if err := a.Check(t.Context(), p, true); err != nil {
			t.Errorf("vnf itself: %v", err)
		}
	}
}

func TestRoleBelowBut(t *testing.T) {
	op, _ := RoleOf(&config.AAA{}, "operator")
	if op.Below("/") != Deny || op.Below("/", "/system/aaa") != Read || op.Below("/system/aaa", "/system/aaa") != Deny || op.Below("/interfaces") != Write {
		t.Error("what is left out counts, or more is left out")
	}
}
