package bgp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	golog "github.com/osrg/gobgp/v3/pkg/log"
)

// pathSource tells neighbours apart by what GoBGP says of a path: the address without its zone, and the router ID.
type pathSource struct{ addr, routerID string }

// peerTable holds what this package itself knows of neighbours.
type peerTable struct {
	mu    sync.Mutex
	notes map[string]note // by GoBGP's name of the neighbour
	facts map[pathSource]peerFacts
	limit map[netip.Addr]limitState
	help  map[netip.Addr]bool // sessions that went down since they were last seen without stale routes
}

type note struct {
	text string
	at   time.Time
	// The last NOTIFICATION messages in each direction.
	received, sent Notification
}

// Notification is a NOTIFICATION message (RFC 4271, section 4.5).
type Notification struct {
	Code, Subcode uint8
	At            time.Time // zero: there was none
}

func newPeerTable() *peerTable {
	return &peerTable{
		notes: make(map[string]note), facts: make(map[pathSource]peerFacts),
		limit: make(map[netip.Addr]limitState), help: make(map[netip.Addr]bool),
	}
}

func (t *peerTable) helped(a netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.help[a]
}

func (t *peerTable) setHelped(a netip.Addr, on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if on {
		t.help[a] = true
	} else {
		delete(t.help, a)
	}
}

// note picks out of GoBGP's log why sessions end; nothing else says so.
func (t *peerTable) note(key, msg string, f golog.Fields) {
	var text string
	var notification Notification
	switch msg {
	case "received notification", "sent notification":
		text = msg + ": " + fmt.Sprint(f["Data"])
		if code, ok := f["Code"].(uint8); ok {
			sub, _ := f["Subcode"].(uint8)
			notification = Notification{code, sub, time.Now()}
			text = fmt.Sprintf("%s: %s", msg, notificationText(code, sub))
			if c, _ := f["Communicated-Reason"].(string); c != "" {
				text += fmt.Sprintf(" (%q)", c)
			}
		}
	case "Peer Down":
		reason := fmt.Sprint(f["Reason"])
		if len(reason) > 12 && reason[:12] == "notification" {
			return // said better by the above
		}
		text = "session ended: " + reason
	case "hold timer expired", "graceful restart timer expired":
		text = msg
	default:
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.notes[key]
	n.text, n.at = text, time.Now()
	switch {
	case notification.At.IsZero():
	case msg == "sent notification":
		n.sent = notification
	default:
		n.received = notification
	}
	t.notes[key] = n
}

func (t *peerTable) lastNote(key string) note {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.notes[key]
}

func (t *peerTable) learn(src pathSource, f peerFacts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.facts[src] = f
}

func (t *peerTable) forget(a netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.notes, peerKey(a))
	if x := t.limit[a].timer; x != nil {
		x.Stop()
	}
	delete(t.limit, a)
	delete(t.help, a)
	for k, f := range t.facts {
		if f.addr == a {
			delete(t.facts, k)
		}
	}
}

func (t *peerTable) find(src pathSource) (peerFacts, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, ok := t.facts[src]
	return f, ok
}

// identify finds out which neighbour has come up and remembers it for its routes.
func (s *Speaker) identify(ctx context.Context, ip, routerID string) peerFacts {
	c := s.cur.Load()
	src := pathSource{ip, routerID}
	addr, err := netip.ParseAddr(ip)
	if c == nil || err != nil {
		return peerFacts{}
	}
	f := peerFacts{addr: addr}
	var found []Neighbor
	for _, n := range c.Neighbors {
		if n.Address.WithZone("") == addr {
			found = append(found, n)
		}
	}
	if len(found) > 1 {
		// The same link-local address on several links: the one whose session shows this router ID.
		var up []Neighbor
		_ = s.srv.ListPeer(ctx, &api.ListPeerRequest{}, func(p *api.Peer) {
			for _, n := range found {
				if p.GetConf().GetNeighborAddress() == peerKey(n.Address) && p.GetState().GetRouterId() == routerID &&
					p.GetState().GetSessionState() == api.PeerState_ESTABLISHED {
					up = append(up, n)
				}
			}
		})
		if len(up) == 0 {
			// A session that is not up yet may be that of any of them. Nothing is remembered: its first routes may be looked at before
			// the event of its coming up is, and would go to the wrong link.
			return f
		}
		found = up[len(up)-1:]
	}
	var n Neighbor
	if len(found) > 0 {
		n = found[0]
	} else if d, ok := c.dynamicFor(addr); ok {
		n = c.merged(Neighbor{Address: addr, PeerGroup: d.PeerGroup})
	}
	if n.Address.IsValid() {
		f.addr = n.Address
		f.ebgp = n.PeerAS != or(n.LocalAS, c.ASN)
		f.zone = or(n.Address.Zone(), n.Interface)
		if f.zone == "" {
			f.zone = s.resolve(addr)
		}
	}
	s.peers.learn(src, f)
	return f
}

// dynamicFor is the most specific prefix of dynamic neighbours that holds an address.
func (c *Config) dynamicFor(a netip.Addr) (best DynamicNeighbor, ok bool) {
	for _, d := range c.DynamicNeighbors {
		if d.Prefix.Contains(a) && (!ok || d.Prefix.Bits() > best.Prefix.Bits()) {
			best, ok = d, true
		}
	}
	return best, ok
}

// connectedInterface is the kernel interface with a prefix that holds a.
func connectedInterface(a netip.Addr) string {
	ifs, err := net.Interfaces()
	if err != nil {
		return ""
	}
	best, name := -1, ""
	for _, i := range ifs {
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, x := range addrs {
			n, ok := x.(*net.IPNet)
			if !ok || !n.Contains(a.AsSlice()) {
				continue
			}
			if bits, _ := n.Mask.Size(); bits > best && i.Flags&net.FlagLoopback == 0 {
				best, name = bits, i.Name
			}
		}
	}
	return name
}
