package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) bgpCommand() *cobra.Command {
	return group("bgp", "BGP: the speaker, its neighbours and their routes", nil,
		a.bgpNeighbors(), a.bgpShow(),
		a.bgpRoutes("received", "List what a neighbour has sent, before import policy", vnfv1.BgpRouteView_BGP_ROUTE_VIEW_RECEIVED),
		a.bgpRoutes("accepted", "List what of it import policy accepted", vnfv1.BgpRouteView_BGP_ROUTE_VIEW_ACCEPTED),
		a.bgpRoutes("advertised", "List what is sent to a neighbour", vnfv1.BgpRouteView_BGP_ROUTE_VIEW_ADVERTISED),
		a.bgpReset(), a.bgpEnable(true), a.bgpEnable(false), a.bgpAdd(), a.bgpDelete(), a.bgpWatch())
}

func bgpWord(n *vnfv1.BgpNeighbor) string {
	if r := n.GetState().GetDownReason(); r != "" {
		return r
	}
	return short(n.GetState().GetSessionState())
}

func bgpName(c *vnfv1.BgpNeighborConfig) string {
	if c.GetInterface() != "" {
		return c.GetAddress() + "%" + c.GetInterface()
	}
	return c.GetAddress()
}

func bgpCells(n *vnfv1.BgpNeighbor, now time.Time) []string {
	var received, accepted uint64
	for _, f := range n.GetState().GetFamilies() {
		received += f.GetReceived()
		accepted += f.GetAccepted()
	}
	as := n.GetState().GetPeerAs()
	if as == 0 {
		as = n.GetConfig().GetPeerAs()
	}
	note := n.GetState().GetLastError()
	if n.GetState().GetSessionState() == vnfv1.BgpSessionState_BGP_SESSION_STATE_ESTABLISHED {
		note = n.GetConfig().GetDescription()
	}
	return []string{
		bgpName(n.GetConfig()), fmt.Sprint(as), bgpWord(n), since(n.GetState().GetLastChange(), now), fmt.Sprint(received),
		fmt.Sprint(accepted), fmt.Sprint(n.GetState().GetReceived().GetTotal()), fmt.Sprint(n.GetState().GetSent().GetTotal()), note,
	}
}

func (a *app) bgpNeighbors() *cobra.Command {
	var instance string
	c := &cobra.Command{
		Use: "neighbors", Aliases: []string{"neighbor", "list", "ls"}, Short: "List neighbours and their sessions", Args: cobra.NoArgs,
		Example: "  vnfctl bgp neighbors --watch",
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.bgp()
			if err != nil {
				return err
			}
			l := a.newList("NEIGHBOR", "AS", "STATE", "SINCE", "RECEIVED", "ACCEPTED", "MSG-IN", "MSG-OUT", "NOTE")
			for req := (&vnfv1.ListBgpNeighborsRequest{NetworkInstance: instance}); ; {
				ctx, cancel := a.call(c.Context())
				resp, err := client.ListBgpNeighbors(ctx, req)
				cancel()
				if err != nil {
					return err
				}
				for _, n := range resp.GetNeighbors() {
					if err := l.add(n, bgpCells(n, time.Now())...); err != nil {
						return err
					}
				}
				if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
					return l.end()
				}
			}
		},
	}
	a.instanceFlag(c, &instance, "default")
	return a.watchable(c)
}

func (a *app) bgpShow() *cobra.Command {
	var instance string
	c := &cobra.Command{
		Use: "show [NEIGHBOR]", Short: "Show the speaker, or all about one neighbour", Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: a.complete(0, a.bgpNeighborNames),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.bgp()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			if len(args) == 0 {
				b, err := client.GetBgp(ctx, &vnfv1.GetBgpRequest{NetworkInstance: instance})
				if err != nil {
					return err
				}
				return a.show(b, func(w io.Writer) error { return describeBgp(w, b) })
			}
			n, err := client.GetBgpNeighbor(ctx, &vnfv1.GetBgpNeighborRequest{Address: args[0], NetworkInstance: instance})
			if err != nil {
				return err
			}
			return a.show(n, func(w io.Writer) error { return describeNeighbor(w, n, time.Now()) })
		},
	}
	a.instanceFlag(c, &instance, "default")
	return a.watchable(c)
}

