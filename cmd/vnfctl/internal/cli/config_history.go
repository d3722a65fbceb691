package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func parseCommit(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		return 0, usagef("%q is not the number of a commit: vnfctl config history lists them", s)
	}
	return n, nil
}

// commitArg is the argument at a place; 0 if there is none.
func commitArg(args []string, place int) (uint64, error) {
	if place >= len(args) {
		return 0, nil
	}
	return parseCommit(args[place])
}

// commitCompletion offers the commits, for so many arguments.
func (a *app) commitCompletion(most int) completer {
	return func(c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.complete(-1, a.commitNames)(c, args, word)
	}
}

func (a *app) commitNames(ctx context.Context) ([]string, error) {
	client, err := a.system()
	if err != nil {
		return nil, err
	}
	resp, err := client.ListCommits(ctx, &vnfv1.ListCommitsRequest{})
	var names []string
	for _, m := range resp.GetCommits() {
		names = append(names, cobra.CompletionWithDesc(strconv.FormatUint(m.GetId(), 10), when(m.GetTime())+" "+m.GetWho()+" "+m.GetComment()))
	}
	return names, err
}

// commitFlag gives a command a flag for a commit.
func (a *app) commitFlag(c *cobra.Command, v *uint64, name, usage string) {
	c.Flags().Uint64Var(v, name, 0, usage)
	noError(c.RegisterFlagCompletionFunc(name, a.complete(-1, a.commitNames)))
}

func when(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Local().Format(time.DateTime)
}

// stateOf is a word about a commit.
func stateOf(m *vnfv1.Commit) string {
	switch f := m.GetConfirmation(); {
	case f != nil && f.GetConfirmed() == nil && m.GetInForce():
		return "to be confirmed"
	case m.GetInForce():
		return "in force"
	case f != nil && f.GetConfirmed() == nil:
		return "not confirmed"
	}
	return ""
}

func (a *app) configHistory() *cobra.Command {
	return &cobra.Command{
		Use: "history [COMMIT]", Aliases: []string{"log"}, Short: "List the last commits, or show one", Args: cobra.MaximumNArgs(1),
		Long: "List the commits that are kept, newest first: when, by whom and by which API the configuration was changed. With the number of a\n" +
			"commit, show what it changed.",
		Example: `  vnfctl config history
  vnfctl config history 41`,
		ValidArgsFunction: a.commitCompletion(1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.system()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			if len(args) > 0 {
				return a.showCommit(ctx, client, args[0])
			}
			resp, err := client.ListCommits(ctx, &vnfv1.ListCommitsRequest{})
			if err != nil {
				return err
			}
			l := a.newList("COMMIT", "TIME", "WHO", "API", "CHANGES", "STATE", "COMMENT")
			for _, m := range resp.GetCommits() {
				if err := l.add(m, strconv.FormatUint(m.GetId(), 10), when(m.GetTime()), m.GetWho(), m.GetApi(),
					strconv.FormatUint(uint64(m.GetChangeCount()), 10), stateOf(m), m.GetComment()); err != nil {
					return err
				}
			}
			return l.end()
		},
	}
}

func (a *app) showCommit(ctx context.Context, client vnfv1.SystemServiceClient, arg string) error {
	id, err := parseCommit(arg)
	if err != nil {
		return err
	}
	m, err := client.GetCommit(ctx, &vnfv1.GetCommitRequest{Commit: id})
	if err != nil {
		return err
	}
	return a.show(m, func(w io.Writer) error {
		field(w, "Commit", strconv.FormatUint(m.GetId(), 10))
		field(w, "State", stateOf(m))
		field(w, "Time", when(m.GetTime()))
		field(w, "Who", m.GetWho())
		field(w, "API", m.GetApi())
		field(w, "Peer", m.GetPeer())
		field(w, "Comment", m.GetComment())
		if m.GetBase() != 0 {
			field(w, "Changed", fmt.Sprintf("commit %d", m.GetBase()))
		}
		if f := m.GetConfirmation(); f != nil {
			field(w, "Confirmation", f.GetId())
			field(w, "Confirmed", when(f.GetConfirmed()))
			if f.GetConfirmed() == nil {
				field(w, "Deadline", when(f.GetDeadline()))
			}
		}
		fmt.Fprintf(w, "\n%s\n", plural(m.GetChangeCount(), "change"))
		for _, line := range m.GetChanges() {
			fmt.Fprintln(w, line)
		}
		if m.GetChangesCut() {
			fmt.Fprintf(w, "... and more: vnfctl config diff %d %d\n", m.GetBase(), m.GetId())
		}
		return nil
	})
}

