package image

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/internal/lab"
)

// bootPatience is for a whole boot under emulation on a busy machine, patience for what a running guest does.
const (
	bootPatience = 600 * time.Second
	patience     = 180 * time.Second
)

// nic is a NIC of a guest; its other end is eth0 of a namespace.
type nic struct {
	ns     *lab.NS
	mac    string
	queues int
}

type vmOptions struct {
	nics []nic
	// cdrom is the path of an ISO 9660 file, if there is to be one.
	cdrom string
	cpu   string
	uefi  bool
	iommu bool
	// openstack has the firmware say that this is a guest of Nova.
	openstack bool
	memory    int
}

// vm is a guest booted of the image.
type vm struct {
	t       *testing.T
	dir     string
	opt     vmOptions
	console string
	shell   *shell

	cmd    *exec.Cmd
	qmp    *qmp
	ended  chan struct{}
	errs   bytes.Buffer
	booted time.Time
}

// imageFile is the image under test; without one the test is skipped.
func imageFile(t *testing.T) string {
	t.Helper()
	f := os.Getenv("MILLRACE_IMAGE")
	if f == "" {
		t.Skip("MILLRACE_IMAGE names no image: make test-image")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes network namespaces")
	}
	f, err := filepath.Abs(f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f); err != nil {
		t.Fatal(err)
	}
	return f
}

// newVM prepares a guest with a disk of its own over the image.
func newVM(t *testing.T, l *lab.Lab, opt vmOptions) *vm {
	t.Helper()
	v := &vm{t: t, dir: filepath.Join(l.Dir, "vm"), opt: opt}
	v.console = filepath.Join(v.dir, "console.log")
	if err := os.MkdirAll(v.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, "qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", imageFile(t), v.disk())
	if opt.uefi {
		vars, err := os.ReadFile("/usr/share/OVMF/OVMF_VARS_4M.fd")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(v.dir, "vars.fd"), vars, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The cables are there before the machine is switched on, and while it is off.
	for i := range v.opt.nics {
		n := &v.opt.nics[i]
		n.queues = max(n.queues, 1)
		files, err := openTap(n.ns, n.queues)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			_ = f.Close()
		}
		n.ns.IP("link", "set", "eth0", "up")
	}
	t.Cleanup(func() {
		if t.Failed() {
			v.saveLogs()
		}
		v.kill()
	})
	return v
}

// step is a subtest: what fails in it says so under its name, and the next one is tried.
func (v *vm) step(name string, f func()) bool {
	outer := v.t
	defer func() { v.t = outer }()
	return outer.Run(name, func(t *testing.T) {
		v.t = t
		t.Cleanup(func() {
			if t.Failed() {
				v.saveLogs()
			}
		})
		began := time.Now()
		f()
		t.Logf("%.0f s", time.Since(began).Seconds())
	})
}

func (v *vm) disk() string { return filepath.Join(v.dir, "disk.qcow2") }

func (v *vm) arguments() []string {
	o := v.opt
	cpu, memory := o.cpu, o.memory
	if cpu == "" {
		cpu = "max"
	}
	if memory == 0 {
		memory = 2048
	}
	virtio, machine := "", "q35"
	var args []string
	if o.iommu {
		virtio, machine = ",iommu_platform=on,disable-legacy=on,ats=on", "q35,kernel-irqchip=split"
		args = append(args, "-device", "intel-iommu,intremap=on,caching-mode=on,device-iotlb=on")
	}
	args = append(args,
		"-nodefaults", "-accel", "tcg,thread=multi", "-cpu", cpu, "-M", machine, "-smp", "2", "-m", strconv.Itoa(memory),
		"-display", "none", "-vga", "std", "-serial", "file:"+v.console, "-qmp", "unix:"+v.dir+"/qmp.sock,server=on,wait=off",
		"-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci"+virtio,
		"-drive", "if=none,id=disk,format=qcow2,cache=unsafe,file="+v.disk(), "-device", "virtio-blk-pci,drive=disk,bootindex=1"+virtio,
	)
	if o.uefi {
		args = append(args, "-drive", "if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
			"-drive", "if=pflash,format=raw,unit=1,file="+v.dir+"/vars.fd")
	}
	if o.openstack {
		args = append(args, "-smbios", "type=1,manufacturer=OpenStack Foundation,product=OpenStack Nova,version=27.0.0")
	}
	if o.cdrom != "" {
		args = append(args, "-drive", "if=none,id=seed,format=raw,media=cdrom,readonly=on,file="+o.cdrom, "-device", "ide-cd,drive=seed")
	}
	// A root port for each NIC, as libvirt has it: each is a group of its own for an IOMMU.
	fd := 3
	for i, n := range o.nics {
		var fds []string
		for range n.queues {
			fds = append(fds, strconv.Itoa(fd))
			fd++
		}
		device := fmt.Sprintf("virtio-net-pci,netdev=net%d,mac=%s,bus=rp%d,romfile=%s", i, n.mac, i, virtio)
		netdev := fmt.Sprintf("tap,id=net%d,vhost=off,fd=%s", i, fds[0])
		if n.queues > 1 {
			device += fmt.Sprintf(",mq=on,vectors=%d", 2*n.queues+2)
			netdev = fmt.Sprintf("tap,id=net%d,vhost=off,fds=%s", i, strings.Join(fds, ":"))
		}
		args = append(args, "-device", fmt.Sprintf("pcie-root-port,id=rp%d,chassis=%d", i, i+1), "-netdev", netdev, "-device", device)
	}
	return args
}