func describeBgp(w io.Writer, b *vnfv1.Bgp) error {
	if !b.GetRunning() {
		fmt.Fprintln(w, "BGP is not running")
		return nil
	}
	fmt.Fprintf(w, "AS:\t%d\nRouter ID:\t%s\n", b.GetAs(), b.GetRouterId())
	fmt.Fprintf(w, "Neighbors:\t%d, %d established\n", b.GetNeighbors(), b.GetNeighborsEstablished())
	fmt.Fprintf(w, "Paths:\t%d\nListens on:\t%s\n", b.GetPaths(), strings.Join(b.GetListen(), " "))
	return nil
}

func describeNeighbor(w io.Writer, n *vnfv1.BgpNeighbor, now time.Time) error {
	c, s := n.GetConfig(), n.GetState()
	field(w, "Neighbor", bgpName(c))
	field(w, "Description", c.GetDescription())
	field(w, "Peer group", c.GetPeerGroup())
	as := s.GetPeerAs()
	if as == 0 {
		as = c.GetPeerAs()
	}
	fmt.Fprintf(w, "AS:\t%d\n", as)
	if c.GetLocalAs() != 0 {
		fmt.Fprintf(w, "Local AS:\t%d\n", c.GetLocalAs())
	}
	state := bgpWord(n)
	if s.GetLastChange() != nil {
		state += " for " + since(s.GetLastChange(), now)
	}
	field(w, "State", state)
	if s.GetPeerRestarting() {
		field(w, "Restarting", "yes, its routes are kept as stale")
	}
	fmt.Fprintf(w, "Went down:\t%d times\n", s.GetFlaps())
	field(w, "Last error", s.GetLastError())
	field(w, "Router ID", s.GetRouterId())
	if s.GetLocalPort() != 0 {
		fmt.Fprintf(w, "Connection:\t%s port %d to port %d\n", s.GetLocalAddress(), s.GetLocalPort(), s.GetRemotePort())
	}
	if s.GetHoldTime() != nil {
		fmt.Fprintf(w, "Timers:\thold %s, keepalive %s\n", s.GetHoldTime().AsDuration(), s.GetKeepaliveTime().AsDuration())
	}
	field(w, "Capabilities", strings.Join(s.GetCapabilities(), ", "))
	var options []string
	for _, o := range []struct {
		on   bool
		text string
	}{
		{c.GetHasPassword(), "MD5 password"}, {c.GetPassive(), "passive"}, {c.GetRouteReflectorClient(), "route reflector client"},
		{c.GetNextHopSelf(), "next hop self"}, {c.GetEbgpMultihopTtl() != 0, fmt.Sprintf("multihop TTL %d", c.GetEbgpMultihopTtl())},
		{c.GetTtlSecurityHops() != 0, fmt.Sprintf("TTL security %d hops", c.GetTtlSecurityHops())},
		{s.GetDynamic(), "dynamic"},
	} {
		if o.on {
			options = append(options, o.text)
		}
	}
	field(w, "Options", strings.Join(options, ", "))
	field(w, "Import policies", strings.Join(c.GetImportPolicies(), ", "))
	field(w, "Export policies", strings.Join(c.GetExportPolicies(), ", "))
	for _, f := range s.GetFamilies() {
		note := ""
		if f.GetPrefixLimitExceeded() {
			note += ", beyond the limit"
		}
		if f.GetGracefulRestart() {
			note += ", graceful restart"
		}
		fmt.Fprintf(w, "%s:\t%d received, %d accepted, %d advertised%s\n", short(f.GetFamily()), f.GetReceived(), f.GetAccepted(),
			f.GetAdvertised(), note)
	}
	fmt.Fprintln(w, "\nMESSAGES\tRECEIVED\tSENT")
	r, t := s.GetReceived(), s.GetSent()
	for _, m := range []struct {
		name     string
		in, sent uint64
	}{
		{"open", r.GetOpen(), t.GetOpen()}, {"update", r.GetUpdate(), t.GetUpdate()}, {"keepalive", r.GetKeepalive(), t.GetKeepalive()},
		{"notification", r.GetNotification(), t.GetNotification()}, {"route refresh", r.GetRouteRefresh(), t.GetRouteRefresh()},
		{"total", r.GetTotal(), t.GetTotal()},
	} {
		fmt.Fprintf(w, "%s\t%d\t%d\n", m.name, m.in, m.sent)
	}
	return nil
}

