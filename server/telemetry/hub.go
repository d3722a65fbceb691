package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"millrace/yang/schema"
	"millrace/yang/tree"
)

// What of the tree is read: the types of gNMI's Get (specification section 3.3.1).
type What uint8

// The types of data.
const (
	All What = iota
	// Config is what may be set.
	Config
	// State is what cannot be set.
	State
	// Operational is the state that does not mirror configuration: what the system does, and not what it was told.
	Operational
)

// Options of a Hub. All but Logger and Since have to be given.
type Options struct {
	Schema *schema.Schema
	// Config returns the configuration in force. It must have what Committed has told.
	Config  func() *tree.Tree
	Sources []Source
	// Since is when the configuration that is there at first was committed; zero: now.
	Since  time.Time
	Logger *slog.Logger
}

// Hub reads the management tree, and tells who watches it what has changed.
type Hub struct {
	schema  *schema.Schema
	config  func() *tree.Tree
	sources []*source
	log     *slog.Logger
	// owner of each leaf that a source knows; mirror is the leaf of configuration that a leaf of state has the same name as.
	owner  map[*schema.Node]*source
	mirror map[*schema.Node]*schema.Node
	// preset holds the defaults of the leaves of state that mirror.
	preset map[*schema.Node]schema.Value
	// sourced are the nodes at or below which a source knows something. atomic is, for a leaf of an object that is told as a whole, the
	// number of steps of the object's path.
	sourced map[*schema.Node]bool
	atomic  map[*schema.Node]int

	times times

	mu      sync.Mutex
	watches map[*Watch]struct{}
	feeds   map[feedKey]*feed
}

// source is one of the sources with what New found out about it.
type source struct {
	Source
	// watcher is nil if the source does not tell what changes.
	watcher Watcher
	name    string
	roots   []*schema.Node
}

