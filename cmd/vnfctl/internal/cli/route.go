package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) routeCommand() *cobra.Command {
	return group("route", "Routes: static ones, and what was chosen among all", []string{"routes"},
		a.routeList(), a.routeAdd(), a.routeDelete(), a.routeLookup(), a.routeWatch(), a.routeFailures(), a.routeSummary())
}

// routeFlags are the filters that list and watch have in common.
type routeFlags struct{ instance, family, source string }

func (f *routeFlags) register(a *app, c *cobra.Command) {
	a.instanceFlag(c, &f.instance, "default")
	c.Flags().StringVarP(&f.family, "family", "f", "", "ipv4 or ipv6")
	fixed(c, "family", words(vnfv1.AddressFamily(0)))
	c.Flags().StringVarP(&f.source, "source", "s", "", strings.Join(words(vnfv1.RouteSource(0)), ", "))
	fixed(c, "source", words(vnfv1.RouteSource(0)))
}

func (f *routeFlags) parse() (family vnfv1.AddressFamily, source vnfv1.RouteSource, err error) {
	if family, err = parseEnum[vnfv1.AddressFamily]("family", f.family); err == nil {
		source, err = parseEnum[vnfv1.RouteSource]("source", f.source)
	}
	return family, source, err
}

func (a *app) routeList() *cobra.Command {
	var f routeFlags
	var longer, all bool
	var nextHop, fib string
	var limit int
	c := &cobra.Command{
		Use: "list [PREFIX]", Aliases: []string{"ls"}, Short: "List routes", Args: cobra.MaximumNArgs(1),
		Long: "List the chosen routes of a network instance. In the table, * marks the chosen one among candidates (--all), ! one\n" +
			"that the data plane refused, + one on its way there.",
		Example: `  vnfctl route list
  vnfctl route list 203.0.113.0/24 --longer --all
  vnfctl route list --source bgp --next-hop 192.0.2.2 --limit 20
  vnfctl route list --fib failed -o json`,
		RunE: func(c *cobra.Command, args []string) error {
			family, source, err := f.parse()
			if err != nil {
				return err
			}
			state, err := parseEnum[vnfv1.FibState]("fib", fib)
			if err != nil {
				return err
			}
			req := &vnfv1.ListRoutesRequest{
				PageSize: 2048, NetworkInstance: f.instance, Family: family, Source: source, LongerPrefixes: longer, AllCandidates: all,
				NextHop: nextHop, FibState: state,
			}
			if len(args) > 0 {
				req.Prefix = args[0]
			} else if longer {
				return usagef("--longer needs a prefix")
			}
			return a.listRoutes(c, req, limit)
		},
	}
	f.register(a, c)
	c.Flags().BoolVarP(&longer, "longer", "l", false, "also the prefixes inside the one given")
	c.Flags().BoolVarP(&all, "all", "a", false, "also candidates that were not chosen, with the reason")
	c.Flags().StringVar(&nextHop, "next-hop", "", "only routes over this `address`")
	c.Flags().StringVar(&fib, "fib", "", "only routes in this state: "+strings.Join(words(vnfv1.FibState(0)), ", "))
	fixed(c, "fib", words(vnfv1.FibState(0)))
	c.Flags().IntVar(&limit, "limit", 0, "at most so many prefixes; 0: all")
	return a.watchable(c)
}

func (a *app) listRoutes(c *cobra.Command, req *vnfv1.ListRoutesRequest, limit int) error {
	client, err := a.routes()
	if err != nil {
		return err
	}
	columns := []string{"", "PREFIX", "SOURCE", "DIST/METRIC", "NEXT HOPS"}
	if req.AllCandidates {
		columns = append(columns, "REASON")
	}
	l := a.newList(columns...)
	for left := limit; ; {
		if limit > 0 {
			req.PageSize = uint32(min(left, 2048))
		}
		ctx, cancel := a.call(c.Context())
		resp, err := client.ListRoutes(ctx, req)
		cancel()
		if err != nil {
			return err
		}
		prefixes := map[string]bool{}
		for _, r := range resp.GetRoutes() {
			prefixes[r.GetPrefix()] = true
			cells := routeCells(r)
			if req.AllCandidates {
				cells = append(cells, r.GetReason())
			}
			if err := l.add(r, cells...); err != nil {
				return err
			}
		}
		l.flush()
		left -= len(prefixes)
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" || limit > 0 && left <= 0 {
			return l.end()
		}
	}
}

