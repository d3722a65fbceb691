package cli

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) backendCommand() *cobra.Command {
	return group("backend", "Backends of a pool", []string{"backends"}, a.backendSet(), a.backendDelete(),
		a.backendAdmin("enable", "Give a backend its share of connections again", vnfv1.TcpBackendAdmin_TCP_BACKEND_ADMIN_ENABLED),
		a.backendAdmin("drain", "Give a backend no new connections; those there are go on", vnfv1.TcpBackendAdmin_TCP_BACKEND_ADMIN_DRAIN),
		a.backendAdmin("disable", "Give a backend no connections, and reset those there are", vnfv1.TcpBackendAdmin_TCP_BACKEND_ADMIN_DISABLED))
}

// parseBackend reads NAME=ADDRESS:PORT[,weight=N][,in=INSTANCE][,max-connections=N].
func parseBackend(s string) (*vnfv1.TcpBackendConfig, error) {
	parts := strings.Split(s, ",")
	name, where, ok := strings.Cut(parts[0], "=")
	if !ok {
		return nil, usagef("--backend: %q does not begin with NAME=ADDRESS:PORT", s)
	}
	address, port, err := splitHostPort("--backend", where)
	if err != nil {
		return nil, err
	}
	b := &vnfv1.TcpBackendConfig{Name: name, Address: address, Port: port}
	for _, p := range parts[1:] {
		key, value, _ := strings.Cut(p, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		switch {
		case key == "in":
			b.NetworkInstance = value
		case key == "weight" && err == nil:
			b.Weight = uint32(n)
		case key == "max-connections" && err == nil:
			b.MaxConnections = uint32(n)
		default:
			return nil, usagef("--backend: %q is none of weight=N, in=INSTANCE, max-connections=N", p)
		}
	}
	return b, nil
}

func (a *app) backendSet() *cobra.Command {
	var b vnfv1.TcpBackendConfig
	c := &cobra.Command{
		Use: "set POOL BACKEND ADDRESS:PORT", Aliases: []string{"add"}, Short: "Put a backend into a pool, or change the one of its name",
		Args: cobra.ExactArgs(3), ValidArgsFunction: a.completeBackend,
		Example: "  vnfctl tcp backend add app c 192.0.2.203:8080 --weight 2",
		RunE: func(c *cobra.Command, args []string) error {
			address, port, err := splitHostPort("ADDRESS:PORT", args[2])
			if err != nil {
				return err
			}
			b.Name, b.Address, b.Port = args[1], address, port
			client, err := a.termination()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			p, err := client.SetTcpBackend(ctx, &vnfv1.SetTcpBackendRequest{Pool: args[0], Backend: &b})
			if err != nil {
				return err
			}
			return a.done(p, "%s has backend %s at %s", args[0], args[1], hostPort(address, port))
		},
	}
	a.instanceFlag(c, &b.NetworkInstance, "default")
	f := fields{c: c}
	f.number("weight", "weight", &b.Weight, "share of new connections, 1 to 255; 0: 1")
	word(f, "admin", "admin", &b.Admin, "what it is to do")
	f.number("max-connections", "max_connections", &b.MaxConnections, "0: no limit")
	f.span("drain-timeout", "drain_timeout", &b.DrainTimeout, "for connections when it is drained or taken out; none: without end")
	return c
}

func (a *app) backendDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete POOL BACKEND", Aliases: []string{"rm"}, Short: "Take a backend out of a pool; its connections are drained",
		Args: cobra.ExactArgs(2), ValidArgsFunction: a.completeBackend,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.termination()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			p, err := client.DeleteTcpBackend(ctx, &vnfv1.DeleteTcpBackendRequest{Pool: args[0], Backend: args[1]})
			if err != nil {
				return err
			}
			return a.done(p, "%s taken out of %s", args[1], args[0])
		},
	}
}

func (a *app) backendAdmin(verb, usage string, state vnfv1.TcpBackendAdmin) *cobra.Command {
	return &cobra.Command{
		Use: verb + " POOL BACKEND", Short: usage, Args: cobra.ExactArgs(2), ValidArgsFunction: a.completeBackend,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.termination()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			p, err := client.SetTcpBackendAdmin(ctx, &vnfv1.SetTcpBackendAdminRequest{Pool: args[0], Backend: args[1], Admin: state})
			if err != nil {
				return err
			}
			return a.done(p, "%s in %s: %s", args[1], args[0], short(state))
		},
	}
}
