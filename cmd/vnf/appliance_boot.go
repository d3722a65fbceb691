package main

import (
	"context"

	"github.com/spf13/cobra"

	"millrace/appliance/boot"
)

func newApplianceMgmt() *cobra.Command {
	return applianceStage("mgmt", "Choose the management's network card and set it up, before any network is",
		"Choose the network card that the box is managed by, as the platform tags it or else the first, and write systemd-networkd's files: its\n"+
			"own, by what the platform says of addresses, and one that keeps it off the others. The unit vnf-mgmt runs this at each boot.",
		(*boot.Machine).Manage)
}

func newApplianceBoot() *cobra.Command {
	return applianceStage("boot", "Size the machine, hand NICs to the data plane, and at the first boot make the configuration",
		"Check the processor, size the machine for the data plane, bind its network cards, and at the first boot of an instance write the\n"+
			"configuration and the certificates that user-data give. The unit vnf-boot runs this at each boot, when cloud-init has read them.\n"+
			"What is wrong is told here and in day0.json in the runtime directory, and done without.",
		func(m *boot.Machine, ctx context.Context) error {
			resumeReset(m.Log)
			return m.Boot(ctx)
		})
}

func newApplianceRescan() *cobra.Command {
	return applianceStage("rescan", "Hand network cards that came since the boot to the data plane",
		"Name and bind network cards that came since the boot. Configure them by devargs nic=NAME, with the name told here.",
		(*boot.Machine).Rescan)
}

func applianceStage(name, short, long string, do func(*boot.Machine, context.Context) error) *cobra.Command {
	var c common
	cmd := &cobra.Command{
		Use: name, Short: short, Long: long, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, _, err := c.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return do(boot.New(log), cmd.Context())
		},
	}
	cmd.Flags().StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	cmd.Flags().StringVar(&c.logFormat, "log-format", "text", "text or json")
	return cmd
}
