package bgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/apiutil"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// RedistributedRoute is a route of another source that is advertised.
type RedistributedRoute struct {
	Prefix      netip.Prefix
	NextHop     netip.Addr // invalid: the speaker itself
	MED         *uint32
	LocalPref   *uint32
	Origin      string   // "igp", "egp" or "incomplete", the default
	ASPath      []uint32 // what is to be before the path that a neighbour sees
	Communities []string // standard ones
	// ExtCommunities and LargeCommunities are the other kinds, as [ParseCommunity] takes them.
	ExtCommunities   []string
	LargeCommunities []string
}

const (
	originIGP        = 0
	originEGP        = 1
	originIncomplete = 2
)

// localPath is a path this speaker originates.
func localPath(r RedistributedRoute, origin uint32) (*api.Path, error) {
	p := r.Prefix.Masked()
	f := FamilyOf(p.Addr())
	nh := r.NextHop
	if !nh.IsValid() {
		nh = netip.IPv4Unspecified()
		if f == IPv6Unicast {
			nh = netip.IPv6Unspecified()
		}
	}
	nlri, err := anypb.New(&api.IPAddressPrefix{Prefix: p.Addr().String(), PrefixLen: uint32(p.Bits())})
	if err != nil {
		return nil, err
	}
	switch r.Origin {
	case "igp":
		origin = originIGP
	case "egp":
		origin = originEGP
	}
	attrs := []proto.Message{&api.OriginAttribute{Origin: origin}}
	if len(r.ASPath) > 0 {
		attrs = append(attrs, &api.AsPathAttribute{Segments: []*api.AsSegment{{Type: api.AsSegment_AS_SEQUENCE, Numbers: r.ASPath}}})
	}
	if f == IPv4Unicast && nh.Unmap().Is4() {
		attrs = append(attrs, &api.NextHopAttribute{NextHop: nh.Unmap().String()})
	} else {
		attrs = append(attrs, &api.MpReachNLRIAttribute{
			Family: apiFamily(f), NextHops: []string{nh.WithZone("").String()}, Nlris: []*anypb.Any{nlri},
		})
	}
	if r.MED != nil {
		attrs = append(attrs, &api.MultiExitDiscAttribute{Med: *r.MED})
	}
	if len(r.Communities) > 0 {
		c := &api.CommunitiesAttribute{}
		for _, t := range r.Communities {
			v, err := ParseCommunity(StandardCommunity, t)
			if err != nil {
				return nil, err
			}
			c.Communities = append(c.Communities, v.Standard)
		}
		attrs = append(attrs, c)
	}
	if r.LocalPref != nil {
		attrs = append(attrs, &api.LocalPrefAttribute{LocalPref: *r.LocalPref})
	}
	more, err := otherCommunities(r)
	if err != nil {
		return nil, err
	}
	attrs = append(attrs, more...)
	out := &api.Path{Family: apiFamily(f), Nlri: nlri}
	for _, a := range attrs {
		x, err := anypb.New(a)
		if err != nil {
			return nil, err
		}
		out.Pattrs = append(out.Pattrs, x)
	}
	return out, nil
}

// otherCommunities are the attributes of extended and large communities.
func otherCommunities(r RedistributedRoute) ([]proto.Message, error) {
	var out []proto.Message
	if len(r.ExtCommunities) > 0 {
		native := &bgp.PathAttributeExtendedCommunities{}
		for _, t := range r.ExtCommunities {
			v, err := ParseCommunity(ExtendedCommunity, t)
			if err != nil {
				return nil, err
			}
			kind, text, _ := strings.Cut(v.Extended, ":")
			sub := bgp.EC_SUBTYPE_ROUTE_TARGET
			if kind == "soo" {
				sub = bgp.EC_SUBTYPE_ROUTE_ORIGIN
			}
			x, err := bgp.ParseExtendedCommunity(sub, text)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", t, err)
			}
			native.Value = append(native.Value, x)
		}
		a, err := apiutil.NewExtendedCommunitiesAttributeFromNative(native)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	if len(r.LargeCommunities) > 0 {
		a := &api.LargeCommunitiesAttribute{}
		for _, t := range r.LargeCommunities {
			v, err := ParseCommunity(LargeCommunity, t)
			if err != nil {
				return nil, err
			}
			a.Communities = append(a.Communities, &api.LargeCommunity{GlobalAdmin: v.Large[0], LocalData1: v.Large[1], LocalData2: v.Large[2]})
		}
		out = append(out, a)
	}
	return out, nil
}

func (s *Speaker) originate(ctx context.Context, r RedistributedRoute, origin uint32) error {
	p, err := localPath(r, origin)
	if err == nil {
		_, err = s.srv.AddPath(ctx, &api.AddPathRequest{TableType: api.TableType_GLOBAL, Path: p})
	}
	if err != nil {
		return fmt.Errorf("advertise %s: %w", r.Prefix, err)
	}
	return nil
}

func (s *Speaker) unoriginate(ctx context.Context, prefix netip.Prefix) error {
	p, err := localPath(RedistributedRoute{Prefix: prefix}, originIGP)
	if err == nil {
		err = s.srv.DeletePath(ctx, &api.DeletePathRequest{TableType: api.TableType_GLOBAL, Path: p})
	}
	if err != nil {
		return fmt.Errorf("stop advertising %s: %w", prefix, err)
	}
	return nil
}

func (s *Speaker) applyNetworks(ctx context.Context, old, next *Config) error {
	var errs []error
	fresh := old.ASN == 0
	for _, p := range old.Networks {
		if !slices.Contains(next.Networks, p) {
			if r, ok := s.external[p.Masked()]; ok {
				errs = append(errs, s.originate(ctx, r, originIncomplete))
			} else {
				errs = append(errs, s.unoriginate(ctx, p))
			}
		}
	}
	for _, p := range next.Networks {
		if !slices.Contains(old.Networks, p) {
			errs = append(errs, s.originate(ctx, RedistributedRoute{Prefix: p}, originIGP))
		}
	}
	if fresh {
		for _, r := range s.external {
			if !slices.Contains(next.Networks, r.Prefix) {
				errs = append(errs, s.originate(ctx, r, originIncomplete))
			}
		}
	}
	return errors.Join(errs...)
}

// Redistribute advertises routes of other sources and stops advertising others. What it is given stays until taken back,
// whatever Apply does; a prefix in Config.Networks takes precedence. Export policies apply, where such routes are
// of type LocalRoute with origin incomplete.
func (s *Speaker) Redistribute(ctx context.Context, add []RedistributedRoute, remove []netip.Prefix) error {
	for i, r := range add {
		if !r.Prefix.IsValid() {
			return &FieldError{Field: fmt.Sprintf("add[%d].prefix", i), Reason: "missing or malformed"}
		}
		if _, err := localPath(r, originIncomplete); err != nil {
			return &FieldError{Field: fmt.Sprintf("add[%s].communities", r.Prefix), Reason: err.Error()}
		}
	}
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.closed {
		return ErrClosed
	}
	c := s.cur.Load()
	var errs []error
	for _, p := range remove {
		p = p.Masked()
		if _, ok := s.external[p]; !ok {
			continue
		}
		delete(s.external, p)
		if c != nil && !slices.Contains(c.Networks, p) {
			errs = append(errs, s.unoriginate(ctx, p))
		}
	}
	for _, r := range add {
		r.Prefix = r.Prefix.Masked()
		s.external[r.Prefix] = r
		if c != nil && !slices.Contains(c.Networks, r.Prefix) {
			errs = append(errs, s.originate(ctx, r, originIncomplete))
		}
	}
	return errors.Join(errs...)
}
