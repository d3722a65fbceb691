package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Proc is a process of the lab. Its output goes to a file.
type Proc struct {
	// Log is the path of what it prints.
	Log string

	cmd  *exec.Cmd
	done chan struct{}
}

func (l *Lab) start(cmd *exec.Cmd, name string) (*Proc, error) {
	f, err := os.CreateTemp(l.Dir, name+"-*.log")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	cmd.Stdout, cmd.Stderr = f, f
	// A group of its own, so that Stop reaches its children; and it dies with us.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Proc{Log: f.Name(), cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	l.mu.Lock()
	l.procs = append(l.procs, p)
	l.mu.Unlock()
	return p, nil
}

// Pid of the process: nsenter replaces itself by the command, so it is the command's.
func (p *Proc) Pid() int { return p.cmd.Process.Pid }

// Running tells whether it has not ended.
func (p *Proc) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends a signal to the process alone.
func (p *Proc) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// Stop asks the process and its children to end, waits, and kills what is left.
func (p *Proc) Stop() {
	pid := p.cmd.Process.Pid
	if p.Running() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
		}
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL)
	<-p.done
}

// Wait returns when the process has ended, or an error when it has not for much longer than it should take.
func (p *Proc) Wait(timeout time.Duration) error {
	select {
	case <-p.done:
		return nil
	case <-time.After(slow * timeout):
		return fmt.Errorf("%s still runs after %v", filepath.Base(p.cmd.Path), slow*timeout)
	}
}

// Output is what the process has printed so far.
func (p *Proc) Output() string {
	b, _ := os.ReadFile(p.Log)
	return string(b)
}
