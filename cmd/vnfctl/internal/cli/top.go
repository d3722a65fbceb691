package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) topCommand() *cobra.Command {
	var interval time.Duration
	var once bool
	c := &cobra.Command{
		Use: "top", Short: "Watch the box live: rates, load, drops, BGP", Args: cobra.NoArgs,
		Long: "Show the rates of interfaces, the utilisation of workers, drops, and BGP sessions, again every --interval until Ctrl-C.\n" +
			"--once measures once and prints plain text, for a terminal that can't be cleared or for a log.",
		Example: "  vnfctl top\n  vnfctl top --once --interval 5s",
		RunE: func(c *cobra.Command, _ []string) error {
			if interval < 100*time.Millisecond {
				return usagef("--interval: %v is less than 100ms", interval)
			}
			t := top{a: a}
			if err := t.sample(c.Context()); err != nil {
				return err
			}
			tick := time.NewTicker(interval)
			defer tick.Stop()
			screen := isTerminal(a.out) && !once
			for {
				select {
				case <-c.Context().Done():
					return nil
				case <-tick.C:
				}
				if err := t.sample(c.Context()); err != nil {
					if c.Context().Err() != nil {
						return nil
					}
					return err
				}
				var page bytes.Buffer
				t.draw(&page)
				if screen {
					fmt.Fprint(a.out, "\x1b[H", strings.ReplaceAll(page.String(), "\n", "\x1b[K\n"), "\x1b[J")
				} else {
					a.out.Write(page.Bytes())
				}
				if once {
					return nil
				}
			}
		},
	}
	c.Flags().DurationVarP(&interval, "interval", "d", time.Second, "time between two looks")
	c.Flags().BoolVar(&once, "once", false, "look once, print, end")
	return c
}

// look is what the box said at one moment.
type look struct {
	at         time.Time
	info       *vnfv1.SystemInfo
	interfaces []*vnfv1.Interface
	workers    []*vnfv1.Worker
	drops      []*vnfv1.Drop
	alarms     []*vnfv1.Alarm
	routes     *vnfv1.GetRouteSummaryResponse
	bgp        []*vnfv1.BgpNeighbor
	listeners  []*vnfv1.TcpListener
}

// top keeps two looks to tell rates.
type top struct {
	a        *app
	old, now look
}

// absent lets pass that a part is not there: no data plane, no BGP.
func absent(err error) error {
	switch status.Code(err) {
	case codes.FailedPrecondition, codes.Unimplemented:
		return nil
	}
	return err
}

func (t *top) sample(ctx context.Context) error {
	ctx, cancel := t.a.call(ctx)
	defer cancel()
	sys, err := t.a.system()
	if err != nil {
		return err
	}
	n := look{at: time.Now()}
	if n.info, err = sys.GetSystemInfo(ctx, &vnfv1.GetSystemInfoRequest{}); err != nil {
		return err
	}
	ifs, err := t.a.interfaces()
	if err != nil {
		return err
	}
	list, err := ifs.ListInterfaces(ctx, &vnfv1.ListInterfacesRequest{})
	if err != nil {
		return err
	}
	n.interfaces = list.GetInterfaces()
	if n.info.GetDataplane() != nil {
		w, err := sys.ListWorkers(ctx, &vnfv1.ListWorkersRequest{})
		if err != nil && status.Code(err) != codes.Unavailable {
			return err
		}
		d, err := sys.ListDrops(ctx, &vnfv1.ListDropsRequest{})
		if err != nil && status.Code(err) != codes.Unavailable {
			return err
		}
		n.workers, n.drops = w.GetWorkers(), d.GetDrops()
	}
	alarms, err := sys.ListAlarms(ctx, &vnfv1.ListAlarmsRequest{})
	if absent(err) != nil {
		return err
	}
	n.alarms = alarms.GetAlarms()
	routes, err := t.a.routes()
	if err != nil {
		return err
	}
	if n.routes, err = routes.GetRouteSummary(ctx, &vnfv1.GetRouteSummaryRequest{}); absent(err) != nil {
		return err
	}
	bgp, err := t.a.bgp()
	if err != nil {
		return err
	}
	peers, err := bgp.ListBgpNeighbors(ctx, &vnfv1.ListBgpNeighborsRequest{})
	if absent(err) != nil {
		return err
	}
	n.bgp = peers.GetNeighbors()
	if n.listeners, err = t.sampleListeners(ctx); err != nil {
		return err
	}
	t.old, t.now = t.now, n
	return nil
}

// rate is a difference a second; a counter that went back began anew.
func rate(now, old uint64, d time.Duration) float64 {
	if now < old || d <= 0 {
		return 0
	}
	return float64(now-old) / d.Seconds()
}

