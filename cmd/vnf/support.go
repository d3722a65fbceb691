package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"millrace/control"
	"millrace/server/bundle"
	"millrace/server/config"
)

// logPatience is how long a log may take to read.
const logPatience = time.Minute

// The units of systemd that an appliance is made of.
var ourUnits = []string{
	"vnf.service", "vnf.socket", "vnf-dataplane.service", "vnf-agent.service", "vnf-agent.socket", "vnf-mgmt.service", "vnf-boot.service",
	"vnf-console.service", "vnf-reset.service", "millrace-netns.service", "millrace.slice",
}

func newSupportBundle() *cobra.Command {
	var c common
	var output string
	var lines int
	cmd := &cobra.Command{
		Use:   "support-bundle",
		Short: "Collect what helps to find a fault from this machine, also when vnf is down",
		Long: "Write a tar.gz with the configuration without secrets, the logs, and facts of this machine, from files and systemd alone. When vnf\n" +
			"runs, `vnfctl support-bundle` has more: state, counters, routes. For root, who sees all of it.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lines < 1 {
				return fmt.Errorf("--log-lines: %d is not more than 0", lines)
			}
			host, err := os.Hostname()
			if err != nil {
				return err
			}
			now := time.Now()
			parts, secrets := offlineParts(&c, lines)
			o := bundle.Options{
				Version: version, Hostname: host, By: "vnf support-bundle", Source: "files", Secrets: secrets, Now: func() time.Time { return now }, Parts: parts,
			}
			if output == "-" {
				_, err := bundle.Write(cmd.Context(), cmd.OutOrStdout(), o)
				return err
			}
			name := bundle.FileName(host, now)
			if output == "" {
				output = name
			} else if st, err := os.Stat(output); err == nil && st.IsDir() {
				output = filepath.Join(output, name)
			}
			m, err := bundleInto(cmd.Context(), output, o)
			if err != nil {
				return err
			}
			for _, p := range m.Failed() {
				fmt.Fprintf(cmd.ErrOrStderr(), "not in it: %s: %s\n", p.Name, p.Error)
			}
			fmt.Fprintln(cmd.OutOrStdout(), output)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVarP(&output, "output", "o", "", "file or directory to write to, - for standard output (default: here, by the machine's name and the time)")
	f.IntVar(&lines, "log-lines", 5000, "lines of logs at most")
	f.StringVarP(&c.config, "config", "c", "/etc/millrace/startup.yaml", "configuration file")
	f.StringVar(&c.runtimeDir, "runtime-dir", "/run/millrace", "directory of the sockets")
	f.StringVar(&c.stateDir, "state-dir", "/var/lib/millrace", "directory of what outlives a restart")
	return cmd
}

// bundleInto writes the file of a bundle, whole or not at all.
func bundleInto(ctx context.Context, path string, o bundle.Options) (*bundle.Manifest, error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".millrace-support-*")
	if err != nil {
		return nil, fmt.Errorf("--output: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	m, err := bundle.Write(ctx, f, o)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return m, os.Rename(f.Name(), path)
}

// offlineParts are what there is without vnf, and the secrets that are not to be in it.
func offlineParts(c *common, lines int) ([]bundle.Part, []string) {
	// A missing file is as good as an empty one: the last configuration in force is in the state directory.
	file := c.config
	if _, err := os.Stat(file); err != nil {
		file = ""
	}
	cfg, fault := control.PreviewConfig(file, c.stateDir)
	var secrets []string
	if cfg != nil {
		secrets = cfg.Secrets()
	}
	unit := func(args ...string) []string {
		for _, u := range ourUnits {
			args = append(args, "--unit="+u)
		}
		return args
	}
	n := fmt.Sprint("--lines=", lines)
	parts := []bundle.Part{
		{Name: "config/config.yaml", Max: 16 << 20, Collect: func(_ context.Context, w io.Writer) error {
			if fault != nil {
				return fault
			}
			shown := cfg.WithoutSecrets()
			shown.AAA = config.AAA{}
			text, err := shown.YAML()
			if err == nil {
				_, err = w.Write(text)
			}
			return err
		}},
		{Name: "logs/journal.txt", Max: 16 << 20, Patience: logPatience, Collect: command("journalctl", unit("--quiet", "--no-pager", "--output=short-iso-precise", n)...)},
		{Name: "logs/kernel.txt", Max: 4 << 20, Patience: logPatience, Collect: command("journalctl", "--dmesg", "--quiet", "--no-pager", "--output=short-iso-precise", n)},
		{Name: "logs/cloud-init.txt", Max: 4 << 20, Patience: logPatience, Collect: command("journalctl", "--quiet", "--no-pager", "--output=short-iso-precise", n,
			"--unit=cloud-init-local.service", "--unit=cloud-init.service", "--unit=cloud-config.service", "--unit=cloud-final.service")},
		{Name: "machine/units.txt", Collect: command("systemctl", append([]string{"status", "--no-pager", "--full", "--lines=0"}, ourUnits...)...)},
		{Name: "machine/failed-units.txt", Collect: command("systemctl", "list-units", "--failed", "--no-pager", "--plain", "--full")},
		{Name: "machine/versions.txt", Collect: command("vnf-dataplane", "--version")},
	}
	return append(parts, bundle.Machine(bundle.MachineOptions{RuntimeDir: c.runtimeDir, StateDir: c.stateDir})...), secrets
}

// command is a part that is the output of one. systemctl tells by its status how units are, which is no fault of it.
func command(name string, args ...string) func(context.Context, io.Writer) error {
	return func(ctx context.Context, w io.Writer) error {
		cmd := exec.CommandContext(ctx, name, args...)
		var errs strings.Builder
		cmd.Stdout, cmd.Stderr, cmd.WaitDelay = w, &errs, time.Second
		err := cmd.Run()
		var ended *exec.ExitError
		if name == "systemctl" && errors.As(err, &ended) && ended.ExitCode() > 0 && errs.Len() == 0 {
			err = nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(errs.String()))
		}
		return nil
	}
}
