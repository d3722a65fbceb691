package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// lab is vnf with two ports, a host on each, and everything in namespaces of its own.
type lab struct {
	t         *testing.T
	dir, name string
	vnf       *exec.Cmd
	ended     chan struct{}
	mu        sync.Mutex
	log       strings.Builder
}

func (l *lab) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(b)
}

func (l *lab) logged() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.String()
}

func (l *lab) ns(n string) string { return l.name + n }

func (l *lab) run(line string, args ...any) string {
	l.t.Helper()
	f := strings.Fields(fmt.Sprintf(line, args...))
	b, err := exec.Command(f[0], f[1:]...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", strings.Join(f, " "), err, b)
	}
	return string(b)
}

func dataplaneBinary(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	for _, p := range []string{os.Getenv("VNF_DATAPLANE"), "../../build/vnf-dataplane", "../../build/dataplane/vnf-dataplane"} {
		if st, err := os.Stat(p); p != "" && err == nil && st.Mode().IsRegular() {
			abs, err := filepath.Abs(p)
			if err != nil {
				t.Fatal(err)
			}
			return abs
		}
	}
	t.Skip("needs a built vnf-dataplane (VNF_DATAPLANE)")
	return ""
}

const labConfig = `
system:
  metrics-listen: 127.0.0.1:9273
  grpc-listen: none
  dataplane: {hugepages: false, ipv4-routes: 4096, ipv6-routes: 4096, exception-netns: NAMEx}
interfaces:
  - {name: eth1, type: port, iface: NAME1, addresses: [192.0.2.1/24, "2001:db8:1::1/64"]}
  - {name: eth2, type: port, iface: NAME2, addresses: [198.51.100.1/24, "2001:db8:2::1/64"]}
  - {name: lo0, type: loopback, addresses: [203.0.113.1/32]}
network-instances:
  - name: default
    static-routes:
      - {prefix: 10.0.0.0/8, next-hops: [{address: 198.51.100.10}]}
`

func newLab(t *testing.T, config string) *lab {
	dataplane := dataplaneBinary(t)
	l := &lab{t: t, dir: t.TempDir(), name: fmt.Sprintf("vt%d", os.Getpid()%100000), ended: make(chan struct{})}
	bin := filepath.Join(l.dir, "vnf")
	l.run("go build -o %s .", bin)
	for _, n := range []string{"v", "a", "b"} {
		l.run("ip netns add %s", l.ns(n))
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", l.ns(n)).Run() })
		l.run("ip -n %s link set lo up", l.ns(n))
	}
	for i, h := range []string{"a", "b"} {
		l.run("ip link add %s%d netns %s type veth peer name eth0 netns %s", l.name, i+1, l.ns("v"), l.ns(h))
		l.run("ip -n %s link set %s%d up", l.ns("v"), l.name, i+1)
		l.run("ip -n %s link set eth0 up", l.ns(h))
		l.run("ip netns exec %s ethtool -K eth0 tx off rx off gro off", l.ns(h))
	}
	for _, c := range []string{
		"a addr add 192.0.2.10/24 dev eth0", "b addr add 198.51.100.10/24 dev eth0", "b addr add 10.1.1.1/32 dev lo",
		"a addr add 2001:db8:1::10/64 dev eth0 nodad", "b addr add 2001:db8:2::10/64 dev eth0 nodad",
		"a route add default via 192.0.2.1", "b route add default via 198.51.100.1",
		"a -6 route add default via 2001:db8:1::1", "b -6 route add default via 2001:db8:2::1",
	} {
		l.run("ip -n %s%s", l.name, c)
	}
	l.configure(config)
	// Not through `ip netns exec`: that has mounts of its own, where the namespace of the exception path would be seen by nobody else.
	l.vnf = exec.Command("nsenter", "--net=/run/netns/"+l.ns("v"), bin, "run", "--config", l.dir+"/c.yaml", "--runtime-dir", l.dir+"/run",
		"--state-dir", l.dir+"/state", "--dataplane", dataplane)
	l.vnf.Stdout, l.vnf.Stderr = l, l
	l.vnf.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := l.vnf.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(l.ended); _ = l.vnf.Wait() }()
	t.Cleanup(func() {
		_ = l.vnf.Process.Signal(syscall.SIGTERM)
		select {
		case <-l.ended:
		case <-time.After(patience):
			_ = l.vnf.Process.Kill()
			<-l.ended
		}
		if t.Failed() {
			t.Log(l.logged())
		}
	})
	return l
}

