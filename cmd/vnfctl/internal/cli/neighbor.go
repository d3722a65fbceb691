package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) neighborCommand() *cobra.Command {
	return group("neighbor", "Neighbours on links: ARP and IPv6 neighbour discovery", []string{"neighbors", "neigh"},
		a.neighborList(), a.neighborAdd(), a.neighborDelete(), a.neighborFlush(), a.neighborWatch())
}

func neighborCells(n *vnfv1.Neighbor) []string {
	kind := ""
	if n.GetIsRouter() {
		kind = "router"
	}
	return []string{n.GetInterface(), n.GetAddress(), n.GetMac(), short(n.GetNud()), age(n.GetAge().AsDuration()), kind}
}

func (a *app) neighborList() *cobra.Command {
	var iface, family, nud, prefix string
	c := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List neighbours", Args: cobra.NoArgs,
		Example: "  vnfctl neighbor list\n  vnfctl neighbor list --interface eth1 --family ipv6 --state reachable",
		RunE: func(c *cobra.Command, _ []string) error {
			f, err := parseEnum[vnfv1.AddressFamily]("family", family)
			if err != nil {
				return err
			}
			s, err := parseEnum[vnfv1.NeighborNud]("state", nud)
			if err != nil {
				return err
			}
			client, err := a.neighbors()
			if err != nil {
				return err
			}
			l := a.newList("INTERFACE", "ADDRESS", "MAC", "STATE", "CONFIRMED", "ROLE", "QUEUED", "TX-PACKETS")
			for req := (&vnfv1.ListNeighborsRequest{PageSize: 2048, Interface: iface, Family: f, Nud: s, Prefix: prefix}); ; {
				ctx, cancel := a.call(c.Context())
				resp, err := client.ListNeighbors(ctx, req)
				cancel()
				if err != nil {
					return err
				}
				for _, n := range resp.GetNeighbors() {
					if err := l.add(n, append(neighborCells(n), fmt.Sprint(n.GetQueued()), fmt.Sprint(n.GetTxPackets()))...); err != nil {
						return err
					}
				}
				l.flush()
				if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
					return l.end()
				}
			}
		},
	}
	a.interfaceFlag(c, &iface, "only of this interface")
	c.Flags().StringVarP(&family, "family", "f", "", "ipv4 or ipv6")
	fixed(c, "family", words(vnfv1.AddressFamily(0)))
	c.Flags().StringVar(&nud, "state", "", "only in this state, for example reachable, stale, failed, static")
	fixed(c, "state", words(vnfv1.NeighborNud(0)))
	c.Flags().StringVar(&prefix, "prefix", "", "only inside this `prefix`")
	return a.watchable(c)
}

func (a *app) neighborAdd() *cobra.Command {
	return &cobra.Command{
		Use: "add INTERFACE ADDRESS MAC", Short: "Set a static neighbour", Args: cobra.ExactArgs(3),
		ValidArgsFunction: a.complete(0, a.interfaceNames),
		Example:           "  vnfctl neighbor add eth1 192.0.2.2 02:00:5e:10:00:02",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.neighbors()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.AddNeighbor(ctx, &vnfv1.AddNeighborRequest{Interface: args[0], Address: args[1], Mac: args[2]})
			if err != nil {
				return err
			}
			return a.done(resp, "%s on %s is at %s", args[1], args[0], args[2])
		},
	}
}

func (a *app) neighborDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete INTERFACE ADDRESS", Aliases: []string{"rm"}, Short: "Delete a static neighbour", Args: cobra.ExactArgs(2),
		ValidArgsFunction: a.complete(0, a.interfaceNames),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.neighbors()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.DeleteNeighbor(ctx, &vnfv1.DeleteNeighborRequest{Interface: args[0], Address: args[1]})
			if err != nil {
				return err
			}
			return a.done(resp, "%s on %s deleted", args[1], args[0])
		},
	}
}

func (a *app) neighborFlush() *cobra.Command {
	return &cobra.Command{
		Use: "flush [INTERFACE [ADDRESS]]", Short: "Forget learnt neighbours", Args: cobra.MaximumNArgs(2),
		ValidArgsFunction: a.complete(0, a.interfaceNames),
		RunE: func(c *cobra.Command, args []string) error {
			req := &vnfv1.FlushNeighborsRequest{}
			if len(args) > 0 {
				req.Interface = args[0]
			}
			if len(args) > 1 {
				req.Address = args[1]
			}
			client, err := a.neighbors()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.FlushNeighbors(ctx, req)
			if err != nil {
				return err
			}
			return a.done(resp, "%d forgotten", resp.GetFlushed())
		},
	}
}

func (a *app) neighborWatch() *cobra.Command {
	return &cobra.Command{
		Use: "watch [INTERFACE]", Short: "Show the neighbours, then each change", Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: a.complete(0, a.interfaceNames),
		RunE: func(c *cobra.Command, args []string) error {
			req := &vnfv1.WatchNeighborsRequest{}
			if len(args) > 0 {
				req.Interface = args[0]
			}
			client, err := a.neighbors()
			if err != nil {
				return err
			}
			stream, err := client.WatchNeighbors(c.Context(), req)
			if err != nil {
				return err
			}
			l := a.newStream([]string{"TIME", "EVENT", "INTERFACE", "ADDRESS", "MAC", "STATE"}, []int{12, 7, 15, 25, 17})
			return receive(stream, func(e *vnfv1.NeighborEvent) error {
				n := e.GetNeighbor()
				return l.add(e, clock(e.GetTime()), short(e.GetKind()), n.GetInterface(), n.GetAddress(), n.GetMac(), short(n.GetNud()))
			})
		},
	}
}
