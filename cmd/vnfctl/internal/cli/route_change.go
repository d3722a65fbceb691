package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	vnfv1 "millrace/api/proto/vnf/v1"
)

// Items of one request.
const routeBatch = 4096

const nextHopHelp = `A next hop is written ADDRESS, ADDRESS%INTERFACE or dev=INTERFACE, with ,weight=N and ,in=INSTANCE behind it:
  192.0.2.2    fe80::2%eth1    dev=eth1    192.0.2.2,weight=3    198.51.100.9,in=blue`

// parseNextHop reads a next hop as nextHopHelp has it.
func parseNextHop(s string) (*vnfv1.NextHop, error) {
	h := &vnfv1.NextHop{}
	for i, part := range strings.Split(s, ",") {
		key, value, ok := strings.Cut(part, "=")
		switch {
		case !ok && i == 0:
			h.Gateway, h.Interface, _ = strings.Cut(part, "%")
		case key == "dev":
			h.Interface = value
		case key == "in":
			h.NetworkInstance = value
		case key == "weight":
			n, err := strconv.ParseUint(value, 10, 8)
			if err != nil || n == 0 {
				return nil, fmt.Errorf("next hop %q: weight %q is not 1 to 255", s, value)
			}
			h.Weight = uint32(n)
		default:
			return nil, fmt.Errorf("next hop %q: %q is not understood", s, part)
		}
	}
	return h, nil
}

// parseRouteLine reads a line of a batch: PREFIX NEXTHOP..., or PREFIX and blackhole, reject or punt.
func parseRouteLine(words []string) (*vnfv1.StaticRoute, error) {
	r := &vnfv1.StaticRoute{Prefix: words[0]}
	if len(words) == 2 {
		if act, err := parseEnum[vnfv1.RouteAction]("", words[1]); err == nil && act > vnfv1.RouteAction_ROUTE_ACTION_FORWARD {
			r.Action = act
			return r, nil
		}
	}
	for _, w := range words[1:] {
		h, err := parseNextHop(w)
		if err != nil {
			return nil, err
		}
		r.NextHops = append(r.NextHops, h)
	}
	return r, nil
}

// eachLine reads the words of lines that are not empty and no comment.
func (a *app) eachLine(path string, f func(line int, words []string) error) error {
	in := a.env.Stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	scan := bufio.NewScanner(in)
	for n := 1; scan.Scan(); n++ {
		text, _, _ := strings.Cut(scan.Text(), "#")
		if words := strings.Fields(text); len(words) > 0 {
			if err := f(n, words); err != nil {
				return usagef("%s:%d: %v", path, n, err)
			}
		}
	}
	return scan.Err()
}

func (a *app) routeAdd() *cobra.Command {
	var instance, file, action, description string
	var via, dev []string
	var distance uint32
	var transient bool
	c := &cobra.Command{
		Use: "add PREFIX [--via NEXTHOP]...", Short: "Set static routes", Args: cobra.MaximumNArgs(1),
		Long: "Set a static route, or a file of them. A route for the same prefix is replaced.\n\n" + nextHopHelp +
			"\n\nA file has a line PREFIX NEXTHOP... for each route, or PREFIX and blackhole, reject or punt; # begins a comment.",
		Example: `  vnfctl route add 203.0.113.0/24 --via 192.0.2.2
  vnfctl route add 203.0.113.0/24 --via 192.0.2.2,weight=3 --via 192.0.2.6
  vnfctl route add 2001:db8:1::/48 --via fe80::2%eth1
  vnfctl route add 198.51.100.0/24 --action blackhole
  vnfctl route add --file routes.txt --transient`,
		RunE: func(c *cobra.Command, args []string) error {
			act, err := parseEnum[vnfv1.RouteAction]("action", action)
			if err != nil {
				return err
			}
			var routes []*vnfv1.StaticRoute
			switch {
			case file != "" && (len(args) > 0 || len(via)+len(dev) > 0 || action != ""):
				return usagef("--file stands alone")
			case file != "":
				if err := a.eachLine(file, func(_ int, words []string) error {
					r, err := parseRouteLine(words)
					routes = append(routes, r)
					return err
				}); err != nil {
					return err
				}
			case len(args) == 0:
				return &usageError{c, fmt.Errorf("a prefix or --file is needed")}
			default:
				r := &vnfv1.StaticRoute{Prefix: args[0], Action: act}
				for _, s := range via {
					h, err := parseNextHop(s)
					if err != nil {
						return usagef("--via: %v", err)
					}
					r.NextHops = append(r.NextHops, h)
				}
				for _, s := range dev {
					r.NextHops = append(r.NextHops, &vnfv1.NextHop{Interface: s})
				}
				routes = append(routes, r)
			}
			for _, r := range routes {
				r.NetworkInstance, r.Distance, r.Description = instance, distance, description
			}
			return a.addRoutes(c.Context(), routes, transient)
		},
	}
	a.instanceFlag(c, &instance, "default")
	c.Flags().StringArrayVar(&via, "via", nil, "`next hop`; may be given several times")
	c.Flags().StringArrayVar(&dev, "dev", nil, "`interface` on whose link the destinations are")
	noError(c.RegisterFlagCompletionFunc("dev", a.complete(-1, a.interfaceNames)))
	c.Flags().StringVar(&action, "action", "", "blackhole, reject or punt, instead of next hops")
	fixed(c, "action", words(vnfv1.RouteAction(0)))
	c.Flags().Uint32Var(&distance, "distance", 0, "administrative distance, 1 to 254; 0: 1, or 5 if transient")
	c.Flags().StringVar(&description, "description", "", "for people")
	c.Flags().BoolVar(&transient, "transient", false, "do not keep it in the configuration")
	c.Flags().StringVar(&file, "file", "", "`file` with a route on each line; - for standard input")
	return c
}

