package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"millrace/control"
	"millrace/internal/sdnotify"
)

// version is set by the linker: -ldflags "-X main.version=1.2.3".
var version = "dev"

// tlsHosts is the variable in which names and addresses of the machine are handed over, beside those that it knows of itself.
const tlsHosts = "VNF_TLS_HOSTS"

// common are the flags that several commands have.
type common struct {
	config, runtimeDir, stateDir string
	logLevel, logFormat          string
}

func (c *common) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&c.config, "config", "c", "", "configuration file, YAML or JSON; without one, what was in force last")
	f.StringVar(&c.runtimeDir, "runtime-dir", "/run/millrace", "directory of the sockets")
	f.StringVar(&c.stateDir, "state-dir", "/var/lib/millrace", "directory of what outlives a restart")
	f.StringVar(&c.logLevel, "log-level", "", "debug, info, warn or error (default: as configured)")
	f.StringVar(&c.logFormat, "log-format", "text", "text or json")
}

// logger writes to w; the level can be changed while it runs.
func (c *common) logger(w io.Writer) (*slog.Logger, *slog.LevelVar, error) {
	level := new(slog.LevelVar)
	if c.logLevel != "" {
		if err := level.UnmarshalText([]byte(c.logLevel)); err != nil {
			return nil, nil, fmt.Errorf("--log-level: %q is none of debug, info, warn, error", c.logLevel)
		}
	}
	o := &slog.HandlerOptions{Level: level}
	switch c.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), level, nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), level, nil
	}
	return nil, nil, fmt.Errorf("--log-format: %q is neither text nor json", c.logFormat)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "vnf",
		Short:         "Millrace: a router whose packets go through DPDK and whose routes come from BGP",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newRun(), newControl(), newPreflight(), newSupportBundle(), newDataplaneArgs(), newAgent(), newVersion(), newAppliance())
	return root
}

func newControl() *cobra.Command {
	var c common
	var socket string
	cmd := &cobra.Command{
		Use:   "control",
		Short: "Run the control plane against a data plane that runs already",
		Long: "Run the control plane: configuration, RIB, BGP and the gRPC services. It waits for the data plane and comes back to it.\n" +
			"Listening sockets may be handed over in the manner of systemd, named grpc and metrics. SIGHUP reads the configuration file again.\n" +
			"A certificate of its own is also for the names and addresses in " + tlsHosts + ", separated by commas.\n" +
			"SIGTERM ends it; forwarding goes on, and where graceful restart is on the BGP peers keep the routes.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, level, err := c.logger(os.Stderr)
			if err != nil {
				return err
			}
			inherited, err := control.InheritedListeners()
			if err != nil {
				return err
			}
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			tell, err := sdnotify.New(os.Getenv)
			if err != nil {
				log.Warn("the supervisor is not told", "error", err)
			}
			defer tell.Close()
			return control.RunDaemon(cmd.Context(), control.DaemonOptions{
				ConfigFile: c.config, RuntimeDir: c.runtimeDir, StateDir: c.stateDir, Socket: socket, Listeners: inherited,
				Logger: log, Level: level, LevelFixed: c.logLevel != "", Version: version, Reload: hup, Supervisor: tell,
				Hosts: strings.FieldsFunc(os.Getenv(tlsHosts), func(r rune) bool { return r == ',' || r == ' ' }),
			})
		},
	}
	c.add(cmd)
	cmd.Flags().StringVar(&socket, "socket", "", "the data plane's socket (default: dataplane.sock in the runtime directory)")
	return cmd
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			rev := ""
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" && len(s.Value) >= 12 {
						rev = " " + s.Value[:12]
					}
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "vnf %s%s %s\n", version, rev, strings.TrimPrefix(runtime.Version(), "go"))
		},
	}
}
