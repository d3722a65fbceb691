package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) configCommand() *cobra.Command {
	return group("config", "The configuration as a whole, and its history", []string{"configuration"},
		a.configShow(), a.configSave(), a.configLoad(), a.configDiff(), a.configHistory(), a.configRollback(), a.configConfirm(), a.configCancel())
}

// documentFlags choose what a configuration is written as.
type documentFlags struct {
	format  string
	secrets bool
}

func (d *documentFlags) add(c *cobra.Command) {
	c.Flags().StringVarP(&d.format, "format", "f", "", "yaml or json as docs/configuration.md has them, or tree: RFC 7951, as gNMI has it (default yaml)")
	fixed(c, "format", []string{"yaml", "json", "tree"})
}

func (a *app) document(c *cobra.Command, d documentFlags, commit uint64) ([]byte, error) {
	format := d.format
	if format == "" && a.format == "json" {
		format = "json"
	}
	req := &vnfv1.GetConfigRequest{WithSecrets: d.secrets, Commit: commit}
	switch format {
	case "", "yaml":
		req.Format = vnfv1.ConfigFormat_CONFIG_FORMAT_YAML
	case "json":
		req.Format = vnfv1.ConfigFormat_CONFIG_FORMAT_JSON
	case "tree":
		req.Format = vnfv1.ConfigFormat_CONFIG_FORMAT_RFC7951
	default:
		return nil, usagef("--format: %q is none of yaml, json, tree", d.format)
	}
	client, err := a.system()
	if err != nil {
		return nil, err
	}
	ctx, cancel := a.call(c.Context())
	defer cancel()
	doc, err := client.GetConfig(ctx, req)
	if err != nil {
		return nil, err
	}
	text := doc.GetDocument()
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	return text, nil
}

func (a *app) configShow() *cobra.Command {
	var d documentFlags
	c := &cobra.Command{
		Use: "show [COMMIT]", Short: "Print the configuration in force, or that of a commit", Args: cobra.MaximumNArgs(1),
		Long: "Print the configuration in force, or what was in force after a commit, as YAML, as JSON (-o json), or as the tree of gNMI\n" +
			"(--format tree). Passwords are left out unless --with-secrets is given.",
		Example: `  vnfctl config show
  vnfctl config show 41 --format tree`,
		ValidArgsFunction: a.commitCompletion(1),
		RunE: func(c *cobra.Command, args []string) error {
			commit, err := commitArg(args, 0)
			if err != nil {
				return err
			}
			text, err := a.document(c, d, commit)
			if err != nil {
				return err
			}
			_, err = a.out.Write(text)
			return err
		},
	}
	d.add(c)
	c.Flags().BoolVar(&d.secrets, "with-secrets", false, "with passwords")
	return c
}

func (a *app) configSave() *cobra.Command {
	var d documentFlags
	var without bool
	var commit uint64
	c := &cobra.Command{
		Use: "save FILE", Short: "Write the configuration in force to a file that load takes", Args: cobra.ExactArgs(1),
		Long: "Write the configuration in force, or that of a commit, to a file that only its owner can read: passwords are in it, so that it can be\n" +
			"loaded again. - is standard output.",
		Example: `  vnfctl config save vnf1.yaml
  vnfctl config save vnf1.json --format tree`,
		RunE: func(c *cobra.Command, args []string) error {
			d.secrets = !without
			text, err := a.document(c, d, commit)
			if err != nil {
				return err
			}
			if args[0] == "-" {
				_, err = a.out.Write(text)
				return err
			}
			if err := os.WriteFile(args[0], text, 0o600); err != nil {
				return fmt.Errorf("save: %w", err)
			}
			_, err = fmt.Fprintf(a.out, "%s written, %s\n", args[0], size(uint64(len(text))))
			return err
		},
	}
	d.add(c)
	c.Flags().BoolVar(&without, "without-secrets", false, "leave passwords out")
	a.commitFlag(c, &commit, "commit", "the configuration of this `commit` (default the one in force)")
	return c
}

// changeFlags are those of commands that change the configuration as a whole.
type changeFlags struct {
	dry     bool
	confirm time.Duration
	comment string
}

