package store

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"strconv"

	"millrace/yang/schema"
	"millrace/yang/tree"
)

// Bounds of what a commit's file tells of its changes.
const (
	maxDiffLines = 1000
	maxDiffBytes = 64 << 10
	// Values longer than this are cut.
	maxDiffValue = 200
)

// Secret says that the value of a leaf is not to be shown.
func (s *Store) Secret(n *schema.Node) bool { return s.secrets[n] }

// Line tells a change as people read it, without secrets.
func (s *Store) Line(c tree.Change) string {
	if s.secrets[c.Schema] {
		return c.Path.String() + ": changed"
	}
	line := c.String()
	if len(line) > len(c.Path.String())+2*maxDiffValue {
		line = line[:len(c.Path.String())+2*maxDiffValue] + "..."
	}
	return line
}

// Lines tells changes, at most so many; 0: all.
func (s *Store) Lines(changes []tree.Change, most int) []string {
	n := len(changes)
	if most > 0 {
		n = min(n, most)
	}
	out := make([]string, n)
	for i := range out {
		out[i] = s.Line(changes[i])
	}
	return out
}

// bounded tells changes as far as they are kept, and whether some are left out.
func (s *Store) bounded(changes []tree.Change) (lines []string, cut bool) {
	size := 0
	for _, c := range changes {
		line := s.Line(c)
		size += len(line)
		if len(lines) == maxDiffLines || size > maxDiffBytes {
			return lines, true
		}
		lines = append(lines, line)
	}
	return lines, false
}

// Changes lists what differs between two trees. Keys of entries, which their leaves in `config` repeat, are left out.
func Changes(a, b *tree.Tree) []tree.Change {
	var all []tree.Change
	tree.Diff(a, b, func(c tree.Change) {
		if !repeated(c.Schema) {
			all = append(all, c)
		}
	})
	return all
}

// repeated says that a leaf is a key that another leaf of the entry has the value of.
func repeated(n *schema.Node) bool { return n.IsKey() && n.Type.Target() != nil }

// Revision names the configuration that a commit made.
func (e Entry) Revision() string {
	return fmt.Sprintf("%d-%08x", e.ID, crc32.ChecksumIEEE(strconv.AppendInt(nil, e.Time.UnixNano(), 10)))
}

// JSON of a tree as RFC 7951 has it; without secrets unless they are asked for.
func (s *Store) JSON(t *tree.Tree, secrets bool) []byte {
	f := tree.Format{IETF: true}
	if !secrets {
		f.Omit = s.Secret
	}
	return t.Root().AppendJSON(nil, f)
}

// History lists the commits that are kept, newest first.
func (s *Store) History() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.history)
	slices.Reverse(out)
	return out
}

// Get returns a commit that is kept; 0: the one in force.
func (s *Store) Get(id uint64) (Entry, *tree.Tree, error) {
	c := s.cur.Load()
	if id == 0 || id == c.entry.ID {
		return c.entry, c.tree, nil
	}
	entry, t, err := s.readCommit(id)
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w: %d", ErrNotFound, id)
	}
	if err != nil {
		return Entry{}, nil, err
	}
	return entry, t, nil
}

// Diff lists what changes from one commit to another; 0: the one in force.
func (s *Store) Diff(from, to uint64) ([]tree.Change, error) {
	_, a, err := s.Get(from)
	if err != nil {
		return nil, err
	}
	_, b, err := s.Get(to)
	if err != nil {
		return nil, err
	}
	return Changes(a, b), nil
}

// Rollback brings what was in force after a commit into force again, by a commit of its own.
func (s *Store) Rollback(ctx context.Context, req Request, id uint64) (Result, error) {
	req = req.from(ctx)
	if req.Comment == "" {
		req.Comment = fmt.Sprintf("back to commit %d", id)
	}
	res, err := s.rollback(ctx, req, id)
	s.auditCommit(req, res, err)
	return res, err
}

func (s *Store) rollback(ctx context.Context, req Request, id uint64) (Result, error) {
	if err := s.acquire(ctx); err != nil {
		return Result{}, err
	}
	defer s.release()
	if err := s.admit(req); err != nil {
		return Result{}, err
	}
	_, want, err := s.Get(id)
	if err != nil {
		return Result{}, err
	}
	return s.goTo(ctx, req, want)
}

// goTo brings a tree into force.
func (s *Store) goTo(ctx context.Context, req Request, want *tree.Tree) (Result, error) {
	t, err := s.become(want)
	if err != nil {
		return Result{}, err
	}
	res, cfg, err := s.enact(ctx, req, t)
	return res, s.withTreePaths(err, cfg, t)
}
