package store

import (
	"slices"
	"strings"
	"sync"
)

// Alarm is something that is wrong with the files of the configuration, or waits for somebody.
type Alarm struct{ ID, Text string }

// Waits says that nothing is wrong, but a commit has to be confirmed.
func (a Alarm) Waits() bool { return a.ID == pendingAlarm }

// alarms are what is wrong now.
type alarms struct {
	mu   sync.Mutex
	set  map[string]string
	tell func(a Alarm, on bool)
}

func (a *alarms) init() { a.set = map[string]string{} }

func (a *alarms) raise(id, text string) { a.change(id, text, true) }

func (a *alarms) clear(id string) { a.change(id, "", false) }

func (a *alarms) change(id, text string, on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old, was := a.set[id]
	if was == on && old == text {
		return
	}
	if on {
		a.set[id] = text
	} else {
		delete(a.set, id)
	}
	if a.tell != nil {
		a.tell(Alarm{id, text}, on)
	}
}

// OnAlarm has tell called with what is wrong now, and with each change of it from now on. tell must not call the Store.
func (s *Store) OnAlarm(tell func(a Alarm, on bool)) {
	s.alarms.mu.Lock()
	defer s.alarms.mu.Unlock()
	s.alarms.tell = tell
	for id, text := range s.alarms.set {
		tell(Alarm{id, text}, true)
	}
}

// Alarms lists what is wrong now.
func (s *Store) Alarms() []Alarm {
	s.alarms.mu.Lock()
	defer s.alarms.mu.Unlock()
	var out []Alarm
	for id, text := range s.alarms.set {
		out = append(out, Alarm{id, text})
	}
	slices.SortFunc(out, func(x, y Alarm) int { return strings.Compare(x.ID, y.ID) })
	return out
}
