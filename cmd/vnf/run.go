package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"millrace/control"
	"millrace/server/config"
)

// How long the control plane waits for the data plane's first "ready"; it copes with one that comes later.
const readyPatience = 10 * time.Second

func newRun() *cobra.Command {
	var c common
	var dataplane, dataplaneArgs string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the data plane and the control plane, and restart what ends",
		Long: "Start vnf-dataplane here, and `vnf control` in the network namespace of the exception path, where the ports' TAPs and BGP's\n" +
			"sockets are; the namespace is made if it is not there. The listeners of gRPC and of the metrics are opened here. A process that\n" +
			"ends is started again. SIGHUP reads the configuration file again; SIGTERM ends both.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, _, err := c.logger(os.Stderr)
			if err != nil {
				return err
			}
			r := &runner{common: c, log: log, dataplane: dataplane, extra: strings.Fields(dataplaneArgs)}
			return r.run(cmd.Context())
		},
	}
	c.add(cmd)
	cmd.Flags().StringVar(&dataplane, "dataplane", "", "the vnf-dataplane binary (default: beside vnf, in build/, or in PATH)")
	cmd.Flags().StringVar(&dataplaneArgs, "dataplane-args", "", "further arguments for vnf-dataplane, separated by blanks")
	return cmd
}

type runner struct {
	common
	log       *slog.Logger
	dataplane string
	extra     []string
}

func (r *runner) run(ctx context.Context) error {
	cfg, err := control.PreviewConfig(r.config, r.stateDir)
	if err != nil {
		return err
	}
	for _, dir := range []string{r.runtimeDir, r.stateDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if r.dataplane, err = findDataplane(r.dataplane); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find our own binary: %w", err)
	}
	netns := cfg.System.Netns()
	if netns == "none" {
		netns = ""
	} else {
		made, err := ensureNetns(netns)
		if err != nil {
			return fmt.Errorf("network namespace %s of the exception path: %w", netns, err)
		}
		if made {
			defer func() {
				if err := deleteNetns(netns); err != nil {
					r.log.Warn("delete network namespace", "name", netns, "error", err)
				}
			}()
		}
	}
	files, names, err := openListeners(cfg)
	if err != nil {
		return err
	}
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	return r.supervise(ctx, cfg, self, netns, files, names)
}

func (r *runner) supervise(ctx context.Context, cfg *config.Config, self, netns string, files []*os.File, names []string) error {
	socket := filepath.Join(r.runtimeDir, "dataplane.sock")
	dp := &child{name: "dataplane", path: r.dataplane, log: r.log, ready: make(chan struct{}), mustStart: true}
	dp.args = func() []string {
		// What was changed since takes effect now, except the namespace, which we are in charge of.
		if next, err := control.PreviewConfig(r.config, r.stateDir); err == nil {
			next.System.Dataplane.ExceptionNetns = cfg.System.Dataplane.ExceptionNetns
			return r.dataplaneArgs(next, socket)
		}
		return r.dataplaneArgs(cfg, socket)
	}
	ctl := &child{name: "control", path: self, netns: netns, files: files, log: r.log}
	ctl.args = func() []string { return r.controlArgs(socket) }
	ctl.env = []string{"LISTEN_FDS=" + strconv.Itoa(len(files)), "LISTEN_FDNAMES=" + strings.Join(names, ":"),
		fmt.Sprintf("%s=/proc/%d/ns/net", control.ListenNetns, os.Getpid())}

	// The control plane ends first, so that it sees a data plane to the end; the data plane when that is done.
	dpCtx, stopDP := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopDP(nil)
	ctlCtx, stopCtl := context.WithCancel(ctx)
	defer stopCtl()
	var wg sync.WaitGroup
	var dpErr error
	wg.Go(func() {
		dpErr = dp.run(dpCtx)
		stopCtl()
	})
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	wg.Go(func() {
		for {
			select {
			case <-hup:
				ctl.signal(syscall.SIGHUP)
			case <-dpCtx.Done():
				return
			}
		}
	})
	select {
	case <-dp.ready:
	case <-time.After(readyPatience):
		r.log.Warn("the data plane is slow to start")
	case <-ctlCtx.Done():
	}
	if ctlCtx.Err() == nil {
		_ = ctl.run(ctlCtx)
	}
	stopDP(nil)
	wg.Wait()
	return dpErr
}

func (r *runner) controlArgs(socket string) []string {
	args := []string{"control", "--runtime-dir", r.runtimeDir, "--state-dir", r.stateDir, "--socket", socket, "--log-format", r.logFormat}
	if r.config != "" {
		args = append(args, "--config", r.config)
	}
	if r.logLevel != "" {
		args = append(args, "--log-level", r.logLevel)
	}
	return args
}

// dataplaneArgs is the command line of vnf-dataplane.
func (r *runner) dataplaneArgs(cfg *config.Config, socket string) []string {
	args := []string{"--socket", socket, "--file-prefix", filePrefix(r.runtimeDir)}
	return append(append(args, dataplaneArgs(&cfg.System, r.logLevel)...), r.extra...)
}

// filePrefix tells DPDK's files of several instances on one machine apart.
func filePrefix(runtimeDir string) string {
	if filepath.Clean(runtimeDir) == "/run/millrace" {
		return "millrace"
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(filepath.Clean(runtimeDir)))
	return fmt.Sprintf("millrace-%08x", h.Sum32())
}

// useHugepages follows the configuration, or whether the machine has any free.
func useHugepages(d *config.Dataplane) bool {
	if d.Hugepages != nil {
		return *d.Hugepages
	}
	free, _ := filepath.Glob("/sys/kernel/mm/hugepages/hugepages-*kB/free_hugepages")
	for _, path := range free {
		if b, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(b)) != "0" {
			return true
		}
	}
	return false
}

func findDataplane(path string) (string, error) {
	if path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("--dataplane: %w", err)
		}
		return filepath.Abs(path)
	}
	if self, err := os.Executable(); err == nil {
		dir := filepath.Dir(self)
		for _, p := range []string{filepath.Join(dir, "vnf-dataplane"), filepath.Join(dir, "..", "build", "vnf-dataplane")} {
			if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
				return filepath.Clean(p), nil
			}
		}
	}
	p, err := exec.LookPath("vnf-dataplane")
	if err != nil {
		return "", errors.New("vnf-dataplane is neither beside vnf nor in PATH: say where it is with --dataplane")
	}
	return filepath.Abs(p)
}

// openListeners opens the listeners of the control plane in the namespace that we are in.
func openListeners(cfg *config.Config) (files []*os.File, names []string, err error) {
	for _, name := range []string{control.ListenGRPC, control.ListenMetrics} {
		addr := control.ListenAddress(cfg, name)
		if addr == "" {
			continue
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return files, names, fmt.Errorf("system.%s-listen: %w", name, err)
		}
		f, err := l.(*net.TCPListener).File()
		_ = l.Close() // the copy goes on listening
		if err != nil {
			return files, names, fmt.Errorf("system.%s-listen: %w", name, err)
		}
		files, names = append(files, f), append(names, name)
	}
	return files, names, nil
}
