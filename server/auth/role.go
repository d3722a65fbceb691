package auth

import (
	"slices"
	"strings"

	"millrace/server/config"
)

// Access is what a role may do at some place of the tree.
type Access uint8

// The kinds of access; each includes those before.
const (
	Deny Access = iota
	Read
	Write
)

func (a Access) String() string { return [...]string{"deny", "read", "write"}[a] }

// Role is the rights of a client. The zero Role has none.
type Role struct {
	Name  string
	rules map[string]Access
	// secrets may be seen.
	secrets bool
}

func builtin(name string) (Role, bool) {
	switch name {
	case config.RoleAdmin:
		return Role{Name: name, rules: map[string]Access{"/": Write}, secrets: true}, true
	case config.RoleOperator:
		return Role{Name: name, rules: map[string]Access{"/": Write, "/system/aaa": Deny, "/system/grpc-servers": Read}}, true
	case config.RoleReadOnly:
		return Role{Name: name, rules: map[string]Access{"/": Read, "/system/aaa": Deny}}, true
	}
	return Role{}, false
}

// AdminRole is the role of who may do everything.
func AdminRole() Role {
	r, _ := builtin(config.RoleAdmin)
	return r
}

// RoleOf finds a role of the configuration by name.
func RoleOf(a *config.AAA, name string) (Role, bool) {
	if r, ok := builtin(name); ok {
		return r, true
	}
	for _, c := range a.Roles {
		if c.Name != name {
			continue
		}
		r := Role{Name: name, rules: map[string]Access{}}
		for _, rule := range c.Rules {
			r.rules[unqualified(rule.Path)] = map[config.Access]Access{config.AccessRead: Read, config.AccessWrite: Write}[rule.Access]
		}
		return r, true
	}
	return Role{}, false
}

// unqualified takes the modules off the names of a path.
func unqualified(path string) string {
	words := strings.Split(path, "/")
	for i, w := range words {
		if _, local, ok := strings.Cut(w, ":"); ok {
			words[i] = local
		}
	}
	return strings.Join(words, "/")
}

// At is the access to a place in the tree, given as a path without keys.
func (r Role) At(path string) Access {
	for {
		if path == "" {
			path = "/"
		}
		if a, ok := r.rules[path]; ok {
			return a
		}
		if path == "/" {
			return Deny
		}
		path = path[:strings.LastIndexByte(path, '/')]
	}
}

// Below is the least access to anything at or below a place, but for what is at or below others.
func (r Role) Below(path string, but ...string) Access {
	least := r.At(path)
	for p, a := range r.rules {
		if within(p, path) && !slices.ContainsFunc(but, func(b string) bool { return within(p, b) && !within(path, b) }) {
			least = min(least, a)
		}
	}
	return least
}

// within says that a path is that of a place or of something below it.
func within(path, place string) bool {
	return path == place || strings.HasPrefix(path, strings.TrimSuffix(place, "/")+"/")
}

// Any is the greatest access to anything at or below a place.
func (r Role) Any(path string) Access {
	most := r.At(path)
	for p, a := range r.rules {
		if within(p, path) {
			most = max(most, a)
		}
	}
	return most
}

// Secrets says that keys and passwords are shown.
func (r Role) Secrets() bool { return r.secrets }
