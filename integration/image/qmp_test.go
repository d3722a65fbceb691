package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// qmp is a client of QEMU's machine protocol.
type qmp struct {
	conn net.Conn
	mu   sync.Mutex
	dec  *json.Decoder
	// resets counts how often the guest has reset the machine.
	resets int
}

type qmpMessage struct {
	Return json.RawMessage `json:"return"`
	Event  string          `json:"event"`
	Error  *struct {
		Class, Desc string
	} `json:"error"`
}

func dialQMP(path string) (*qmp, error) {
	c, err := net.DialTimeout("unix", path, 5*time.Second)
	if err != nil {
		return nil, err
	}
	q := &qmp{conn: c, dec: json.NewDecoder(c)}
	var greeting json.RawMessage
	if err := q.dec.Decode(&greeting); err != nil {
		_ = c.Close()
		return nil, err
	}
	if _, err := q.do("qmp_capabilities", nil); err != nil {
		_ = c.Close()
		return nil, err
	}
	return q, nil
}

// do executes a command and returns its answer.
func (q *qmp) do(command string, arguments any) (json.RawMessage, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := map[string]any{"execute": command}
	if arguments != nil {
		m["arguments"] = arguments
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	if err := q.conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	if _, err := q.conn.Write(append(b, '\n')); err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	for {
		var a qmpMessage
		if err := q.dec.Decode(&a); err != nil {
			return nil, fmt.Errorf("%s: %w", command, err)
		}
		switch {
		case a.Error != nil:
			return nil, fmt.Errorf("%s: %s", command, a.Error.Desc)
		case a.Event == "RESET":
			q.resets++
		case a.Event != "":
		default:
			return a.Return, nil
		}
	}
}

// guestResets is how often the guest has reset the machine until now.
func (q *qmp) guestResets() (int, error) {
	// Events wait in the socket before the answer.
	if _, err := q.do("query-status", nil); err != nil {
		return 0, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.resets, nil
}

var errStillRuns = errors.New("the machine still runs")
