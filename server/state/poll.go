package state

import (
	"context"
	"time"

	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// watchByReading is telemetry.Watcher's Watch for a source that learns of changes only by reading: it reads again and again and tells
// what of the leaves that are not sampled has changed.
func watchByReading(ctx context.Context, src telemetry.Watcher, m tree.Pattern, every time.Duration, ready func(),
	emit func(telemetry.Batch) error) error {
	known := map[string]telemetry.Leaf{}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for first := true; ; first = false {
		there := map[string]bool{}
		err := src.Read(ctx, m, func(b telemetry.Batch) error {
			now := telemetry.Batch{Time: b.Time}
			for _, l := range b.Leaves {
				if src.Sampled(l.Schema) || !m.Covers(l.Path) {
					continue
				}
				key := l.Path.String()
				there[key] = true
				if old, ok := known[key]; !ok || !old.Value.Equal(l.Value) {
					known[key] = l
					now.Leaves = append(now.Leaves, l)
				}
			}
			if first || len(now.Leaves) == 0 {
				return nil
			}
			return emit(now)
		})
		if err != nil {
			return err
		}
		gone := telemetry.Batch{Time: time.Now()}
		for key, l := range known {
			if !there[key] {
				gone.Deleted = append(gone.Deleted, l.Path)
				delete(known, key)
			}
		}
		if len(gone.Deleted) > 0 {
			if err := emit(gone); err != nil {
				return err
			}
		}
		if first {
			ready()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// named says that a leaf has one of some names.
func named(n *schema.Node, names ...string) bool {
	for _, s := range names {
		if n.Name == s {
			return true
		}
	}
	return false
}