func (a *app) bgpRoutes(use, short string, view vnfv1.BgpRouteView) *cobra.Command {
	var instance, family, prefix string
	var longer bool
	var limit int
	c := &cobra.Command{
		Use: use + " NEIGHBOR", Short: short, Args: cobra.ExactArgs(1), ValidArgsFunction: a.complete(0, a.bgpNeighborNames),
		Example: fmt.Sprintf("  vnfctl bgp %s 192.0.2.2\n  vnfctl bgp %s 192.0.2.2 --prefix 203.0.113.0/24 --longer -o json", use, use),
		RunE: func(c *cobra.Command, args []string) error {
			f, err := parseEnum[vnfv1.AddressFamily]("family", family)
			if err != nil {
				return err
			}
			if longer && prefix == "" {
				return usagef("--longer needs --prefix")
			}
			client, err := a.bgp()
			if err != nil {
				return err
			}
			l := a.newList("", "PREFIX", "NEXT HOP", "MED", "LOCAL-PREF", "AS PATH", "ORIGIN", "COMMUNITIES")
			req := &vnfv1.ListBgpRoutesRequest{
				PageSize: 2048, Address: args[0], View: view, Family: f, Prefix: prefix, LongerPrefixes: longer, NetworkInstance: instance,
			}
			for left := limit; ; {
				if limit > 0 {
					req.PageSize = uint32(min(left, 2048))
				}
				ctx, cancel := a.call(c.Context())
				resp, err := client.ListBgpRoutes(ctx, req)
				cancel()
				if err != nil {
					return err
				}
				for _, r := range resp.GetRoutes() {
					if err := l.add(r, bgpRouteCells(r)...); err != nil {
						return err
					}
				}
				l.flush()
				left -= len(resp.GetRoutes())
				if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" || limit > 0 && left <= 0 {
					return l.end()
				}
			}
		},
	}
	a.instanceFlag(c, &instance, "default")
	c.Flags().StringVarP(&family, "family", "f", "", "ipv4 or ipv6")
	fixed(c, "family", words(vnfv1.AddressFamily(0)))
	c.Flags().StringVar(&prefix, "prefix", "", "only this `prefix`")
	c.Flags().BoolVarP(&longer, "longer", "l", false, "also those inside it")
	c.Flags().IntVar(&limit, "limit", 0, "at most so many; 0: all")
	return a.watchable(c)
}

func bgpRouteCells(r *vnfv1.BgpRoute) []string {
	mark := " "
	switch {
	case r.GetFiltered():
		mark = "x"
	case r.GetStale():
		mark = "s"
	case r.GetBest():
		mark = "*"
	}
	med, pref := "", ""
	if r.Med != nil {
		med = fmt.Sprint(r.GetMed())
	}
	if r.LocalPreference != nil {
		pref = fmt.Sprint(r.GetLocalPreference())
	}
	communities := append(append(append([]string(nil), r.GetCommunities()...), r.GetExtendedCommunities()...), r.GetLargeCommunities()...)
	return []string{mark, r.GetPrefix(), r.GetNextHop(), med, pref, r.GetAsPath(), r.GetOrigin(), strings.Join(communities, " ")}
}