func (f *changeFlags) add(c *cobra.Command) {
	c.Flags().BoolVar(&f.dry, "dry-run", false, "only check it, and show what would change")
	c.Flags().DurationVar(&f.confirm, "confirm", 0, "take it back by itself unless `vnfctl config confirm` comes within this time, 1s to 24h")
	c.Flags().StringVarP(&f.comment, "comment", "m", "", "a word about it, for the history")
}

func (f *changeFlags) timer() *durationpb.Duration {
	if f.confirm == 0 {
		return nil
	}
	return durationpb.New(f.confirm)
}

// changed tells what came of a change of the configuration.
func (a *app) changed(resp *vnfv1.ApplyConfigResponse, dry bool) error {
	return a.show(resp, func(w io.Writer) error {
		for _, line := range resp.GetChanges() {
			fmt.Fprintln(w, line)
		}
		if more := int(resp.GetChangeCount()) - len(resp.GetChanges()); more > 0 {
			fmt.Fprintf(w, "... and %d more\n", more)
		}
		switch {
		case dry && resp.GetChangeCount() == 0:
			fmt.Fprintln(w, "nothing would change")
		case dry:
			fmt.Fprintf(w, "%s; not carried out\n", plural(resp.GetChangeCount(), "change"))
		case resp.GetChangeCount() == 0 && resp.GetConfirmation() == nil:
			fmt.Fprintln(w, "nothing changes")
		default:
			fmt.Fprintf(w, "%s, commit %d, revision %s\n", plural(resp.GetChangeCount(), "change"), resp.GetCommit(), resp.GetRevision())
		}
		if f := resp.GetConfirmation(); f != nil && !dry {
			fmt.Fprintf(w, "commit %d comes back at %s unless you say: vnfctl config confirm\n", f.GetRevert(), f.GetDeadline().AsTime().Local().Format(time.TimeOnly))
		}
		return nil
	})
}

func plural(n uint32, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// readDocument reads a file that was named on the command line; - is standard input.
func (a *app) readDocument(name string) ([]byte, error) {
	in := a.env.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usagef("%v", err)
		}
		defer f.Close()
		in = f
	}
	doc, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return doc, nil
}

func (a *app) configLoad() *cobra.Command {
	var f changeFlags
	var expect string
	var merge, replace bool
	c := &cobra.Command{
		Use: "load FILE", Aliases: []string{"apply"}, Short: "Replace the configuration by a file, or merge one into it", Args: cobra.ExactArgs(1),
		Long: "Replace the whole configuration by a file, or merge one into it. The file is YAML or JSON as docs/configuration.md has it, or a tree\n" +
			"as RFC 7951 and gNMI have it. The result is checked as a whole, carried out and written to disk; if anything is wrong with it, every\n" +
			"fault is named with its path, and nothing changes. With --confirm the configuration before comes back by itself unless the new one\n" +
			"is confirmed in time: for changes that may cut you off. - reads standard input.",
		Example: `  vnfctl config load vnf.yaml --dry-run
  vnfctl config load vnf.yaml --confirm 60s && vnfctl config confirm
  echo 'system: {hostname: vnf1}' | vnfctl config load - --merge
  vnfctl config show --with-secrets | sed s/1500/9000/ | vnfctl config load -`,
		RunE: func(c *cobra.Command, args []string) error {
			if merge && replace {
				return usagef("--merge and --replace exclude each other")
			}
			doc, err := a.readDocument(args[0])
			if err != nil {
				return err
			}
			client, err := a.system()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.ApplyConfig(ctx, &vnfv1.ApplyConfigRequest{
				Document: doc, DryRun: f.dry, ExpectedRevision: expect, Merge: merge, Confirm: f.timer(), Comment: f.comment,
			})
			if err != nil {
				return err
			}
			return a.changed(resp, f.dry)
		},
	}
	f.add(c)
	c.Flags().StringVar(&expect, "expect", "", "refuse unless this `revision` is in force")
	c.Flags().BoolVar(&merge, "merge", false, "leave all as it is that the file does not name")
	c.Flags().BoolVar(&replace, "replace", false, "what the file does not name goes (default)")
	return c
}
