package control

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	grpcserver "millrace/server/grpc"
)

// alarms are what is wrong now. Each change is logged once.
type alarms struct {
	log *slog.Logger
	now func() time.Time

	mu  sync.Mutex
	set map[string]grpcserver.Alarm
}

func newAlarms(log *slog.Logger) *alarms {
	return &alarms{log: log, now: time.Now, set: map[string]grpcserver.Alarm{}}
}

// raise sets an alarm, or changes its text.
func (a *alarms) raise(id string, sev grpcserver.Severity, resource, text string) {
	a.mu.Lock()
	old, ok := a.set[id]
	if ok && old.Text == text && old.Severity == sev {
		a.mu.Unlock()
		return
	}
	since := old.Since
	if !ok {
		since = a.now()
	}
	a.set[id] = grpcserver.Alarm{ID: id, Severity: sev, Resource: resource, Text: text, Since: since}
	a.mu.Unlock()
	a.log.Warn("alarm", "id", id, "resource", resource, "text", text)
}

// clear ends an alarm, if it is there.
func (a *alarms) clear(id string) {
	a.mu.Lock()
	_, ok := a.set[id]
	delete(a.set, id)
	a.mu.Unlock()
	if ok {
		a.log.Info("alarm ended", "id", id)
	}
}

// keep ends all alarms whose id begins with prefix except those named.
func (a *alarms) keep(prefix string, ids map[string]bool) {
	a.mu.Lock()
	var gone []string
	for id := range a.set {
		if strings.HasPrefix(id, prefix) && !ids[id] {
			gone = append(gone, id)
		}
	}
	a.mu.Unlock()
	for _, id := range gone {
		a.clear(id)
	}
}

// Alarms lists what is wrong now, the worst first.
func (a *alarms) Alarms() []grpcserver.Alarm {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]grpcserver.Alarm, 0, len(a.set))
	for _, one := range a.set {
		list = append(list, one)
	}
	slices.SortFunc(list, func(x, y grpcserver.Alarm) int {
		return cmp.Or(cmp.Compare(y.Severity, x.Severity), x.Since.Compare(y.Since), cmp.Compare(x.ID, y.ID))
	})
	return list
}
