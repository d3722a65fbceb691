package integration

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	"millrace/server/gribi/gribitest"
)

// TestGRIBIBackupNeighbor: a neighbour dies whose link stays. The data plane itself goes over to the backup group, with vnf stopped, and
// back.
func TestGRIBIBackupNeighbor(t *testing.T) {
	b, sinks, conn := gribiBed(t)
	b.ok(b.box.Apply(b.interfaces() + "settings: {neighbor-reachable-time: 2}\n"))
	_ = conn.Close()
	c := newController(t, dialBox(t, b.box, credentials.NewTLS(operator(t, b.box))), electedPreserve, 1)
	c.program(gribitest.HopTo(1, "10.0.2.2"), gribitest.HopTo(2, "10.0.3.2"), gribitest.HopTo(3, "10.0.4.2"),
		gribitest.Group("default", 2, 0, 2, 1, 3, 1), gribitest.Group("default", 1, 2, 1, 1), gribitest.Prefix("default", "203.0.113.0/24", 1, ""))
	b.carries(sinks, anycast4, "r2")
	b.hops("203.0.113.0/24", 1) // backups are not shown as used
	control, err := b.box.Child("control")
	b.ok(err)
	b.ok(syscall.Kill(control, syscall.SIGSTOP))
	t.Cleanup(func() { _ = syscall.Kill(control, syscall.SIGCONT) })
	_, err = sinks["r2"].Output("nft", "add table netdev mute; add chain netdev mute in { type filter hook ingress device eth0 priority 0; policy drop; }")
	b.ok(err)
	// Reachable for 1 to 3 s (RFC 4861, from the configured 2 s), then delay and probes.
	tr := startTraffic(t, b.lab.NS("a"), anycast4, 64, 500, sinks)
	b.eventually(20*time.Second, func() error {
		if err := tr.settle(time.Second); err != nil {
			return err
		}
		at := map[string]int{}
		for _, w := range tr.where() {
			at[w]++
		}
		if at["r2"] > 0 || at["r3"] < 16 || at["r4"] < 16 {
			return fmt.Errorf("flows go to %v, want the two backups", at)
		}
		return nil
	})
	tr.close()
	_, err = sinks["r2"].Output("nft", "delete table netdev mute")
	b.ok(err)
	b.carries(sinks, anycast4, "r2")
}
