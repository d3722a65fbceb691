package bgp

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

var labSeq atomic.Int32

// lab is a set of namespaces with links between them.
type lab struct {
	t    *testing.T
	name string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	t.Parallel()
	return &lab{t: t, name: fmt.Sprintf("mrbgp%d-%d-", os.Getpid(), labSeq.Add(1))}
}

func (l *lab) ns(n string) string { return l.name + n }

func (l *lab) run(args ...string) string {
	l.t.Helper()
	b, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, b)
	}
	return string(b)
}

func (l *lab) in(n string, args ...string) string {
	l.t.Helper()
	return l.run(append([]string{"ip", "netns", "exec", l.ns(n)}, args...)...)
}

func (l *lab) add(names ...string) {
	l.t.Helper()
	for _, n := range names {
		l.run("ip", "netns", "add", l.ns(n))
		l.t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", l.ns(n)).Run() })
		l.in(n, "ip", "link", "set", "lo", "up")
		l.in(n, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0",
			"net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	}
}

// link joins interface aIf of a with bIf of b and gives them addresses.
func (l *lab) link(a, aIf string, aAddrs []string, b, bIf string, bAddrs []string) {
	l.t.Helper()
	l.run("ip", "-n", l.ns(a), "link", "add", aIf, "type", "veth", "peer", "name", bIf, "netns", l.ns(b))
	for _, e := range []struct {
		ns, dev string
		addrs   []string
	}{{a, aIf, aAddrs}, {b, bIf, bAddrs}} {
		for _, x := range e.addrs {
			args := []string{"ip", "-n", l.ns(e.ns), "addr", "add", x, "dev", e.dev}
			if strings.Contains(x, ":") {
				args = append(args, "nodad")
			}
			l.run(args...)
		}
		l.run("ip", "-n", l.ns(e.ns), "link", "set", e.dev, "up")
	}
}

// frr is zebra and bgpd in a namespace.
type frr struct {
	l    *lab
	ns   string
	dir  string
	cmds []*exec.Cmd
}

const frrDir = "/usr/lib/frr"

func (l *lab) frr(n, config string) *frr {
	l.t.Helper()
	if _, err := os.Stat(filepath.Join(frrDir, "bgpd")); err != nil {
		l.t.Skip("needs FRR's bgpd")
	}
	// FRR's sockets need a short path.
	dir, err := os.MkdirTemp("", "mrfrr")
	if err != nil {
		l.t.Fatal(err)
	}
	f := &frr{l: l, ns: n, dir: dir}
	f.write("zebra.conf", "hostname "+n+"\n")
	f.write("bgpd.conf", "hostname "+n+"\nlog file "+dir+"/bgpd.log\n"+config)
	l.t.Cleanup(func() {
		f.stop()
		if l.t.Failed() {
			if b, err := os.ReadFile(dir + "/bgpd.log"); err == nil {
				l.t.Logf("bgpd in %s:\n%s", n, tail(string(b), 3000))
			}
		}
		os.RemoveAll(dir)
	})
	// The daemons drop to this user.
	l.run("chown", "-R", "frr:frr", dir)
	f.start()
	return f
}

func (f *frr) write(name, text string) {
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o644); err != nil {
		f.l.t.Fatal(err)
	}
}

func (f *frr) daemon(name string, args ...string) {
	f.l.t.Helper()
	args = append([]string{"netns", "exec", f.l.ns(f.ns), filepath.Join(frrDir, name),
		"-f", filepath.Join(f.dir, name+".conf"), "-i", filepath.Join(f.dir, name+".pid"),
		"-z", filepath.Join(f.dir, "zserv"), "--vty_socket", f.dir, "-A", "127.0.0.1", "-P", "0"}, args...)
	cmd := exec.Command("ip", args...)
	if err := cmd.Start(); err != nil {
		f.l.t.Fatal(err)
	}
	f.cmds = append(f.cmds, cmd)
	waitFor(f.l.t, name, func() error {
		_, err := os.Stat(filepath.Join(f.dir, name+".vty"))
		return err
	})
}

func (f *frr) start() {
	f.l.t.Helper()
	f.daemon("zebra")
	f.daemon("bgpd")
}

// stop kills both daemons as a crash does.
func (f *frr) stop() {
	for _, c := range f.cmds {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	f.cmds = nil
	for _, n := range []string{"zebra.vty", "bgpd.vty", "zserv"} {
		os.Remove(filepath.Join(f.dir, n))
	}
}

func (f *frr) vtysh(cmds ...string) string {
	f.l.t.Helper()
	out, err := f.ask(cmds...)
	if err != nil {
		f.l.t.Fatal(err)
	}
	return out
}

func (f *frr) ask(cmds ...string) (string, error) {
	args := []string{"--vty_socket", f.dir}
	for _, c := range cmds {
		args = append(args, "-c", c)
	}
	out, err := exec.Command("vtysh", args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("vtysh %v: %w\n%s", cmds, err, out)
	}
	return string(out), err
}

// has waits until the output of a command has (or lacks, for a text beginning with "!") all texts.
func (f *frr) has(cmd string, texts ...string) {
	f.l.t.Helper()
	waitFor(f.l.t, "FRR: "+cmd, func() error {
		out, err := f.ask(cmd)
		if err != nil {
			return err
		}
		return hasTexts(out, texts)
	})
}

func hasTexts(out string, texts []string) error {
	for _, x := range texts {
		want := !strings.HasPrefix(x, "!")
		if strings.Contains(out, strings.TrimPrefix(x, "!")) != want {
			return fmt.Errorf("%q in\n%s", x, out)
		}
	}
	return nil
}

// bird is BIRD in a namespace.
type bird struct {
	l   *lab
	dir string
	ns  string
	cmd *exec.Cmd
}

const birdPath = "/usr/sbin/bird"

func (l *lab) bird(n, config string) *bird {
	l.t.Helper()
	if _, err := os.Stat(birdPath); err != nil {
		l.t.Skip("needs BIRD")
	}
	dir, err := os.MkdirTemp("", "mrbird")
	if err != nil {
		l.t.Fatal(err)
	}
	b := &bird{l: l, dir: dir, ns: n}
	if err := os.WriteFile(dir+"/conf", []byte("log \""+dir+"/log\" all;\n"+config), 0o644); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		b.kill()
		if l.t.Failed() {
			if x, err := os.ReadFile(dir + "/log"); err == nil {
				l.t.Logf("bird in %s:\n%s", n, tail(string(x), 3000))
			}
		}
		os.RemoveAll(dir)
	})
	b.start()
	return b
}

