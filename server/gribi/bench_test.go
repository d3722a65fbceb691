package gribi

import (
	"fmt"
	"testing"
	"time"

	spb "github.com/openconfig/gribi/v1/proto/service"
	"millrace/server/gribi/gribitest"
)

// BenchmarkProgram is the time of a prefix from the client to the acknowledgement of a data plane that needs none, and of a change of
// the group that all of them use.
func BenchmarkProgram(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				s := newBench(b, Options{})
				c := s.client(fibAck, 1)
				c.want("FIB_PROGRAMMED", c.do(gribitest.HopTo(1, "10.0.1.9"), gribitest.HopTo(2, "10.0.2.9"), gribitest.Group("default", 1, 0, 1, 1))...)
				began := time.Now()
				var last uint64
				for i := 0; i < n; i += 1000 {
					var ops []*spb.AFTOperation
					for j := i; j < i+1000; j++ {
						ops = append(ops, gribitest.Prefix("default", fmt.Sprintf("%d.%d.%d.0/24", 20+j>>16, j>>8&255, j&255), 1, ""))
					}
					ids := c.do(ops...)
					last = ids[len(ids)-1]
				}
				c.wantWithin(time.Minute, "FIB_PROGRAMMED", last)
				b.ReportMetric(float64(time.Since(began).Nanoseconds())/float64(n), "ns/prefix")
				began = time.Now()
				c.want("FIB_PROGRAMMED", c.do(gribitest.Group("default", 1, 0, 1, 1, 2, 1))...)
				b.ReportMetric(float64(time.Since(began).Nanoseconds()), "ns/group-change")
				began = time.Now()
				if got := len(s.get("default", spb.AFTType_IPV4)); got != n {
					b.Fatal(got)
				}
				b.ReportMetric(float64(time.Since(began).Nanoseconds())/float64(n), "ns/get")
			}
		})
	}
}
