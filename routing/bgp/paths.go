package bgp

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	api "github.com/osrg/gobgp/v3/api"
)

// table is what is listed.
type table struct {
	kind     api.TableType
	neighbor netip.Addr
	family   Family
}

// GoBGP lists a table as a whole, in no order. For pages, the prefixes of a table are sorted once and kept for a while,
// and each page reads only its own prefixes.
const (
	snapshotAge  = 2 * time.Minute
	snapshotKeep = 4
	// maxPage is the most prefixes in a page, and how many are read ahead of what GoBGP makes anew for each
	// request (what is advertised).
	maxPage = 10000
)

type snapshot struct {
	of       table
	prefixes []netip.Prefix
	at       time.Time
	ahead    map[netip.Prefix][]Path
}

type snapshots struct {
	mu   sync.Mutex
	list []*snapshot
}

func newSnapshots() *snapshots { return &snapshots{} }

// Page is a part of a list.
type Page struct {
	Paths []Path
	Next  netip.Prefix // give it as the cursor to go on; invalid at the end
	Total int          // prefixes in the table when the listing began
}

// Received lists what a neighbour has sent, before the import policy; Path.Rejected marks what that, or a loop in the AS
// path, keeps out. A cursor that
// is not valid begins the list; limit is the number of prefixes, at most 10,000, 0 meaning 1,000. Pages are sorted
// by prefix; a listing shows the prefixes that were there when it began, as they are when the page is read.
func (s *Speaker) Received(ctx context.Context, n netip.Addr, f Family, cursor netip.Prefix, limit int) (Page, error) {
	return s.page(ctx, table{api.TableType_ADJ_IN, n, f}, cursor, limit, false)
}

// Accepted lists what of a neighbour's routes the import policy lets through, as Received does. Attributes are
// those after the policy.
func (s *Speaker) Accepted(ctx context.Context, n netip.Addr, f Family, cursor netip.Prefix, limit int) (Page, error) {
	return s.page(ctx, table{api.TableType_ADJ_IN, n, f}, cursor, limit, true)
}

// Advertised lists what is sent to a neighbour, as Received does.
func (s *Speaker) Advertised(ctx context.Context, n netip.Addr, f Family, cursor netip.Prefix, limit int) (Page, error) {
	return s.page(ctx, table{api.TableType_ADJ_OUT, n, f}, cursor, limit, false)
}

// Table lists all paths of the speaker, the best one of a prefix first, as Received does.
func (s *Speaker) Table(ctx context.Context, f Family, cursor netip.Prefix, limit int) (Page, error) {
	return s.page(ctx, table{kind: api.TableType_GLOBAL, family: f}, cursor, limit, false)
}

// Lookup gives the paths of one prefix, the best one first.
func (s *Speaker) Lookup(ctx context.Context, p netip.Prefix) ([]Path, error) {
	if !p.IsValid() {
		return nil, &FieldError{Field: "prefix", Reason: "missing or malformed"}
	}
	m, err := s.read(ctx, table{kind: api.TableType_GLOBAL, family: FamilyOf(p.Addr())}, []netip.Prefix{p.Masked()})
	return m[p.Masked()], err
}

func (s *Speaker) page(ctx context.Context, t table, cursor netip.Prefix, limit int, accepted bool) (Page, error) {
	if t.family != IPv4Unicast && t.family != IPv6Unicast {
		return Page{}, &FieldError{Field: "family", Reason: "is neither IPv4 nor IPv6 unicast"}
	}
	if limit < 0 || limit > maxPage {
		return Page{}, &FieldError{Field: "limit", Reason: fmt.Sprintf("%d is not in 0..%d", limit, maxPage)}
	}
	if s.cur.Load() == nil {
		return Page{}, nil
	}
	if t.kind != api.TableType_GLOBAL {
		if _, err := s.Neighbors(ctx, t.neighbor, false); err != nil || !t.neighbor.IsValid() {
			return Page{}, &FieldError{Field: "neighbor", Reason: fmt.Sprintf("%s is not a neighbour", t.neighbor)}
		}
	}
	limit = or(limit, 1000)
	snap, err := s.snapshot(ctx, t, !cursor.IsValid())
	if err != nil {
		return Page{}, err
	}
	from := 0
	if cursor.IsValid() {
		i, found := slices.BinarySearchFunc(snap.prefixes, cursor, comparePrefix)
		if from = i; found {
			from++
		}
	}
	to := min(from+limit, len(snap.prefixes))
	out := Page{Total: len(snap.prefixes)}
	if from >= to {
		return out, nil
	}
	m, err := s.window(ctx, t, snap, from, to)
	if err != nil {
		return Page{}, err
	}
	if t.kind == api.TableType_ADJ_IN {
		if err := s.afterPolicy(ctx, t, snap.prefixes[from:to], m, accepted); err != nil {
			return Page{}, err
		}
	}
	for _, p := range snap.prefixes[from:to] {
		out.Paths = append(out.Paths, m[p]...)
	}
	if to < len(snap.prefixes) {
		out.Next = snap.prefixes[to-1]
	}
	return out, nil
}