func nextHopWords(hops []*vnfv1.NextHop) string {
	var out []string
	for i, h := range hops {
		if i == 4 && len(hops) > 5 {
			out = append(out, fmt.Sprintf("and %d more", len(hops)-i))
			break
		}
		var w []string
		if h.GetAction() > vnfv1.RouteAction_ROUTE_ACTION_FORWARD {
			w = append(w, short(h.GetAction()))
		}
		if h.GetGateway() != "" {
			w = append(w, "via "+h.GetGateway())
		}
		if h.GetInterface() != "" {
			w = append(w, "dev "+h.GetInterface())
		}
		if h.GetNetworkInstance() != "" {
			w = append(w, "in "+h.GetNetworkInstance())
		}
		if len(hops) > 1 && h.GetWeight() > 1 {
			w = append(w, fmt.Sprintf("weight %d", h.GetWeight()))
		}
		out = append(out, strings.Join(w, " "))
	}
	return strings.Join(out, ", ")
}

func routeCells(r *vnfv1.Route) []string {
	mark := " "
	switch {
	case r.GetFibState() == vnfv1.FibState_FIB_STATE_FAILED:
		mark = "!"
	case r.GetFibState() == vnfv1.FibState_FIB_STATE_PENDING:
		mark = "+"
	case r.GetBest():
		mark = "*"
	}
	return []string{
		mark, r.GetPrefix(), short(r.GetSource()), fmt.Sprintf("%d/%d", r.GetDistance(), r.GetMetric()), routeWords(r) + suffix("; ", r.GetFibError()),
	}
}

// routeWords says where a route goes: by what its next hops resolve to, if they do.
func routeWords(r *vnfv1.Route) string {
	if r.GetAction() > vnfv1.RouteAction_ROUTE_ACTION_FORWARD {
		return short(r.GetAction())
	}
	given, resolved := nextHopWords(r.GetNextHops()), nextHopWords(r.GetResolvedNextHops())
	if resolved == "" || resolved == given {
		return given
	}
	same := len(r.GetNextHops()) == len(r.GetResolvedNextHops())
	for i := 0; same && i < len(r.GetNextHops()); i++ {
		same = r.GetNextHops()[i].GetGateway() == r.GetResolvedNextHops()[i].GetGateway()
	}
	if same {
		return resolved
	}
	return fmt.Sprintf("%s (%s)", resolved, given)
}

func (a *app) routeLookup() *cobra.Command {
	var instance, source string
	var protocol, sport, dport uint32
	c := &cobra.Command{
		Use: "lookup DESTINATION", Aliases: []string{"get"}, Short: "Say where a packet goes, and why", Args: cobra.ExactArgs(1),
		Example: "  vnfctl route lookup 203.0.113.7\n  vnfctl route lookup 203.0.113.7 --from 192.0.2.9 --protocol 6 --sport 40000 --dport 443",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.routes()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.LookupRoute(ctx, &vnfv1.LookupRouteRequest{
				NetworkInstance: instance, Destination: args[0], Source: source, Protocol: protocol, SourcePort: sport, DestinationPort: dport,
			})
			if err != nil {
				return err
			}
			return a.show(resp, func(w io.Writer) error { return describeLookup(w, resp) })
		},
	}
	a.instanceFlag(c, &instance, "default")
	c.Flags().StringVar(&source, "from", "", "source `address`, for the choice among equal paths")
	c.Flags().Uint32Var(&protocol, "protocol", 0, "IP protocol number: 6 TCP, 17 UDP")
	c.Flags().Uint32Var(&sport, "sport", 0, "source port")
	c.Flags().Uint32Var(&dport, "dport", 0, "destination port")
	return c
}

