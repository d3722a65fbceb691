package config

import (
	"fmt"
	"regexp"
)

// The roles that are always there.
const (
	RoleAdmin    = "admin"
	RoleOperator = "operator"
	RoleReadOnly = "read-only"
	// RoleNone, as AAA.CertificateRole, refuses.
	RoleNone = "none"
)

// AAA says who may manage the appliance, and what they may do.
type AAA struct {
	Users []User `cfg:"users"`
	Roles []Role `cfg:"roles"`
	// CertificateRole is the role of clients with a certificate whose common name is no user's; default admin; "none" refuses them.
	CertificateRole string `cfg:"certificate-role"`
}

// User is someone with a password, or with a certificate of that common name.
type User struct {
	Name string `cfg:"name,key"`
	// PasswordHash as crypt(5) has it: bcrypt ($2a$, $2b$, $2y$) with a cost of 4 to 14, sha512crypt ($6$) or sha256crypt ($5$) with up to
	// 999,999 rounds: slower ones would keep out everybody. Empty: no password is right.
	PasswordHash string `cfg:"password-hash"`
	Role         string `cfg:"role"`
}

// Role is what its users may do. What no rule is about is denied.
type Role struct {
	Name        string     `cfg:"name,key"`
	Description string     `cfg:"description"`
	Rules       []RoleRule `cfg:"rules"`
}

// RoleRule is about a part of the management tree; the rule of the longest path decides.
type RoleRule struct {
	// Path without keys; "/" is all.
	Path string `cfg:"path,key"`
	// Access defaults to deny.
	Access Access `cfg:"access"`
}

// Access to a part of the tree.
type Access string

// The kinds of access.
const (
	AccessDeny  Access = "deny"
	AccessRead  Access = "read"
	AccessWrite Access = "write"
)

// Values are the kinds.
func (Access) Values() []string {
	return []string{string(AccessDeny), string(AccessRead), string(AccessWrite)}
}

var (
	userName = regexp.MustCompile(`^[A-Za-z0-9._@:-]{1,63}$`)
	hashForm = regexp.MustCompile(`^\$(2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}|[56]\$(rounds=[0-9]{1,6}\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]{43,86})$`)
	rolePath = regexp.MustCompile(`^(/|(/[A-Za-z_][A-Za-z0-9_.:-]*)+)$`)
)

func (v *validator) aaa() {
	a := &v.c.AAA
	roles := map[string]bool{RoleAdmin: true, RoleOperator: true, RoleReadOnly: true}
	for _, r := range a.Roles {
		at := fmt.Sprintf("aaa.roles[%s]", r.Name)
		switch {
		case !userName.MatchString(r.Name):
			v.errs.addf(at, "the name is not 1 to 63 characters of [A-Za-z0-9._@:-]")
		case roles[r.Name] || r.Name == RoleNone:
			v.errs.addf(at, "%s is a role that is always there", r.Name)
		}
		roles[r.Name] = true
		if len(r.Description) > 255 {
			v.errs.addf(at+".description", "is longer than 255 bytes")
		}
		for _, rule := range r.Rules {
			if !rolePath.MatchString(rule.Path) {
				v.errs.addf(fmt.Sprintf("%s.rules[%s]", at, rule.Path), "is not a path without keys, such as /interfaces")
			}
		}
	}
	for _, u := range a.Users {
		at := fmt.Sprintf("aaa.users[%s]", u.Name)
		if !userName.MatchString(u.Name) {
			v.errs.addf(at, "the name is not 1 to 63 characters of [A-Za-z0-9._@:-]")
		}
		if u.PasswordHash != "" && !hashForm.MatchString(u.PasswordHash) {
			v.errs.addf(at+".password-hash", "is none of bcrypt ($2b$) with a cost of 4 to 14, and sha512crypt ($6$) and sha256crypt ($5$) with up to 999,999 rounds")
		}
		switch {
		case u.Role == "":
			v.errs.addf(at+".role", "is missing")
		case !roles[u.Role]:
			v.errs.addf(at+".role", "there is no role %s", u.Role)
		}
	}
	if r := a.CertificateRole; r != "" && r != RoleNone && !roles[r] {
		v.errs.addf("aaa.certificate-role", "there is no role %s", r)
	}
}
