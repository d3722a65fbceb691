package bgp

import (
	"context"
	"fmt"

	api "github.com/osrg/gobgp/v3/api"
)

// Resync gives all chosen routes to the sink again, for one that has lost its state.
func (s *Speaker) Resync(ctx context.Context) error {
	s.apply.Lock()
	defer s.apply.Unlock()
	return s.resend(ctx)
}

// resend reads GoBGP's table and puts it into the outbox. Called with apply held.
func (s *Speaker) resend(ctx context.Context) error {
	c := s.cur.Load()
	if c == nil {
		return nil
	}
	s.out.track(true)
	defer s.out.track(false)
	b := newBuilder()
	for _, f := range []Family{IPv4Unicast, IPv6Unicast} {
		req := &api.ListPathRequest{TableType: api.TableType_GLOBAL, Family: apiFamily(f)}
		err := s.srv.ListPath(ctx, req, func(d *api.Destination) {
			paths := multipath(d.GetPaths(), s.facts)
			if len(paths) == 0 {
				return
			}
			if p, ok := b.prefix(paths[0].GetNlri()); ok {
				s.out.resend(p, b.build(paths, c, s.facts))
			}
		})
		if err != nil {
			return fmt.Errorf("list %s routes: %w", f, err)
		}
	}
	return nil
}

// multipath keeps of the paths of a prefix, the best one first, those that are as good as it by the steps of the
// decision process that GoBGP looks at when it forms the set of an event.
func multipath(paths []*api.Path, facts func(pathSource) peerFacts) []*api.Path {
	var out []*api.Path
	var best rank
	for _, p := range paths {
		if p.GetIsNexthopInvalid() {
			continue
		}
		r := rankOf(p, facts(sourceOf(p)).ebgp)
		if len(out) == 0 {
			best = r
		}
		if r == best {
			out = append(out, p)
		}
	}
	return out
}

// rank is what paths of a multipath set have in common.
type rank struct {
	local, ebgp                       bool
	localPref, med, asPathLen, origin uint32
}

func rankOf(p *api.Path, ebgp bool) rank {
	a := attributesOf(p)
	r := rank{local: p.GetSourceAsn() == 0, ebgp: ebgp, localPref: 100, origin: a.origin, asPathLen: a.asPathLen}
	if a.MED != nil {
		r.med = *a.MED
	}
	if a.LocalPref != nil {
		r.localPref = *a.LocalPref
	}
	return r
}
