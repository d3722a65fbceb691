package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strings"
)

// Socket is the name of the agent's socket in the runtime directory.
const Socket = "agent.sock"

// Limits of messages.
const (
	// MaxRequest is the longest request in bytes, its newline included.
	MaxRequest = 4096
	// MaxAnswer is the longest answer in bytes, its newline included.
	MaxAnswer = 8 << 20
	// MaxLines is how many lines of the journal can be asked for.
	MaxLines = 20000
	// maxReason is the longest reason of a reboot in bytes.
	maxReason = 1024
	// maxHostname is what Linux has room for.
	maxHostname = 64
)

// Op is what the agent is asked to do.
type Op string

// All of them.
const (
	Listen           Op = "listen"
	Hostname         Op = "hostname"
	Reboot           Op = "reboot"
	RestartDataplane Op = "restart-dataplane"
	SignalDataplane  Op = "signal-dataplane"
	FactoryReset     Op = "factory-reset"
	Journal          Op = "journal"
)

// fields are those that each operation has beside "op".
var fields = map[Op][]string{
	Listen: {"address"}, Hostname: {"name"}, Reboot: {"reason"}, RestartDataplane: nil, SignalDataplane: {"signal"}, FactoryReset: nil, Journal: {"lines"},
}

// signals are those that the data plane can be sent.
var signals = map[string]bool{"TERM": true, "KILL": true, "ABRT": true}

// Request is what a client sends.
type Request struct {
	Op Op `json:"op"`
	// Address is that to listen on: an IP address or nothing, and a port from 1 to 65535.
	Address string `json:"address,omitempty"`
	// Name is the hostname: labels of letters, digits and inner hyphens (RFC 1123 section 2.1), 64 bytes at most.
	Name string `json:"name,omitempty"`
	// Reason of a reboot, for the log; may be empty.
	Reason string `json:"reason,omitempty"`
	// Signal is TERM, KILL or ABRT.
	Signal string `json:"signal,omitempty"`
	// Lines is how many of the journal are wanted, the latest, 1 to MaxLines.
	Lines int `json:"lines,omitempty"`
}

// answer is what the agent sends.
type answer struct {
	// Error: nothing was done.
	Error *Error `json:"error,omitempty"`
	// Address is that of the listener whose descriptor comes along.
	Address string `json:"address,omitempty"`
	// Text is that of the journal.
	Text string `json:"text,omitempty"`
}

// Error is why the agent did not do what it was asked to.
type Error struct {
	// Field of the request that is at fault; empty: the request is in order.
	Field  string `json:"field,omitempty"`
	Reason string `json:"reason"`
}

func (e *Error) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return e.Field + ": " + e.Reason
}

func bad(field, format string, args ...any) error {
	return &Error{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// ParseRequest reads a request and checks all of it. Its errors are *Error.
func ParseRequest(b []byte) (Request, error) {
	var r Request
	if len(b) > MaxRequest {
		return r, bad("", "a request has %d bytes at most", MaxRequest)
	}
	given := map[string]json.RawMessage{}
	if err := json.Unmarshal(b, &given); err != nil {
		return r, bad("", "no JSON object: %v", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		var t *json.UnmarshalTypeError
		if errors.As(err, &t) {
			return Request{}, bad(t.Field, "is to be a %s", t.Type)
		}
		return Request{}, bad("", "%v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Request{}, bad("", "something follows the JSON object")
	}
	if err := r.validate(given); err != nil {
		return Request{}, err
	}
	return r, nil
}

func (r *Request) validate(given map[string]json.RawMessage) error {
	allowed, ok := fields[r.Op]
	if !ok {
		return bad("op", "%q is no operation", r.Op)
	}
	for name := range given {
		if name != "op" && (len(allowed) == 0 || allowed[0] != name) {
			return bad(name, "does not belong to %s", r.Op)
		}
	}
	switch r.Op {
	case Listen:
		_, err := ParseAddress(r.Address)
		return err
	case Hostname:
		return checkHostname(r.Name)
	case Reboot:
		if len(r.Reason) > maxReason {
			return bad("reason", "has %d bytes, %d are possible", len(r.Reason), maxReason)
		}
	case SignalDataplane:
		if !signals[r.Signal] {
			return bad("signal", "%q is none of TERM, KILL, ABRT", r.Signal)
		}
	case Journal:
		if r.Lines < 1 || r.Lines > MaxLines {
			return bad("lines", "%d is not from 1 to %d", r.Lines, MaxLines)
		}
	}
	return nil
}

// ParseAddress reads an address to listen on. Without an IP address it is all of both families.
func ParseAddress(s string) (netip.AddrPort, error) {
	text := s
	if strings.HasPrefix(s, ":") {
		text = "[::]" + s
	}
	a, err := netip.ParseAddrPort(text)
	switch {
	case err != nil:
		return a, bad("address", "%q is no IP address with a port", s)
	case a.Port() == 0:
		return a, bad("address", "0 is no port to listen on")
	case len(a.Addr().Zone()) > 15:
		return a, bad("address", "%q is no name of an interface", a.Addr().Zone())
	}
	return a, nil
}

var label = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`)

func checkHostname(name string) error {
	if name == "" || len(name) > maxHostname {
		return bad("name", "a hostname has 1 to %d bytes, not %d", maxHostname, len(name))
	}
	for l := range strings.SplitSeq(name, ".") {
		if len(l) > 63 || !label.MatchString(l) {
			return bad("name", "%q is no label of a hostname", l)
		}
	}
	return nil
}