func describeLookup(w io.Writer, r *vnfv1.LookupRouteResponse) error {
	for _, line := range r.GetExplanation() {
		fmt.Fprintln(w, line)
	}
	if len(r.GetCandidates()) > 1 {
		fmt.Fprintln(w, "\nCandidates:")
		for _, x := range r.GetCandidates() {
			fmt.Fprintln(w, "  "+strings.Join(append(routeCells(x), x.GetReason()), "\t"))
		}
	}
	if len(r.GetResolution()) > 0 {
		fmt.Fprintln(w, "\nResolution:")
		for _, s := range r.GetResolution() {
			line := strings.Repeat("  ", int(s.GetDepth())+1) + nextHopWords([]*vnfv1.NextHop{s.GetNextHop()})
			if s.GetViaPrefix() != "" {
				line += fmt.Sprintf(" by %s (%s)", s.GetViaPrefix(), short(s.GetViaSource()))
			}
			fmt.Fprintf(w, "%s: %s\n", line, s.GetResult())
		}
	}
	return nil
}

func (a *app) routeWatch() *cobra.Command {
	var f routeFlags
	var changesOnly bool
	c := &cobra.Command{
		Use: "watch [PREFIX]", Short: "Show the routes, then each change of a chosen one", Args: cobra.MaximumNArgs(1),
		Example: "  vnfctl route watch --source bgp --changes-only\n  vnfctl route watch 203.0.113.0/24 -o json",
		RunE: func(c *cobra.Command, args []string) error {
			family, source, err := f.parse()
			if err != nil {
				return err
			}
			req := &vnfv1.WatchRoutesRequest{NetworkInstance: f.instance, Family: family, Source: source, ChangesOnly: changesOnly}
			if len(args) > 0 {
				req.Prefix = args[0]
			}
			client, err := a.routes()
			if err != nil {
				return err
			}
			stream, err := client.WatchRoutes(c.Context(), req)
			if err != nil {
				return err
			}
			l := a.newStream([]string{"TIME", "EVENT", "PREFIX", "SOURCE", "NEXT HOPS"}, []int{12, 7, 20, 9})
			return receive(stream, func(e *vnfv1.RouteEvent) error {
				r := e.GetRoute()
				return l.add(e, clock(e.GetTime()), short(e.GetKind()), r.GetPrefix(), short(r.GetSource()), routeWords(r))
			})
		},
	}
	f.register(a, c)
	c.Flags().BoolVar(&changesOnly, "changes-only", false, "do not begin with the present routes")
	return c
}

func (a *app) routeFailures() *cobra.Command {
	c := &cobra.Command{
		Use: "failures", Short: "List routes that the data plane refused", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.routes()
			if err != nil {
				return err
			}
			l := a.newList("INSTANCE", "PREFIX", "REASON")
			for req := (&vnfv1.ListFibFailuresRequest{PageSize: 2048}); ; {
				ctx, cancel := a.call(c.Context())
				resp, err := client.ListFibFailures(ctx, req)
				cancel()
				if err != nil {
					return err
				}
				for _, f := range resp.GetFailures() {
					if err := l.add(f, f.GetNetworkInstance(), f.GetPrefix(), f.GetError()); err != nil {
						return err
					}
				}
				if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
					return l.end()
				}
			}
		},
	}
	return a.watchable(c)
}

func (a *app) routeSummary() *cobra.Command {
	c := &cobra.Command{
		Use: "summary", Short: "Count routes by source, and what the data plane has of them", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.routes()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			r, err := client.GetRouteSummary(ctx, &vnfv1.GetRouteSummaryRequest{})
			if err != nil {
				return err
			}
			return a.show(r, func(w io.Writer) error {
				for _, n := range r.GetCounts() {
					fmt.Fprintf(w, "%s:\t%d\n", short(n.GetSource()), n.GetRoutes())
				}
				fmt.Fprintf(w, "prefixes:\t%d\n", r.GetPrefixes())
				fmt.Fprintf(w, "next-hop groups:\t%d\n", r.GetGroups())
				fmt.Fprintf(w, "in the data plane:\t%d installed, %d on their way, %d refused\n", r.GetFibInstalled(), r.GetFibPending(), r.GetFibFailed())
				return nil
			})
		},
	}
	return a.watchable(c)
}