// New makes a hub. It fails if a source claims what the schema has not, what is configuration, or what another has claimed.
func New(o Options) (*Hub, error) {
	if o.Schema == nil || o.Config == nil {
		return nil, fmt.Errorf("telemetry: Schema and Config have to be given")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Since.IsZero() {
		o.Since = time.Now()
	}
	h := &Hub{
		schema: o.Schema, config: o.Config, log: o.Logger, times: times{since: o.Since}, owner: map[*schema.Node]*source{},
		mirror: map[*schema.Node]*schema.Node{}, preset: map[*schema.Node]schema.Value{}, sourced: map[*schema.Node]bool{},
		atomic: map[*schema.Node]int{}, watches: map[*Watch]struct{}{}, feeds: map[feedKey]*feed{},
	}
	for _, s := range o.Sources {
		if err := h.add(s); err != nil {
			return nil, err
		}
	}
	o.Schema.Root.Walk(func(n *schema.Node) {
		if n.Kind == schema.Container && n.Name == "state" && !n.Config {
			if c := n.Parent.Child("config"); c != nil && c.Config {
				h.pair(c, n)
			}
		}
	})
	o.Schema.Root.Walk(func(n *schema.Node) {
		if n.Atomic && n.Kind == schema.List {
			depth := strings.Count(n.Path(), "/")
			n.Walk(func(c *schema.Node) { h.atomic[c] = depth })
		}
	})
	return h, nil
}

func (h *Hub) add(s Source) error {
	x := &source{Source: s, name: fmt.Sprintf("%T", s)}
	x.watcher, _ = s.(Watcher)
	for _, root := range s.Roots() {
		n := h.schema.Find(root)
		if n == nil {
			return fmt.Errorf("telemetry: source %s: %s is not in the schema", x.name, root)
		}
		x.roots = append(x.roots, n)
		var err error
		n.Walk(func(c *schema.Node) {
			if err != nil || !c.IsLeaf() || c.Config {
				return
			}
			if o := h.owner[c]; o != nil {
				err = fmt.Errorf("telemetry: source %s: %s is a matter of source %s", x.name, c.Path(), o.name)
				return
			}
			h.owner[c] = x
			for up := c; up != nil; up = up.Parent {
				h.sourced[up] = true
			}
		})
		if err != nil {
			return err
		}
	}
	h.sources = append(h.sources, x)
	return nil
}

// pair finds the leaves below a container of state that mirror those of the same name in one of configuration.
func (h *Hub) pair(config, state *schema.Node) {
	for _, n := range state.Children() {
		c := config.Child(n.Name)
		switch {
		case c == nil || c.Kind != n.Kind:
		case n.Kind == schema.Container:
			h.pair(c, n)
		case n.IsLeaf():
			h.mirror[n] = c
			texts := n.Default
			if len(texts) == 0 {
				texts = c.Default
			}
			if v, ok := preset(n, texts); ok {
				h.preset[n] = v
			}
		}
	}
}

func preset(n *schema.Node, texts []string) (schema.Value, bool) {
	if len(texts) == 0 {
		return schema.Value{}, false
	}
	var v schema.Value
	var err error
	if n.Kind == schema.LeafList {
		v, err = n.FromGo(texts)
	} else {
		v, err = n.FromText(texts[0])
	}
	return v, err == nil
}

// Schema of the tree that is read.
func (h *Hub) Schema() *schema.Schema { return h.schema }

// Takes says whether a leaf is of a type of data.
func (h *Hub) Takes(what What, n *schema.Node) bool {
	switch what {
	case Config:
		return n.Config
	case State:
		return !n.Config
	case Operational:
		return !n.Config && h.mirror[n] == nil
	}
	return true
}

// Read calls emit with all leaves that a pattern takes or that lie below what it takes: the configuration, the state that mirrors it and
// what the sources know. The leaves of one batch are of one object. It ends with emit's error, if that returns one, or that of a
// source.
func (h *Hub) Read(ctx context.Context, m tree.Pattern, what What, emit func(Batch) error) error {
	if what != Operational {
		r := &reader{hub: h, ctx: ctx, what: what, emit: func(all []Leaf) error { return h.times.split(all, emit) }}
		if err := r.tree(h.config(), m.Path); err != nil {
			return err
		}
	}
	if what == Config {
		return nil
	}
	for _, s := range h.sources {
		if !s.touches(m.Schema) {
			continue
		}
		err := s.Read(ctx, m, func(b Batch) error {
			if b, ok := h.filter(s, m, what, b); ok {
				return emit(b)
			}
			return ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// touches says that the source may know something at or below a node.
func (s *source) touches(n *schema.Node) bool {
	for _, r := range s.roots {
		if below(r, n) || below(n, r) {
			return true
		}
	}
	return false
}

// below says that a node is another or below it.
func below(n, top *schema.Node) bool {
	for ; n != nil; n = n.Parent {
		if n == top {
			return true
		}
	}
	return false
}

// filter leaves of a source's batch those that are asked for, and says whether there are any.
func (h *Hub) filter(s *source, m tree.Pattern, what What, b Batch) (Batch, bool) {
	take := func(l Leaf) bool {
		return h.owner[l.Schema] == s && m.Covers(l.Path) && (what != Operational || h.mirror[l.Schema] == nil)
	}
	b.Leaves = keep(b.Leaves, take)
	if b.Deleted = keep(b.Deleted, m.Touches); slices.ContainsFunc(b.Deleted, func(p tree.Path) bool { return len(p) < len(m.Path) }) {
		all := make([]tree.Path, len(b.Deleted))
		for i, p := range b.Deleted {
			all[i] = within(m, p)
		}
		b.Deleted = all
	}
	return b, len(b.Leaves) > 0 || len(b.Deleted) > 0
}

// within is the part of what has gone that a pattern takes: as near to it as a path without wildcards comes.
func within(m tree.Pattern, gone tree.Path) tree.Path {
	for i := len(gone); i < len(m.Path); i++ {
		e := m.Path[i]
		if slices.ContainsFunc(e.Keys, func(k tree.Key) bool { return k.Value == "*" }) {
			break
		}
		if i == len(m.Path)-1 && m.Schema.Kind == schema.List && len(e.Keys) == 0 {
			break
		}
		gone = gone.With(e)
	}
	return gone
}

// keep returns the elements that are taken: all is not changed, and returned itself if all are.
func keep[T any](all []T, take func(T) bool) []T {
	for i := range all {
		if take(all[i]) {
			continue
		}
		out := append(make([]T, 0, len(all)-1), all[:i]...)
		for _, x := range all[i+1:] {
			if take(x) {
				out = append(out, x)
			}
		}
		return out
	}
	return all
}
