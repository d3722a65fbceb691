package bgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// SessionState is the state of RFC 4271's FSM.
type SessionState uint8

// The states of a session.
const (
	Idle SessionState = iota
	Connect
	Active
	OpenSent
	OpenConfirm
	Established
)

var sessionNames = [...]string{"idle", "connect", "active", "open-sent", "open-confirm", "established"}

func (s SessionState) String() string { return sessionNames[min(int(s), len(sessionNames)-1)] }

// AdminState says whether a session may come up.
type AdminState uint8

// The administrative states.
const (
	AdminUp AdminState = iota
	AdminDown
	AdminPrefixLimit // taken down because it had too many prefixes
)

func (s AdminState) String() string {
	return [...]string{"up", "down", "prefix-limit"}[min(int(s), 2)]
}

func sessionState(s api.PeerState_SessionState) SessionState {
	if s < api.PeerState_IDLE || s > api.PeerState_ESTABLISHED {
		return Idle
	}
	return SessionState(s - api.PeerState_IDLE)
}

func adminState(s api.PeerState_AdminState) AdminState {
	switch s {
	case api.PeerState_DOWN:
		return AdminDown
	case api.PeerState_PFX_CT:
		return AdminPrefixLimit
	}
	return AdminUp
}

func notificationText(code, sub uint8) string {
	return bgp.NewNotificationErrorCode(code, sub).String()
}

// FamilyState are the counts of a family of a session.
type FamilyState struct {
	Family         Family
	Received       uint64 // in the adj-RIB-in
	Accepted       uint64 // of these, not rejected for loops (policies are applied after)
	Advertised     uint64 // only if asked for
	PrefixLimit    uint32 // 0: none
	LimitExceeded  bool
	LimitWarning   bool
	GracefulAgreed bool // both sides do graceful restart for it
	// GracefulSent and GracefulReceived say which side has offered it.
	GracefulSent, GracefulReceived bool
	Active                         bool   // the session is up and carries it
	Installed                      uint64 // prefixes whose best path is the neighbour's
}

// Messages counts messages of a session by type.
type Messages struct {
	Total, Open, Update, Notification, Keepalive, Refresh, Discarded uint64
}

// NeighborState is what is known of a session.
type NeighborState struct {
	Address      netip.Addr
	PeerGroup    string
	Description  string
	Dynamic      bool
	PeerAS       uint32
	LocalAS      uint32
	EBGP         bool
	RouterID     string
	State        SessionState
	Admin        AdminState
	Since        time.Time // of the last change between established and not; zero if it never was up
	LocalAddress string
	LocalPort    uint16
	RemotePort   uint16
	HoldTime     time.Duration // negotiated
	Keepalive    time.Duration
	Families     []FamilyState
	Received     Messages
	Sent         Messages
	Flaps        uint32
	OutQueue     uint32
	LastError    string // why the last session ended
	LastErrorAt  time.Time
	// The last NOTIFICATION messages in each direction.
	LastReceived, LastSent Notification

	LocalCapabilities  []string
	RemoteCapabilities []string

	GracefulRestart bool          // negotiated
	PeerRestarting  bool          // its routes are stale
	PeerRestartTime time.Duration // what it asked for
	LocalRestarting bool
}

// Neighbors gives the state of all neighbours, or of one if address is valid, sorted by address. While GoBGP is busy, it is the
// state of some seconds ago; see roll. Counting what is advertised evaluates the export policy for the whole table, so that
// is done only if asked for.
func (s *Speaker) Neighbors(ctx context.Context, address netip.Addr, advertised bool) ([]NeighborState, error) {
	if s.cur.Load() == nil {
		return nil, nil
	}
	var all []NeighborState
	var err error
	if advertised {
		all, err = s.listNeighbors(ctx, address, true)
	} else {
		all, err = s.roll.neighbors(ctx, func() ([]NeighborState, error) { return s.listNeighbors(s.ctx, netip.Addr{}, false) })
	}
	if err != nil {
		return nil, fmt.Errorf("list neighbours: %w", err)
	}
	if address.IsValid() {
		all = slices.DeleteFunc(all, func(n NeighborState) bool { return n.Address != address })
		if len(all) == 0 {
			return nil, &FieldError{Field: "neighbor", Reason: fmt.Sprintf("%s is not a neighbour", address)}
		}
	}
	return all, nil
}

