package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"millrace/server/config"
	"millrace/yang/tree"
)

// Commit hands an edit of the tree in force to change and brings what it made of it into force. One commit runs at a time. If it
// returns an error nothing has changed: the error is change's own; tree.Errors if the result is not right; an *ApplyError (of tree.Errors
// where a place is known) if the system refused it; or one of this package. A commit that changes nothing is none, unless it has to be
// confirmed. What comes of it goes to the audit log.
func (s *Store) Commit(ctx context.Context, req Request, change func(*tree.Edit) error) (Result, error) {
	req = req.from(ctx)
	res, err := s.commit(ctx, req, change)
	s.auditCommit(req, res, err)
	return res, err
}

func (s *Store) commit(ctx context.Context, req Request, change func(*tree.Edit) error) (Result, error) {
	if err := s.acquire(ctx); err != nil {
		return Result{}, err
	}
	defer s.release()
	if err := s.admit(req); err != nil {
		return Result{}, err
	}
	e := s.Tree().Edit()
	if err := change(e); err != nil {
		return Result{}, err
	}
	if s.opt.Prepare != nil {
		if err := s.opt.Prepare(e); err != nil {
			return Result{}, err
		}
	}
	t, err := e.Commit()
	if err != nil {
		return Result{}, err
	}
	res, cfg, err := s.enact(ctx, req, t)
	return res, s.withTreePaths(err, cfg, t)
}

// Edit hands a copy of the configuration in force to change and brings what it made of it into force, as Commit does for edits of the
// tree: what differs is carried over to the tree. The error is change's own, or config.Errors, possibly wrapped, or one that Commit
// returns. Who asks is taken from the context.
func (s *Store) Edit(ctx context.Context, change func(*config.Config) error) error {
	_, err := s.EditAs(ctx, Request{}, change)
	return err
}

// EditAs is Edit with a request.
func (s *Store) EditAs(ctx context.Context, req Request, change func(*config.Config) error) (Result, error) {
	req = req.from(ctx)
	res, err := s.edit(ctx, req, change)
	s.auditCommit(req, res, err)
	return res, err
}

func (s *Store) edit(ctx context.Context, req Request, change func(*config.Config) error) (Result, error) {
	if err := s.acquire(ctx); err != nil {
		return Result{}, err
	}
	defer s.release()
	if err := s.admit(req); err != nil {
		return Result{}, err
	}
	next := s.Config().Clone()
	if err := change(next); err != nil {
		return Result{}, err
	}
	if err := next.ValidateAfter(s.Config()); err != nil {
		return Result{}, err
	}
	t, err := s.carryOver(s.Tree(), s.Config(), next)
	if err != nil {
		return Result{}, err
	}
	res, _, err := s.enact(ctx, req, t)
	return res, err
}

// carryOver makes a tree, which means old, say what a changed configuration says. All that a configuration cannot tell stays as it is.
func (s *Store) carryOver(base *tree.Tree, old, next *config.Config) (*tree.Tree, error) {
	from, to := config.WithoutCommon(old, next)
	plain, err := s.opt.Model.FromConfig(from, base)
	if err != nil {
		return nil, fmt.Errorf("the configuration in force as a tree: %w", err)
	}
	want, err := s.opt.Model.FromConfig(to, base)
	if err != nil {
		return nil, err
	}
	e := base.Edit()
	if err := e.Patch(plain, want); err != nil {
		return nil, err
	}
	return e.Commit()
}

// admit says whether a commit may begin.
func (s *Store) admit(req Request) error {
	if s.applier == nil {
		return errors.New("vnf is not ready for changes of the configuration yet")
	}
	if req.Confirm < 0 {
		return fmt.Errorf("%s is no time to wait for a confirmation", req.Confirm)
	}
	if id := s.cur.Load().entry.ID; req.Expect != 0 && req.Expect != id {
		return fmt.Errorf("%w: commit %d is in force, not %d", ErrChanged, id, req.Expect)
	}
	if p := s.pending.Load(); p != nil && p != req.settles && !req.DryRun {
		return fmt.Errorf("%w: commit %d, id %q, until %s", ErrPending, p.Commit, p.ID, p.Deadline.Format(time.RFC3339))
	}
	return nil
}