func (b *bird) start(flags ...string) {
	b.l.t.Helper()
	args := append([]string{"netns", "exec", b.l.ns(b.ns), birdPath, "-f", "-c", b.dir + "/conf", "-s", b.dir + "/ctl",
		"-P", b.dir + "/pid"}, flags...)
	b.cmd = exec.Command("ip", args...)
	if err := b.cmd.Start(); err != nil {
		b.l.t.Fatal(err)
	}
	waitFor(b.l.t, "bird", func() error {
		_, err := os.Stat(b.dir + "/ctl")
		return err
	})
}

func (b *bird) kill() {
	if b.cmd != nil {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
		b.cmd = nil
	}
	os.Remove(b.dir + "/ctl")
}

func (b *bird) birdc(args ...string) string {
	b.l.t.Helper()
	out, err := b.ask(args...)
	if err != nil {
		b.l.t.Fatal(err)
	}
	return out
}

func (b *bird) ask(args ...string) (string, error) {
	out, err := exec.Command("/usr/sbin/birdc", append([]string{"-s", b.dir + "/ctl"}, args...)...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("birdc %v: %w\n%s", args, err, out)
	}
	return string(out), err
}

func (b *bird) has(cmd string, texts ...string) {
	b.l.t.Helper()
	waitFor(b.l.t, "BIRD: "+cmd, func() error {
		// BIRD also answers "network not found" with an error.
		out, err := b.ask(strings.Fields(cmd)...)
		if err != nil {
			return err
		}
		return hasTexts(out, texts)
	})
}

// checkRaces fails the test for data races in this package. GoBGP has some of its own, which are not ours to mend.
func checkRaces(t *testing.T, log string) {
	t.Helper()
	for _, rep := range strings.Split(log, "WARNING: DATA RACE")[1:] {
		if end := strings.Index(rep, "=================="); end >= 0 {
			rep = rep[:end]
		}
		for _, access := range strings.Split(rep, "\n\n")[:2] {
			lines := strings.Split(strings.TrimSpace(access), "\n")
			if len(lines) > 1 && strings.Contains(lines[1], "millrace/routing/bgp.") {
				t.Errorf("data race:%s", rep)
				break
			}
		}
	}
}

// edit changes the configuration file of BIRD.
func (b *bird) edit(old, text string) {
	b.l.t.Helper()
	conf, err := os.ReadFile(b.dir + "/conf")
	if err == nil {
		err = os.WriteFile(b.dir+"/conf", []byte(strings.Replace(string(conf), old, text, 1)), 0o644)
	}
	if err != nil {
		b.l.t.Fatal(err)
	}
}
