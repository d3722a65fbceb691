package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"millrace/appliance/console"
	"millrace/control"
)

func newConsole() *cobra.Command {
	var o console.Options
	var once bool
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Keep what the console shows before its login prompt: version, addresses, health, how to connect",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Version, o.Logger = version, slog.New(slog.NewTextHandler(os.Stderr, nil))
			conn, err := grpc.NewClient("unix:"+filepath.Join(o.RuntimeDir, control.GRPCSocket), grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			o.Conn = conn
			if once {
				fmt.Fprint(cmd.OutOrStdout(), console.Render(console.Collect(cmd.Context(), o.Sources)))
				return nil
			}
			return console.Run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.File, "file", console.DefaultFile, "file to keep")
	f.StringVar(&o.RuntimeDir, "runtime-dir", "/run/millrace", "directory of the sockets")
	f.DurationVar(&o.Period, "period", 0, "time between two looks (default 5s)")
	f.BoolVar(&once, "once", false, "print the text and end")
	return cmd
}