func (a *app) configDiff() *cobra.Command {
	var file string
	var merge bool
	c := &cobra.Command{
		Use: "diff [FROM [TO]]", Short: "Show what differs between two commits, or a commit and a file", Args: cobra.MaximumNArgs(2),
		Long: "Show what changes from one commit to another (without the second: to the configuration in force; without both: what the last commit\n" +
			"changed), or from the configuration in force, or a commit, to a file. A line begins with - where something goes, + where it comes, and ~\n" +
			"where it changes.",
		Example: `  vnfctl config diff
  vnfctl config diff 38 41
  vnfctl config diff --file vnf.yaml`,
		ValidArgsFunction: a.commitCompletion(2),
		RunE: func(c *cobra.Command, args []string) error {
			from, err := commitArg(args, 0)
			if err != nil {
				return err
			}
			to, err := commitArg(args, 1)
			if err != nil {
				return err
			}
			req := &vnfv1.DiffConfigRequest{From: from, To: to, Merge: merge}
			if file != "" {
				if len(args) > 1 {
					return usagef("--file does not go with a second commit")
				}
				if req.Document, err = a.readDocument(file); err != nil {
					return err
				}
			} else if merge {
				return usagef("--merge goes with --file")
			}
			client, err := a.system()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			if len(args) == 0 && file == "" {
				now, err := client.GetCommit(ctx, &vnfv1.GetCommitRequest{})
				if err != nil {
					return err
				}
				if req.From = now.GetBase(); req.From == 0 {
					return usagef("commit %d is the first: there is nothing to compare it with", now.GetId())
				}
			}
			resp, err := client.DiffConfig(ctx, req)
			if err != nil {
				return err
			}
			return a.show(resp, func(w io.Writer) error {
				for _, d := range resp.GetChanges() {
					fmt.Fprintln(w, diffLine(d))
				}
				if more := int(resp.GetChangeCount()) - len(resp.GetChanges()); more > 0 {
					fmt.Fprintf(w, "... and %d more\n", more)
				}
				if resp.GetChangeCount() == 0 {
					fmt.Fprintln(w, "nothing differs")
				}
				return nil
			})
		},
	}
	c.Flags().StringVar(&file, "file", "", "compare with a `file` that load takes; - reads standard input")
	c.Flags().BoolVar(&merge, "merge", false, "the file is merged as load --merge does")
	noError(c.MarkFlagFilename("file"))
	return c
}

func diffLine(d *vnfv1.ConfigChange) string {
	switch {
	case d.GetSecret():
		return "~ " + d.GetPath() + ": changed"
	case d.GetReordered():
		return "~ " + d.GetPath() + ": has another order"
	case d.GetOld() == "":
		return fmt.Sprintf("+ %s: %s", d.GetPath(), d.GetNew())
	case d.GetNew() == "":
		return fmt.Sprintf("- %s: %s", d.GetPath(), d.GetOld())
	}
	return fmt.Sprintf("~ %s: %s -> %s", d.GetPath(), d.GetOld(), d.GetNew())
}

func (a *app) configRollback() *cobra.Command {
	var f changeFlags
	c := &cobra.Command{
		Use: "rollback COMMIT", Short: "Bring the configuration of a commit into force again", Args: cobra.ExactArgs(1),
		Long:              "Bring what was in force after a commit into force again, by a commit of its own: nothing of the history is lost.",
		Example:           "  vnfctl config rollback 38 --confirm 60s",
		ValidArgsFunction: a.commitCompletion(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := parseCommit(args[0])
			if err != nil {
				return err
			}
			client, err := a.system()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.RollbackConfig(ctx, &vnfv1.RollbackConfigRequest{Commit: id, DryRun: f.dry, Confirm: f.timer(), Comment: f.comment})
			if err != nil {
				return err
			}
			return a.changed(resp, f.dry)
		},
	}
	f.add(c)
	return c
}

func (a *app) configConfirm() *cobra.Command {
	return &cobra.Command{
		Use: "confirm [ID]", Short: "Let the commit stand that waits to be confirmed", Args: cobra.MaximumNArgs(1),
		Long:              "Let the commit stand that was made with --confirm, or over gNMI with the extension for it. With an ID, only if it has that one.",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.system()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.ConfirmCommit(ctx, &vnfv1.ConfirmCommitRequest{Id: first(args)})
			if err != nil {
				return err
			}
			return a.done(resp, "commit %d confirmed", resp.GetCommit())
		},
	}
}

func (a *app) configCancel() *cobra.Command {
	return &cobra.Command{
		Use: "cancel [ID]", Short: "Take the commit back that waits to be confirmed", Args: cobra.MaximumNArgs(1),
		Long:              "Take the commit back that waits to be confirmed, without waiting for its time. With an ID, only if it has that one.",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.system()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.CancelCommit(ctx, &vnfv1.CancelCommitRequest{Id: first(args)})
			if err != nil {
				return err
			}
			return a.changed(resp, false)
		},
	}
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
