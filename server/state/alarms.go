package state

import (
	"context"
	"strings"
	"time"

	grpcserver "millrace/server/grpc"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// AlarmList tells what is wrong now.
type AlarmList interface {
	Alarms() []grpcserver.Alarm
	// AlarmsChanged has a value whenever the list has changed, until ctx ends.
	AlarmsChanged(ctx context.Context) <-chan struct{}
}

// Alarms is the source of /system/alarms.
type Alarms struct {
	s    *schema.Schema
	list AlarmList
}

// NewAlarms makes the source.
func NewAlarms(s *schema.Schema, list AlarmList) *Alarms { return &Alarms{s, list} }

// Roots is the list of alarms.
func (a *Alarms) Roots() []string { return []string{"/system/alarms"} }

// Sampled is nothing.
func (a *Alarms) Sampled(*schema.Node) bool { return false }

var alarmSeverities = map[grpcserver.Severity]string{
	grpcserver.Warning: "WARNING", grpcserver.Minor: "MINOR", grpcserver.Major: "MAJOR", grpcserver.Critical: "CRITICAL",
}

func alarmPath(id string) tree.Path {
	return entryPath(tree.Path{{Name: "system"}}, "alarms", "alarm", "id", id)
}

func (a *Alarms) object(al grpcserver.Alarm) *telemetry.Object {
	severity, ok := alarmSeverities[al.Severity]
	if !ok {
		severity = "UNKNOWN"
	}
	kind, _, _ := strings.Cut(al.ID, " ")
	o := telemetry.NewObject(a.s, alarmPath(al.ID)).Set("id", al.ID).Set("state/id", al.ID).Set("state/resource", al.Resource)
	return o.Set("state/text", al.Text).Set("state/time-created", uint64(al.Since.UnixNano())).Set("state/severity", severity).Set("state/type-id", kind)
}

// Read lists the alarms.
func (a *Alarms) Read(_ context.Context, m tree.Pattern, emit func(telemetry.Batch) error) error {
	want := keyOf(m, "alarm", "id")
	for _, al := range a.list.Alarms() {
		if want != "" && al.ID != want {
			continue
		}
		if err := emitObject(a.object(al), al.Since, emit); err != nil {
			return err
		}
	}
	return nil
}

// Watch tells of alarms that come, change and end.
func (a *Alarms) Watch(ctx context.Context, _ tree.Pattern, ready func(), emit func(telemetry.Batch) error) error {
	changed := a.list.AlarmsChanged(ctx)
	known := map[string]grpcserver.Alarm{}
	for _, al := range a.list.Alarms() {
		known[al.ID] = al
	}
	ready()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
		there := map[string]bool{}
		for _, al := range a.list.Alarms() {
			there[al.ID] = true
			old, ok := known[al.ID]
			if ok && old == al {
				continue
			}
			known[al.ID] = al
			t := al.Since
			if ok {
				t = time.Now()
			}
			if err := emitObject(a.object(al), t, emit); err != nil {
				return err
			}
		}
		for id := range known {
			if there[id] {
				continue
			}
			delete(known, id)
			if err := emit(telemetry.Batch{Time: time.Now(), Deleted: []tree.Path{alarmPath(id)}}); err != nil {
				return err
			}
		}
	}
}
