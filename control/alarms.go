package control

import (
	"cmp"
	"context"
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
	// until is when an alarm ends that is not raised again.
	until map[string]time.Time
	// told are the channels of who waits for a change.
	told map[chan struct{}]bool
}

func newAlarms(log *slog.Logger) *alarms {
	return &alarms{log: log, now: time.Now, set: map[string]grpcserver.Alarm{}, until: map[string]time.Time{}, told: map[chan struct{}]bool{}}
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
	a.tell()
	a.mu.Unlock()
	a.log.Warn("alarm", "id", id, "resource", resource, "text", text)
}

// raiseFor raises an alarm about something of which only the beginning is told, again and again while it lasts. It ends when it was
// not raised for so long.
func (a *alarms) raiseFor(d time.Duration, id string, sev grpcserver.Severity, resource, text string) {
	a.raise(id, sev, resource, text)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.until[id] = a.now().Add(d)
}

// expire ends the alarms of raiseFor whose time is over.
func (a *alarms) expire() {
	a.mu.Lock()
	var gone []string
	for id, t := range a.until {
		if a.now().After(t) {
			gone = append(gone, id)
		}
	}
	a.mu.Unlock()
	for _, id := range gone {
		a.clear(id)
	}
}

// clear ends an alarm, if it is there.
func (a *alarms) clear(id string) {
	a.mu.Lock()
	_, ok := a.set[id]
	delete(a.set, id)
	delete(a.until, id)
	if ok {
		a.tell()
	}
	a.mu.Unlock()
	if ok {
		a.log.Info("alarm ended", "id", id)
	}
}

// tell wakes who waits for a change. The caller holds the lock.
func (a *alarms) tell() {
	for ch := range a.told {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// AlarmsChanged has a value whenever the alarms have changed, until ctx ends.
func (c *Controller) AlarmsChanged(ctx context.Context) <-chan struct{} {
	a, ch := c.alarms, make(chan struct{}, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told[ch] = true
	context.AfterFunc(ctx, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.told, ch)
	})
	return ch
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
