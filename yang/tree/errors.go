package tree

import "strings"

// Error is a rule broken at a path.
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

// Errors are all that is wrong.
type Errors []Error

func (e Errors) Error() string {
	s := make([]string, len(e))
	for i, one := range e {
		s[i] = one.Error()
	}
	return strings.Join(s, "\n")
}

// maxErrors: more help nobody.
const maxErrors = 100

func (e *Errors) add(path Path, reason string) {
	if len(*e) < maxErrors {
		*e = append(*e, Error{path.String(), reason})
	}
}

// Err returns nil if there are none, so that no caller compares a typed nil.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}
