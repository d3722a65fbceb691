package control

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	gnoiserver "millrace/server/gnoi"
)

// machine is what gNOI may do to the machine: nil where there is no agent that does it.
func (d *daemon) machine() gnoiserver.Machine {
	if d.agent == nil {
		return nil // and not a nil pointer in an interface that is not nil
	}
	return d.agent
}

// signal sends a signal to a process of the appliance. With an agent, that is the one who may send one to the data plane.
func (d *daemon) signal(pid, sig int) error {
	s := syscall.Signal(sig)
	if d.agent == nil || pid == os.Getpid() {
		return syscall.Kill(pid, s)
	}
	name := strings.TrimPrefix(unix.SignalName(s), "SIG")
	if name == "" {
		return fmt.Errorf("%d is no signal", sig)
	}
	return d.agent.SignalDataplane(context.Background(), name)
}
