package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	vnfv1 "millrace/api/proto/vnf/v1"
)

// bundleName is what a support bundle may be called by the appliance.
var bundleName = regexp.MustCompile(`^millrace-support-[A-Za-z0-9._-]{0,300}\.tar\.gz$`)

func (a *app) supportCommand() *cobra.Command {
	var file string
	var lines uint32
	c := &cobra.Command{
		Use: "support-bundle", Short: "Fetch all that helps to find a fault, in one file without secrets", Args: cobra.NoArgs,
		Long: "Fetch a tar.gz with the appliance's configuration without secrets, state, counters, logs and versions, to look at or to hand on.\n" +
			"There are no passwords, keys, users and roles in it, but addresses, names and routes are. When vnf is down: `vnf support-bundle` on\n" +
			"the appliance itself.",
		Example: "  vnfctl support-bundle\n  vnfctl support-bundle -o /tmp/\n  vnfctl support-bundle -o - | tar tz",
		RunE: func(c *cobra.Command, _ []string) error {
			if file == "-" && isTerminal(a.out) {
				return usagef("a support bundle is not for a terminal: name a file with -o")
			}
			return a.supportBundle(c, file, lines)
		},
	}
	// Hides the flag of all commands: there is no table of this.
	c.Flags().StringVarP(&file, "output", "o", "", "`file` or directory to write to, - for standard output (default: here, by the appliance's name and the time)")
	c.Flags().Uint32Var(&lines, "log-lines", 0, "`lines` of logs at most, up to 20000 (default 5000)")
	return c
}

func (a *app) supportBundle(c *cobra.Command, file string, lines uint32) error {
	client, err := a.system()
	if err != nil {
		return err
	}
	stream, err := client.GetSupportBundle(c.Context(), &vnfv1.GetSupportBundleRequest{LogLines: lines})
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	w, err := a.bundleFile(file, first.GetFileName())
	if err != nil {
		return err
	}
	defer w.discard()
	problems, written := first.GetProblems(), 0
	take := func(m *vnfv1.SupportBundleChunk) error {
		problems = append(problems, m.GetProblems()...)
		n, err := w.Write(m.GetData())
		written += n
		return err
	}
	if err := take(first); err != nil {
		return err
	}
	if err := receive(stream, take); err != nil {
		return err
	}
	if err := w.keep(); err != nil {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(a.env.Stderr, "not in it:", p)
	}
	if w.name != "" {
		fmt.Fprintf(a.out, "%s, %s\n", w.name, size(uint64(written)))
	}
	return nil
}

// bundleTarget is where a bundle goes: it gets its name when it is whole.
type bundleTarget struct {
	io.Writer
	name string
	f    *os.File
}

func (a *app) bundleFile(file, given string) (*bundleTarget, error) {
	if file == "-" {
		return &bundleTarget{Writer: a.out}, nil
	}
	if !bundleName.MatchString(given) {
		return nil, fmt.Errorf("the appliance names the file %q", given)
	}
	if file == "" {
		file = given
	} else if st, err := os.Stat(file); err == nil && st.IsDir() {
		file = filepath.Join(file, given)
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".millrace-support-*") // of mode 0600
	if err != nil {
		return nil, usagef("--output: %v", err)
	}
	return &bundleTarget{f, file, f}, nil
}

func (t *bundleTarget) keep() error {
	if t.f == nil {
		return nil
	}
	if err := errors.Join(t.f.Close(), os.Rename(t.f.Name(), t.name)); err != nil {
		return fmt.Errorf("write %s: %w", t.name, err)
	}
	t.f = nil
	return nil
}

// discard removes what was not kept.
func (t *bundleTarget) discard() {
	if t.f != nil {
		_ = t.f.Close()
		_ = os.Remove(t.f.Name())
	}
}
