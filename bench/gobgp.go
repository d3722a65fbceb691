// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/log"
	"github.com/osrg/gobgp/v3/pkg/server"

	"millrace/internal/lab"
)

// gobgpFlag makes this program the peer of the BGP benchmarks: GoBGP's server as a library, and nothing behind it.
const gobgpFlag = "-gobgp-alone"

// How often GoBGP is asked for its count, which makes it walk the table.
const gobgpPoll = 250 * time.Millisecond

type silent struct{}

func (silent) Panic(string, log.Fields) {}
func (silent) Fatal(string, log.Fields) {}
func (silent) Error(string, log.Fields) {}
func (silent) Warn(string, log.Fields)  {}
func (silent) Info(string, log.Fields)  {}
func (silent) Debug(string, log.Fields) {}
func (silent) SetLevel(log.LogLevel)    {}
func (silent) GetLevel() log.LogLevel   { return log.ErrorLevel }

// gobgpAlone serves 10.0.1.1, AS 65001, for the peer 10.0.1.2, prints "ready", and "loaded NS" and "empty NS" with the time when it had
// n routes, and none again.
func gobgpAlone(n uint64) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s := server.NewBgpServer(server.LoggerOption(silent{}))
	go s.Serve()
	if err := s.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
		Asn: 65001, RouterId: "10.0.1.1", ListenPort: 179, ListenAddresses: []string{"10.0.1.1"},
	}}); err != nil {
		return err
	}
	if err := s.AddPeer(ctx, &api.AddPeerRequest{Peer: &api.Peer{
		Conf: &api.PeerConf{NeighborAddress: "10.0.1.2", PeerAsn: 65002}, Transport: &api.Transport{PassiveMode: true},
	}}); err != nil {
		return err
	}
	fmt.Println("ready")
	wait := func(word string, enough func(uint64) bool) error {
		for {
			var have uint64
			err := s.ListPeer(ctx, &api.ListPeerRequest{}, func(p *api.Peer) {
				for _, a := range p.GetAfiSafis() {
					have += a.GetState().GetAccepted()
				}
			})
			if err != nil {
				return err
			}
			if enough(have) {
				fmt.Println(word, time.Now().UnixNano())
				return nil
			}
			if err := sleep(ctx, gobgpPoll); err != nil {
				return err
			}
		}
	}
	if err := wait("loaded", func(have uint64) bool { return have >= n }); err != nil {
		return err
	}
	if err := wait("empty", func(have uint64) bool { return have == 0 }); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// speaker is something that takes the table: the appliance, or GoBGP alone.
type speaker interface {
	// loaded and empty wait until all routes are where they belong, or gone, and return when that was.
	loaded(ctx context.Context) (time.Time, error)
	empty(ctx context.Context) (time.Time, error)
	// peaks is the most memory that the processes had.
	peaks() ([]peak, error)
	close() error
}

type peak struct {
	name  string
	bytes float64
}

// gobgpProcess is gobgpAlone in a process of its own.
type gobgpProcess struct {
	*process
	moments chan [2]string
}

func (e *env) startGoBGP(ctx context.Context, ns *lab.NS, n int) (*gobgpProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ns.Addr("pa", "10.0.1.1/24")
	g := &gobgpProcess{moments: make(chan [2]string, 4)}
	ready := make(chan struct{})
	cmd := ns.Command(context.WithoutCancel(ctx), self, gobgpFlag, strconv.Itoa(n))
	g.process, err = e.start("gobgp", cmd, func(s string) {
		if s == "ready" {
			close(ready)
		} else if word, at, ok := strings.Cut(s, " "); ok && (word == "loaded" || word == "empty") {
			g.moments <- [2]string{word, at}
		}
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-ready:
		return g, nil
	case <-g.done:
		return nil, g.failure()
	case <-time.After(startPatience):
		return nil, errors.Join(errors.New("GoBGP is not ready"), g.stop())
	}
}

func (g *gobgpProcess) await(ctx context.Context, word string) (time.Time, error) {
	select {
	case m := <-g.moments:
		if m[0] != word {
			return time.Time{}, fmt.Errorf("GoBGP says %q, not %q", m[0], word)
		}
		ns, err := strconv.ParseInt(m[1], 10, 64)
		return time.Unix(0, ns), err
	case <-g.done:
		return time.Time{}, g.failure()
	case <-ctx.Done():
		return time.Time{}, context.Cause(ctx)
	}
}

func (g *gobgpProcess) loaded(ctx context.Context) (time.Time, error) { return g.await(ctx, "loaded") }
func (g *gobgpProcess) empty(ctx context.Context) (time.Time, error)  { return g.await(ctx, "empty") }

func (g *gobgpProcess) peaks() ([]peak, error) {
	v, err := memoryOf(g.pid(), "VmHWM")
	return []peak{{"GoBGP", v}}, err
}

func (g *gobgpProcess) close() error { return g.stop() }

// memoryOf is a field of /proc/PID/status in bytes.
func memoryOf(pid int, field string) (float64, error) {
	v, err := procField(fmt.Sprintf("/proc/%d/status", pid), field)
	if err != nil {
		return 0, err
	}
	kb, err := strconv.ParseFloat(strings.TrimSuffix(v, " kB"), 64)
	return kb * 1024, err
}
