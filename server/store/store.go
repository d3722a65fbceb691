package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"millrace/server/config"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// Translator turns trees into configurations and back; *model.Model is one.
type Translator interface {
	// ToConfig reads a tree. Nobody changes the result. The error is tree.Errors.
	ToConfig(t *tree.Tree) (*config.Config, error)
	// FromConfig makes the tree of a configuration, with the names and indices of hint where a configuration has none.
	FromConfig(c *config.Config, hint *tree.Tree) (*tree.Tree, error)
	// Errors gives config.Errors the paths of the tree; others are returned as they are.
	Errors(err error, c *config.Config, t *tree.Tree) error
}

// Applier brings the system to a configuration.
type Applier interface {
	// Apply brings the system to next, which nobody changes, and then calls save. Only when that has returned nil is next in force. If a
	// part cannot be carried out, or save fails, the system is taken back to what it was. The error is config.Errors, possibly
	// wrapped, where it is about a place in the configuration.
	Apply(ctx context.Context, next *config.Config, save func() error) error
}

// Options of a Store. Dir, Schema and Model have to be given.
type Options struct {
	// Dir is the state directory: commits are in "commits" below it.
	Dir string
	// Startup is the operator's file, which wins whenever it has changed since it was last read; empty: there is none.
	Startup string
	Schema  *schema.Schema
	Model   Translator
	// Secrets are schema paths of leaves that are not shown.
	Secrets []string
	// Prepare completes what an edit came to before it is looked at; nil: nothing is to be done.
	Prepare func(*tree.Edit) error
	// Authorize refuses a change that who asks in the context may not make; nil: all may.
	Authorize func(context.Context, tree.Change) error
	Logger    *slog.Logger
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Keep is the number of commits that are kept.
const Keep = 50

// Request is a commit that is asked for.
type Request struct {
	// Who asks: the name of a user or of a certificate. API is what was used: "gnmi", "grpc". Peer is the address asked from.
	Who, API, Peer string
	// Comment is for people.
	Comment string
	// DryRun has everything checked that can be without touching the system, and changes nothing.
	DryRun bool
	// Confirm is how long to wait for Confirm before going back by itself; 0: the commit stands.
	Confirm time.Duration
	// ConfirmID is the name that Confirm and Cancel have to give; empty: the commit's number.
	ConfirmID string
	// Expect refuses the commit unless this one is the last; 0: whichever is.
	Expect uint64

	// Keep are places that Load leaves as they are if the document has nothing of them.
	Keep []tree.Path

	// force makes a commit even if nothing changes.
	force bool
	// startup is the checksum of the operator's file that the tree was read from.
	startup string
	// settles is the pending commit that this one ends.
	settles *pending
}

// Result of a commit.
type Result struct {
	// ID and Time of the commit; those of the last one if nothing has changed, or for a DryRun.
	ID   uint64
	Time time.Time
	// Tree is what is in force now, or would be.
	Tree *tree.Tree
	// Changes to what was in force.
	Changes []tree.Change
}

// Event is a commit that has come into force.
type Event struct {
	Entry     Entry
	Old, Tree *tree.Tree
	Config    *config.Config
}

// Reasons for which a commit is refused, beside what is wrong with it.
var (
	// ErrPending: there is a commit that has to be confirmed or cancelled first.
	ErrPending = errors.New("another commit waits to be confirmed")
	// ErrNotPending: no commit waits to be confirmed.
	ErrNotPending = errors.New("no commit waits to be confirmed")
	// ErrOtherCommit: the one that waits to be confirmed has another name.
	ErrOtherCommit = errors.New("the commit that waits to be confirmed has another id")
	// ErrNotFound: there is no such commit.
	ErrNotFound = errors.New("there is no such commit")
	// ErrChanged: another commit came before.
	ErrChanged = errors.New("the configuration has changed since")
)

// ApplyError says that a configuration without faults could not be brought into force.
type ApplyError struct{ Err error }

func (e *ApplyError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ApplyError) Unwrap() error { return e.Err }

// state is what is in force.
type state struct {
	entry Entry
	tree  *tree.Tree
	cfg   *config.Config
	// document says that it was read from a tree as RFC 7951 has it.
	document bool
}

// Store holds the configuration.
type Store struct {
	opt     Options
	log     *slog.Logger
	now     func() time.Time
	dir     string // of the commits
	secrets map[*schema.Node]bool
	applier Applier
	audit   *auditLog
	alarms  alarms
	json    encoder // for the commit in the making

	// lock is held by who changes something.
	lock     chan struct{}
	cur      atomic.Pointer[state]
	pending  atomic.Pointer[pending]
	mu       sync.Mutex
	history  []Entry // oldest first
	watchers map[int]func(Event)
	nextID   int

	wake chan struct{} // something for Run to do
	// hook is called between the steps of a commit; tests end the process there.
	hook func(step string)
}

func newStore(o Options) (*Store, error) {
	if o.Dir == "" || o.Schema == nil || o.Model == nil {
		return nil, errors.New("store: directory, schema and model have to be given")
	}
	s := &Store{
		opt: o, log: o.Logger, now: o.Now, dir: filepath.Join(o.Dir, "commits"), secrets: map[*schema.Node]bool{},
		lock: make(chan struct{}, 1), watchers: map[int]func(Event){}, wake: make(chan struct{}, 1), hook: func(string) {},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.alarms.init()
	s.audit = newAuditLog(filepath.Join(o.Dir, "audit.log"), s.log)
	for _, p := range o.Secrets {
		n := o.Schema.Find(p)
		if n == nil {
			return nil, fmt.Errorf("store: the secret leaf %s is not in the schema", p)
		}
		s.secrets[n] = true
	}
	return s, nil
}

// Bind says who brings the system to the configuration. Before that, commits are refused.
func (s *Store) Bind(a Applier) { s.applier = a }

// Schema of the tree.
func (s *Store) Schema() *schema.Schema { return s.opt.Schema }

// Tree is what is in force.
func (s *Store) Tree() *tree.Tree { return s.cur.Load().tree }

// Config is what is in force, which nobody changes.
func (s *Store) Config() *config.Config { return s.cur.Load().cfg }

// Current returns what is in force and the commit that made it so, all of one moment.
func (s *Store) Current() (Entry, *tree.Tree, *config.Config) {
	c := s.cur.Load()
	return c.entry, c.tree, c.cfg
}

// Watch has f called with each commit that comes into force from now on, in their order and before they are answered. f must be quick
// and must not change the configuration. stop ends it.
func (s *Store) Watch(f func(Event)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.nextID
	s.nextID++
	s.watchers[id] = f
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, id)
	}
}

func (s *Store) acquire(ctx context.Context) error {
	select {
	case s.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Store) release() { <-s.lock }

// Idle waits until no change is under way. Its error is that of ctx.
func (s *Store) Idle(ctx context.Context) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	s.release()
	return nil
}
