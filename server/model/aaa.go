package model

import (
	"strings"

	"millrace/server/config"
	"millrace/yang/tree"
)

const (
	usersPath = "system/aaa/authentication/users"
	authzPath = "system/aaa/authorization"
	adminID   = "SYSTEM_ROLE_ADMIN" // OpenConfig's name of the admin role
)

// Users are OpenConfig's, roles those of vnf-aaa.
func aaaSection() section {
	return section{
		read: readAAA, write: writeAAA, names: []string{"aaa"}, locate: locateAAA,
		secrets: []string{
			"/system/aaa/authentication/users/user/config/password", "/system/aaa/authentication/users/user/config/password-hashed",
			"/system/aaa/authentication/users/user/state/password-hashed",
		},
	}
}

var accessWords = map[string]config.Access{"DENY": config.AccessDeny, "READ": config.AccessRead, "WRITE": config.AccessWrite}

func readAAA(x *reader) {
	a := &x.C.AAA
	at := below(top(usersPath), "user")
	for n := range x.Root.List(usersPath + "/user") {
		here := at[:len(at)-1].With(n.Elem())
		u := config.User{Name: n.Key("username"), PasswordHash: n.Text("config/password-hashed"), Role: n.Text("config/role")}
		if u.Role == adminID || strings.HasSuffix(u.Role, ":"+adminID) {
			u.Role = config.RoleAdmin
		}
		if n.Has("config/password") {
			x.failAt(here, "config/password", "is to be hashed first")
		}
		a.Users = append(a.Users, u)
	}
	roles := x.Root.At(authzPath)
	a.CertificateRole = roles.Text("certificates/config/default-role")
	for n := range roles.List("roles/role") {
		r := config.Role{Name: n.Key("name"), Description: n.Text("config/description")}
		for rule := range n.List("rules/rule") {
			r.Rules = append(r.Rules, config.RoleRule{Path: rule.Key("path"), Access: accessWords[rule.Text("config/access")]})
		}
		a.Roles = append(a.Roles, r)
	}
}

func writeAAA(w *writer) {
	a := &w.C.AAA
	for _, u := range a.Users {
		at := entry(top(usersPath), "user", "username", u.Name)
		w.set(at, "config/username", u.Name)
		w.opt(at, "config/password-hashed", u.PasswordHash)
		w.opt(at, "config/role", u.Role)
	}
	w.opt(top(authzPath), "certificates/config/default-role", a.CertificateRole)
	for _, r := range a.Roles {
		at := entry(top(authzPath), "roles/role", "name", r.Name)
		w.set(at, "config/name", r.Name)
		w.opt(at, "config/description", r.Description)
		for _, rule := range r.Rules {
			here := entry(at, "rules/rule", "path", rule.Path)
			w.set(here, "config/path", rule.Path)
			w.opt(here, "config/access", strings.ToUpper(string(rule.Access)))
		}
	}
}

func locateAAA(_ *locator, s []step) tree.Path {
	switch stepAt(s, 1).Name {
	case "users":
		at := entry(top(usersPath), "user", "username", s[1].Key)
		switch stepAt(s, 2).Name {
		case "role":
			return below(at, "config/role")
		case "password-hash":
			return below(at, "config/password-hashed")
		}
		return at
	case "roles":
		at := entry(top(authzPath), "roles/role", "name", s[1].Key)
		switch stepAt(s, 2).Name {
		case "rules":
			return entry(at, "rules/rule", "path", s[2].Key)
		case "description":
			return below(at, "config/description")
		}
		return at
	case "certificate-role":
		return below(top(authzPath), "certificates/config/default-role")
	}
	return top("system/aaa")
}

// HashPasswords puts the hash of each password that an edit set in the clear in its place. It is called before an edit is committed,
// so that no password is ever kept.
func HashPasswords(e *tree.Edit, hash func(string) (string, error)) error {
	at := top(usersPath)
	var errs tree.Errors
	for n := range e.Root().List(usersPath + "/user") {
		word := n.Text("config/password")
		if !n.Has("config/password") {
			continue
		}
		user := at.With(tree.Elem{Name: "user", Keys: n.Elem().Keys})
		h, err := hash(word)
		if err == nil {
			err = e.Set(below(user, "config/password-hashed"), h)
		}
		if err == nil {
			err = e.Delete(below(user, "config/password"))
		}
		if err != nil {
			errs = append(errs, tree.Error{Path: below(user, "config/password").String(), Reason: err.Error()})
		}
	}
	return errs.Err()
}
