package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) vipCommand() *cobra.Command {
	return group("vip", "Virtual addresses", []string{"vips"}, a.vipList(), a.vipAdd(), a.vipDelete())
}

// eachVip walks all pages.
func (a *app) eachVip(ctx context.Context, f func(*vnfv1.TcpVip) error) error {
	client, err := a.termination()
	if err != nil {
		return err
	}
	for req := (&vnfv1.ListTcpVipsRequest{}); ; {
		ctx, cancel := a.call(ctx)
		resp, err := client.ListTcpVips(ctx, req)
		cancel()
		if err != nil {
			return err
		}
		for _, v := range resp.GetVips() {
			if err := f(v); err != nil {
				return err
			}
		}
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
			return nil
		}
	}
}

func vipWord(v *vnfv1.TcpVip) string {
	s := v.GetState()
	switch {
	case !s.GetPresent():
		return "not-present"
	case s.GetDad() == vnfv1.DadState_DAD_STATE_DUPLICATE:
		return "duplicate"
	case s.GetHealthy():
		return "healthy"
	case len(s.GetListeners()) == 0:
		return "unused"
	}
	return "unhealthy"
}

func (a *app) vipList() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List virtual addresses", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l := a.newList("NAME", "ADDRESS", "INSTANCE", "INTERFACE", "STATUS", "BGP", "LISTENERS")
			if err := a.eachVip(c.Context(), func(v *vnfv1.TcpVip) error {
				k, s := v.GetConfig(), v.GetState()
				bgp := ""
				switch {
				case s.GetAnnounced():
					bgp = "announced"
				case k.GetAnnounce():
					bgp = "withdrawn"
				}
				return l.add(v, k.GetName(), k.GetAddress(), k.GetNetworkInstance(), s.GetInterface(), vipWord(v), bgp, strings.Join(s.GetListeners(), " "))
			}); err != nil {
				return err
			}
			return l.end()
		},
	}
	return a.watchable(c)
}

func (a *app) vipAdd() *cobra.Command {
	var v vnfv1.TcpVipConfig
	c := &cobra.Command{
		Use: "add NAME ADDRESS", Aliases: []string{"create"}, Short: "Make a virtual address", Args: cobra.ExactArgs(2),
		Example: "  vnfctl tcp vip add web 203.0.113.10 --interface lo0 --announce",
		RunE: func(c *cobra.Command, args []string) error {
			v.Name, v.Address = args[0], args[1]
			client, err := a.termination()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			x, err := client.CreateTcpVip(ctx, &vnfv1.CreateTcpVipRequest{Config: &v})
			if err != nil {
				return err
			}
			return a.done(x, "%s made: %s on %s", args[0], args[1], x.GetState().GetInterface())
		},
	}
	a.instanceFlag(c, &v.NetworkInstance, "default")
	a.interfaceFlag(c, &v.Interface, "that answers for it; none: the one whose network it is in")
	c.Flags().BoolVar(&v.Announce, "announce", false, "announce it in BGP while a listener on it is healthy")
	return c
}

func (a *app) vipDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Aliases: []string{"rm"}, Short: "Delete a virtual address", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.complete(0, a.vipNames),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.termination()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.DeleteTcpVip(ctx, &vnfv1.DeleteTcpVipRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return a.done(resp, "%s deleted", args[0])
		},
	}
}
