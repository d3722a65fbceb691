package main

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"millrace/appliance/agent"
	"millrace/control"
	"millrace/internal/sdnotify"
)

func newAgent() *cobra.Command {
	var c common
	var who string
	var idle time.Duration
	machine := agent.NewMachine()
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Do for a control plane that is not root what needs root",
		Long: "Open listeners in the network namespace it is started in, set the hostname, start the machine or the data plane anew, reset the\n" +
			"appliance, read its journal: for root and one other user, over the socket that systemd hands over under the name agent, or the one\n" +
			"in the runtime directory. It ends when there was nothing to do for a while.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, _, err := c.logger(os.Stderr)
			if err != nil {
				return err
			}
			uid, gid, err := lookUp(who)
			if err != nil {
				return fmt.Errorf("--user: %w", err)
			}
			inherited, err := control.InheritedListeners()
			if err != nil {
				return err
			}
			l, ok := inherited["agent"].(*net.UnixListener)
			if !ok {
				if l, err = agent.Open(c.runtimeDir, gid); err != nil {
					return err
				}
			}
			tell, err := sdnotify.New(os.Getenv)
			if err != nil {
				log.Warn("the supervisor is not told", "error", err)
			}
			defer tell.Close()
			s := agent.NewServer(agent.Options{Machine: machine, Users: []uint32{uid}, Idle: idle, Logger: log, Tell: tell})
			err = s.Serve(cmd.Context(), l)
			_ = tell.Send(sdnotify.Stopping)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.runtimeDir, "runtime-dir", "/run/millrace", "directory of the socket, if none is handed over")
	f.StringVar(&c.logLevel, "log-level", "", "debug, info, warn or error")
	f.StringVar(&c.logFormat, "log-format", "text", "text or json")
	f.StringVar(&who, "user", "millrace", "user who may ask beside root, by name or number")
	f.StringVar(&machine.Systemctl, "systemctl", machine.Systemctl, "program that starts and ends units")
	f.StringVar(&machine.Journalctl, "journalctl", machine.Journalctl, "program that reads the journal")
	f.StringVar(&machine.HostnameFile, "hostname-file", machine.HostnameFile, "file that the hostname is kept in")
	f.DurationVar(&idle, "idle", 30*time.Second, "end when there was nothing to do for so long; 0: never")
	return cmd
}

// lookUp finds the numbers of a user and of its group.
func lookUp(name string) (uid uint32, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		n, e := strconv.ParseUint(name, 10, 32)
		if e != nil {
			return 0, 0, err
		}
		// Its group is that of the same number, if it is nobody's.
		if u, e = user.LookupId(name); e != nil {
			return uint32(n), int(n), nil
		}
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, 0, fmt.Errorf("user %s has no number: %w", name, err)
	}
	gid, err = strconv.Atoi(u.Gid)
	return uint32(n), gid, err
}
