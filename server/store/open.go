package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"millrace/server/config"
	"millrace/yang/tree"
)

// Open reads what was in force last, or the operator's file if that has changed since, and makes it what is in force. Commits can be made
// once Bind has said who carries them out.
func Open(o Options) (*Store, error) {
	s, err := newStore(o)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := syncDir(o.Dir); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if err := s.sweep(); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	st, err := s.choose(true)
	if err != nil {
		return nil, err
	}
	if st.entry.ID == 0 { // a state that no commit has yet
		id := uint64(0)
		if st.last != nil {
			id = st.last.entry.ID
		}
		st.entry.ID = s.nextCommit(id)
		f := s.begin(st.entry, st.tree)
		if err := f.finish(); err != nil {
			f.discard(false)
			return nil, fmt.Errorf("store: save configuration: %w", err)
		}
		s.history = append(s.history, st.entry)
	}
	s.cur.Store(&st.state)
	if st.before != nil {
		s.setPending(st.entry, st.before)
	}
	return s, nil
}

// Preview returns the configuration that Open would begin with, and changes nothing.
func Preview(o Options) (*config.Config, error) {
	s, err := newStore(o)
	if err != nil {
		return nil, err
	}
	st, err := s.choose(false)
	if err != nil {
		return nil, err
	}
	return st.cfg.Clone(), nil
}

// chosen is what to begin with.
type chosen struct {
	state
	// last is what the files have, if it is another.
	last *state
	// before is what comes back unless the commit is confirmed; nil if there is nothing to confirm.
	before *tree.Tree
}

// choose finds out what to begin with. The entry has no ID if there is no commit of it yet.
func (s *Store) choose(change bool) (chosen, error) {
	last, err := s.loadLast(change)
	if err != nil {
		return chosen{}, err
	}
	startup, sum, fault := s.readStartup(hintOf(last))
	took := func(st *state, api, comment string, startup string) chosen {
		e := Entry{Time: s.now().Round(0), Who: "vnf", API: api, Comment: comment, Startup: startup}
		if last != nil {
			e.Base = last.entry.ID
			changes := Changes(last.tree, st.tree)
			e.Changes = len(changes)
			e.Diff, e.DiffCut = s.bounded(changes)
		}
		return chosen{state: state{entry: e, tree: st.tree, cfg: st.cfg}, last: last}
	}
	switch {
	case last == nil:
		if old, oldSum := s.readLegacy(); old != nil && (s.opt.Startup == "" || fault != nil || oldSum == sum) {
			s.log.Info("configuration read", "file", s.legacyPath())
			return took(old, "upgrade", "taken from "+legacyName, sum), nil
		}
		if fault != nil {
			return chosen{}, fault
		}
		s.log.Info("configuration read", "file", s.opt.Startup)
		return took(startup, "startup", s.opt.Startup, sum), nil
	case fault != nil:
		s.log.Error("the configuration file is not taken; going on with what was in force", "error", fault)
		s.alarms.raise("configuration/startup", "the configuration file is not taken: "+firstLine(fault))
	case s.opt.Startup != "" && last.entry.Startup != sum:
		s.log.Info("configuration read", "file", s.opt.Startup)
		return took(startup, "startup", s.opt.Startup, sum), nil
	}
	c := last.entry.Confirm
	if c == nil || !c.Confirmed.IsZero() {
		s.log.Info("configuration read", "commit", last.entry.ID)
		return chosen{state: *last}, nil
	}
	back, err := s.load(c.Revert)
	switch {
	case err != nil:
		// Better what was not confirmed than nothing.
		s.log.Error("the commit to go back to cannot be read", "commit", c.Revert, "error", err)
		s.alarms.raise("configuration/revert", fmt.Sprintf("commit %d was not confirmed, and commit %d before it cannot be read", last.entry.ID, c.Revert))
		return chosen{state: *last}, nil
	case s.now().Before(c.Deadline):
		s.log.Info("configuration read", "commit", last.entry.ID, "to be confirmed until", c.Deadline.Format(time.RFC3339))
		return chosen{state: *last, before: back.tree}, nil
	}
	s.log.Warn("commit was not confirmed in time; the configuration before it comes back", "commit", last.entry.ID, "back to", c.Revert)
	return took(back, apiConfirm, fmt.Sprintf("commit %d was not confirmed in time", last.entry.ID), last.entry.Startup), nil
}

