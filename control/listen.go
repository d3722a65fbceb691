package control

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"millrace/server/config"
)

// DefaultGRPCListen and DefaultMetricsListen are where the services listen if the configuration does not say.
const (
	DefaultGRPCListen    = "[::]:9339"
	DefaultMetricsListen = "127.0.0.1:9273"
)

// Names of the listeners that are handed over by the parent process in the manner of systemd (sd_listen_fds(3)).
const (
	ListenGRPC    = "grpc"
	ListenMetrics = "metrics"
)

// ListenNetns is the variable of the environment that names, by a path, the network namespace to listen in; default: that of an
// inherited listener, or our own.
const ListenNetns = "VNF_LISTEN_NETNS"

// ListenAddress is where a listener of the given name belongs; empty if there is to be none.
func ListenAddress(c *config.Config, name string) string {
	a := cmp.Or(c.System.GRPCListen, DefaultGRPCListen)
	if name == ListenMetrics {
		a = cmp.Or(c.System.MetricsListen, DefaultMetricsListen)
	}
	if a == "none" {
		return ""
	}
	return a
}

// InheritedListeners takes over the listeners that LISTEN_FDS and LISTEN_FDNAMES describe, by name. Where LISTEN_PID is set it has to
// be our own.
func InheritedListeners() (map[string]net.Listener, error) {
	count, pid := os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_PID")
	if count == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > 64 {
		return nil, fmt.Errorf("LISTEN_FDS=%q is not a number of descriptors", count)
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	all := map[string]net.Listener{}
	for i := range n {
		fd := 3 + i
		name := ""
		if i < len(names) {
			name = names[i]
		}
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), name)
		l, err := net.FileListener(f)
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("descriptor %d (%s) is not a listening socket: %w", fd, name, err)
		}
		all[name] = l
	}
	return all, nil
}

// unixListener listens on a socket of mode 0600, in the place of one that a killed process left.
func unixListener(path string) (net.Listener, error) {
	if nc, err := net.Dial("unix", path); err == nil {
		_ = nc.Close()
		return nil, fmt.Errorf("another vnf listens on %s", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}
