package main

import "github.com/spf13/cobra"

// newAppliance groups what makes an image an appliance: its units run these commands. Each is in a file of its own.
func newAppliance() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "appliance",
		Short: "Run the parts of the virtual machine image that are around the router",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newApplianceMgmt(), newApplianceBoot(), newApplianceRescan())
	cmd.AddCommand(newReset(), newConsole())
	return cmd
}