func comparePrefix(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

// snapshot finds or makes the sorted prefixes of a table.
func (s *Speaker) snapshot(ctx context.Context, t table, fresh bool) (*snapshot, error) {
	s.lists.mu.Lock()
	s.lists.list = slices.DeleteFunc(s.lists.list, func(x *snapshot) bool { return time.Since(x.at) > snapshotAge })
	for _, x := range s.lists.list {
		if x.of == t && !fresh {
			x.at = time.Now()
			s.lists.mu.Unlock()
			return x, nil
		}
	}
	s.lists.mu.Unlock()

	x := &snapshot{of: t, at: time.Now()}
	req := s.listRequest(t)
	req.EnableOnlyBinary = true // cheaper; the text of the prefix comes in any case
	err := s.srv.ListPath(ctx, req, func(d *api.Destination) {
		if p, err := netip.ParsePrefix(d.GetPrefix()); err == nil {
			x.prefixes = append(x.prefixes, p)
		}
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("list %s routes: %w", t.family, err)
	}
	slices.SortFunc(x.prefixes, comparePrefix)
	s.lists.mu.Lock()
	defer s.lists.mu.Unlock()
	s.lists.list = slices.DeleteFunc(s.lists.list, func(o *snapshot) bool { return o.of == t })
	if len(s.lists.list) >= snapshotKeep {
		s.lists.list = s.lists.list[1:]
	}
	s.lists.list = append(s.lists.list, x)
	return x, nil
}

func (s *Speaker) listRequest(t table) *api.ListPathRequest {
	req := &api.ListPathRequest{TableType: t.kind, Family: apiFamily(t.family)}
	if t.neighbor.IsValid() {
		req.Name = peerKey(t.neighbor)
	}
	return req
}

// window reads the prefixes from..to of a snapshot.
func (s *Speaker) window(ctx context.Context, t table, x *snapshot, from, to int) (map[netip.Prefix][]Path, error) {
	if t.kind != api.TableType_ADJ_OUT {
		return s.read(ctx, t, x.prefixes[from:to])
	}
	s.lists.mu.Lock()
	ahead := x.ahead
	s.lists.mu.Unlock()
	_, first := ahead[x.prefixes[from]]
	_, last := ahead[x.prefixes[to-1]]
	if first && last {
		return ahead, nil
	}
	ahead, err := s.read(ctx, t, x.prefixes[from:min(from+maxPage, len(x.prefixes))])
	if err != nil {
		return nil, err
	}
	for _, p := range x.prefixes[from:min(from+maxPage, len(x.prefixes))] {
		if _, ok := ahead[p]; !ok {
			ahead[p] = nil // gone since
		}
	}
	s.lists.mu.Lock()
	x.ahead = ahead
	s.lists.mu.Unlock()
	return ahead, nil
}

// afterPolicy marks of a neighbour's paths those that did not get into the table, or replaces what is listed by
// those that did. (GoBGP can tell itself, but writes the attributes after the policy into the adj-RIB-in as it does.)
func (s *Speaker) afterPolicy(
	ctx context.Context, t table, prefixes []netip.Prefix, m map[netip.Prefix][]Path, accepted bool,
) error {
	in, err := s.read(ctx, table{kind: api.TableType_GLOBAL, family: t.family}, prefixes)
	if err != nil {
		return err
	}
	for p, list := range m {
		var kept []Path
		for i := range list {
			x := &list[i]
			j := slices.IndexFunc(in[p], func(o Path) bool {
				return o.Neighbor == x.Neighbor && o.RouterID == x.RouterID && o.PathID == x.PathID
			})
			if x.Rejected = j < 0; !x.Rejected {
				x.Best, x.Multipath = in[p][j].Best, in[p][j].Multipath
				kept = append(kept, in[p][j])
			}
		}
		if accepted {
			m[p] = kept
		}
	}
	return nil
}

func (s *Speaker) read(ctx context.Context, t table, prefixes []netip.Prefix) (map[netip.Prefix][]Path, error) {
	req := s.listRequest(t)
	for _, p := range prefixes {
		req.Prefixes = append(req.Prefixes, &api.TableLookupPrefix{Prefix: p.String()})
	}
	out := make(map[netip.Prefix][]Path, len(prefixes))
	err := s.srv.ListPath(ctx, req, func(d *api.Destination) {
		p, err := netip.ParsePrefix(d.GetPrefix())
		if err != nil {
			return
		}
		var best rank
		for i, x := range d.GetPaths() {
			a := attributesOf(x)
			a.Prefix = p
			if t.kind == api.TableType_GLOBAL {
				r := rankOf(x, s.facts(sourceOf(x)).ebgp)
				if i == 0 {
					best = r
				}
				a.Best, a.Multipath = i == 0, r == best
			}
			out[p] = append(out[p], a)
		}
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("list %s routes: %w", t.family, err)
	}
	return out, nil
}
