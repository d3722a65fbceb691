package gnoiserver

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/openconfig/gnoi/healthz"
	"github.com/openconfig/gnoi/types"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Limits of what is kept of a component, and of all together.
const (
	maxEvents       = 32
	maxArtifacts    = 4 // of one event
	maxAllArtifacts = 32
	maxArtifact     = 256 << 10 // bytes of one
)

// event is a change of a component's health, or what a Check found.
type event struct {
	id, component string
	created       time.Time
	why           []string
	acknowledged  bool
	artifacts     []*artifact
}

type artifact struct {
	id   string
	text []byte
	sum  [sha256.Size]byte
}

func (a *artifact) header() *healthz.ArtifactHeader {
	return &healthz.ArtifactHeader{Id: a.id, ArtifactType: &healthz.ArtifactHeader_File{File: &healthz.FileArtifactType{
		Name: a.id + ".txt", Mimetype: "text/plain; charset=utf-8", Size: int64(len(a.text)),
		Hash: &types.HashType{Method: types.HashType_SHA256, Hash: a.sum[:]},
	}}}
}

// events are those of all components, in memory: the oldest go for newer ones.
type events struct {
	mu   sync.Mutex
	of   map[string][]*event // the newest last
	last int64               // number in the ID of the newest
	// artifacts in the order they were made.
	artifacts []*artifact
}

// add notes an event.
func (e *events) add(component string, why []string, now time.Time) *event {
	e.mu.Lock()
	defer e.mu.Unlock()
	// Greater than those of an earlier run, too.
	e.last = max(e.last+1, now.UnixMicro())
	ev := &event{id: component + "-" + strconv.FormatInt(e.last, 36), component: component, created: now, why: slices.Clone(why)}
	list := append(e.of[component], ev)
	if len(list) > maxEvents {
		for _, a := range list[0].artifacts {
			e.artifacts = slices.DeleteFunc(e.artifacts, func(x *artifact) bool { return x == a })
		}
		list = slices.Delete(list, 0, 1)
	}
	e.of[component] = list
	return ev
}

// changed notes an event if a component is not as it was, and says so.
func (e *events) changed(component string, why []string, now time.Time) (*event, bool) {
	e.mu.Lock()
	list := e.of[component]
	if n := len(list); n > 0 && slices.Equal(list[n-1].why, why) {
		e.mu.Unlock()
		return list[n-1], false
	}
	e.mu.Unlock()
	return e.add(component, why, now), true
}

// keep forgets components that are no more.
func (e *events) keep(h health) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for component, list := range e.of {
		if _, ok := h[component]; ok {
			continue
		}
		for _, ev := range list {
			e.artifacts = slices.DeleteFunc(e.artifacts, func(x *artifact) bool { return slices.Contains(ev.artifacts, x) })
		}
		delete(e.of, component)
	}
}

// attach gives an event an artifact. The oldest artifact of all goes where there are too many; false: this event has enough.
func (e *events) attach(ev *event, text []byte) bool {
	if len(text) > maxArtifact {
		text = append(text[:maxArtifact:maxArtifact], "\n(cut here)\n"...)
	}
	a := &artifact{text: text, sum: sha256.Sum256(text)}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(ev.artifacts) >= maxArtifacts {
		return false
	}
	a.id = fmt.Sprintf("%s-%d", ev.id, len(ev.artifacts)+1)
	// A copy: messages are made of the list without the lock.
	ev.artifacts = append(slices.Clone(ev.artifacts), a)
	e.artifacts = append(e.artifacts, a)
	if len(e.artifacts) > maxAllArtifacts {
		oldest := e.artifacts[0]
		e.artifacts = slices.Delete(e.artifacts, 0, 1)
		oldest.text = nil
	}
	return true
}

// artifact is one that is still there.
func (e *events) artifact(id string) (*artifact, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range e.artifacts {
		if a.id == id {
			return &artifact{id: a.id, text: a.text, sum: a.sum}, true
		}
	}
	return nil, false
}

func (e *events) find(component, id string) *event {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.of[component] {
		if ev.id == id {
			return ev
		}
	}
	return nil
}

func (e *events) acknowledge(ev *event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ev.acknowledged = true
}

// list are the events of a component, the newest first.
func (e *events) list(component string, acknowledged bool) (out []*event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range slices.Backward(e.of[component]) {
		if acknowledged || !ev.acknowledged {
			out = append(out, ev)
		}
	}
	return out
}

// status is an event as a message.
func (e *events) status(ev *event) *healthz.ComponentStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := &healthz.ComponentStatus{
		Path: componentPath(ev.component), Id: ev.id, Status: healthz.Status_STATUS_HEALTHY, Acknowledged: ev.acknowledged,
		Created: timestamppb.New(ev.created),
	}
	if len(ev.why) > 0 {
		c.Status = healthz.Status_STATUS_UNHEALTHY
	}
	for _, a := range ev.artifacts {
		if a.text != nil {
			c.Artifacts = append(c.Artifacts, a.header())
		}
	}
	return c
}
