package store

import (
	"context"
	"fmt"
	"time"

	"millrace/yang/tree"
)

// apiConfirm is who goes back to what was before a commit that was not confirmed.
const apiConfirm = "commit-confirmed"

// pendingAlarm is there while a commit waits to be confirmed.
const pendingAlarm = "configuration/unconfirmed"

// How long to wait before the next attempt to go back, when the system refused.
const revertRetry = 5 * time.Second

// Pending is a commit that waits to be confirmed.
type Pending struct {
	// ID is the name that Confirm and Cancel have to give, Commit its number.
	ID     string
	Commit uint64
	// Deadline is when Revert comes back.
	Deadline time.Time
	Revert   uint64
}

type pending struct {
	Pending
	before *tree.Tree
	// at is when to go back, by the clock that no one sets.
	at time.Time
}

// setPending takes over whether the commit in force has to be confirmed.
func (s *Store) setPending(entry Entry, before *tree.Tree) {
	c := entry.Confirm
	if c == nil || !c.Confirmed.IsZero() {
		s.pending.Store(nil)
		s.alarms.clear(pendingAlarm)
		return
	}
	s.pending.Store(&pending{
		Pending: Pending{ID: c.ID, Commit: entry.ID, Deadline: c.Deadline, Revert: c.Revert},
		before:  before, at: time.Now().Add(c.Deadline.Sub(s.now())),
	})
	s.alarms.raise(pendingAlarm, fmt.Sprintf("commit %d is taken back unless it is confirmed until %s", entry.ID, c.Deadline.Format(time.RFC3339)))
	s.poke()
}

// Pending returns the commit that waits to be confirmed, if there is one.
func (s *Store) Pending() (Pending, bool) {
	if p := s.pending.Load(); p != nil {
		return p.Pending, true
	}
	return Pending{}, false
}

// pendingAs is the commit that waits to be confirmed, if its name is the one given; an empty one stands for any.
func (s *Store) pendingAs(id string) (*pending, error) {
	p := s.pending.Load()
	switch {
	case p == nil:
		return nil, ErrNotPending
	case id != "" && id != p.ID:
		return nil, fmt.Errorf("%w: %q, not %q", ErrOtherCommit, p.ID, id)
	}
	return p, nil
}

// Confirm lets the commit that waits for it stand. An empty id stands for any.
func (s *Store) Confirm(ctx context.Context, req Request, id string) error {
	req = req.from(ctx)
	var p Pending
	err := s.amend(ctx, id, &p, func(c *Confirmation) { c.Confirmed = s.now().Round(0) })
	s.auditAction(req, "confirm", p.Commit, 0, err)
	return err
}

// SetDeadline lets the commit that waits to be confirmed wait so long from now.
func (s *Store) SetDeadline(ctx context.Context, req Request, id string, d time.Duration) error {
	req = req.from(ctx)
	var p Pending
	err := s.amend(ctx, id, &p, func(c *Confirmation) { c.Deadline = s.now().Round(0).Add(d) })
	s.auditAction(req, "set-rollback-duration", p.Commit, 0, err)
	return err
}

// amend changes what is known of the confirmation of the commit in force, on the disk first.
func (s *Store) amend(ctx context.Context, id string, of *Pending, change func(*Confirmation)) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	p, err := s.pendingAs(id)
	if err != nil {
		return err
	}
	*of = p.Pending
	c := s.cur.Load()
	entry := c.entry
	conf := *entry.Confirm
	change(&conf)
	entry.Confirm = &conf
	if err := s.rewrite(entry.ID, func(e *Entry) { e.Confirm = &conf }); err != nil {
		return fmt.Errorf("save configuration: %w", err)
	}
	s.cur.Store(&state{entry: entry, tree: c.tree, cfg: c.cfg})
	s.mu.Lock()
	for i := range s.history {
		if s.history[i].ID == entry.ID {
			s.history[i] = entry
		}
	}
	s.mu.Unlock()
	s.setPending(entry, p.before)
	return nil
}

// Cancel takes the commit that waits to be confirmed back. An empty id stands for any.
func (s *Store) Cancel(ctx context.Context, req Request, id string) (Result, error) {
	req = req.from(ctx)
	res, err := s.cancel(ctx, &req, id)
	s.auditCommit(req, res, err)
	return res, err
}

func (s *Store) cancel(ctx context.Context, req *Request, id string) (Result, error) {
	if err := s.acquire(ctx); err != nil {
		return Result{}, err
	}
	defer s.release()
	p, err := s.pendingAs(id)
	if err != nil {
		return Result{}, err
	}
	if req.Comment == "" {
		req.Comment = fmt.Sprintf("commit %d cancelled", p.Commit)
	}
	return s.revert(ctx, req, p)
}

// revert goes back to what was before a commit that waits to be confirmed.
func (s *Store) revert(ctx context.Context, req *Request, p *pending) (Result, error) {
	req.settles, req.force = p, true
	req.Confirm = 0
	if err := s.admit(*req); err != nil {
		return Result{}, err
	}
	return s.goTo(ctx, *req, p.before)
}

// expire goes back if the time is up, and says when to ask again; never if there is nothing to wait for.
func (s *Store) expire(ctx context.Context) (again time.Duration, wait bool) {
	p := s.pending.Load()
	if p == nil {
		return 0, false
	}
	if d := time.Until(p.at); d > 0 {
		return d, true
	}
	if s.acquire(ctx) != nil {
		return 0, false
	}
	if s.pending.Load() != p { // it was just in time
		s.release()
		return 0, true
	}
	req := Request{Who: "vnf", API: apiConfirm, Comment: fmt.Sprintf("commit %d was not confirmed in time", p.Commit)}
	s.log.Warn("commit was not confirmed in time; the configuration before it comes back", "commit", p.Commit, "back to", p.Revert)
	res, err := s.revert(ctx, &req, p)
	s.release()
	s.auditCommit(req, res, err)
	if err == nil {
		s.alarms.clear("configuration/revert")
		return 0, false
	}
	s.log.Error("a commit that was not confirmed cannot be taken back", "commit", p.Commit, "error", err)
	s.alarms.raise("configuration/revert", fmt.Sprintf("commit %d was not confirmed and cannot be taken back: %s", p.Commit, firstLine(err)))
	return revertRetry, true
}
