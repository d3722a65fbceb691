// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How long a process may take to end after SIGTERM.
const stopPatience = 20 * time.Second

// process is a child whose output is read line by line.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
	err  error

	mu   sync.Mutex
	tail []string
}

// start runs the command. line gets each line it prints, if it is not nil. The child dies with this program.
func (e *env) start(name string, cmd *exec.Cmd, line func(string)) (*process, error) {
	p := &process{name: name, cmd: cmd, done: make(chan struct{})}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = w, w
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // Ctrl-C is ours to handle
	if err := cmd.Start(); err != nil {
		_, _ = r.Close(), w.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	_ = w.Close()
	go func() {
		p.read(r, e.verbose, line)
		_ = r.Close()
	}()
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) read(r io.Reader, verbose bool, line func(string)) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if verbose {
			fmt.Fprintf(os.Stderr, "[%s] %s\n", p.name, s.Text())
		}
		p.mu.Lock()
		if p.tail = append(p.tail, s.Text()); len(p.tail) > 20 {
			p.tail = p.tail[1:]
		}
		p.mu.Unlock()
		if line != nil {
			line(s.Text())
		}
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// failure tells that the process ended, with its last words.
func (p *process) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Errorf("%s ended: %v; it said last:\n  %s", p.name, p.err, strings.Join(p.tail, "\n  "))
}

// alive returns an error if the process has ended.
func (p *process) alive() error {
	select {
	case <-p.done:
		return p.failure()
	default:
		return nil
	}
}

// stop ends the process and waits for it.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopPatience):
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	return fmt.Errorf("%s did not end within %s of SIGTERM", p.name, stopPatience)
}
