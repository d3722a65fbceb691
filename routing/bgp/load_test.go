package bgp

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"github.com/osrg/gobgp/v3/pkg/server"
)

// countSink counts prefixes without keeping them.
type countSink struct{ up, down atomic.Int64 }

func (c *countSink) Upsert(_ context.Context, _ string, r []Route) error {
	c.up.Add(int64(len(r)))
	return nil
}

func (c *countSink) Withdraw(_ context.Context, _ string, p []netip.Prefix) error {
	c.down.Add(int64(len(p)))
	return nil
}

func (*countSink) EndOfRIB(context.Context, string, netip.Addr, Family) {}
func (*countSink) Converged(context.Context, string)                    {}

// feeder is a neighbour that sends n /24s, five with the same attributes in an UPDATE.
type feeder struct {
	conn   net.Conn
	routes [][]byte
}

const perUpdate = 5

func loadPrefix(i int) *bgp.IPAddrPrefix {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(i+1<<16)<<8)
	return bgp.NewIPAddrPrefix(24, netip.AddrFrom4(b).String())
}

func newFeeder(n int) (*feeder, error) {
	f := &feeder{}
	for i := 0; i < n; i += perUpdate {
		var nlri []*bgp.IPAddrPrefix
		for j := i; j < min(i+perUpdate, n); j++ {
			nlri = append(nlri, loadPrefix(j))
		}
		m := bgp.NewBGPUpdateMessage(nil, []bgp.PathAttributeInterface{
			bgp.NewPathAttributeOrigin(0),
			bgp.NewPathAttributeAsPath([]bgp.AsPathParamInterface{bgp.NewAs4PathParam(bgp.BGP_ASPATH_ATTR_TYPE_SEQ,
				[]uint32{65002, uint32(100000 + i/perUpdate), uint32(i % 977)})}),
			bgp.NewPathAttributeNextHop("127.0.0.2"),
			bgp.NewPathAttributeCommunities([]uint32{65002<<16 | uint32(i%500)}),
		}, nlri)
		b, err := m.Serialize()
		if err != nil {
			return nil, err
		}
		f.routes = append(f.routes, b)
	}
	return f, nil
}

