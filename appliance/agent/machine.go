package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Units of the appliance, by the names that systemd has for them.
const (
	dataplaneUnit = "vnf-dataplane.service"
	resetUnit     = "vnf-reset.service"
	rebootUnit    = "reboot.target"
)

// journalUnits are those whose journal is of interest.
var journalUnits = []string{
	"vnf.service", dataplaneUnit, "vnf-agent.service", "millrace-netns.service", "vnf-boot.service", "vnf-mgmt.service", "vnf-console.service", resetUnit,
}

// commandPatience is how long a command may take.
const commandPatience = 45 * time.Second

// Machine is what the agent works on.
type Machine struct {
	// Systemctl and Journalctl are the programs' paths.
	Systemctl, Journalctl string
	// HostnameFile is what the hostname is read from at boot.
	HostnameFile string
	// SetHostname sets that of the kernel.
	SetHostname func(name string) error
}

// NewMachine is this machine.
func NewMachine() *Machine {
	return &Machine{
		Systemctl: "/usr/bin/systemctl", Journalctl: "/usr/bin/journalctl", HostnameFile: "/etc/hostname",
		SetHostname: func(name string) error { return unix.Sethostname([]byte(name)) },
	}
}

func (m *Machine) listen(ctx context.Context, address string) (*os.File, string, error) {
	a, err := ParseAddress(address)
	if err != nil {
		return nil, "", err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", a.String())
	if err != nil {
		return nil, "", bad("address", "%v", err)
	}
	defer l.Close() // the copy goes on listening
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return nil, "", fmt.Errorf("copy the socket: %w", err)
	}
	return f, l.Addr().String(), nil
}

func (m *Machine) hostname(name string) error {
	if err := m.SetHostname(name); err != nil {
		return fmt.Errorf("set the hostname: %w", err)
	}
	// In place: the folder belongs to others, and a single short write is whole or not at all.
	if err := os.WriteFile(m.HostnameFile, []byte(name+"\n"), 0o644); err != nil {
		return fmt.Errorf("keep the hostname: %w", err)
	}
	return nil
}

func (m *Machine) reboot(ctx context.Context) error {
	return m.systemctl(ctx, "start", "--no-block", "--job-mode=replace-irreversibly", rebootUnit)
}

func (m *Machine) restartDataplane(ctx context.Context) error {
	return m.systemctl(ctx, "restart", "--no-block", dataplaneUnit)
}

func (m *Machine) signalDataplane(ctx context.Context, signal string) error {
	return m.systemctl(ctx, "kill", "--kill-whom=main", "--signal=SIG"+signal, dataplaneUnit)
}

func (m *Machine) factoryReset(ctx context.Context) error {
	return m.systemctl(ctx, "start", "--no-block", resetUnit)
}

func (m *Machine) systemctl(ctx context.Context, args ...string) error {
	_, err := output(ctx, m.Systemctl, args...)
	return err
}

func (m *Machine) journal(ctx context.Context, lines int) (string, error) {
	args := []string{"--quiet", "--no-pager", "--output=short-iso-precise", "--lines=" + strconv.Itoa(lines)}
	for _, u := range journalUnits {
		args = append(args, "--unit="+u)
	}
	b, err := output(ctx, m.Journalctl, args...)
	if err != nil {
		return "", err
	}
	return latest(b, MaxAnswer/2), nil
}

// latest is the end of a text, from the begin of a line, that takes no more than so many bytes as JSON.
func latest(b []byte, most int) string {
	size, start := 0, 0
	for i, c := range slices.Backward(b) {
		switch {
		case c == '"' || c == '\\' || c == '\n' || c == '\t':
			size += 2
		case c < ' ' || c == '<' || c == '>' || c == '&' || c >= 0x7f:
			size += 6
		default:
			size++
		}
		if size > most {
			start = i + 1
			break
		}
	}
	if start > 0 {
		_, rest, _ := bytes.Cut(b[start:], []byte("\n"))
		return string(rest)
	}
	return string(b)
}

// output runs a command. Its error has what the command said.
func output(ctx context.Context, path string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, commandPatience)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "SYSTEMD_COLORS=0"}
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), err)
		}
		said := strings.Join(strings.Fields(errs.String()), " ")
		return nil, fmt.Errorf("%s %s: %w: %s", path, args[0], err, said[:min(len(said), 500)])
	}
	return out.Bytes(), nil
}
