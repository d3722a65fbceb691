package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a request may take if its context does not say.
const patience = time.Minute

// Client asks the agent. Errors of what was asked are *Error. A nil client has no agent.
type Client struct {
	// Path is the agent's socket.
	Path string
}

// ErrNone says that there is no agent on this machine.
var ErrNone = errors.New("there is no agent on this machine")

// Find returns the agent whose socket is in the runtime directory; nil if there is none.
func Find(runtimeDir string) *Client {
	path := filepath.Join(runtimeDir, Socket)
	if st, err := os.Stat(path); err != nil || st.Mode().Type() != os.ModeSocket {
		return nil
	}
	return &Client{Path: path}
}

// Listen opens a TCP listener in the agent's network namespace.
func (c *Client) Listen(ctx context.Context, address string) (net.Listener, error) {
	_, f, err := c.do(ctx, Request{Op: Listen, Address: address})
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, errors.New("the agent sent no descriptor")
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("descriptor of the agent: %w", err)
	}
	return l, nil
}

// Hostname sets the machine's hostname, now and for later boots.
func (c *Client) Hostname(ctx context.Context, name string) error {
	_, err := c.ask(ctx, Request{Op: Hostname, Name: name})
	return err
}

// Reboot has the machine start anew. The reason is for its log.
func (c *Client) Reboot(ctx context.Context, reason string) error {
	_, err := c.ask(ctx, Request{Op: Reboot, Reason: reason[:min(len(reason), maxReason)]})
	return err
}

// RestartDataplane ends the data plane in order and starts it again.
func (c *Client) RestartDataplane(ctx context.Context) error {
	_, err := c.ask(ctx, Request{Op: RestartDataplane})
	return err
}

// SignalDataplane sends TERM, KILL or ABRT to the data plane, which is started again when it ends.
func (c *Client) SignalDataplane(ctx context.Context, signal string) error {
	_, err := c.ask(ctx, Request{Op: SignalDataplane, Signal: signal})
	return err
}

// FactoryReset has all forgotten that the appliance was told, and the machine started anew.
func (c *Client) FactoryReset(ctx context.Context) error {
	_, err := c.ask(ctx, Request{Op: FactoryReset})
	return err
}

// Journal returns the latest lines of the journal of the appliance's units, 1 to MaxLines.
func (c *Client) Journal(ctx context.Context, lines int) (string, error) {
	return c.ask(ctx, Request{Op: Journal, Lines: lines})
}

func (c *Client) ask(ctx context.Context, r Request) (string, error) {
	a, f, err := c.do(ctx, r)
	if f != nil {
		_ = f.Close()
	}
	return a.Text, err
}

// do sends a request and waits for the answer.
func (c *Client) do(ctx context.Context, r Request) (answer, *os.File, error) {
	if c == nil {
		return answer{}, nil, ErrNone
	}
	b, err := json.Marshal(r)
	if err != nil {
		return answer{}, nil, err
	}
	if _, err := ParseRequest(b); err != nil {
		return answer{}, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	nc, err := new(net.Dialer).DialContext(ctx, "unix", c.Path)
	if err != nil {
		return answer{}, nil, fmt.Errorf("agent: %w", err)
	}
	defer nc.Close()
	// A context that ends ends what waits below.
	defer context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })()
	a, f, err := exchange(nc.(*net.UnixConn), append(b, '\n'))
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return a, f, fmt.Errorf("agent: %s: %w", r.Op, err)
	}
	if a.Error != nil {
		if f != nil {
			_ = f.Close()
		}
		return answer{}, nil, a.Error
	}
	return a, f, nil
}

func exchange(nc *net.UnixConn, request []byte) (a answer, f *os.File, err error) {
	if _, err := nc.Write(request); err != nil {
		return a, nil, err
	}
	defer func() {
		if err != nil && f != nil {
			_ = f.Close()
			f = nil
		}
	}()
	// The descriptor comes with the first bytes.
	first, oob := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4*4))
	n, oobn, flags, _, err := nc.ReadMsgUnix(first, oob)
	if err != nil {
		return a, nil, err
	}
	if f, err = descriptor(oob[:oobn]); err != nil {
		return a, nil, err
	}
	if flags&unix.MSG_CTRUNC != 0 {
		return a, f, errors.New("more descriptors than one")
	}
	r := bufio.NewReader(io.LimitReader(io.MultiReader(bytes.NewReader(first[:n]), nc), MaxAnswer))
	line, err := r.ReadBytes('\n')
	if err != nil {
		return a, f, fmt.Errorf("the answer is cut off: %w", err)
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return a, f, fmt.Errorf("the answer: %w", err)
	}
	return a, f, nil
}

// descriptor takes the one descriptor out of control messages; nil if there is none.
func descriptor(oob []byte) (*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("control message: %w", err)
	}
	var all []int
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err == nil {
			all = append(all, fds...)
		}
	}
	for _, fd := range all {
		unix.CloseOnExec(fd)
	}
	if len(all) != 1 {
		for _, fd := range all {
			_ = unix.Close(fd)
		}
		return nil, fmt.Errorf("%d descriptors came, not one", len(all))
	}
	return os.NewFile(uintptr(all[0]), "agent"), nil
}
