package bgp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// gateAddr is the gate's address. It is hidden from the neighbours this package shows.
var gateAddr = netip.AddrFrom4([4]byte{127, 255, 255, 254})

// gate is a session of a restarting speaker with itself, over loopback. GoBGP stops deferring what it sends as soon as the
// neighbours that happen to be up have sent their end-of-RIB, and from then on opens sessions without the R and F
// bits, at which the neighbours still to come forget our routes. And it knows nothing of the FIB. So
// there is one more neighbour, which sends its end-of-RIB (of a family nobody uses) when this package says so.
type gate struct {
	s    *Speaker
	ln   net.Listener
	log  *slog.Logger
	wg   sync.WaitGroup
	once sync.Once

	mu     sync.Mutex
	conn   net.Conn
	opened bool
}

// gateFamily is what the gate's session carries: nothing, ever.
var gateFamily = &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_FLOW_SPEC_UNICAST}

const gateKeepalive = 20 * time.Second

// startGate puts the gate up and waits until GoBGP counts on its end-of-RIB.
func startGate(ctx context.Context, s *Speaker, c *Config) (*gate, error) {
	ln, err := net.Listen("tcp4", netip.AddrPortFrom(gateAddr, 0).String())
	if err != nil {
		return nil, fmt.Errorf("listen for the graceful-restart gate: %w", err)
	}
	g := &gate{s: s, ln: ln, log: s.log}
	asn := uint32(64512)
	if c.ASN == asn {
		asn++
	}
	ready := make(chan error, 1)
	g.wg.Add(1)
	go func() { defer g.wg.Done(); g.serve(uint16(asn), ready) }()
	err = s.srv.AddPeer(ctx, &api.AddPeerRequest{Peer: &api.Peer{
		Conf:      &api.PeerConf{NeighborAddress: peerKey(gateAddr), PeerAsn: asn},
		Transport: &api.Transport{RemotePort: uint32(ln.Addr().(*net.TCPAddr).Port)},
		Timers:    &api.Timers{Config: &api.TimersConfig{HoldTime: 3 * uint64(gateKeepalive/time.Second), ConnectRetry: 1}},
		GracefulRestart: &api.GracefulRestart{
			Enabled: true, RestartTime: 1, LocalRestarting: true,
			DeferralTime: uint32(seconds(c.GracefulRestart.DeferralTime)) + 60,
		},
		AfiSafis: []*api.AfiSafi{{
			Config:            &api.AfiSafiConfig{Family: gateFamily, Enabled: true},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: true}},
		}},
	}})
	if err == nil {
		select {
		case err = <-ready:
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(6 * time.Second):
			err = errors.New("GoBGP did not connect over loopback")
		}
	}
	if err != nil {
		g.close()
		return nil, fmt.Errorf("graceful-restart gate: %w", err)
	}
	return g, nil
}

// serve is the gate's side of the session.
func (g *gate) serve(asn uint16, ready chan<- error) {
	conn, err := g.ln.Accept()
	if err != nil {
		return
	}
	g.mu.Lock()
	g.conn = conn
	g.mu.Unlock()
	defer conn.Close()
	send := func(m *bgp.BGPMessage) error {
		b, err := m.Serialize()
		if err != nil {
			return err
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		_, err = conn.Write(b)
		return err
	}
	fs := bgp.RF_FS_IPv4_UC
	caps := []bgp.ParameterCapabilityInterface{
		bgp.NewCapMultiProtocol(fs),
		bgp.NewCapGracefulRestart(false, false, 1, []*bgp.CapGracefulRestartTuple{
			bgp.NewCapGracefulRestartTuple(fs, false)}),
	}
	open := bgp.NewBGPOpenMessage(asn, uint16(3*gateKeepalive/time.Second), gateAddr.String(),
		[]bgp.OptionParameterInterface{bgp.NewOptionParameterCapability(caps)})
	if err := errors.Join(send(open), send(bgp.NewBGPKeepAliveMessage())); err != nil {
		ready <- err
		return
	}
	stop := make(chan struct{})
	defer close(stop)
	g.wg.Add(1)
	go func() {
		defer g.wg.Done()
		t := time.NewTicker(gateKeepalive)
		defer t.Stop()
		for {
			select {
			case <-stop:
				return
			case <-t.C:
				if send(bgp.NewBGPKeepAliveMessage()) != nil {
					return
				}
			}
		}
	}()
	hdr := make([]byte, bgp.BGP_HEADER_LENGTH)
	for {
		if _, err := io.ReadFull(conn, hdr); err != nil {
			return
		}
		n := int(hdr[16])<<8 | int(hdr[17])
		if n < len(hdr) || n > 4096 {
			return
		}
		if _, err := io.CopyN(io.Discard, conn, int64(n-len(hdr))); err != nil {
			return
		}
		// GoBGP's keepalive answers our OPEN, so it has noted that an end-of-RIB is to come.
		if hdr[18] == bgp.BGP_MSG_KEEPALIVE {
			g.once.Do(func() { ready <- nil })
		}
	}
}

func (g *gate) isOpen() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.opened
}

// open lets GoBGP send what it holds back.
func (g *gate) open() {
	b, err := bgp.NewEndOfRib(bgp.RF_FS_IPv4_UC).Serialize()
	g.mu.Lock()
	if !g.opened && err == nil && g.conn != nil {
		_, err = g.conn.Write(b)
	}
	g.opened = true
	g.mu.Unlock()
	if err != nil {
		g.log.Error("graceful-restart gate did not open, neighbours hear from us after the deferral time", "error", err)
	}
}

// passed is called when GoBGP has reported the gate's end-of-RIB: the gate is no longer needed.
func (g *gate) passed() { go g.close() }

func (g *gate) close() {
	g.mu.Lock()
	g.opened = true
	g.mu.Unlock()
	err := g.s.srv.DeletePeer(context.Background(), &api.DeletePeerRequest{Address: peerKey(gateAddr)})
	if err != nil {
		g.log.Debug("graceful-restart gate is gone already", "error", err)
	}
	g.ln.Close()
	g.mu.Lock()
	if g.conn != nil {
		g.conn.Close()
	}
	g.mu.Unlock()
	g.wg.Wait()
}
