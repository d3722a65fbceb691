package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	vnfv1 "millrace/api/proto/vnf/v1"
)

// Listeners shown at most: those with the most traffic.
const topListeners = 12

func (t *top) sampleListeners(ctx context.Context) ([]*vnfv1.TcpListener, error) {
	client, err := t.a.termination()
	if err != nil {
		return nil, err
	}
	resp, err := client.ListTcpListeners(ctx, &vnfv1.ListTcpListenersRequest{PageSize: 4096})
	if absent(err) != nil {
		return nil, err
	}
	return slices.DeleteFunc(resp.GetListeners(), func(l *vnfv1.TcpListener) bool { return l.GetState().GetDraining() }), nil
}

func (t *top) drawListeners(out io.Writer, d time.Duration) {
	type row struct {
		l                     *vnfv1.TcpListener
		made, refused, in, to float64
	}
	var rows []row
	for _, l := range t.now.listeners {
		o := &vnfv1.TcpListenerState{}
		for _, x := range t.old.listeners {
			if x.GetConfig().GetName() == l.GetConfig().GetName() && x.GetState() != nil {
				o = x.GetState()
			}
		}
		s := l.GetState()
		rows = append(rows, row{
			l, rate(s.GetAccepted(), o.GetAccepted(), d), rate(refused(s), refused(o), d), 8 * rate(s.GetBytesIn(), o.GetBytesIn(), d),
			8 * rate(s.GetBytesOut(), o.GetBytesOut(), d),
		})
	}
	if len(rows) == 0 {
		return
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.in+b.to, a.in+a.to), cmp.Compare(b.l.GetState().GetActive(), a.l.GetState().GetActive()))
	})
	const layout = "%-24s %-22s %-10s %8s %8s %9s %9s %9s\n"
	fmt.Fprintf(out, "\n"+layout, "LISTENER", "SERVICE", "STATUS", "ACTIVE", "NEW/s", "REFUSED/s", "IN bit/s", "OUT bit/s")
	for _, r := range rows[:min(len(rows), topListeners)] {
		fmt.Fprintf(out, layout, r.l.GetConfig().GetName(), serviceWord(r.l.GetConfig()), listenerWord(r.l),
			count(float64(r.l.GetState().GetActive())), count(r.made), count(r.refused), count(r.in), count(r.to))
	}
	if n := len(rows) - topListeners; n > 0 {
		fmt.Fprintf(out, "and %d more\n", n)
	}
}