func hintOf(st *state) *tree.Tree {
	if st == nil {
		return nil
	}
	return st.tree
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(strings.TrimSpace(err.Error()), "\n")
	return line
}

// load reads a commit and what its tree means.
func (s *Store) load(id uint64) (*state, error) {
	entry, t, err := s.readCommit(id)
	if err != nil {
		return nil, err
	}
	cfg, err := s.meaning(t)
	if err != nil {
		return nil, err
	}
	return &state{entry: entry, tree: t, cfg: cfg}, nil
}

// meaning is the configuration of a tree, checked.
func (s *Store) meaning(t *tree.Tree) (*config.Config, error) {
	cfg, err := s.opt.Model.ToConfig(t)
	if err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, s.withTreePaths(err, cfg, t)
	}
	return cfg, nil
}

// loadLast reads the newest commit that is good. Files that are damaged are set aside if change says so.
func (s *Store) loadLast(change bool) (*state, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	var last *state
	for n := len(ids) - 1; n >= 0; n-- {
		id := ids[n]
		if last != nil {
			if !change {
				break
			}
			if entry, err := s.readHead(id); err == nil {
				s.history = append([]Entry{entry}, s.history...)
			} else {
				s.setAside(id, err, change)
			}
			continue
		}
		st, err := s.load(id)
		switch {
		case err == nil:
			last = st
			s.history = []Entry{st.entry}
		case errors.Is(err, errCorrupt):
			s.setAside(id, err, change)
		default:
			s.log.Error("a commit cannot be used", "commit", id, "error", err)
			s.alarms.raise("configuration/unusable", fmt.Sprintf("commit %d cannot be used, the one before it is: %s", id, firstLine(err)))
		}
	}
	return last, nil
}

// setAside renames a damaged file, so that it is not read again and can be looked at.
func (s *Store) setAside(id uint64, err error, change bool) {
	s.log.Error("the file of a commit is damaged", "commit", id, "error", err)
	if !change {
		return
	}
	name := s.path(id)
	if err := os.Rename(name, name+corrupt); err != nil {
		s.log.Error("set the file of a commit aside", "error", err)
	}
	s.checkCorrupt()
}

// corruptAlarm is there as long as there are files that were set aside.
const corruptAlarm = "configuration/corrupt"

func (s *Store) checkCorrupt() {
	found, _ := filepath.Glob(filepath.Join(s.dir, "*"+corrupt))
	if len(found) == 0 {
		s.alarms.clear(corruptAlarm)
		return
	}
	s.alarms.raise(corruptAlarm, fmt.Sprintf("%d files of commits were damaged and are set aside, among them %s; delete them when they have been looked at",
		len(found), found[len(found)-1]))
}

// sweep removes what a commit that did not come to its end has left.
func (s *Store) sweep() error {
	found, err := filepath.Glob(filepath.Join(s.dir, temporary+"*"))
	for _, name := range found {
		err = errors.Join(err, os.Remove(name))
	}
	s.checkCorrupt()
	return err
}

// nextCommit is the number of the commit after the last one, beyond those of files that were set aside.
func (s *Store) nextCommit(last uint64) uint64 {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return last + 1
	}
	for _, f := range files {
		var id uint64
		if _, err := fmt.Sscanf(f.Name(), "%d"+suffix, &id); err == nil {
			last = max(last, id)
		}
	}
	return last + 1
}

const legacyName = "running.yaml"

func (s *Store) legacyPath() string { return filepath.Join(s.opt.Dir, legacyName) }

// readLegacy reads what versions before the tree kept, and the checksum of the operator's file that it belongs to.
func (s *Store) readLegacy() (*state, string) {
	b, err := os.ReadFile(s.legacyPath())
	if err != nil {
		return nil, ""
	}
	st, err := s.parse(b, nil)
	if err != nil {
		s.log.Error("the stored configuration is not usable", "file", s.legacyPath(), "error", err)
		return nil, ""
	}
	head, _, _ := strings.Cut(string(b), "\n")
	_, sum, _ := strings.Cut(head, "sha256:")
	return st, sum
}
