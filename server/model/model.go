package model

import (
	"fmt"
	"sync"

	"millrace/server/config"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// Model translates. It remembers what it made of the entries of long lists, so that reading a tree that shares most of its nodes with
// the one read before costs little. Its methods may be called from several goroutines.
type Model struct {
	s *schema.Schema

	mu   sync.Mutex
	memo map[string]remembered // by path of the list
}

// New makes a translator for trees of a schema.
func New(s *schema.Schema) *Model { return &Model{s: s, memo: map[string]remembered{}} }

// section is a part of the tree and of Config.
type section struct {
	// read puts what the tree has into the Config, and refuses what cannot be done.
	read func(*reader)
	// finish, if set, runs when all sections have been read, for what depends on other sections.
	finish func(*reader)
	// write puts the Config's part into the tree.
	write func(*writer)
	// locate finds the place that a path of config.Error means, whose first step is one of names.
	names  []string
	locate func(*locator, []step) tree.Path
	// secrets are the leaves that are not to be shown, as paths of the schema.
	secrets []string
}

// ToConfig reads a tree. The Config shares memory with those read before and must not be changed: Clone it first. The error is
// tree.Errors.
func (m *Model) ToConfig(t *tree.Tree) (*config.Config, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x := &reader{Root: t.Root(), C: new(config.Config), old: m.memo, memo: map[string]remembered{}}
	all := sections()
	for _, s := range all {
		s.read(x)
	}
	for _, s := range all {
		if s.finish != nil {
			s.finish(x)
		}
	}
	m.memo = x.memo
	if err := x.errs.Err(); err != nil {
		return nil, err
	}
	return x.C, nil
}

// FromConfig makes the tree of a Config. Names that a Config does not have, such as those of protocols and the indices of next hops,
// are taken from hint, the tree in force (nil: none). The error is tree.Errors: the Config breaks a rule that only the tree has.
func (m *Model) FromConfig(c *config.Config, hint *tree.Tree) (*tree.Tree, error) {
	w := &writer{C: c, e: tree.New(m.s).Edit()}
	if hint != nil {
		w.Hint = hint.Root()
	}
	for _, s := range sections() {
		s.write(w)
	}
	if err := w.errs.Err(); err != nil {
		return nil, err
	}
	t, err := w.e.Commit()
	if err != nil {
		return nil, fmt.Errorf("configuration as a tree: %w", err)
	}
	return t, nil
}

// Errors turns the errors of config.Config.Validate into tree.Errors with paths of the tree. t is the tree that c was read from; nil
// if there is none. Other errors are returned as they are.
func (m *Model) Errors(err error, c *config.Config, t *tree.Tree) error {
	list, ok := err.(config.Errors)
	if !ok {
		return err
	}
	out := make(tree.Errors, len(list))
	for i, e := range list {
		out[i] = tree.Error{Path: m.PathOf(e.Path, c, t).String(), Reason: e.Reason}
	}
	return out
}

// PathOf finds the place in the tree that a path of config.Error means, such as
// `network-instances[red].bgp.neighbors[10.0.0.1].remote-as`. If there is none, it is the nearest one above.
func (m *Model) PathOf(path string, c *config.Config, t *tree.Tree) tree.Path {
	steps := parseSteps(path)
	if len(steps) == 0 {
		return nil
	}
	l := &locator{C: c, s: m.s}
	if t != nil {
		l.Tree = t.Root()
	}
	for _, s := range sections() {
		for _, name := range s.names {
			if name == steps[0].Name {
				return l.fit(s.locate(l, steps))
			}
		}
	}
	return nil
}

// Secrets are the leaves whose values are not to be shown, logged or kept in diffs, as paths of the schema; their twins in `state`
// are among them.
func Secrets() []string {
	var all []string
	for _, s := range sections() {
		all = append(all, s.secrets...)
	}
	return all
}
