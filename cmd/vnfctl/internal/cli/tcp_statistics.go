package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) tcpStatistics() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "statistics", Aliases: []string{"stats"}, Short: "Show the counters of the TCP engines", Args: cobra.NoArgs,
		Example: "  vnfctl tcp statistics\n  vnfctl tcp statistics --all --watch",
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.getStatistics(c)
			if err != nil {
				return err
			}
			l := a.newList("VALUE", "COUNTER", "MEANING")
			for _, n := range s.GetCounters() {
				if n.GetValue() == 0 && !all && a.format == "table" {
					continue
				}
				if err := l.add(n, fmt.Sprint(n.GetValue()), n.GetName(), n.GetDescription()); err != nil {
					return err
				}
			}
			return l.end()
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "also those that are zero")
	return a.watchable(c)
}

func (a *app) getStatistics(c *cobra.Command) (*vnfv1.TcpStatistics, error) {
	client, err := a.termination()
	if err != nil {
		return nil, err
	}
	ctx, cancel := a.call(c.Context())
	defer cancel()
	return client.GetTcpStatistics(ctx, &vnfv1.GetTcpStatisticsRequest{})
}

func (a *app) tcpWorkers() *cobra.Command {
	c := &cobra.Command{
		Use: "workers", Short: "Show how full the TCP engine of each worker is", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.getStatistics(c)
			if err != nil {
				return err
			}
			l := a.newList("WORKER", "CONNECTIONS", "HALF-OPEN", "TIME-WAIT", "SEGMENTS", "MEMORY", "PRESSURE", "BYTES/CONNECTION")
			for _, w := range s.GetWorkers() {
				if err := l.add(w, fmt.Sprint(w.GetWorker()), fmt.Sprintf("%d/%d", w.GetConnections(), w.GetConnectionsMax()),
					fmt.Sprint(w.GetHalfOpen()), fmt.Sprintf("%d/%d", w.GetTimeWait(), w.GetTimeWaitMax()), fmt.Sprint(w.GetSegments()),
					fmt.Sprintf("%s of %s", size(w.GetMemory()), size(w.GetMemoryLimit())), short(w.GetPressure()),
					fmt.Sprint(w.GetConnectionBytes())); err != nil {
					return err
				}
			}
			return l.end()
		},
	}
	return a.watchable(c)
}

func (a *app) tcpHealth() *cobra.Command {
	var once bool
	c := &cobra.Command{
		Use: "health [POOL]", Short: "Show the health of pools and backends, then each change", Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: a.complete(0, a.poolNames),
		Example:           "  vnfctl tcp health\n  vnfctl tcp health app --once",
		RunE: func(c *cobra.Command, args []string) error {
			req := &vnfv1.WatchTcpHealthRequest{}
			if len(args) > 0 {
				req.Pool = args[0]
			}
			client, err := a.termination()
			if err != nil {
				return err
			}
			stream, err := client.WatchTcpHealth(c.Context(), req)
			if err != nil {
				return err
			}
			l := a.newStream([]string{"TIME", "EVENT", "POOL", "BACKEND", "HEALTH", "UP", "REASON"}, []int{12, 7, 16, 16, 8, 7})
			err = receive(stream, func(e *vnfv1.TcpHealthEvent) error {
				synced := e.GetKind() == vnfv1.EventKind_EVENT_KIND_SYNCED
				if once && synced {
					return io.EOF
				}
				up := ""
				if e.GetBackend() == "" && !synced {
					up = fmt.Sprintf("%d/%d", e.GetBackendsHealthy(), e.GetBackends())
				}
				return l.add(e, clock(e.GetTime()), short(e.GetKind()), e.GetPool(), e.GetBackend(), short(e.GetHealth()), up, e.GetReason())
			})
			if once && err == io.EOF {
				return nil
			}
			return err
		},
	}
	c.Flags().BoolVar(&once, "once", false, "end when the present state is shown")
	return c
}
