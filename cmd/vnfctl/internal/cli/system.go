package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/durationpb"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) systemCommand() *cobra.Command {
	return group("system", "The box as a whole", []string{"sys"},
		a.systemInfo(), a.systemWorkers(), a.systemDrops(), a.systemNodes(), a.systemAlarms(), a.systemLogLevel(), a.systemInstances())
}

func (a *app) systemInfo() *cobra.Command {
	c := &cobra.Command{
		Use: "info", Short: "Show versions, uptimes and memory", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.system()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			s, err := client.GetSystemInfo(ctx, &vnfv1.GetSystemInfoRequest{})
			if err != nil {
				return err
			}
			return a.show(s, func(w io.Writer) error { return describeSystem(w, s, time.Now()) })
		},
	}
	return a.watchable(c)
}

func describeSystem(w io.Writer, s *vnfv1.SystemInfo, now time.Time) error {
	fmt.Fprintf(w, "Host:\t%s\n", s.GetHostname())
	fmt.Fprintf(w, "vnf:\t%s (%s), up %s, %s\n", s.GetVersion(), s.GetGoVersion(), since(s.GetStartTime(), now), size(s.GetMemory()))
	fmt.Fprintf(w, "Configuration:\t%s\n", s.GetConfigRevision())
	fmt.Fprintf(w, "Alarms:\t%d\n", s.GetAlarms())
	d := s.GetDataplane()
	if d == nil {
		fmt.Fprintln(w, "Data plane:\tnot there")
		return nil
	}
	pages := "without hugepages"
	if d.GetHugepages() {
		pages = "with hugepages"
	}
	fmt.Fprintf(w, "Data plane:\t%s (%s), up %s, process %d, %d workers\n", d.GetVersion(), d.GetDpdkVersion(), age(d.GetUptime().AsDuration()),
		d.GetPid(), d.GetWorkers())
	fmt.Fprintf(w, "Memory:\t%s of %s, %s\n", size(d.GetMemoryUsed()), size(d.GetMemoryTotal()), pages)
	fmt.Fprintf(w, "Packet buffers:\t%d of %d\n", d.GetMbufsUsed(), d.GetMbufsTotal())
	fmt.Fprintf(w, "Neighbours:\t%d\n", d.GetNeighbors())
	fmt.Fprintf(w, "Next hops:\t%d of %d\n", d.GetNextHops(), d.GetNextHopsMax())
	fmt.Fprintf(w, "Groups:\t%d of %d\n", d.GetGroups(), d.GetGroupsMax())
	field(w, "Kernel namespace", d.GetExceptionNetns())
	return nil
}

func percent(f float64) string { return fmt.Sprintf("%.1f%%", 100*f) }

func (a *app) systemWorkers() *cobra.Command {
	var interval time.Duration
	c := &cobra.Command{
		Use: "workers", Short: "Show how busy the forwarding threads are", Args: cobra.NoArgs,
		Long: "Show the forwarding threads. A polling core always looks busy to the kernel; UTILIZATION is the share of its time that it\n" +
			"had packets to work on, measured over --interval (0: since the start).",
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.system()
			if err != nil {
				return err
			}
			req := &vnfv1.ListWorkersRequest{}
			if interval > 0 {
				req.Interval = durationpb.New(interval)
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.ListWorkers(ctx, req)
			if err != nil {
				return err
			}
			l := a.newList("WORKER", "LCORE", "CPU", "UTILIZATION", "ASLEEP", "RX-PACKETS", "DISPATCHED", "LOST", "QUEUES")
			for _, w := range resp.GetWorkers() {
				cpu := "-"
				if w.GetCpu() >= 0 {
					cpu = fmt.Sprint(w.GetCpu())
				}
				if err := l.add(w, fmt.Sprint(w.GetId()), fmt.Sprint(w.GetLcore()), cpu, percent(w.GetUtilization()), percent(w.GetSleeping()),
					fmt.Sprint(w.GetRxPackets()), fmt.Sprint(w.GetDispatched()), fmt.Sprint(w.GetDispatchDrops()),
					strings.Join(w.GetRxQueues(), " ")); err != nil {
					return err
				}
			}
			return l.end()
		},
	}
	c.Flags().DurationVar(&interval, "interval", 500*time.Millisecond, "time to measure over, up to 10s; 0: since the start")
	return a.watchable(c)
}

func (a *app) systemDrops() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "drops", Short: "Show why packets were dropped", Args: cobra.NoArgs,
		Example: "  vnfctl system drops --watch",
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.system()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.ListDrops(ctx, &vnfv1.ListDropsRequest{IncludeZero: all})
			if err != nil {
				return err
			}
			l := a.newList("PACKETS", "REASON", "MEANING")
			for _, d := range resp.GetDrops() {
				if err := l.add(d, fmt.Sprint(d.GetPackets()), d.GetReason(), d.GetDescription()); err != nil {
					return err
				}
			}
			return l.end()
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "also reasons without packets")
	return a.watchable(c)
}

