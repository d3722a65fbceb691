package integration

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"millrace/internal/lab"
)

// udpSocket makes a UDP socket in a namespace, with room for what comes while this process does not run.
func udpSocket(ns *lab.NS, address string) (*net.UDPConn, error) {
	var c *net.UDPConn
	err := ns.Do(func() error {
		lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
			var serr error
			err := raw.Control(func(fd uintptr) {
				serr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
			})
			if err == nil {
				err = serr
			}
			return err
		}}
		p, err := lc.ListenPacket(context.Background(), "udp", address)
		if err != nil {
			return err
		}
		c = p.(*net.UDPConn)
		return nil
	})
	return c, err
}

// traffic is a stream of numbered UDP packets over many flows towards one address, and the hosts that have that address.
type traffic struct {
	flows []*net.UDPConn
	sinks map[string]*net.UDPConn
	stop  chan struct{}
	wg    sync.WaitGroup

	mu   sync.Mutex
	sent []int
	// got counts packets of each flow at each sink, last is the sink and the time of the latest.
	got  []map[string]int
	last []string
	errs error
}

// startTraffic sends rate packets a second, all flows in turn, from a namespace to an address that the namespaces of sinks have.
func startTraffic(t *testing.T, from *lab.NS, to string, flows, rate int, sinks map[string]*lab.NS) *traffic {
	t.Helper()
	tr := &traffic{
		sinks: map[string]*net.UDPConn{}, stop: make(chan struct{}), sent: make([]int, flows), got: make([]map[string]int, flows),
		last: make([]string, flows),
	}
	t.Cleanup(tr.close)
	for name, ns := range sinks {
		c, err := udpSocket(ns, net.JoinHostPort(to, "9000"))
		if err != nil {
			t.Fatal(err)
		}
		tr.sinks[name] = c
		tr.wg.Go(func() { tr.receive(name, c) })
	}
	for i := range flows {
		c, err := udpSocket(from, ":0")
		if err != nil {
			t.Fatal(err)
		}
		tr.flows = append(tr.flows, c)
		tr.got[i] = map[string]int{}
	}
	dst := net.UDPAddrFromAddrPort(mustAddrPort(to, 9000))
	tr.wg.Go(func() { tr.send(dst, rate) })
	return tr
}

func (tr *traffic) send(dst *net.UDPAddr, rate int) {
	began := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var b [64]byte
	for n := 0; ; {
		select {
		case <-tr.stop:
			return
		case <-tick.C:
		}
		// Not more than 20 at once, should this process have slept: the test is not about bursts.
		due := int(time.Since(began).Seconds() * float64(rate))
		if due-n > 20 {
			began = began.Add(time.Duration(float64(due-n-20) / float64(rate) * float64(time.Second)))
			due = n + 20
		}
		for ; n < due; n++ {
			flow := n % len(tr.flows)
			binary.BigEndian.PutUint32(b[:], uint32(flow))
			_, err := tr.flows[flow].WriteToUDP(b[:], dst)
			tr.mu.Lock()
			if err != nil {
				tr.errs = err
			} else {
				tr.sent[flow]++
			}
			tr.mu.Unlock()
		}
	}
}

func (tr *traffic) receive(name string, c *net.UDPConn) {
	b := make([]byte, 2048)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		if n < 4 {
			continue
		}
		flow := int(binary.BigEndian.Uint32(b))
		tr.mu.Lock()
		if flow < len(tr.got) {
			tr.got[flow][name]++
			tr.last[flow] = name
		}
		tr.mu.Unlock()
	}
}

// halt ends sending and waits for what is under way: until all has come, or nothing more comes.
func (tr *traffic) halt() {
	close(tr.stop)
	for before, still := -1, 0; still < 10; time.Sleep(100 * time.Millisecond) {
		sent, got := tr.total()
		if got == sent && still > 2 {
			break
		}
		if still++; got != before {
			before, still = got, 0
		}
	}
	for _, c := range tr.sinks {
		_ = c.Close()
	}
	tr.wg.Wait()
}

func (tr *traffic) close() {
	select {
	case <-tr.stop:
	default:
		tr.halt()
	}
	for _, c := range tr.flows {
		_ = c.Close()
	}
}

// where says at which sink the latest packet of each flow arrived.
func (tr *traffic) where() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return append([]string(nil), tr.last...)
}

// settle waits until every flow's packets arrive, from now on.
func (tr *traffic) settle(timeout time.Duration) error {
	tr.mu.Lock()
	clear(tr.last)
	tr.mu.Unlock()
	return lab.Eventually(timeout, func() error {
		for i, w := range tr.where() {
			if w == "" {
				return fmt.Errorf("nothing of flow %d arrives", i)
			}
		}
		return nil
	})
}

// counts gives packets sent and received of a flow. It is exact after halt only.
func (tr *traffic) counts(flow int) (sent, got int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, n := range tr.got[flow] {
		got += n
	}
	return tr.sent[flow], got
}

// total is the same for all flows.
func (tr *traffic) total() (sent, got int) {
	for i := range tr.flows {
		s, g := tr.counts(i)
		sent, got = sent+s, got+g
	}
	return sent, got
}
