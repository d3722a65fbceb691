package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// CommandTimeout bounds each command that is waited for.
const CommandTimeout = 60 * time.Second

// Lab owns namespaces, processes and a directory; Close ends them all.
type Lab struct {
	// Dir is a temporary directory of the lab's own.
	Dir string

	prefix string
	bin    string

	mu    sync.Mutex
	procs []*Proc
	nss   map[string]*NS
	err   error
}

var serial atomic.Int32

// New makes an empty lab. The programs under test are taken from $MILLRACE_BIN, or from bin/ in the module's folder.
func New(name string) (*Lab, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("a lab needs root: it makes network namespaces")
	}
	bin := os.Getenv("MILLRACE_BIN")
	if bin == "" {
		root, err := moduleRoot()
		if err != nil {
			return nil, err
		}
		bin = filepath.Join(root, "bin")
	}
	for _, p := range []string{"vnf", "vnfctl", "vnf-dataplane"} {
		if _, err := os.Stat(filepath.Join(bin, p)); err != nil {
			return nil, fmt.Errorf("%s is not built (make build): %w", p, err)
		}
	}
	dir, err := os.MkdirTemp("", "millrace-"+name+"-")
	if err != nil {
		return nil, err
	}
	return &Lab{
		Dir:    dir,
		prefix: fmt.Sprintf("mr%d%c", os.Getpid(), 'a'+rune(serial.Add(1)-1)%26),
		bin:    bin,
		nss:    map[string]*NS{},
	}, nil
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("not inside the module, and MILLRACE_BIN is not set")
}

// Bin returns the path of one of the programs under test. $MILLRACE_DATAPLANE names another data plane, for example one built with
// sanitizers.
func (l *Lab) Bin(name string) string {
	if other := os.Getenv("MILLRACE_DATAPLANE"); other != "" && name == "vnf-dataplane" {
		return other
	}
	return filepath.Join(l.bin, name)
}

// Err is the first error of the calls that build the network (NS, Veth, Addr, …), which do not return theirs one by one.
func (l *Lab) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *Lab) note(err error) {
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}

// Close ends the processes, last started first, deletes the namespaces and the directory.
func (l *Lab) Close() {
	l.mu.Lock()
	procs := l.procs
	l.procs = nil
	l.mu.Unlock()
	for i := len(procs) - 1; i >= 0; i-- {
		procs[i].Stop()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ns := range l.nss {
		_ = exec.Command("ip", "netns", "del", ns.Name).Run()
	}
	_ = os.RemoveAll(l.Dir)
}

// NS is a network namespace.
type NS struct {
	Name string
	lab  *Lab
}

// NS returns the lab's namespace of this name, made when first asked for, with its loopback up.
func (l *Lab) NS(name string) *NS {
	l.mu.Lock()
	ns, ok := l.nss[name]
	if !ok {
		ns = &NS{Name: l.prefix + name, lab: l}
		l.nss[name] = ns
	}
	l.mu.Unlock()
	if !ok {
		l.note(run("ip", "netns", "add", ns.Name))
		ns.IP("link", "set", "lo", "up")
	}
	return ns
}

// Adopt returns a namespace that another program made (or will make) under its full name; it is deleted by Close.
func (l *Lab) Adopt(key, fullName string) *NS {
	l.mu.Lock()
	defer l.mu.Unlock()
	ns := &NS{Name: fullName, lab: l}
	l.nss[key] = ns
	return ns
}

// Prefix is what the names of the lab's namespaces begin with.
func (l *Lab) Prefix() string { return l.prefix }

// Veth connects two namespaces. Transmit offloads are off at both ends: a packet between namespaces else carries no checksum, and
// may be larger than the MTU, which no wire would do.
func (l *Lab) Veth(a *NS, ifA string, b *NS, ifB string) {
	l.note(run("ip", "link", "add", ifA, "netns", a.Name, "type", "veth", "peer", "name", ifB, "netns", b.Name))
	for _, end := range []struct {
		ns *NS
		n  string
	}{{a, ifA}, {b, ifB}} {
		end.ns.IP("link", "set", end.n, "up")
		_, err := end.ns.Output("ethtool", "-K", end.n, "tx", "off", "tso", "off", "gso", "off", "gro", "off")
		l.note(err)
	}
}

// IP runs ip(8) in the namespace.
func (n *NS) IP(args ...string) {
	n.lab.note(run("ip", append([]string{"-n", n.Name}, args...)...))
}

// Addr gives an interface an address; IPv6 ones without duplicate address detection.
func (n *NS) Addr(ifname, prefix string) {
	if strings.Contains(prefix, ":") {
		n.IP("-6", "addr", "add", prefix, "dev", ifname, "nodad")
		return
	}
	n.IP("addr", "add", prefix, "dev", ifname)
}

// Default sets the default route of the gateway's family.
func (n *NS) Default(gateway string) {
	fam := "-4"
	if strings.Contains(gateway, ":") {
		fam = "-6"
	}
	n.IP(fam, "route", "add", "default", "via", gateway)
}

// Sysctl sets a kernel variable in the namespace.
func (n *NS) Sysctl(name, value string) {
	_, err := n.Output("sysctl", "-q", "-w", name+"="+value)
	n.lab.note(err)
}

// Command prepares a command that runs in the namespace.
func (n *NS) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	// nsenter, not `ip netns exec`: the latter has a mount namespace of its own, in which namespaces that the program makes stay hidden.
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=/run/netns/" + n.Name, name}, args...)...)
}

// Output runs a command in the namespace to its end and returns its standard output and error together.
func (n *NS) Output(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), CommandTimeout)
	defer cancel()
	return output(n.Command(ctx, name, args...))
}

// Start starts a command in the namespace; it ends with the lab.
func (n *NS) Start(name string, args ...string) (*Proc, error) {
	return n.lab.start(n.Command(context.Background(), name, args...), filepath.Base(name))
}

func output(cmd *exec.Cmd) (string, error) {
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), err
}

func run(name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), CommandTimeout)
	defer cancel()
	_, err := output(exec.CommandContext(ctx, name, args...))
	return err
}

// slow is how many times longer things may take than they do on a machine of one's own.
const slow = 6

// Eventually calls f until it returns nil, or has not for much longer than it should take; then it returns the last error.
func Eventually(timeout time.Duration, f func() error) error {
	timeout *= slow
	deadline := time.Now().Add(timeout)
	for {
		err := f()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v: %w", timeout, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// children returns the pids of a process' children.
func children(pid int) []int {
	var pids []int
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if err != nil {
			continue
		}
		for _, f := range strings.Fields(string(b)) {
			if p, err := strconv.Atoi(f); err == nil {
				pids = append(pids, p)
			}
		}
	}
	return pids
}