func (s *Speaker) listNeighbors(ctx context.Context, address netip.Addr, advertised bool) ([]NeighborState, error) {
	c := s.cur.Load()
	if c == nil {
		return nil, nil
	}
	req := &api.ListPeerRequest{EnableAdvertised: advertised}
	if address.IsValid() {
		req.Address = peerKey(address)
	}
	var out []NeighborState
	err := s.srv.ListPeer(ctx, req, func(p *api.Peer) {
		if n, ok := s.neighborState(c, p); ok {
			out = append(out, n)
		}
	})
	slices.SortFunc(out, func(a, b NeighborState) int { return a.Address.Compare(b.Address) })
	return out, err
}

func (s *Speaker) neighborState(c *Config, p *api.Peer) (NeighborState, bool) {
	st := p.GetState()
	addr, err := netip.ParseAddr(or(p.GetConf().GetNeighborAddress(), st.GetNeighborAddress()))
	if err != nil || addr == gateAddr {
		return NeighborState{}, false
	}
	n := NeighborState{
		Address: addr, PeerAS: or(st.GetPeerAsn(), p.GetConf().GetPeerAsn()),
		LocalAS: or(p.GetConf().GetLocalAsn(), c.ASN), RouterID: st.GetRouterId(),
		State: sessionState(st.GetSessionState()), Admin: adminState(st.GetAdminState()),
		LocalAddress: p.GetTransport().GetLocalAddress(), LocalPort: uint16(p.GetTransport().GetLocalPort()),
		RemotePort: uint16(p.GetTransport().GetRemotePort()),
		HoldTime:   time.Duration(p.GetTimers().GetState().GetNegotiatedHoldTime()) * time.Second,
		Keepalive:  time.Duration(p.GetTimers().GetState().GetKeepaliveInterval()) * time.Second,
		Received:   messages(st.GetMessages().GetReceived()), Sent: messages(st.GetMessages().GetSent()),
		Flaps: st.GetFlops(), OutQueue: st.GetOutQ(), Dynamic: true,
		LocalCapabilities: capabilities(st.GetLocalCap()), RemoteCapabilities: capabilities(st.GetRemoteCap()),
		PeerRestarting:  p.GetGracefulRestart().GetPeerRestarting(),
		LocalRestarting: p.GetGracefulRestart().GetLocalRestarting(),
		PeerRestartTime: time.Duration(p.GetGracefulRestart().GetPeerRestartTime()) * time.Second,
	}
	n.EBGP = n.PeerAS != n.LocalAS
	if u, d := p.GetTimers().GetState().GetUptime(), p.GetTimers().GetState().GetDowntime(); n.State == Established {
		n.Since = u.AsTime()
	} else if u.GetSeconds() > 0 {
		n.Since = d.AsTime()
	}
	cfg := Neighbor{Address: addr}
	for _, x := range c.Neighbors {
		if x.Address == addr {
			cfg, n.Dynamic, n.PeerGroup, n.Description = x, false, x.PeerGroup, x.Description
		}
	}
	if d, ok := c.dynamicFor(addr); ok && n.Dynamic {
		cfg = c.merged(Neighbor{Address: addr, PeerGroup: d.PeerGroup})
		n.PeerGroup = d.PeerGroup
	}
	_, agreed, _ := gracefulCapability(st.GetRemoteCap())
	for _, af := range p.GetAfiSafis() {
		f, ok := familyOfAPI(af.GetConfig().GetFamily())
		if !ok {
			continue
		}
		fs := FamilyState{
			Family: f, Received: af.GetState().GetReceived(), Accepted: af.GetState().GetAccepted(),
			Advertised: announced(p, af.GetState().GetAdvertised()), GracefulAgreed: c.gracefulFor(cfg) && slices.Contains(agreed, f),
			GracefulSent:     n.State == Established && c.gracefulFor(cfg) && !c.GracefulRestart.HelperOnly,
			GracefulReceived: n.State == Established && slices.Contains(agreed, f),
			Active:           n.State == Established && carries(st.GetRemoteCap(), f), Installed: s.out.have.of(addr, f),
		}
		n.GracefulRestart = n.GracefulRestart || fs.GracefulAgreed
		for _, l := range cfg.PrefixLimits {
			if l.Family == f {
				fs.PrefixLimit = l.Max
				fs.LimitExceeded = fs.Received > uint64(l.Max)
				fs.LimitWarning = l.WarnPercent > 0 && fs.Received*100 > uint64(l.Max)*uint64(l.WarnPercent)
			}
		}
		n.Families = append(n.Families, fs)
	}
	note := s.peers.lastNote(peerKey(addr))
	n.LastError, n.LastErrorAt = note.text, note.at
	n.LastReceived, n.LastSent = note.received, note.sent
	return n, true
}

