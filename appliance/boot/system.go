package boot

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"time"

	"millrace/appliance/cloud"
	"millrace/appliance/nic"
	"millrace/appliance/report"
	"millrace/appliance/sizing"
	"millrace/control"
	"millrace/preflight"
)

// Account is the control plane's user and group.
const Account = "millrace"

// runPatience bounds one call of a program.
const runPatience = 30 * time.Second

// New is this machine.
func New(log *slog.Logger) *Machine {
	m := &Machine{
		Root: "/", Log: log, Mount: cloud.MountReadOnly("/run"), Bind: nic.Driverctl, Run: run, Owner: owner, Patience: 10 * time.Second,
		Check: func(path string) error {
			empty, err := os.MkdirTemp("", "millrace-check-")
			if err != nil {
				return err
			}
			defer func() { _ = os.RemoveAll(empty) }()
			_, err = control.PreviewConfig(path, empty)
			return err
		},
	}
	m.Size = func(ctx context.Context, data []nic.NIC) (bool, error) {
		o := sizing.Options{Logger: log}
		for _, n := range data {
			o.Ports = append(o.Ports, sizing.Port{MTU: int(n.MTU), Node: n.Node, Kernel: n.Kernel()})
		}
		s, err := sizing.Apply(ctx, o)
		if err != nil {
			return m.hugepages(), err
		}
		return s.Hugepages2M > 0, nil
	}
	return m
}

func run(ctx context.Context, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, runPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// owner gives a path to the control plane's user, or to root with that group.
func owner(path string, root bool) error {
	u, err := user.Lookup(Account)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	if root {
		uid = 0
	}
	return os.Lchown(path, uid, gid)
}

// checkCPU says what the processor lacks: without it the data plane ends at once.
func (m *Machine) checkCPU(r *report.Report) {
	res := preflight.New(m.Root).CPU()
	if res.Level != preflight.Fail {
		return
	}
	r.CPU = res.Found
	r.Add("", "THIS PROCESSOR CANNOT RUN THE DATA PLANE: %s. Nothing is forwarded. Give the machine a CPU model of Nehalem or newer (x86-64-v2): "+
		"OpenStack: [libvirt] cpu_mode = host-model in nova.conf; libvirt: <cpu mode='host-model'/>; QEMU: -cpu host, or -cpu Nehalem", res.Found)
}