// connect brings a session up from 127.0.0.2 to 127.0.0.1.
func (f *feeder) connect(port int) error {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	var err error
	for range 1000 {
		if f.conn, err = d.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		open := bgp.NewBGPOpenMessage(65002, 180, "127.0.0.2", []bgp.OptionParameterInterface{
			bgp.NewOptionParameterCapability([]bgp.ParameterCapabilityInterface{
				bgp.NewCapMultiProtocol(bgp.RF_IPv4_UC), bgp.NewCapFourOctetASNumber(65002)})})
		o, _ := open.Serialize()
		k, _ := bgp.NewBGPKeepAliveMessage().Serialize()
		if _, err = f.conn.Write(append(o, k...)); err != nil {
			continue
		}
		// The keepalive of the other side says that the session is up.
		hdr := make([]byte, bgp.BGP_HEADER_LENGTH)
		for err == nil {
			if _, err = io.ReadFull(f.conn, hdr); err != nil {
				break
			}
			_, err = io.CopyN(io.Discard, f.conn, int64(binary.BigEndian.Uint16(hdr[16:]))-int64(len(hdr)))
			if hdr[18] == bgp.BGP_MSG_KEEPALIVE {
				conn := f.conn
				go func() { _, _ = io.Copy(io.Discard, conn) }()
				return err
			}
		}
		f.conn.Close()
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("no session: %w", err)
}

func (f *feeder) send() error {
	for _, b := range f.routes {
		if _, err := f.conn.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func (f *feeder) withdraw(n int) error {
	const per = 500
	for i := 0; i < n; i += per {
		var nlri []*bgp.IPAddrPrefix
		for j := i; j < min(i+per, n); j++ {
			nlri = append(nlri, loadPrefix(j))
		}
		b, err := bgp.NewBGPUpdateMessage(nlri, nil, nil).Serialize()
		if err == nil {
			_, err = f.conn.Write(b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func freePort(tb testing.TB) int {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

// peakRSS is the most memory the process ever had, in MiB.
func peakRSS() float64 {
	b, _ := os.ReadFile("/proc/self/status")
	for _, l := range strings.Split(string(b), "\n") {
		if f := strings.Fields(l); len(f) > 1 && f[0] == "VmHWM:" {
			kb, _ := strconv.ParseFloat(f[1], 64)
			return kb / 1024
		}
	}
	return 0
}

// BenchmarkLoad loads a table of MILLRACE_BGP_ROUTES routes (100,000 if unset) from one neighbour and withdraws it again:
// through a speaker to a sink, and into GoBGP alone. Peak memory is that of the process, so run one at a time.
func BenchmarkLoad(b *testing.B) {
	n, _ := strconv.Atoi(os.Getenv("MILLRACE_BGP_ROUTES"))
	n = or(n, 100000)
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	run := func(b *testing.B, start func(port int), loaded, gone func() bool) {
		f, err := newFeeder(n)
		if err != nil {
			b.Fatal(err)
		}
		port := freePort(b)
		start(port)
		if err := f.connect(port); err != nil {
			b.Fatal(err)
		}
		defer f.conn.Close()
		wait := func(ok func() bool) float64 {
			begin := time.Now()
			for !ok() {
				if time.Since(begin) > 5*time.Minute {
					b.Fatal("not done in 5 minutes")
				}
				time.Sleep(50 * time.Millisecond)
			}
			return time.Since(begin).Seconds()
		}
		go func() { _ = f.send() }()
		b.ReportMetric(wait(loaded), "s-load")
		b.ReportMetric(peakRSS(), "MiB-peak")
		go func() { _ = f.withdraw(n) }()
		b.ReportMetric(wait(gone), "s-withdraw")
		b.ReportMetric(0, "ns/op")
	}
	b.Run("speaker", func(b *testing.B) {
		for range b.N {
			sink := &countSink{}
			s, err := New(context.Background(), Options{Log: quiet, Sink: sink})
			if err != nil {
				b.Fatal(err)
			}
			run(b, func(port int) {
				err := s.Apply(context.Background(), Config{
					ASN: 65001, RouterID: addr("127.0.0.1"), ListenPort: int32(port), ListenAddrs: []netip.Addr{addr("127.0.0.1")},
					Neighbors: []Neighbor{{Address: addr("127.0.0.2"), PeerSettings: PeerSettings{PeerAS: 65002, Passive: yes()}}},
				})
				if err != nil {
					b.Fatal(err)
				}
			}, func() bool { return sink.up.Load() >= int64(n) }, func() bool { return sink.down.Load() >= int64(n) })
			s.Close()
		}
	})
	b.Run("gobgp", func(b *testing.B) {
		for range b.N {
			srv := server.NewBgpServer(server.LoggerOption(&logger{log: quiet}))
			go srv.Serve()
			ctx := context.Background()
			count := func() (c uint64) {
				_ = srv.ListPeer(ctx, &api.ListPeerRequest{}, func(p *api.Peer) {
					c = p.GetAfiSafis()[0].GetState().GetAccepted()
				})
				return c
			}
			run(b, func(port int) {
				if err := srv.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
					Asn: 65001, RouterId: "127.0.0.1", ListenPort: int32(port), ListenAddresses: []string{"127.0.0.1"},
				}}); err != nil {
					b.Fatal(err)
				}
				if err := srv.AddPeer(ctx, &api.AddPeerRequest{Peer: &api.Peer{
					Conf:      &api.PeerConf{NeighborAddress: "127.0.0.2", PeerAsn: 65002},
					Transport: &api.Transport{PassiveMode: true},
				}}); err != nil {
					b.Fatal(err)
				}
			}, func() bool { time.Sleep(200 * time.Millisecond); return count() >= uint64(n) },
				func() bool { time.Sleep(200 * time.Millisecond); return count() == 0 })
			_ = srv.StopBgp(ctx, &api.StopBgpRequest{})
		}
	})
}
