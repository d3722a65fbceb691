package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	vnfv1 "millrace/api/proto/vnf/v1"
)

// A shell waits no longer than this for names.
const completionTime = 2 * time.Second

type completer = func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective)

// complete asks the appliance for names, for the argument at the place given; -1: for every argument.
func (a *app) complete(place int, names func(context.Context) ([]string, error)) completer {
	return func(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if place >= 0 && len(args) != place {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx := c.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, completionTime)
		defer cancel()
		list, err := names(ctx)
		if err != nil {
			cobra.CompDebugln(err.Error(), false)
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *app) interfaceNames(ctx context.Context) ([]string, error) {
	c, err := a.interfaces()
	if err != nil {
		return nil, err
	}
	resp, err := c.ListInterfaces(ctx, &vnfv1.ListInterfacesRequest{PageSize: 4096})
	var names []string
	for _, i := range resp.GetInterfaces() {
		names = append(names, i.GetConfig().GetName())
	}
	return names, err
}

func (a *app) instanceNames(ctx context.Context) ([]string, error) {
	c, err := a.system()
	if err != nil {
		return nil, err
	}
	resp, err := c.ListNetworkInstances(ctx, &vnfv1.ListNetworkInstancesRequest{})
	var names []string
	for _, i := range resp.GetNetworkInstances() {
		names = append(names, i.GetName())
	}
	return names, err
}

func (a *app) bgpNeighborNames(ctx context.Context) ([]string, error) {
	c, err := a.bgp()
	if err != nil {
		return nil, err
	}
	resp, err := c.ListBgpNeighbors(ctx, &vnfv1.ListBgpNeighborsRequest{PageSize: 4096})
	var names []string
	for _, n := range resp.GetNeighbors() {
		names = append(names, n.GetConfig().GetAddress())
	}
	return names, err
}

// instanceFlag gives a command the flag --network-instance.
func (a *app) instanceFlag(c *cobra.Command, v *string, empty string) {
	c.Flags().StringVarP(v, "network-instance", "n", "", "network instance (VRF); none: "+empty)
	noError(c.RegisterFlagCompletionFunc("network-instance", a.complete(-1, a.instanceNames)))
}

// interfaceFlag gives a command the flag --interface.
func (a *app) interfaceFlag(c *cobra.Command, v *string, usage string) {
	c.Flags().StringVarP(v, "interface", "i", "", usage)
	noError(c.RegisterFlagCompletionFunc("interface", a.complete(-1, a.interfaceNames)))
}

func fixed(c *cobra.Command, flag string, values []string) {
	noError(c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
}
