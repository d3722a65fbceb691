package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/yaml"

	"millrace/server/config"
	"millrace/yang/tree"
)

// sumNone stands for the operator's file where there is none.
const sumNone = "none"

// readStartup reads the operator's file. Without one, nothing is configured.
func (s *Store) readStartup(hint *tree.Tree) (st *state, sum string, err error) {
	if s.opt.Startup == "" {
		t := tree.New(s.opt.Schema)
		cfg, err := s.meaning(t)
		return &state{tree: t, cfg: cfg}, sumNone, err
	}
	b, err := os.ReadFile(s.opt.Startup)
	if err != nil {
		return nil, "", fmt.Errorf("read configuration: %w", err)
	}
	if st, err = s.parse(b, hint); err != nil {
		return nil, checksum(b), fmt.Errorf("%s:\n%w", s.opt.Startup, err)
	}
	return st, checksum(b), nil
}

func checksum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// parse reads a document of either form.
func (s *Store) parse(doc []byte, hint *tree.Tree) (*state, error) {
	t, err := s.Parse(doc, hint)
	if err != nil {
		return nil, err
	}
	cfg, err := s.meaning(t)
	if err != nil {
		return nil, err
	}
	return &state{tree: t, cfg: cfg, document: IsTree(doc)}, nil
}

// Parse makes a tree of a document: the tree as RFC 7951 has it, or the YAML or JSON of package config. hint, which may be nil, gives
// the names and indices that the latter lack. The error is config.Errors, possibly wrapped, if the document is of package config, and
// tree.Errors if it is a tree.
func (s *Store) Parse(doc []byte, hint *tree.Tree) (*tree.Tree, error) {
	j, ok, err := treeDocument(doc)
	switch {
	case err != nil:
		return nil, err
	case ok:
		return tree.Parse(s.opt.Schema, j)
	}
	c, err := config.Parse(doc)
	if err != nil {
		return nil, err
	}
	return s.opt.Model.FromConfig(c, hint)
}

// Load brings a document of either form into force: it replaces the configuration, or is merged into it. The error is as that of Commit,
// but config.Errors, possibly wrapped, if the document is of package config.
func (s *Store) Load(ctx context.Context, req Request, doc []byte, merge bool) (Result, error) {
	req = req.from(ctx)
	res, err := s.loadDocument(ctx, req, doc, merge)
	s.auditCommit(req, res, err)
	return res, err
}

func (s *Store) loadDocument(ctx context.Context, req Request, doc []byte, merge bool) (Result, error) {
	if err := s.acquire(ctx); err != nil {
		return Result{}, err
	}
	defer s.release()
	if err := s.admit(req); err != nil {
		return Result{}, err
	}
	t, err := s.Loaded(s.Tree(), doc, merge)
	if err == nil {
		t, err = keep(s.Tree(), t, req.Keep)
	}
	if err != nil {
		return Result{}, err
	}
	res, cfg, err := s.enact(ctx, req, t)
	if IsTree(doc) {
		err = s.withTreePaths(err, cfg, t)
	}
	return res, err
}

// keep gives a tree what another has at some places, if it has nothing there.
func keep(from, to *tree.Tree, places []tree.Path) (*tree.Tree, error) {
	e := to.Edit()
	for _, p := range places {
		n := from.Get(p)
		if n == nil || to.Get(p) != nil {
			continue
		}
		if err := e.Update(p, n.AppendJSON(nil, tree.Format{IETF: true})); err != nil {
			return nil, err
		}
	}
	return e.Commit()
}

// Loaded is what a tree becomes when it is replaced by a document, or one is merged into it.
func (s *Store) Loaded(base *tree.Tree, doc []byte, merge bool) (*tree.Tree, error) {
	j, ok, err := treeDocument(doc)
	if err != nil {
		return nil, err
	}
	if ok {
		e := base.Edit()
		if merge {
			err = e.Update(nil, j)
		} else {
			err = e.Replace(nil, j)
		}
		if err != nil {
			return nil, err
		}
		return e.Commit()
	}
	old, err := s.opt.Model.ToConfig(base)
	if err != nil {
		return nil, err
	}
	var next *config.Config
	if merge {
		next, err = old.Merge(doc)
	} else {
		next, err = config.Parse(doc)
	}
	if err != nil {
		return nil, err
	}
	return s.carryOver(base, old, next)
}

