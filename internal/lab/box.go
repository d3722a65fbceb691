package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// BoxOptions says how an appliance is started. Config is the YAML below `system:`; the lab adds what makes boxes live side by
// side.
type BoxOptions struct {
	// Name is needed for a second box in a lab.
	Name string
	// Config is the configuration file without its system section.
	Config string
	// Dataplane is the content of system.dataplane, one "key: value" a line; sizes small enough for tests by default.
	Dataplane string
	// DataplaneArgs are passed on to vnf-dataplane.
	DataplaneArgs string
	LogLevel      string
	// Units starts it as the systemd units do, instead of by `vnf run`.
	Units bool
	// Wrap is put before the command, for example to measure it.
	Wrap []string
}

// Box is a running appliance: `vnf run` with its two children.
type Box struct {
	Proc *Proc
	// NS is where the ports' netdevs and the management are, Inner the namespace of the TAPs.
	NS, Inner *NS

	lab  *Lab
	opt  BoxOptions
	dir  string
	file string
}

const smallTables = "ipv4-routes: 65536\nipv6-routes: 16384\nmbufs: 8192\nhugepages: false\n"

// Box starts the appliance in a namespace and waits until it answers.
func (l *Lab) Box(ns *NS, opt BoxOptions) (*Box, error) {
	if err := l.Err(); err != nil {
		return nil, err
	}
	if opt.Name == "" {
		opt.Name = "box"
	}
	dir := filepath.Join(l.Dir, opt.Name)
	if err := os.MkdirAll(filepath.Join(dir, "run"), 0o755); err != nil {
		return nil, err
	}
	b := &Box{
		NS:    ns,
		Inner: l.Adopt(opt.Name+"-inner", l.prefix+opt.Name+"x"),
		lab:   l,
		opt:   opt,
		dir:   dir,
		file:  filepath.Join(dir, "millrace.yaml"),
	}
	if err := b.write(opt.Config); err != nil {
		return nil, err
	}
	return b, b.Start()
}

func (b *Box) write(config string) error {
	dp := b.opt.Dataplane
	if dp == "" {
		dp = smallTables
	}
	level := b.opt.LogLevel
	if level == "" {
		level = "info"
	}
	var s strings.Builder
	fmt.Fprintf(&s, "system:\n  hostname: %s\n  log-level: %s\n  grpc-listen: \"127.0.0.1:9339\"\n  metrics-listen: \"127.0.0.1:9273\"\n", b.opt.Name, level)
	fmt.Fprintf(&s, "  dataplane:\n    exception-netns: %s\n", b.Inner.Name)
	for _, line := range strings.Split(strings.TrimSpace(dp), "\n") {
		fmt.Fprintf(&s, "    %s\n", strings.TrimSpace(line))
	}
	s.WriteString(config)
	return os.WriteFile(b.file, []byte(s.String()), 0o600)
}

// Start starts the appliance (again).
func (b *Box) Start() error {
	start := b.startRun
	if b.opt.Units {
		start = b.startUnits
	}
	p, err := start()
	if err != nil {
		return err
	}
	b.Proc = p
	err = Eventually(40*time.Second, func() error {
		if !p.Running() {
			return errors.New("it ended")
		}
		_, err := b.Ctl("system", "info")
		return err
	})
	if err != nil {
		return fmt.Errorf("the appliance did not start: %w\n%s", err, p.Output())
	}
	return nil
}

func (b *Box) startRun() (*Proc, error) {
	args := append([]string(nil), b.opt.Wrap...)
	args = append(args, b.lab.Bin("vnf"), "run", "--config", b.file,
		"--runtime-dir", filepath.Join(b.dir, "run"), "--state-dir", filepath.Join(b.dir, "state"),
		"--dataplane", b.lab.Bin("vnf-dataplane"),
		"--dataplane-args", strings.TrimSpace("--file-prefix "+b.Inner.Name+" "+b.opt.DataplaneArgs))
	return b.NS.Start(args[0], args[1:]...)
}

// Socket is the path of the data plane's socket.
func (b *Box) Socket() string { return filepath.Join(b.dir, "run", "dataplane.sock") }

// File is the path of the configuration file.
func (b *Box) File() string { return b.file }

// TLSDir has the operator's certificate.
func (b *Box) TLSDir() string { return filepath.Join(b.dir, "state", "pki") }

// CtlCommand prepares a call of vnfctl.
func (b *Box) CtlCommand(ctx context.Context, args ...string) *exec.Cmd {
	return b.NS.Command(ctx, b.lab.Bin("vnfctl"), append([]string{"--address", "127.0.0.1:9339", "--tls-dir", b.TLSDir()}, args...)...)
}

// Ctl runs vnfctl against the box.
func (b *Box) Ctl(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), CommandTimeout)
	defer cancel()
	return output(b.CtlCommand(ctx, args...))
}

// CtlJSON runs vnfctl -o json and decodes what it prints.
func (b *Box) CtlJSON(v any, args ...string) error {
	out, err := b.Ctl(append(args, "-o", "json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), v); err != nil {
		return fmt.Errorf("vnfctl %s: %w in %.200s", strings.Join(args, " "), err, out)
	}
	return nil
}

// Apply writes the configuration (without its system section) and puts it in force.
func (b *Box) Apply(config string) error {
	if err := b.write(config); err != nil {
		return err
	}
	_, err := b.Ctl("config", "apply", b.file)
	return err
}

// Child returns the pid of one of the two processes: "control" or "dataplane".
func (b *Box) Child(which string) (int, error) {
	pids := children(b.Proc.Pid())
	for i := 0; i < len(pids); i++ { // with units there is a shell between
		pids = append(pids, children(pids[i])...)
	}
	for _, pid := range pids {
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil {
			continue
		}
		args := strings.Split(string(cmdline), "\x00")
		isDataplane, isControl := strings.HasSuffix(args[0], "vnf-dataplane"), len(args) > 1 && args[1] == "control"
		if isDataplane && which == "dataplane" || isControl && which == "control" {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("no child process for %s", which)
}

// Kill kills one of the two processes with SIGKILL.
func (b *Box) Kill(which string) error {
	pid, err := b.Child(which)
	if err != nil {
		return err
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

// WaitInterfaces waits until the interfaces are up.
func (b *Box) WaitInterfaces(names ...string) error {
	return Eventually(20*time.Second, func() error {
		out, err := b.Ctl("interface", "list")
		if err != nil {
			return err
		}
		for _, n := range names {
			if !lineHas(out, n, "up") {
				return fmt.Errorf("%s is not up:\n%s", n, out)
			}
		}
		return nil
	})
}

// lineHas tells whether a line of a table that begins with name has the word.
func lineHas(table, name, word string) bool {
	for _, line := range strings.Split(table, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != name {
			continue
		}
		for _, w := range f[1:] {
			if strings.EqualFold(w, word) {
				return true
			}
		}
	}
	return false
}
