package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	spb "github.com/openconfig/gribi/v1/proto/service"
	"google.golang.org/grpc/credentials"

	"millrace/internal/lab"
	"millrace/server/gribi/gribitest"
)

// TestGRIBIMany: 60,000 prefixes and changes of their group, and then more than the data plane has room for: what is acknowledged is
// what it has.
func TestGRIBIMany(t *testing.T) {
	b := newBed(t, 2)
	b.start(b.interfaces()) // tables of 65,536 IPv4 routes
	c := newController(t, dialBox(t, b.box, credentials.NewTLS(operator(t, b.box))), electedPreserve, 1)
	c.program(gribitest.HopTo(1, "10.0.2.2"), gribitest.HopTo(2, "10.0.3.2"), gribitest.Group("default", 1, 0, 1, 1))
	prefixes := func(from, to int) (ids []uint64) {
		for i := from; i < to; i += 1000 {
			var ops []*spb.AFTOperation
			for j := i; j < min(i+1000, to); j++ {
				ops = append(ops, gribitest.Prefix("default", fmt.Sprintf("%d.%d.%d.0/24", 20+j>>16, j>>8&255, j&255), 1, ""))
			}
			ids = append(ids, c.do(ops...)...)
		}
		return ids
	}
	count := func(ids []uint64) map[spb.AFTResult_Status]int {
		c.mu.Lock()
		defer c.mu.Unlock()
		n := map[spb.AFTResult_Status]int{}
		for _, id := range ids {
			if r := c.results[id]; len(r) > 0 {
				n[r[len(r)-1]]++
			}
		}
		return n
	}
	began := time.Now()
	ids := prefixes(0, 60_000)
	b.ok(lab.Eventually(60*time.Second, func() error {
		if n := count(ids); n[spb.AFTResult_FIB_PROGRAMMED] != len(ids) {
			return fmt.Errorf("%v", n)
		}
		return nil
	}))
	t.Logf("60,000 prefixes in the data plane after %v", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	c.program(gribitest.Group("default", 1, 0, 1, 1, 2, 1))
	t.Logf("their group changed after %v", time.Since(began).Round(time.Millisecond))
	b.hops("20.5.5.0/24", 2)

	more := prefixes(60_000, 70_000)
	b.ok(lab.Eventually(60*time.Second, func() error {
		if n := count(more); n[spb.AFTResult_FIB_PROGRAMMED]+n[spb.AFTResult_FIB_FAILED] != len(more) {
			return fmt.Errorf("%v", n)
		}
		return nil
	}))
	n := count(more)
	if n[spb.AFTResult_FIB_FAILED] == 0 || n[spb.AFTResult_FIB_PROGRAMMED] == 0 {
		t.Errorf("a table of 65,536 routes takes 70,000: %v", n)
	}
	t.Logf("of 10,000 more: %v", n)
	began = time.Now()
	got := map[spb.AFTEntry_Status]int{}
	for _, e := range c.get("default") {
		if e.GetIpv4() != nil {
			got[e.GetFibStatus()]++
		}
	}
	t.Logf("Get of all after %v: %v", time.Since(began).Round(time.Millisecond), got)
	// What failed is tried again, and may have found room since.
	if p := got[spb.AFTEntry_PROGRAMMED]; p < 60_000+n[spb.AFTResult_FIB_PROGRAMMED] || p+got[spb.AFTEntry_NOT_PROGRAMMED] != 70_000 {
		t.Errorf("Get says %v", got)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	began = time.Now()
	if _, err := c.stub.Flush(ctx, &spb.FlushRequest{
		NetworkInstance: &spb.FlushRequest_All{All: &spb.Empty{}}, Election: &spb.FlushRequest_Id{Id: c.election},
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("flushed after %v", time.Since(began).Round(time.Millisecond))
	b.gone("20.0.5.0/24", "20.5.5.0/24", "21.5.5.0/24")
	b.alarm(false, "fib")
}
