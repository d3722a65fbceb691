package state

import (
	"context"

	"millrace/routing/rib"
	"millrace/server/config"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

const installedPlace = instancePlace + "/route-limits/route-limit/state/installed-routes"

// Instances is the number of routes in the tables of network instances that have a limit.
type Instances struct {
	s      *schema.Schema
	rib    *rib.RIB
	config func() *config.Config
	at     places
}

// NewInstances makes the source. config returns the configuration in force.
func NewInstances(s *schema.Schema, r *rib.RIB, config func() *config.Config) *Instances {
	return &Instances{s: s, rib: r, config: config, at: findPlaces(s, map[string]string{"installed": installedPlace})}
}

// Roots is the one leaf.
func (i *Instances) Roots() []string { return []string{installedPlace} }

// Read counts.
func (i *Instances) Read(_ context.Context, m tree.Pattern, emit func(telemetry.Batch) error) error {
	if !i.at.wants(m, "installed") {
		return nil
	}
	b := &batcher{emit: emit}
	cfg := i.config()
	for k := range cfg.NetworkInstances {
		n := &cfg.NetworkInstances[k]
		if only := keyOf(m, "network-instance", "name"); only != "" && only != n.Name {
			continue
		}
		at := entryPath(tree.Path{{Name: "network-instances"}}, "", "network-instance", "name", n.Name)
		for _, f := range []struct {
			afi   string
			n     int
			limit uint32
		}{{"IPV4", 4, n.IPv4Routes}, {"IPV6", 6, n.IPv6Routes}} {
			if f.limit == 0 {
				continue
			}
			total := 0
			for _, c := range i.rib.CountBest(n.Name, f.n) {
				total += c
			}
			o := telemetry.NewObject(i.s, entryPath(at, "route-limits", "route-limit", "afi", f.afi)).Set("state/installed-routes", total)
			if err := b.add(o); err != nil {
				return err
			}
		}
	}
	return b.flush()
}
