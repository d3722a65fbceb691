package config

import (
	"fmt"
	"strings"
)

// Error is a rule broken at a path, for example `interfaces[eth1].addresses[0]`.
type Error struct {
	Path   string
	Reason string
}

func (e Error) Error() string {
	if e.Path == "" {
		return e.Reason
	}
	return e.Path + ": " + e.Reason
}

// Errors are all that is wrong with a configuration.
type Errors []Error

func (e Errors) Error() string {
	s := make([]string, len(e))
	for i, one := range e {
		s[i] = one.Error()
	}
	return strings.Join(s, "\n")
}

// More than this many errors help nobody.
const maxErrors = 100

func (e *Errors) addf(path, format string, args ...any) {
	if len(*e) < maxErrors {
		*e = append(*e, Error{path, fmt.Sprintf(format, args...)})
	}
}

// err returns nil if there are none, so that no caller compares a typed nil.
func (e Errors) err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

type errText string

func (e errText) Error() string { return string(e) }