func (t *top) draw(out io.Writer) {
	n, d := t.now, t.now.at.Sub(t.old.at)
	dataplane := "no data plane"
	if p := n.info.GetDataplane(); p != nil {
		dataplane = fmt.Sprintf("data plane up %s, buffers %d/%d, neighbours %d", age(p.GetUptime().AsDuration()), p.GetMbufsUsed(),
			p.GetMbufsTotal(), p.GetNeighbors())
	}
	fmt.Fprintf(out, "%s  %s  vnf up %s, %s\n", n.info.GetHostname(), n.at.Format("15:04:05"), since(n.info.GetStartTime(), n.at), dataplane)
	if r := n.routes; r != nil {
		fmt.Fprintf(out, "routes: %d prefixes, %d in the data plane, %d on their way, %d refused\n", r.GetPrefixes(), r.GetFibInstalled(),
			r.GetFibPending(), r.GetFibFailed())
	}
	for _, x := range n.alarms {
		fmt.Fprintf(out, "%s: %s: %s\n", strings.ToUpper(short(x.GetSeverity())), x.GetResource(), x.GetText())
	}
	t.drawInterfaces(out, d)
	t.drawWorkers(out)
	t.drawDrops(out, d)
	t.drawBgp(out)
	t.drawListeners(out, d)
}

func (t *top) drawInterfaces(out io.Writer, d time.Duration) {
	const layout = "%-15s  %-16s %8s %9s %8s %9s %10s %8s %8s\n"
	fmt.Fprintf(out, "\n"+layout, "INTERFACE", "STATUS", "RX pps", "RX bit/s", "TX pps", "TX bit/s", "DISCARDS/s", "ERRORS/s", "PUNTED/s")
	for _, i := range t.now.interfaces {
		c, o := i.GetCounters(), &vnfv1.InterfaceCounters{}
		for _, x := range t.old.interfaces {
			if x.GetConfig().GetName() == i.GetConfig().GetName() && x.GetCounters() != nil {
				o = x.GetCounters()
			}
		}
		fmt.Fprintf(out, layout, i.GetConfig().GetName(), statusWord(i),
			count(rate(c.GetRxPackets(), o.GetRxPackets(), d)), count(8*rate(c.GetRxOctets(), o.GetRxOctets(), d)),
			count(rate(c.GetTxPackets(), o.GetTxPackets(), d)), count(8*rate(c.GetTxOctets(), o.GetTxOctets(), d)),
			count(rate(c.GetRxDiscards()+c.GetTxDiscards()+c.GetRxMissed(), o.GetRxDiscards()+o.GetTxDiscards()+o.GetRxMissed(), d)),
			count(rate(c.GetRxErrors()+c.GetTxErrors(), o.GetRxErrors()+o.GetTxErrors(), d)), count(rate(c.GetPunted(), o.GetPunted(), d)))
	}
}

func (t *top) drawWorkers(out io.Writer) {
	if len(t.now.workers) > 0 {
		fmt.Fprintln(out)
	}
	for _, x := range t.now.workers {
		o := &vnfv1.Worker{}
		for _, y := range t.old.workers {
			if y.GetId() == x.GetId() && y.GetBusyCycles() <= x.GetBusyCycles() && y.GetIdleCycles() <= x.GetIdleCycles() &&
				y.GetSleepCycles() <= x.GetSleepCycles() {
				o = y
			}
		}
		busy := float64(x.GetBusyCycles() - o.GetBusyCycles())
		sleep := float64(x.GetSleepCycles() - o.GetSleepCycles())
		all := busy + sleep + float64(x.GetIdleCycles()-o.GetIdleCycles())
		if all == 0 {
			all = 1
		}
		fmt.Fprintf(out, "worker %-2d %s %6s busy %6s asleep\n", x.GetId(), bar(busy/all, 30), percent(busy/all), percent(sleep/all))
	}
}

func bar(share float64, width int) string {
	n := min(max(int(share*float64(width)+0.5), 0), width)
	return "[" + strings.Repeat("|", n) + strings.Repeat(" ", width-n) + "]"
}

// Drops shown at a time.
const topDrops = 8

func (t *top) drawDrops(out io.Writer, d time.Duration) {
	if len(t.now.drops) == 0 {
		return
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "\nDROPPED\tPACKETS\tPER SECOND")
	for i, x := range t.now.drops {
		if i == topDrops {
			fmt.Fprintf(w, "and %d more reasons\n", len(t.now.drops)-i)
			break
		}
		old := uint64(0)
		for _, y := range t.old.drops {
			if y.GetReason() == x.GetReason() {
				old = y.GetPackets()
			}
		}
		fmt.Fprintf(w, "%s\t%d\t%s\n", x.GetReason(), x.GetPackets(), count(rate(x.GetPackets(), old, d)))
	}
	w.Flush()
}

func (t *top) drawBgp(out io.Writer) {
	if len(t.now.bgp) == 0 {
		return
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "\nBGP NEIGHBOR\tAS\tSTATE\tSINCE\tRECEIVED\tACCEPTED")
	for _, n := range t.now.bgp {
		fmt.Fprintln(w, strings.Join(bgpCells(n, t.now.at)[:6], "\t"))
	}
	w.Flush()
}