// enact checks what a tree means and brings it into force. The Config is that of the tree, for the paths of errors.
func (s *Store) enact(ctx context.Context, req Request, t *tree.Tree) (Result, *config.Config, error) {
	old := s.cur.Load()
	if t.Root() == old.tree.Root() || tree.Same(t.Root(), old.tree.Root()) {
		if req.DryRun || req.Confirm == 0 && !req.force {
			return Result{ID: old.entry.ID, Time: old.entry.Time, Tree: old.tree}, nil, nil
		}
		t = old.tree
	}
	cfg, err := s.opt.Model.ToConfig(t)
	if err != nil {
		return Result{}, nil, err
	}
	if err := cfg.ValidateAfter(old.cfg); err != nil {
		return Result{}, cfg, err
	}
	var changes []tree.Change
	var denied error
	tree.Diff(old.tree, t, func(c tree.Change) {
		if denied == nil && s.opt.Authorize != nil {
			denied = s.opt.Authorize(ctx, c)
		}
		if !repeated(c.Schema) {
			changes = append(changes, c)
		}
	})
	if denied != nil {
		return Result{}, cfg, denied
	}
	if req.DryRun {
		return Result{ID: old.entry.ID, Time: old.entry.Time, Tree: t, Changes: changes}, cfg, nil
	}
	entry := s.newEntry(req, old, changes)
	f := s.begin(entry, t)
	saved := false
	save := func() error {
		if err := f.finish(); err != nil {
			return fmt.Errorf("save configuration: %w", err)
		}
		saved = true
		return nil
	}
	if err := s.applier.Apply(ctx, cfg, save); err != nil {
		f.discard(saved)
		return Result{}, cfg, &ApplyError{err}
	}
	if !saved { // an applier that found nothing to do
		if err := save(); err != nil {
			f.discard(false)
			return Result{}, cfg, &ApplyError{err}
		}
	}
	s.settle(entry, t, cfg, old.tree)
	return Result{ID: entry.ID, Time: entry.Time, Tree: t, Changes: changes}, cfg, nil
}

// settle makes a commit that is on the disk the one in force.
func (s *Store) settle(entry Entry, t *tree.Tree, cfg *config.Config, before *tree.Tree) {
	s.cur.Store(&state{entry: entry, tree: t, cfg: cfg})
	s.setPending(entry, before)
	s.mu.Lock()
	s.history = append(s.history, entry)
	if n := len(s.history) - Keep; n > 0 {
		s.history = append([]Entry(nil), s.history[n:]...)
	}
	ids := make([]int, 0, len(s.watchers))
	for id := range s.watchers {
		ids = append(ids, id)
	}
	watchers := make([]func(Event), 0, len(ids))
	for _, id := range ids {
		watchers = append(watchers, s.watchers[id])
	}
	s.mu.Unlock()
	for _, f := range watchers {
		f(Event{Entry: entry, Old: before, Tree: t, Config: cfg})
	}
	s.poke()
}

// poke has Run look at what there is to do.
func (s *Store) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Store) newEntry(req Request, old *state, changes []tree.Change) Entry {
	now := s.now().Round(0)
	entry := Entry{
		ID: s.nextCommit(old.entry.ID), Time: now, Who: req.Who, API: req.API, Peer: req.Peer, Comment: req.Comment, Base: old.entry.ID,
		Startup: old.entry.Startup, Changes: len(changes),
	}
	entry.Diff, entry.DiffCut = s.bounded(changes)
	if req.startup != "" {
		entry.Startup = req.startup
	}
	if req.Confirm > 0 {
		entry.Confirm = &Confirmation{ID: req.ConfirmID, Deadline: now.Add(req.Confirm), Revert: old.entry.ID}
		if entry.Confirm.ID == "" {
			entry.Confirm.ID = fmt.Sprint(entry.ID)
		}
	}
	return entry
}

// withTreePaths gives the errors about a configuration the paths of the tree it was read from.
func (s *Store) withTreePaths(err error, cfg *config.Config, t *tree.Tree) error {
	var faults config.Errors
	var refused *ApplyError
	switch {
	case err == nil || !errors.As(err, &faults):
		return err
	case errors.As(err, &refused):
		return &ApplyError{s.opt.Model.Errors(faults, cfg, t)}
	}
	return s.opt.Model.Errors(faults, cfg, t)
}