// ConfigOf is what a tree means.
func (s *Store) ConfigOf(t *tree.Tree) (*config.Config, error) {
	if c := s.cur.Load(); t == c.tree {
		return c.cfg, nil
	}
	return s.opt.Model.ToConfig(t)
}

// IsTree says whether a document is a tree as RFC 7951 has it: the names at its top have their module.
func IsTree(doc []byte) bool {
	_, ok, _ := treeDocument(doc)
	return ok
}

// treeDocument returns the JSON of a document that is a tree, which may be written as YAML.
func treeDocument(doc []byte) (j []byte, ok bool, err error) {
	if len(doc) > config.MaxFile {
		return nil, false, fmt.Errorf("configuration of %d bytes, at most %d are allowed", len(doc), config.MaxFile)
	}
	var top map[string]json.RawMessage
	if t := bytes.TrimLeft(doc, " \t\r\n"); len(t) > 0 && t[0] == '{' && json.Unmarshal(t, &top) == nil {
		return doc, qualified(top), nil
	}
	if !maybeTree(doc) {
		return nil, false, nil
	}
	if j, err = yaml.YAMLToJSONStrict(doc); err != nil {
		return nil, false, fmt.Errorf("configuration is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return j, json.Unmarshal(j, &top) == nil && qualified(top), nil
}

// maybeTree says whether the first name in a document of YAML may be one with a module, so that not every big one is read twice.
func maybeTree(doc []byte) bool {
	for line := range bytes.Lines(doc) {
		if line = bytes.TrimSpace(line); len(line) == 0 || line[0] == '#' || string(line) == "---" {
			continue
		}
		name, rest, found := bytes.Cut(bytes.TrimLeft(line, `"'`), []byte(":"))
		return line[0] == '{' || found && len(rest) > 0 && !bytes.ContainsAny(name, " {[") && !bytes.ContainsAny(rest[:1], " \t\"'")
	}
	return false
}

func qualified(top map[string]json.RawMessage) bool {
	for name := range top {
		if strings.Contains(name, ":") {
			return true
		}
	}
	return false
}

// Reload reads the operator's file again and brings it into force.
func (s *Store) Reload(ctx context.Context) error {
	if s.opt.Startup == "" {
		return errors.New("there is no configuration file to be read again")
	}
	req := Request{Who: "vnf", API: "reload", Comment: s.opt.Startup, force: true}
	res, err := s.reload(ctx, &req)
	s.auditCommit(req, res, err)
	if err == nil {
		s.alarms.clear("configuration/startup")
	}
	return err
}

func (s *Store) reload(ctx context.Context, req *Request) (Result, error) {
	if err := s.acquire(ctx); err != nil {
		return Result{}, err
	}
	defer s.release()
	if err := s.admit(*req); err != nil {
		return Result{}, err
	}
	st, sum, err := s.readStartup(s.Tree())
	if err != nil {
		return Result{}, err
	}
	req.startup = sum
	if sum == s.cur.Load().entry.Startup {
		req.force = false // the file is the same; what was changed since goes, but if there is nothing there is no commit
	}
	t, err := s.become(st.tree)
	if err != nil {
		return Result{}, err
	}
	res, cfg, err := s.enact(ctx, *req, t)
	if st.document { // else the file has the paths that the error has
		err = s.withTreePaths(err, cfg, t)
	}
	return res, err
}

// become makes the tree in force into another that shares with it all that is the same.
func (s *Store) become(want *tree.Tree) (*tree.Tree, error) {
	e := s.Tree().Edit()
	if err := e.Patch(s.Tree(), want); err != nil {
		return nil, err
	}
	t, err := e.Commit()
	if err != nil {
		return nil, err
	}
	if !tree.Same(t.Root(), want.Root()) { // what a patch cannot carry over
		return want, nil
	}
	return t, nil
}
