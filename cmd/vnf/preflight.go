package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"millrace/preflight"
)

func newPreflight() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "preflight",
		Short: "Look at this machine: can Millrace run here, how well, and what would mend what is amiss",
		Long: "Check CPU, memory, hugepages, IOMMU, NICs and their drivers, kernel features, privileges and limits. Nothing is changed.\n" +
			"The exit status is 1 if something keeps Millrace from running.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			results := preflight.New("/").Run()
			switch output {
			case "text":
				if err := preflight.Write(cmd.OutOrStdout(), results); err != nil {
					return err
				}
			case "json":
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				e.SetEscapeHTML(false)
				if err := e.Encode(results); err != nil {
					return err
				}
			default:
				return fmt.Errorf("--output: %q is neither text nor json", output)
			}
			if preflight.Worst(results) == preflight.Fail {
				return errors.New("this machine cannot run Millrace as it is")
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}
