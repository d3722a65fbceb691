package main

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"millrace/appliance/reset"
)

func newReset() *cobra.Command {
	var o reset.Options
	var yes, stay bool
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Factory reset: forget everything the appliance was told, and start the machine anew",
		Long: "Forget the configuration with its history, certificates, users and the audit log, and start the machine anew. The next boot is a\n" +
			"first boot again: what the platform gives as user-data is applied. What belongs to the Linux below stays: its users, their ssh\n" +
			"keys, the host's ssh keys, and the system's journal; --machine forgets the latter two as well, and the machine's identity.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if os.Geteuid() != 0 {
				return errors.New("a factory reset is for root")
			}
			if !yes {
				fmt.Fprint(cmd.OutOrStdout(), "Everything this appliance was told will be lost. Type yes to go on: ")
				line, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n') // no answer is not yes either
				if strings.TrimSpace(line) != "yes" {
					return errors.New("nothing is changed: the answer was not yes")
				}
			}
			o.Reboot, o.Logger = !stay, slog.New(slog.NewTextHandler(os.Stderr, nil))
			return reset.Run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&yes, "yes", "y", false, "do not ask")
	f.BoolVar(&stay, "no-reboot", false, "do not start the machine anew: vnf stays stopped until someone does")
	f.BoolVar(&o.Machine, "machine", false, "also forget ssh host keys, machine-id, journal and what cloud-init did: for a template of the machine")
	f.StringVar(&o.StateDir, "state-dir", reset.DefaultStateDir, "directory of what outlives a restart")
	f.StringVarP(&o.ConfigFile, "config", "c", reset.DefaultConfigFile, "startup configuration")
	return cmd
}

// resumeReset ends a factory reset that the power interrupted. What it can't remove keeps no machine from booting.
func resumeReset(log *slog.Logger) {
	switch done, err := reset.Resume(reset.Options{Logger: log}); {
	case err != nil:
		log.Error("a factory reset was interrupted, and can't be ended", "error", err)
	case done:
		log.Warn("a factory reset that was interrupted is ended")
	}
}