// start switches the machine on.
func (v *vm) start() {
	v.t.Helper()
	var files []*os.File
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	for _, n := range v.opt.nics {
		fs, err := openTap(n.ns, n.queues)
		if err != nil {
			v.t.Fatal(err)
		}
		files = append(files, fs...)
	}
	cmd := exec.Command("nice", append([]string{"qemu-system-x86_64"}, v.arguments()...)...)
	cmd.ExtraFiles = files
	cmd.Stdout, cmd.Stderr = &v.errs, &v.errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ended, started := make(chan struct{}), make(chan error, 1)
	go func() {
		// It dies with the thread that started it, which therefore waits here.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		v.t.Fatal(err)
	}
	v.cmd, v.ended, v.booted = cmd, ended, time.Now()
	v.eventually("QEMU's monitor", 30*time.Second, func() (err error) {
		v.qmp, err = dialQMP(v.dir + "/qmp.sock")
		return err
	})
}

func (v *vm) running() bool {
	if v.cmd == nil {
		return false
	}
	select {
	case <-v.ended:
		return false
	default:
		return true
	}
}

// kill switches the machine off as a power cut does.
func (v *vm) kill() {
	if v.cmd == nil {
		return
	}
	if v.qmp != nil {
		_ = v.qmp.conn.Close()
	}
	_ = v.cmd.Process.Kill()
	<-v.ended
	v.cmd, v.qmp = nil, nil
}

// off presses the power button and waits until the machine is off.
func (v *vm) off() {
	v.t.Helper()
	if _, err := v.qmp.do("system_powerdown", nil); err != nil {
		v.t.Fatal(err)
	}
	select {
	case <-v.ended:
	case <-time.After(patience):
		v.fatalf("the power button: %v", errStillRuns)
	}
	v.cmd, v.qmp = nil, nil
}

// rebooted waits until the guest has reset the machine more than so many times.
func (v *vm) rebooted(before int) {
	v.t.Helper()
	v.eventually("a reset of the machine", patience, func() error {
		n, err := v.qmp.guestResets()
		if err == nil && n <= before {
			err = fmt.Errorf("%d resets", n)
		}
		return err
	})
	v.booted = time.Now()
}

// said is what the console has shown so far.
func (v *vm) said() string {
	b, _ := os.ReadFile(v.console)
	return string(b)
}

// fatalf ends the test, with the end of the console.
func (v *vm) fatalf(format string, args ...any) {
	v.t.Helper()
	v.t.Fatalf("%s\nThe console's end:\n%s", fmt.Sprintf(format, args...), tail(v.said(), 3000))
}

// eventually waits for a condition, and ends the test when it does not come or the machine ends.
func (v *vm) eventually(what string, timeout time.Duration, f func() error) {
	v.t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		err := f()
		if err == nil {
			return
		}
		if !v.running() {
			v.fatalf("the machine ended while the test waited for %s: %s", what, v.errs.String())
		}
		if time.Now().After(deadline) {
			v.fatalf("%s: not within %v: %v", what, timeout, err)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// saveLogs keeps what may tell why a test failed, beside the image.
func (v *vm) saveLogs() {
	dir := filepath.Join(filepath.Dir(os.Getenv("MILLRACE_IMAGE")), "test-logs", strings.ReplaceAll(v.t.Name(), "/", "-"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		v.t.Log(err)
		return
	}
	_ = os.WriteFile(filepath.Join(dir, "console.log"), []byte(v.said()), 0o600)
	_ = os.WriteFile(filepath.Join(dir, "qemu.log"), v.errs.Bytes(), 0o600)
	if v.running() && v.shell != nil {
		for name, c := range map[string]string{
			"journal.log":    "journalctl --no-pager -b -o short-monotonic",
			"cloud-init.log": "cat /var/log/cloud-init.log",
			"units.log":      "systemctl --no-pager --failed; systemctl --no-pager status 'vnf*' 'millrace*'; cat /run/millrace/*.json /run/millrace/*.env; ip address; ip -n millrace address",
		} {
			out, err := v.shell.run(c)
			if err != nil {
				out += err.Error()
			}
			_ = os.WriteFile(filepath.Join(dir, name), []byte(out), 0o600)
		}
	}
	v.t.Logf("logs are in %s", dir)
}

// shell is a login to the guest, for looking around in it.
type shell struct {
	ns                 *lab.NS
	user, host, idFile string
}

func (s *shell) args(command string) []string {
	return []string{
		"-i", s.idFile, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "LogLevel=ERROR", "-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=6", s.user + "@" + s.host, command,
	}
}

// run runs a line of shell as root, and returns its output.
func (s *shell) run(line string) (string, error) { return s.feed(line, nil) }

// feed runs a line of shell as root with an input.
func (s *shell) feed(line string, in io.Reader) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	quoted := "'" + strings.ReplaceAll(line, "'", `'\''`) + "'"
	cmd := s.ns.Command(ctx, "ssh", s.args("sudo sh -c "+quoted)...)
	var errs bytes.Buffer
	cmd.Stdin, cmd.Stderr = in, &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("in the guest, %s: %w\n%s%s", line, err, out, errs.String())
	}
	return string(out), err
}

// sh runs a line of shell in the guest as root, which has to succeed.
func (v *vm) sh(line string) string {
	v.t.Helper()
	out, err := v.shell.run(line)
	if err != nil {
		v.fatalf("%v", err)
	}
	return strings.TrimSpace(out)
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lab.CommandTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
