package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// FRR is FRRouting's zebra and bgpd (and staticd) in a namespace.
type FRR struct {
	ns    *NS
	dir   string
	procs []*Proc
	// kernel has what BGP learns installed in the kernel's table.
	kernel bool
}

// FRR starts it with one configuration for all daemons. What it learns it only tells.
func (l *Lab) FRR(ns *NS, config string) (*FRR, error) { return l.frr(ns, config, false) }

// ForwardingFRR is an FRR by whose routes the namespace's kernel forwards.
func (l *Lab) ForwardingFRR(ns *NS, config string) (*FRR, error) { return l.frr(ns, config, true) }

func (l *Lab) frr(ns *NS, config string, kernel bool) (*FRR, error) {
	f := &FRR{ns: ns, dir: filepath.Join(l.Dir, "frr-"+ns.Name), kernel: kernel}
	// FRR's daemons give up root, and their user has to reach the sockets.
	if err := os.Chmod(l.Dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(f.dir, 0o777); err != nil {
		return nil, err
	}
	if err := os.Chmod(f.dir, 0o777); err != nil {
		return nil, err
	}
	conf := filepath.Join(f.dir, "frr.conf")
	if err := os.WriteFile(conf, []byte(config), 0o644); err != nil {
		return nil, err
	}
	for _, d := range []string{"zebra", "staticd", "bgpd"} {
		if err := f.start(d); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *FRR) start(daemon string) error {
	args := []string{"-f", filepath.Join(f.dir, "frr.conf"), "-i", filepath.Join(f.dir, daemon+".pid"), "-z", filepath.Join(f.dir, "zserv.api"),
		"--vty_socket", f.dir, "--log", "stdout", "-u", "frr", "-g", "frr"}
	if daemon == "bgpd" {
		args = append(args, "-S")
		if !f.kernel {
			args = append(args, "-n")
		}
	}
	p, err := f.ns.Start("/usr/lib/frr/"+daemon, args...)
	if err != nil {
		return err
	}
	f.procs = append(f.procs, p)
	// The others connect to zebra's socket.
	return Eventually(10*time.Second, func() error {
		if !p.Running() {
			return fmt.Errorf("%s ended:\n%s", daemon, p.Output())
		}
		_, err := os.Stat(filepath.Join(f.dir, daemon+".vty"))
		return err
	})
}

// KillBGP kills bgpd with SIGKILL.
func (f *FRR) KillBGP() error {
	p := f.procs[len(f.procs)-1]
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(f.dir, "bgpd.vty")); err != nil {
		return err
	}
	return p.Wait(5 * time.Second)
}

// StartBGP starts bgpd after KillBGP, with another configuration.
func (f *FRR) StartBGP(config string) error {
	if err := os.WriteFile(filepath.Join(f.dir, "frr.conf"), []byte(config), 0o644); err != nil {
		return err
	}
	return f.start("bgpd")
}

// VTY runs commands in vtysh.
func (f *FRR) VTY(commands ...string) (string, error) {
	args := []string{"--vty_socket", f.dir}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	return f.ns.Output("vtysh", args...)
}

// Stop ends the daemons.
func (f *FRR) Stop() {
	for i := len(f.procs) - 1; i >= 0; i-- {
		f.procs[i].Stop()
	}
}

// BIRD is the BIRD Internet Routing Daemon in a namespace.
type BIRD struct {
	Proc *Proc
	ns   *NS
	sock string
	conf string
}

// BIRD starts it.
func (l *Lab) BIRD(ns *NS, config string) (*BIRD, error) {
	b := &BIRD{
		ns:   ns,
		sock: filepath.Join(l.Dir, "bird-"+ns.Name+".ctl"),
		conf: filepath.Join(l.Dir, "bird-"+ns.Name+".conf"),
	}
	if err := os.WriteFile(b.conf, []byte(config), 0o644); err != nil {
		return nil, err
	}
	return b, b.start()
}

func (b *BIRD) start(options ...string) error {
	p, err := b.ns.Start("bird", append([]string{"-f", "-c", b.conf, "-s", b.sock}, options...)...)
	if err != nil {
		return err
	}
	b.Proc = p
	return Eventually(20*time.Second, func() error {
		if !p.Running() {
			return fmt.Errorf("bird ended:\n%s", p.Output())
		}
		_, err := b.Ctl("show", "status")
		return err
	})
}

// Kill kills it with SIGKILL.
func (b *BIRD) Kill() error {
	if err := b.Proc.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	return b.Proc.Wait(5 * time.Second)
}

// Recover starts it after Kill, with another configuration, as one that restarts gracefully.
func (b *BIRD) Recover(config string) error {
	if err := os.WriteFile(b.conf, []byte(config), 0o644); err != nil {
		return err
	}
	return b.start("-R")
}

// Ctl runs birdc.
func (b *BIRD) Ctl(args ...string) (string, error) {
	return b.ns.Output("birdc", append([]string{"-s", b.sock}, args...)...)
}

// Configure replaces the configuration.
func (b *BIRD) Configure(config string) error {
	if err := os.WriteFile(b.conf, []byte(config), 0o644); err != nil {
		return err
	}
	out, err := b.Ctl("configure")
	if err == nil && !strings.Contains(out, "Reconfigur") {
		err = fmt.Errorf("birdc configure: %s", out)
	}
	return err
}
