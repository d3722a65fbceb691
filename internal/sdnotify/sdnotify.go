// Package sdnotify tells a supervisor in the manner of systemd (sd_notify(3)) how the program is.
package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// What a supervisor is told.
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	Alive    = "WATCHDOG=1"
)

// Status is a line for who asks the supervisor how the program is.
func Status(format string, args ...any) string {
	return "STATUS=" + strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")
}

// Notifier talks to the supervisor. One that is nil has none, and all its methods do nothing.
type Notifier struct {
	conn     *net.UnixConn
	watchdog time.Duration
}

// New connects to the supervisor that the environment tells of (NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID); nil if there is none.
func New(getenv func(string) string) (*Notifier, error) {
	name := getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil, nil
	}
	if len(name) < 2 || name[0] != '/' && name[0] != '@' {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %q is neither a path nor an abstract name", name)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	n := &Notifier{conn: conn}
	// It may be meant for another process, whose environment we have.
	if pid := getenv("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
		if us, err := strconv.ParseUint(getenv("WATCHDOG_USEC"), 10, 62); err == nil {
			n.watchdog = time.Duration(min(us, uint64(time.Hour/time.Microsecond))) * time.Microsecond
		}
	}
	return n, nil
}

// Watchdog is within what time the supervisor wants to hear Alive, an hour at most; 0: it does not.
func (n *Notifier) Watchdog() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog
}

// Send tells the supervisor.
func (n *Notifier) Send(states ...string) error {
	if n == nil {
		return nil
	}
	if err := n.conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := n.conn.Write([]byte(strings.Join(states, "\n"))); err != nil {
		return fmt.Errorf("tell the supervisor: %w", err)
	}
	return nil
}

// Close ends the connection.
func (n *Notifier) Close() error {
	if n == nil {
		return nil
	}
	return n.conn.Close()
}