func (a *app) bgpReset() *cobra.Command {
	var instance, soft, message string
	var all bool
	c := &cobra.Command{
		Use: "reset NEIGHBOR|--all", Short: "Reset a session, or apply policy anew without (--soft)", Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: a.complete(0, a.bgpNeighborNames),
		Example:           "  vnfctl bgp reset 192.0.2.2 --message 'new cable'\n  vnfctl bgp reset --all --soft in",
		RunE: func(c *cobra.Command, args []string) error {
			req := &vnfv1.ResetBgpNeighborRequest{NetworkInstance: instance, Communication: message, Kind: vnfv1.BgpResetKind_BGP_RESET_KIND_HARD}
			switch soft {
			case "":
			case "in":
				req.Kind = vnfv1.BgpResetKind_BGP_RESET_KIND_SOFT_IN
			case "out":
				req.Kind = vnfv1.BgpResetKind_BGP_RESET_KIND_SOFT_OUT
			case "both":
				req.Kind = vnfv1.BgpResetKind_BGP_RESET_KIND_SOFT_BOTH
			default:
				return usagef("--soft: %q is none of in, out, both", soft)
			}
			if all == (len(args) == 1) {
				return &usageError{c, fmt.Errorf("a neighbour or --all is needed")}
			}
			if !all {
				req.Address = args[0]
			}
			client, err := a.bgp()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.ResetBgpNeighbor(ctx, req)
			if err != nil {
				return err
			}
			return a.done(resp, "%d reset", resp.GetReset_())
		},
	}
	a.instanceFlag(c, &instance, "default")
	c.Flags().StringVar(&soft, "soft", "", "in, out or both: apply policy anew, keep the session")
	fixed(c, "soft", []string{"in", "out", "both"})
	c.Flags().StringVarP(&message, "message", "m", "", "text for the neighbour's operator (RFC 9003)")
	c.Flags().BoolVar(&all, "all", false, "all neighbours")
	return c
}

func (a *app) bgpEnable(on bool) *cobra.Command {
	use, short, word := "enable", "Switch a neighbour on", "on"
	if !on {
		use, short, word = "disable", "Switch a neighbour off", "off"
	}
	var instance, message string
	c := &cobra.Command{
		Use: use + " NEIGHBOR", Short: short, Args: cobra.ExactArgs(1), ValidArgsFunction: a.complete(0, a.bgpNeighborNames),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.bgp()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			n, err := client.SetBgpNeighborEnabled(ctx, &vnfv1.SetBgpNeighborEnabledRequest{
				Address: args[0], Enabled: on, Communication: message, NetworkInstance: instance,
			})
			if err != nil {
				return err
			}
			return a.done(n, "%s switched %s", args[0], word)
		},
	}
	a.instanceFlag(c, &instance, "default")
	if !on {
		c.Flags().StringVarP(&message, "message", "m", "", "text for the neighbour's operator (RFC 9003)")
	}
	return c
}

func (a *app) bgpDelete() *cobra.Command {
	var instance string
	c := &cobra.Command{
		Use: "delete NEIGHBOR", Aliases: []string{"rm"}, Short: "End the session and forget the neighbour", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.complete(0, a.bgpNeighborNames),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.bgp()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.DeleteBgpNeighbor(ctx, &vnfv1.DeleteBgpNeighborRequest{Address: args[0], NetworkInstance: instance})
			if err != nil {
				return err
			}
			return a.done(resp, "%s deleted", args[0])
		},
	}
	a.instanceFlag(c, &instance, "default")
	return c
}

func (a *app) bgpWatch() *cobra.Command {
	var instance string
	c := &cobra.Command{
		Use: "watch [NEIGHBOR]", Short: "Show the sessions, then each change", Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: a.complete(0, a.bgpNeighborNames),
		RunE: func(c *cobra.Command, args []string) error {
			req := &vnfv1.WatchBgpNeighborsRequest{NetworkInstance: instance}
			if len(args) > 0 {
				req.Address = args[0]
			}
			client, err := a.bgp()
			if err != nil {
				return err
			}
			stream, err := client.WatchBgpNeighbors(c.Context(), req)
			if err != nil {
				return err
			}
			l := a.newStream([]string{"TIME", "EVENT", "NEIGHBOR", "STATE", "NOTE"}, []int{12, 7, 25, 12})
			return receive(stream, func(e *vnfv1.BgpNeighborEvent) error {
				n := e.GetNeighbor()
				state, note := "", ""
				if n.GetState() != nil {
					state, note = bgpWord(n), n.GetState().GetLastError()
				}
				return l.add(e, clock(e.GetTime()), short(e.GetKind()), bgpName(n.GetConfig()), state, note)
			})
		},
	}
	a.instanceFlag(c, &instance, "default")
	return c
}
