package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) configCommand() *cobra.Command {
	return group("config", "The configuration as a whole", []string{"configuration"}, a.configShow(), a.configApply())
}

func (a *app) configShow() *cobra.Command {
	var secrets bool
	c := &cobra.Command{
		Use: "show", Short: "Print the configuration in force", Args: cobra.NoArgs,
		Long:    "Print the configuration in force as YAML, or as JSON with -o json. Passwords are left out unless --with-secrets is given.",
		Example: "  vnfctl config show --with-secrets > vnf.yaml",
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.system()
			if err != nil {
				return err
			}
			req := &vnfv1.GetConfigRequest{Format: vnfv1.ConfigFormat_CONFIG_FORMAT_YAML, WithSecrets: secrets}
			if a.format == "json" {
				req.Format = vnfv1.ConfigFormat_CONFIG_FORMAT_JSON
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			d, err := client.GetConfig(ctx, req)
			if err != nil {
				return err
			}
			text := d.GetDocument()
			if len(text) > 0 && text[len(text)-1] != '\n' {
				text = append(text, '\n')
			}
			_, err = a.out.Write(text)
			return err
		},
	}
	c.Flags().BoolVar(&secrets, "with-secrets", false, "with passwords")
	return c
}

func (a *app) configApply() *cobra.Command {
	var dry bool
	var expect string
	c := &cobra.Command{
		Use: "apply FILE", Short: "Replace the configuration by a file, YAML or JSON", Args: cobra.ExactArgs(1),
		Long: "Replace the whole configuration. It is validated as a whole, written to disk and carried out; if anything is wrong with it,\n" +
			"every fault is named with its path, and nothing changes. - reads standard input.",
		Example: `  vnfctl config apply vnf.yaml --dry-run
  vnfctl config apply vnf.yaml
  vnfctl config show --with-secrets | sed s/1500/9000/ | vnfctl config apply -`,
		RunE: func(c *cobra.Command, args []string) error {
			in := a.env.Stdin
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return usagef("%v", err)
				}
				defer f.Close()
				in = f
			}
			doc, err := io.ReadAll(in)
			if err != nil {
				return fmt.Errorf("read %s: %w", args[0], err)
			}
			client, err := a.system()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.ApplyConfig(ctx, &vnfv1.ApplyConfigRequest{Document: doc, DryRun: dry, ExpectedRevision: expect})
			if err != nil {
				return err
			}
			return a.show(resp, func(w io.Writer) error {
				for _, line := range resp.GetChanges() {
					fmt.Fprintln(w, line)
				}
				switch {
				case len(resp.GetChanges()) == 0:
					fmt.Fprintln(w, "nothing changes")
				case dry:
					fmt.Fprintf(w, "%d changes; not carried out\n", len(resp.GetChanges()))
				default:
					fmt.Fprintf(w, "%d changes, revision %s\n", len(resp.GetChanges()), resp.GetRevision())
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "only check it, and show what would change")
	c.Flags().StringVar(&expect, "expect", "", "refuse unless this `revision` is in force")
	return c
}