func (a *app) systemNodes() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "nodes", Short: "Show the nodes of the packet graph with their work", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			g, err := a.graph(c)
			if err != nil {
				return err
			}
			l := a.newList("NODE", "CALLS", "PACKETS", "PACKETS/CALL", "CYCLES/PACKET")
			for _, n := range g.GetNodes() {
				if n.GetPackets() == 0 && !all {
					continue
				}
				if err := l.add(n, n.GetName(), fmt.Sprint(n.GetCalls()), fmt.Sprint(n.GetPackets()), ratio(n.GetPackets(), n.GetCalls()),
					ratio(n.GetCycles(), n.GetPackets())); err != nil {
					return err
				}
			}
			return l.end()
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "also nodes without packets")
	return a.watchable(c)
}

func ratio(a, b uint64) string {
	if b == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", float64(a)/float64(b))
}

func (a *app) systemAlarms() *cobra.Command {
	c := &cobra.Command{
		Use: "alarms", Short: "Show what is wrong now", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.system()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.ListAlarms(ctx, &vnfv1.ListAlarmsRequest{})
			if err != nil {
				return err
			}
			l := a.newList("SEVERITY", "SINCE", "ABOUT", "TEXT")
			for _, x := range resp.GetAlarms() {
				if err := l.add(x, short(x.GetSeverity()), since(x.GetSince(), time.Now()), x.GetResource(), x.GetText()); err != nil {
					return err
				}
			}
			return l.end()
		},
	}
	return a.watchable(c)
}

func (a *app) systemLogLevel() *cobra.Command {
	return &cobra.Command{
		Use: "log-level [debug|info|warn|error]", Short: "Show how much vnf logs, or change it until its next start",
		Args: cobra.MaximumNArgs(1), ValidArgs: []string{"debug", "info", "warn", "error"},
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.system()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			var resp *vnfv1.LogLevelResponse
			if len(args) == 0 {
				resp, err = client.GetLogLevel(ctx, &vnfv1.GetLogLevelRequest{})
			} else {
				resp, err = client.SetLogLevel(ctx, &vnfv1.SetLogLevelRequest{Level: args[0]})
			}
			if err != nil {
				return err
			}
			return a.done(resp, "%s", resp.GetLevel())
		},
	}
}

func (a *app) systemInstances() *cobra.Command {
	c := &cobra.Command{
		Use: "network-instances", Aliases: []string{"instances", "vrfs"}, Short: "Show network instances (VRFs) and the fill of their tables",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.system()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.ListNetworkInstances(ctx, &vnfv1.ListNetworkInstancesRequest{})
			if err != nil {
				return err
			}
			of := func(n, most uint32) string { return fmt.Sprintf("%d/%d", n, most) }
			l := a.newList("NAME", "IPV4-ROUTES", "IPV4-TBL8", "IPV6-ROUTES", "IPV6-TBL8", "INTERFACES")
			for _, n := range resp.GetNetworkInstances() {
				if err := l.add(n, n.GetName(), of(n.GetIpv4Routes(), n.GetIpv4RoutesMax()), of(n.GetIpv4Tbl8Used(), n.GetIpv4Tbl8Max()),
					of(n.GetIpv6Routes(), n.GetIpv6RoutesMax()), of(n.GetIpv6Tbl8Used(), n.GetIpv6Tbl8Max()),
					strings.Join(n.GetInterfaces(), " ")); err != nil {
					return err
				}
			}
			return l.end()
		},
	}
	return a.watchable(c)
}

func (a *app) healthCommand() *cobra.Command {
	return &cobra.Command{
		Use: "health", Short: "Ask whether vnf and its data plane serve (grpc.health.v1)", Args: cobra.NoArgs,
		Long: "Ask whether vnf and its data plane serve. The exit code is 0 if both do, and 3 if not.",
		RunE: func(c *cobra.Command, _ []string) error {
			conn, err := a.dial()
			if err != nil {
				return err
			}
			l := a.newList("SERVICE", "STATUS")
			bad := ""
			for _, s := range []struct{ name, service string }{{"vnf", ""}, {"data plane", "millrace.dataplane"}} {
				ctx, cancel := a.call(c.Context())
				resp, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: s.service})
				cancel()
				if err != nil {
					return err
				}
				if resp.GetStatus() != healthpb.HealthCheckResponse_SERVING {
					bad = s.name
				}
				if err := l.add(resp, s.name, strings.ToLower(strings.ReplaceAll(resp.GetStatus().String(), "_", " "))); err != nil {
					return err
				}
			}
			if err := l.end(); err != nil {
				return err
			}
			if bad != "" {
				return unreachablef("the %s does not serve", bad)
			}
			return nil
		},
	}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of vnfctl", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.out, a.env.Version)
			return err
		},
	}
}
