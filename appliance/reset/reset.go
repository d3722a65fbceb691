// Package reset brings the appliance back to what it was when it was delivered: configuration, history, certificates, users and logs of the
// appliance are forgotten, and the next boot is a first boot again, which takes what the platform gives (user-data) anew.
package reset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Options of a reset. Empty paths are those of the appliance.
type Options struct {
	// Root is put before all paths; empty: "/".
	Root string
	// StateDir is vnf's, with the configurations, the certificates and the audit log.
	StateDir string
	// ConfigFile is the startup configuration, which becomes an empty document.
	ConfigFile string
	// BootDir is that of the first boot's marker.
	BootDir string
	// Machine forgets what belongs to the Linux below too: ssh host keys, machine-id, the system's journal, and what cloud-init did. For
	// who makes a template of the machine.
	Machine bool
	// Reboot has the machine start anew at the end; else vnf stays stopped.
	Reboot bool
	// Systemctl runs systemctl with arguments; nil: the one in PATH, if systemd runs this machine.
	Systemctl func(ctx context.Context, args ...string) error
	Logger    *slog.Logger
}

// Defaults of Options.
const (
	DefaultStateDir   = "/var/lib/millrace"
	DefaultConfigFile = "/etc/millrace/startup.yaml"
	DefaultBootDir    = "/var/lib/millrace-appliance"
)

// pending is the file in BootDir that says that a reset was begun: a power failure in the middle of it must not leave half of what was.
const pending = "reset-pending"

// What of the Linux below is removed with Machine, and what is emptied.
var (
	machineFiles = []string{"/etc/ssh/ssh_host_*", "/var/lib/cloud/*", "/var/log/journal/*", "/var/log/cloud-init*", "/var/lib/systemd/random-seed"}
	machineEmpty = []string{"/etc/machine-id"}
)

// emptyConfig is the file as the package brings it.
const emptyConfig = "# Millrace's configuration. An empty one is in force until something is written here, or sent by gNMI, gRPC or vnfctl.\n" +
	"# Every field: /usr/share/doc/millrace-vnf/config.md.gz. To put changes in force: systemctl reload vnf\n" +
	"{}\n"

func (o *Options) fill() {
	def := func(p *string, d string) {
		if *p == "" {
			*p = d
		}
		*p = filepath.Join(o.Root, *p)
	}
	if o.Root == "" {
		o.Root = "/"
	}
	def(&o.StateDir, DefaultStateDir)
	def(&o.ConfigFile, DefaultConfigFile)
	def(&o.BootDir, DefaultBootDir)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Systemctl == nil {
		o.Systemctl = systemctl
	}
}

// systemctl does nothing where systemd does not run the machine, as in a container.
func systemctl(ctx context.Context, args ...string) error {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return nil
	}
	out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Run resets the appliance. It stops vnf first, since a vnf that runs would write again what is removed. An error says what is left; doing
// it again, or the next boot, goes on with it. Forwarding goes on until the machine starts anew.
func Run(ctx context.Context, o Options) error {
	o.fill()
	// Its socket would start it again.
	if err := o.Systemctl(ctx, "stop", "vnf.socket", "vnf.service"); err != nil {
		return fmt.Errorf("factory reset: nothing is done, since vnf does not stop: %w", err)
	}
	if err := begin(o); err != nil {
		return fmt.Errorf("factory reset: nothing is removed: %w", err)
	}
	if err := finish(o); err != nil {
		return err
	}
	o.Logger.Warn("factory reset done", "machine", o.Machine, "reboot", o.Reboot)
	if !o.Reboot {
		return nil
	}
	if err := o.Systemctl(ctx, "reboot"); err != nil {
		return fmt.Errorf("factory reset: all is removed, but the machine does not start anew: %w", err)
	}
	return nil
}

// Resume ends a reset that was begun and not ended, before anything reads what is to be removed. It says whether there was one.
func Resume(o Options) (bool, error) {
	o.fill()
	text, err := os.ReadFile(filepath.Join(o.BootDir, pending))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("factory reset: %w", err)
	}
	o.Machine = strings.TrimSpace(string(text)) == "machine"
	return true, finish(o)
}

func begin(o Options) error {
	if err := os.MkdirAll(o.BootDir, 0o700); err != nil {
		return err
	}
	text := "appliance\n"
	if o.Machine {
		text = "machine\n"
	}
	return write(filepath.Join(o.BootDir, pending), []byte(text), 0o600)
}

// finish removes everything, and last the file that says that there is something to be removed.
func finish(o Options) error {
	errs := []error{empty(o.StateDir, ""), resetConfig(o.ConfigFile)}
	if o.Machine {
		for _, pattern := range machineFiles {
			files, err := filepath.Glob(filepath.Join(o.Root, pattern))
			errs = append(errs, err)
			for _, f := range files {
				errs = append(errs, os.RemoveAll(f))
			}
		}
		for _, f := range machineEmpty {
			if err := os.Truncate(filepath.Join(o.Root, f), 0); !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	errs = append(errs, empty(o.BootDir, pending))
	err := errors.Join(errs...)
	if err == nil {
		err = os.Remove(filepath.Join(o.BootDir, pending))
	}
	if err == nil {
		err = syncDir(o.BootDir)
	}
	if err != nil {
		return fmt.Errorf("factory reset: not everything could be removed: %w", err)
	}
	return nil
}

// empty removes what is in a folder, but for one name; the folder keeps its owner and mode.
func empty(dir, but string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		if e.Name() != but {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(append(errs, syncDir(dir))...)
}

// resetConfig writes the empty document in place of the startup configuration, which keeps its owner and mode.
func resetConfig(path string) error {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, st.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = f.WriteString(emptyConfig)
	return errors.Join(err, f.Sync(), f.Close())
}

func write(path string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close(), syncDir(filepath.Dir(path)))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