// announced is GoBGP's count of what a neighbour is sent without the end-of-RIB, which it takes for a route.
func announced(p *api.Peer, n uint64) uint64 {
	if n > 0 && p.GetGracefulRestart().GetEnabled() {
		return n - 1
	}
	return n
}

func messages(m *api.Message) Messages {
	return Messages{
		Total: m.GetTotal(), Open: m.GetOpen(), Update: m.GetUpdate(), Notification: m.GetNotification(),
		Keepalive: m.GetKeepalive(), Refresh: m.GetRefresh(), Discarded: m.GetDiscarded(),
	}
}

// op runs an operation on a neighbour.
func (s *Speaker) op(name string, a netip.Addr, f func(key string) error) error {
	c := s.cur.Load()
	if c == nil {
		return errors.New("bgp is not configured")
	}
	defer s.roll.forget()
	if err := f(peerKey(a)); err != nil {
		if strings.Contains(err.Error(), "doesn't exist") {
			return &FieldError{Field: "neighbor", Reason: fmt.Sprintf("%s is not a neighbour", a)}
		}
		return fmt.Errorf("%s neighbour %s: %w", name, a, err)
	}
	return nil
}

// Reset ends a session with a Cease (administrative reset) and lets it come up again. The message, at most
// 128 bytes, is sent along (RFC 9003).
func (s *Speaker) Reset(ctx context.Context, a netip.Addr, message string) error {
	return s.op("reset", a, func(key string) error {
		return s.srv.ResetPeer(ctx, &api.ResetPeerRequest{Address: key, Communication: message})
	})
}

// Direction says which policies a soft reset applies again.
type Direction uint8

// The directions of a soft reset.
const (
	In Direction = iota
	Out
	Both
)

// SoftReset applies the import policy to what a neighbour has sent, or sends it all routes again, without
// touching the session.
func (s *Speaker) SoftReset(ctx context.Context, a netip.Addr, d Direction) error {
	return s.op("soft reset", a, func(key string) error {
		return s.srv.ResetPeer(ctx, &api.ResetPeerRequest{
			Address: key, Soft: true, Direction: api.ResetPeerRequest_SoftResetDirection(d),
		})
	})
}

// Enable lets a session come up that was disabled or hit its prefix limit.
func (s *Speaker) Enable(ctx context.Context, a netip.Addr) error {
	return s.op("enable", a, func(key string) error {
		return s.srv.EnablePeer(ctx, &api.EnablePeerRequest{Address: key})
	})
}

// Disable ends a session and keeps it down until Enable, or until its configuration changes. The message, at most 128
// bytes, is sent along (RFC 9003).
func (s *Speaker) Disable(ctx context.Context, a netip.Addr, message string) error {
	return s.op("disable", a, func(key string) error {
		return s.srv.DisablePeer(ctx, &api.DisablePeerRequest{Address: key, Communication: message})
	})
}