func (l *lab) configure(text string) {
	l.t.Helper()
	text = strings.ReplaceAll(text, "NAME", l.name)
	if err := os.WriteFile(l.dir+"/c.yaml", []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// reload applies a file and waits for the word about it.
func (l *lab) reload(text, word string) {
	l.t.Helper()
	l.configure(text)
	before := strings.Count(l.logged(), word)
	if err := l.vnf.Process.Signal(syscall.SIGHUP); err != nil {
		l.t.Fatal(err)
	}
	l.eventually(word, func() bool { return strings.Count(l.logged(), word) > before })
}

// patience is how long is waited for what has to come: much longer than it takes.
const patience = 2 * time.Minute

func (l *lab) eventually(what string, ok func() bool) {
	l.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func (l *lab) pings(host, to string) bool {
	return exec.Command("ip", "netns", "exec", l.ns(host), "ping", "-c", "1", "-W", "1", "-q", to).Run() == nil
}

func (l *lab) reaches(host string, addresses ...string) {
	l.t.Helper()
	for _, a := range addresses {
		l.eventually(host+" reaches "+a, func() bool { return l.pings(host, a) })
	}
}

// pid finds the latest process of a name in the log.
func (l *lab) pid(process string) int {
	l.t.Helper()
	m := regexp.MustCompile(`process started" process=`+process+` pid=(\d+)`).FindAllStringSubmatch(l.logged(), -1)
	if len(m) == 0 {
		l.t.Fatalf("%s was not started", process)
	}
	pid, _ := strconv.Atoi(m[len(m)-1][1])
	return pid
}

var lossLine = regexp.MustCompile(`xmt/rcv/%loss = (\d+)/(\d+)/`)

// loss sends packets all the while that something happens, and returns how many were lost.
func (l *lab) loss(to string, during func()) (sent, lost int) {
	l.t.Helper()
	// ping(8) waits for the last answers hardly longer than for those before, fping two seconds for each.
	cmd := exec.Command("ip", "netns", "exec", l.ns("a"), "fping", "-q", "-c", "6000", "-i", "1", "-p", "1", "-t", "2000", to)
	var out strings.Builder
	cmd.Stderr = &out // where its sums go
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	time.Sleep(time.Second)
	during()
	_ = cmd.Wait()
	m := lossLine.FindStringSubmatch(out.String())
	if m == nil {
		l.t.Fatalf("fping: %s", out.String())
	}
	sent, _ = strconv.Atoi(m[1])
	got, _ := strconv.Atoi(m[2])
	return sent, sent - got
}

func TestRun(t *testing.T) {
	l := newLab(t, labConfig)
	l.reaches("a", "192.0.2.1", "198.51.100.10", "2001:db8:2::10", "203.0.113.1", "10.1.1.1")

	t.Run("metrics", func(t *testing.T) {
		l.t = t
		for _, want := range []string{`millrace_dataplane_up 1`, `millrace_interface_up{interface="eth1"} 1`, `millrace_fib_routes{state="programmed"} 1`} {
			l.eventually(want, func() bool {
				var body string
				err := errorIn(l.ns("v"), func() error {
					// Dialled on this thread, which an http.Client would not do.
					c, err := net.Dial("tcp", "127.0.0.1:9273")
					if err != nil {
						return err
					}
					defer c.Close()
					if _, err := io.WriteString(c, "GET /metrics HTTP/1.0\r\n\r\n"); err != nil {
						return err
					}
					b, err := io.ReadAll(c)
					body = string(b)
					return err
				})
				return err == nil && strings.Contains(body, want+"\n")
			})
		}
	})
	t.Run("control killed", func(t *testing.T) {
		l.t = t
		started := strings.Count(l.logged(), "fib: replayed")
		sent, lost := l.loss("10.1.1.1", func() { _ = syscall.Kill(l.pid("control"), syscall.SIGKILL) })
		if lost != 0 {
			t.Errorf("%d of %d packets lost", lost, sent)
		}
		l.eventually("the FIB is replayed", func() bool { return strings.Count(l.logged(), "fib: replayed") > started })
	})
	t.Run("change", func(t *testing.T) {
		l.t = t
		next := strings.Replace(labConfig, "203.0.113.1/32", "203.0.113.2/32", 1)
		next = strings.Replace(next, "network-instances:", "  - {name: eth1.5, type: vlan, parent: eth1, vlan-id: 5, network-instance: red, addresses: [192.0.2.1/24]}\n"+
			"network-instances:\n  - {name: red, ipv4-routes: 1000}", 1)
		sent, lost := l.loss("10.1.1.1", func() { l.reload(next, "configuration applied") })
		if lost != 0 {
			t.Errorf("%d of %d packets lost", lost, sent)
		}
		l.reaches("a", "203.0.113.2")
		if out := l.run("ip -n %s addr show dev eth1.5", l.ns("x-red")); !strings.Contains(out, "192.0.2.1/24") {
			t.Errorf("the sub-interface's TAP has not its address: %s", out)
		}
	})
	t.Run("refused", func(t *testing.T) {
		l.t = t
		next := strings.Replace(labConfig, "203.0.113.1/32", "203.0.113.3/32", 1)
		next = strings.Replace(next, "network-instances:", "  - {name: eth9, type: port, iface: nosuch, addresses: [192.0.9.1/24]}\nnetwork-instances:", 1)
		l.reload(next, "the configuration file is not taken")
		if !strings.Contains(l.logged(), "interfaces[eth9]:") {
			t.Error("the fault is not named")
		}
		l.reaches("a", "203.0.113.2", "10.1.1.1")
		if l.pings("a", "203.0.113.3") {
			t.Error("part of a refused change is in force")
		}
	})
	t.Run("an interface and an instance go", func(t *testing.T) {
		l.t = t
		next := strings.Replace(labConfig, `  - {name: eth2, type: port, iface: NAME2, addresses: [198.51.100.1/24, "2001:db8:2::1/64"]}`+"\n", "", 1)
		l.reload(next, "configuration applied")
		if l.pings("a", "10.1.1.1") {
			t.Error("packets still pass")
		}
		l.reload(labConfig, "configuration applied")
		l.reaches("a", "10.1.1.1", "203.0.113.1")
	})
	t.Run("device removed and back", func(t *testing.T) {
		l.t = t
		l.run("ip -n %s link del %s2", l.ns("v"), l.name)
		l.eventually("the alarm", func() bool { return strings.Contains(l.logged(), "no network device") })
		l.reaches("a", "192.0.2.1", "203.0.113.1")
		l.run("ip link add %s2 netns %s type veth peer name eth0 netns %s", l.name, l.ns("v"), l.ns("b"))
		l.run("ip -n %s link set %s2 up", l.ns("v"), l.name)
		for _, c := range []string{
			"link set eth0 up", "addr add 198.51.100.10/24 dev eth0", "addr add 2001:db8:2::10/64 dev eth0 nodad",
			"route add default via 198.51.100.1", "-6 route add default via 2001:db8:2::1",
		} {
			l.run("ip -n %s %s", l.ns("b"), c)
		}
		l.run("ip netns exec %s ethtool -K eth0 tx off rx off gro off", l.ns("b"))
		l.reaches("a", "198.51.100.10", "2001:db8:2::10", "10.1.1.1")
	})
	t.Run("data plane killed", func(t *testing.T) {
		l.t = t
		_ = syscall.Kill(l.pid("dataplane"), syscall.SIGKILL)
		l.eventually("it is gone", func() bool { return strings.Contains(l.logged(), "process=dataplane status=\"signal: killed\"") })
		l.reaches("a", "192.0.2.1", "198.51.100.10", "2001:db8:2::10", "203.0.113.1", "10.1.1.1")
	})
	t.Run("end", func(t *testing.T) {
		l.t = t
		_ = l.vnf.Process.Signal(syscall.SIGTERM)
		select {
		case <-l.ended:
		case <-time.After(patience):
			t.Fatal("vnf run does not end")
		}
		if _, err := os.Stat("/run/netns/" + l.ns("x")); err == nil {
			t.Error("the network namespace is still there")
		}
		if l.vnf.ProcessState.ExitCode() != 0 {
			t.Error(l.vnf.ProcessState)
		}
	})
	l.t = t
}

func TestDataplaneThatDoesNotStart(t *testing.T) {
	dataplane := dataplaneBinary(t)
	dir := t.TempDir()
	bin := filepath.Join(dir, "vnf")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	conf := filepath.Join(dir, "c.yaml")
	text := "system: {grpc-listen: none, metrics-listen: none, dataplane: {hugepages: false, exception-netns: none}}\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(bin, "run", "-c", conf, "--runtime-dir", dir, "--state-dir", dir, "--dataplane", dataplane,
		"--dataplane-args", "--workers none").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "does not start") || !strings.Contains(string(out), "--workers") {
		t.Errorf("%v\n%s", err, out)
	}
}

// errorIn calls f in a network namespace, on a thread that is thrown away.
func errorIn(ns string, f func() error) error {
	result := make(chan error, 1)
	go func() {
		lockThread()
		result <- inNetns(ns, f)
	}()
	return <-result
}