// failures prints the items that failed and sums up.
type failures struct {
	a       *app
	applied uint64
	failed  int
	last    error
}

func (f *failures) take(names func(int) string, applied uint32, failed []*vnfv1.ItemError) {
	f.applied += uint64(applied)
	f.failed += len(failed)
	for _, e := range failed {
		text := names(int(e.GetIndex())) + ": "
		if _, name, ok := strings.Cut(e.GetField(), "]."); ok {
			text += name + ": "
		}
		f.last = status.Error(codes.Code(e.GetCode()), text+e.GetMessage())
		if f.failed > 1 || f.applied > 0 {
			fmt.Fprintf(f.a.env.Stderr, "vnfctl: %s: %s%s\n", codeWords(codes.Code(e.GetCode())), text, e.GetMessage())
		}
	}
}

// alone is the error of a batch of one item.
func (f *failures) alone() error {
	if f.failed == 1 && f.applied == 0 {
		return f.last
	}
	return nil
}

func (f *failures) err() error {
	if f.failed == 0 {
		return nil
	}
	return &partialError{fmt.Sprintf("%d of %d failed", f.failed, uint64(f.failed)+f.applied)}
}

func (a *app) addRoutes(ctx context.Context, routes []*vnfv1.StaticRoute, transient bool) error {
	client, err := a.routes()
	if err != nil {
		return err
	}
	f := failures{a: a}
	all := &vnfv1.AddRoutesResponse{}
	for begin := 0; begin < len(routes); begin += routeBatch {
		part := routes[begin:min(begin+routeBatch, len(routes))]
		ctx, cancel := a.call(ctx)
		resp, err := client.AddRoutes(ctx, &vnfv1.AddRoutesRequest{Routes: part, Transient: transient})
		cancel()
		if err != nil {
			return err
		}
		f.take(func(n int) string { return part[n].GetPrefix() }, resp.GetApplied(), resp.GetFailed())
		for _, e := range resp.GetFailed() {
			e.Index += uint32(begin)
		}
		all.Applied, all.Failed = all.Applied+resp.GetApplied(), append(all.Failed, resp.GetFailed()...)
	}
	if err := f.alone(); err != nil {
		return err
	}
	if err := a.done(all, "%d set", all.GetApplied()); err != nil {
		return err
	}
	return f.err()
}

func (a *app) routeDelete() *cobra.Command {
	var instance, file string
	var transient bool
	c := &cobra.Command{
		Use: "delete PREFIX...", Aliases: []string{"rm"}, Short: "Delete static routes",
		Long:    "Delete static routes, named as arguments or as the first words of the lines of a file.",
		Example: "  vnfctl route delete 203.0.113.0/24\n  vnfctl route delete --file routes.txt --transient",
		RunE: func(c *cobra.Command, args []string) error {
			var keys []*vnfv1.RouteKey
			for _, p := range args {
				keys = append(keys, &vnfv1.RouteKey{NetworkInstance: instance, Prefix: p})
			}
			if file != "" {
				if err := a.eachLine(file, func(_ int, words []string) error {
					keys = append(keys, &vnfv1.RouteKey{NetworkInstance: instance, Prefix: words[0]})
					return nil
				}); err != nil {
					return err
				}
			}
			if len(keys) == 0 && file == "" {
				return &usageError{c, fmt.Errorf("a prefix or --file is needed")}
			}
			return a.deleteRoutes(c.Context(), keys, transient)
		},
	}
	a.instanceFlag(c, &instance, "default")
	c.Flags().BoolVar(&transient, "transient", false, "those that were added as transient")
	c.Flags().StringVar(&file, "file", "", "`file` with a prefix on each line; - for standard input")
	return c
}

func (a *app) deleteRoutes(ctx context.Context, keys []*vnfv1.RouteKey, transient bool) error {
	client, err := a.routes()
	if err != nil {
		return err
	}
	f := failures{a: a}
	all := &vnfv1.DeleteRoutesResponse{}
	for begin := 0; begin < len(keys); begin += routeBatch {
		part := keys[begin:min(begin+routeBatch, len(keys))]
		ctx, cancel := a.call(ctx)
		resp, err := client.DeleteRoutes(ctx, &vnfv1.DeleteRoutesRequest{Routes: part, Transient: transient})
		cancel()
		if err != nil {
			return err
		}
		f.take(func(n int) string { return part[n].GetPrefix() }, resp.GetApplied(), resp.GetFailed())
		for _, e := range resp.GetFailed() {
			e.Index += uint32(begin)
		}
		all.Applied, all.Failed = all.Applied+resp.GetApplied(), append(all.Failed, resp.GetFailed()...)
	}
	if err := f.alone(); err != nil {
		return err
	}
	if err := a.done(all, "%d deleted", all.GetApplied()); err != nil {
		return err
	}
	return f.err()
}
