package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	restartMin = 200 * time.Millisecond
	restartMax = 10 * time.Second
	// A process that ran this long was in order: the next pause is the shortest again.
	restartGood = 30 * time.Second
	// How long a process may take to end after SIGTERM.
	stopPatience = 15 * time.Second
	// How often a process that must start may fail before it ever was ready.
	startAttempts = 3
)

// child is a process that is started again whenever it ends.
type child struct {
	name, path string
	args       func() []string // asked at each start
	env        []string
	netns      string     // to be started in; empty: ours
	files      []*os.File // handed over from descriptor 3 on
	log        *slog.Logger
	// ready is closed when the process first printed the line "ready"; nil if it never does.
	ready chan struct{}
	// mustStart gives up when the process ended several times without ever being ready.
	mustStart bool

	once sync.Once
	mu   sync.Mutex
	cmd  *exec.Cmd
	last string // its last line on stderr
}

// run keeps the process running until ctx ends, and then ends it. It returns an error if the process does not start at all.
func (c *child) run(ctx context.Context) error {
	result := make(chan error, 1)
	go func() {
		// The kernel sends the death signal when the thread that started the process ends, and setns belongs to a thread: this one
		// is kept, and thrown away with the goroutine.
		runtime.LockOSThread()
		result <- c.loop(ctx)
	}()
	return <-result
}

func (c *child) loop(ctx context.Context) error {
	pause, failed := restartMin, 0
	for {
		began := time.Now()
		err := c.oneRun(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) >= restartGood {
			pause = restartMin
		}
		if failed++; c.mustStart && failed >= startAttempts && !c.wasReady() {
			return fmt.Errorf("%s does not start: %w: %s", c.path, err, c.lastLine())
		}
		c.log.Error("process ended; starting it again", "process", c.name, "status", err, "pause", pause)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil
		}
		pause = min(2*pause, restartMax)
	}
}

func (c *child) wasReady() bool {
	select {
	case <-c.ready:
		return true
	default:
		return false
	}
}

func (c *child) lastLine() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// oneRun starts the process and waits for its end.
func (c *child) oneRun(ctx context.Context) error {
	cmd := exec.Command(c.path, c.args()...)
	cmd.Env = append(os.Environ(), c.env...)
	cmd.ExtraFiles = c.files
	// Signals of the terminal are ours to pass on, in our order; and nobody is left behind if we are killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := inNetns(c.netns, cmd.Start); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	c.mu.Lock()
	c.cmd = cmd
	c.mu.Unlock()
	c.log.Info("process started", "process", c.name, "pid", cmd.Process.Pid)
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { c.copyLines(stdout, os.Stdout) })
	wg.Go(func() { c.copyLines(stderr, os.Stderr) })
	wg.Go(func() {
		select {
		case <-ended:
		case <-ctx.Done():
			c.stop(cmd, ended)
		}
	})
	// The pipes are read to their end before Wait closes them; a grandchild that holds them must not hold us.
	state, err := cmd.Process.Wait()
	close(ended)
	c.mu.Lock()
	c.cmd = nil
	c.mu.Unlock()
	drained := make(chan struct{})
	go func() { wg.Wait(); close(drained) }()
	select {
	case <-drained:
	case <-time.After(time.Second):
	}
	_, _ = stdout.Close(), stderr.Close()
	if err != nil {
		return err
	}
	return errors.New(state.String())
}

// stop ends a process with SIGTERM, and if that does not help with SIGKILL.
func (c *child) stop(cmd *exec.Cmd, ended <-chan struct{}) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	t := time.NewTimer(stopPatience)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
		c.log.Error("process does not end; killing it", "process", c.name)
		_ = cmd.Process.Kill()
	}
}

// signal passes a signal on to the process, if it runs.
func (c *child) signal(s os.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd != nil {
		_ = c.cmd.Process.Signal(s)
	}
}

// copyLines copies what the process prints, each line with the process's name before it.
func (c *child) copyLines(r io.Reader, w io.Writer) {
	b := bufio.NewReaderSize(r, 64<<10)
	for {
		line, more, err := b.ReadLine()
		if err != nil {
			return
		}
		if more {
			line = append(line[:len(line):len(line)], " …"...)
			for more && err == nil {
				_, more, err = b.ReadLine()
			}
		}
		if c.ready != nil && w == os.Stdout && string(line) == "ready" {
			c.once.Do(func() { close(c.ready) })
			continue
		}
		if w == os.Stderr {
			c.mu.Lock()
			c.last = string(line)
			c.mu.Unlock()
		}
		_, _ = fmt.Fprintf(w, "[%s] %s\n", c.name, line)
	}
}
