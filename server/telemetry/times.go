package telemetry

import (
	"hash/maphash"
	"sync"
	"time"

	"millrace/yang/tree"
)

// maxTimes leaves of the configuration have a time of their own. Beyond, what has not changed lately has the time at which that came to be
// too many.
const maxTimes = 1 << 20

// times knows when leaves of the configuration were last changed.
type times struct {
	mu sync.RWMutex
	// since is the time of all that changed has not.
	since   time.Time
	changed map[uint64]int64
}

var seed = maphash.MakeSeed()

// hash tells paths apart. A leaf of state has the hash of the leaf of configuration that it mirrors.
func hash(p tree.Path) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, e := range p {
		name := e.Name
		if name == "state" {
			name = "config"
		}
		_, _ = h.WriteString(name)
		for _, k := range e.Keys {
			_ = h.WriteByte(1)
			_, _ = h.WriteString(k.Value)
		}
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

// keyHash is the hash of the key of the entry around a leaf.
func keyHash(p tree.Path) uint64 {
	for i := len(p) - 1; i >= 0; i-- {
		if k := p[i].Keys; len(k) > 0 {
			return hash(p[:i+1].Name(k[0].Name))
		}
	}
	return 0
}

// commit notes what a commit changed.
func (t *times) commit(old, now *tree.Tree, at time.Time) {
	var all []uint64
	tree.Diff(old, now, func(c tree.Change) {
		if c.Schema.IsLeaf() {
			all = append(all, hash(c.Path))
		}
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.changed == nil || len(t.changed)+len(all) > maxTimes {
		if t.changed != nil {
			t.since = at
		}
		t.changed = make(map[uint64]int64, len(all))
	}
	for _, h := range all {
		t.changed[h] = at.UnixNano()
	}
}

// split calls emit with leaves of the configuration, or of state that mirrors it, by the time at which they were changed.
func (t *times) split(all []Leaf, emit func(Batch) error) error {
	groups := t.groups(all)
	for _, b := range groups {
		if err := emit(b); err != nil {
			return err
		}
	}
	return nil
}

func (t *times) groups(all []Leaf) []Batch {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.changed) == 0 {
		return []Batch{{Time: t.since, Leaves: all}}
	}
	var out []Batch
leaves:
	for _, l := range all {
		at := t.since
		if ns, ok := t.changed[hash(l.Path)]; ok {
			at = time.Unix(0, ns)
		} else if ns, ok := t.changed[keyHash(l.Path)]; ok {
			at = time.Unix(0, ns) // a default, since its entry is there
		}
		for i := range out {
			if out[i].Time.Equal(at) {
				out[i].Leaves = append(out[i].Leaves, l)
				continue leaves
			}
		}
		out = append(out, Batch{Time: at, Leaves: []Leaf{l}})
	}
	return out
}
