// Package cli is vnfctl: a subcommand for each call of the API, tables for people, JSON and YAML for programs.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	vnfv1 "millrace/api/proto/vnf/v1"
)

// Environment is what vnfctl takes from outside.
type Environment struct {
	Args           []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Version        string
}

// app is one run of vnfctl.
type app struct {
	env Environment
	out io.Writer

	address    string
	tlsDir     string
	serverName string
	format     string
	timeout    time.Duration

	conn *grpc.ClientConn
}

// Run runs vnfctl and returns its exit code; see ExitCodes in errors.go.
func Run(ctx context.Context, env Environment) int {
	a := &app{env: env, out: env.Stdout}
	root := a.rootCommand()
	root.SetArgs(env.Args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	err := root.ExecuteContext(ctx)
	if a.conn != nil {
		a.conn.Close()
	}
	if err == nil {
		return exitOK
	}
	// Whoever pressed Ctrl-C knows.
	if ctx.Err() != nil && !errors.As(err, new(*partialError)) {
		return exitOK
	}
	a.explain(err)
	return exitCode(err)
}

const rootLong = `vnfctl drives a Millrace appliance over its gRPC API, from the box itself or from anywhere.

It shows who it is by a client certificate: ca.pem, client.pem and client-key.pem in --tls-dir,
$MILLRACE_PKI or ~/.config/millrace. The appliance makes a first set at its first start and says in its
log where. Over a unix socket (--address unix:/run/millrace/vnf.sock) no certificate is needed.

Exit codes:
  0  done
  1  failed for a reason not listed here
  2  the command line is not right
  3  the appliance, or its data plane, can't be reached
  4  refused: a value is not allowed, or the state of the box does not permit it
  5  something named does not exist
  6  the certificates are missing or not accepted
  7  done in part: some items of a batch failed, or nothing answered a ping`

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "vnfctl",
		Short: "Drive a Millrace appliance",
		Long:  rootLong,
		Example: `  vnfctl interface list
  vnfctl --address vnf1.example.net:9339 bgp neighbors
  vnfctl route lookup 203.0.113.7
  vnfctl capture eth1 'tcp port 179' | tshark -r -
  vnfctl top`,
		SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.checkFlags() },
		Version:           a.env.Version,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return &usageError{c, err} })
	f := root.PersistentFlags()
	address := a.env.Getenv("MILLRACE_ADDRESS")
	if address == "" {
		address = "localhost:9339"
	}
	f.StringVar(&a.address, "address", address, "`host:port` of the appliance, or unix:/path; $MILLRACE_ADDRESS")
	f.StringVar(&a.tlsDir, "tls-dir", "", "`directory` of ca.pem, client.pem and client-key.pem; $MILLRACE_PKI (default ~/.config/millrace)")
	f.StringVar(&a.serverName, "server-name", "", "name in the appliance's certificate, where it is not the one dialled")
	f.StringVarP(&a.format, "output", "o", "table", "table, json or yaml")
	f.DurationVar(&a.timeout, "timeout", 15*time.Second, "time for one call to answer")
	noError(root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp)))
	noError(root.MarkPersistentFlagDirname("tls-dir"))
	root.AddCommand(
		a.interfaceCommand(), a.routeCommand(), a.neighborCommand(), a.bgpCommand(), a.tcpCommand(), a.systemCommand(), a.graphCommand(),
		a.traceCommand(), a.captureCommand(), a.pingCommand(), a.tracerouteCommand(), a.configCommand(), a.topCommand(),
		a.healthCommand(), a.supportCommand(), a.versionCommand(),
	)
	wrapArgs(root)
	return root
}

func (a *app) checkFlags() error {
	switch a.format {
	case "table", "json", "yaml":
	default:
		return usagef("--output: %q is none of table, json, yaml", a.format)
	}
	if a.timeout <= 0 {
		return usagef("--timeout: %v is not more than 0", a.timeout)
	}
	return nil
}

// wrapArgs makes complaints about arguments usage errors.
func wrapArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return &usageError{c, err}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}

// group makes a command that only holds others.
func group(use, short string, aliases []string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Aliases: aliases,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return &usageError{c, errors.New("a subcommand is needed")}
		},
	}
	c.AddCommand(subs...)
	return c
}

// noError is for set-up that can fail only if this program is wrong.
func noError(err error) {
	if err != nil {
		panic(fmt.Sprintf("vnfctl: %v", err))
	}
}

// call gives one call its time.
func (a *app) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, a.timeout)
}

func (a *app) interfaces() (vnfv1.InterfaceServiceClient, error) {
	c, err := a.dial()
	return vnfv1.NewInterfaceServiceClient(c), err
}

func (a *app) routes() (vnfv1.RouteServiceClient, error) {
	c, err := a.dial()
	return vnfv1.NewRouteServiceClient(c), err
}

func (a *app) neighbors() (vnfv1.NeighborServiceClient, error) {
	c, err := a.dial()
	return vnfv1.NewNeighborServiceClient(c), err
}

func (a *app) bgp() (vnfv1.BgpServiceClient, error) {
	c, err := a.dial()
	return vnfv1.NewBgpServiceClient(c), err
}

func (a *app) system() (vnfv1.SystemServiceClient, error) {
	c, err := a.dial()
	return vnfv1.NewSystemServiceClient(c), err
}
