package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/peer"

	"millrace/server/auth"
)

// AuditRecord is a change that was made or refused.
type AuditRecord struct {
	Time time.Time `json:"time"`
	Who  string    `json:"who,omitempty"`
	API  string    `json:"api,omitempty"`
	Peer string    `json:"peer,omitempty"`
	// Action is "commit", "confirm", "login" and the like.
	Action string `json:"action"`
	// Result is "ok" or "refused".
	Result string `json:"result"`
	// Reason of a refusal.
	Reason  string `json:"reason,omitempty"`
	Commit  uint64 `json:"commit,omitempty"`
	Changes int    `json:"changes"`
	Comment string `json:"comment,omitempty"`
}

// The results of an AuditRecord.
const (
	AuditOK      = "ok"
	AuditRefused = "refused"
)

// Limits of the audit log's files.
const (
	auditSize  = 8 << 20
	auditFiles = 5
	// Longer reasons are cut.
	auditReason = 2000
)

// auditLog is a file of JSON lines that is only ever appended to. When it is full it gets the suffix .1, and the ones before the next.
type auditLog struct {
	path string
	log  *slog.Logger
	max  int64

	mu   sync.Mutex
	file *os.File
	size int64
	// failing: the fault was logged.
	failing bool
}

func newAuditLog(path string, log *slog.Logger) *auditLog {
	return &auditLog{path: path, log: log, max: auditSize}
}

func (a *auditLog) write(r AuditRecord) {
	line, err := json.Marshal(r)
	if err != nil {
		a.log.Error("audit log", "error", err)
		return
	}
	line = append(line, '\n')
	a.mu.Lock()
	defer a.mu.Unlock()
	if err = a.open(int64(len(line))); err == nil {
		var n int
		n, err = a.file.Write(line)
		a.size += int64(n)
	}
	if err != nil && !a.failing {
		a.log.Error("audit log", "error", err)
	}
	a.failing = err != nil
}

// open makes sure of a file with room for a line.
func (a *auditLog) open(room int64) error {
	if a.file != nil && a.size+room > a.max {
		_ = a.file.Close()
		a.file = nil
		for n := auditFiles - 2; n >= 0; n-- {
			from := a.path
			if n > 0 {
				from = fmt.Sprintf("%s.%d", a.path, n)
			}
			if err := os.Rename(from, fmt.Sprintf("%s.%d", a.path, n+1)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	if a.file != nil {
		return nil
	}
	f, err := os.OpenFile(a.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return err
	}
	a.file, a.size = f, st.Size()
	if a.size > 0 && a.size+room > a.max {
		return a.open(room)
	}
	return nil
}

func (a *auditLog) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file != nil {
		_ = a.file.Close()
		a.file = nil
	}
}

// Audit notes a change, or the refusal of one, in the log and in audit.log in the state directory. What is made or refused by Commit,
// Edit, Rollback, Confirm and Cancel is noted by these; servers note what they refuse before.
func (s *Store) Audit(r AuditRecord) {
	if r.Time.IsZero() {
		r.Time = s.now().Round(0)
	}
	if r.Result == "" {
		r.Result = AuditOK
		if r.Reason != "" {
			r.Result = AuditRefused
		}
	}
	if len(r.Reason) > auditReason {
		r.Reason = r.Reason[:auditReason] + "..."
	}
	attrs := []slog.Attr{
		slog.Bool("audit", true), slog.String("action", r.Action), slog.String("who", r.Who), slog.String("api", r.API),
		slog.String("peer", r.Peer), slog.String("result", r.Result), slog.Int("changes", r.Changes),
	}
	if r.Commit != 0 {
		attrs = append(attrs, slog.Uint64("commit", r.Commit))
	}
	if r.Comment != "" {
		attrs = append(attrs, slog.String("comment", r.Comment))
	}
	level := slog.LevelInfo
	if r.Reason != "" {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("reason", r.Reason))
	}
	what := "configuration " + r.Action
	if strings.HasPrefix(r.Action, "/") { // a call that is not about the configuration
		what = "call"
	}
	s.log.LogAttrs(context.Background(), level, what+" "+r.Result, attrs...)
	s.audit.write(r)
}

// auditCommit notes what came of a commit. Dry runs change nothing and are not noted; nor is what changed nothing.
func (s *Store) auditCommit(req Request, res Result, err error) {
	if req.DryRun || err == nil && len(res.Changes) == 0 && !req.force && req.Confirm == 0 {
		return
	}
	s.auditAction(req, "commit", res.ID, len(res.Changes), err)
}

func (s *Store) auditAction(req Request, action string, id uint64, changes int, err error) {
	r := AuditRecord{Who: req.Who, API: req.API, Peer: req.Peer, Action: action, Commit: id, Changes: changes, Comment: req.Comment}
	if err != nil {
		r.Reason = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	s.Audit(r)
}

type requestKey struct{}

// WithRequest gives a context what is known of who asks, for Edit and where a Request leaves it out.
func WithRequest(ctx context.Context, r Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// from fills in what a request leaves out from the context.
func (r Request) from(ctx context.Context) Request {
	if c, ok := ctx.Value(requestKey{}).(Request); ok {
		r.Who, r.API, r.Peer = or(r.Who, c.Who), or(r.API, c.API), or(r.Peer, c.Peer)
		r.Comment = or(r.Comment, c.Comment)
	}
	if id, ok := auth.FromContext(ctx); ok {
		r.Who = or(r.Who, id.Name)
	}
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		r.Peer = or(r.Peer, p.Addr.String())
		r.API = or(r.API, "grpc")
	}
	return r
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
