// Package console keeps the text that the appliance's console shows before its login prompt: version, how to get in, and how it is. It looks
// well on a serial line: ASCII, at most 79 columns, no control sequences; and there is always one, also when vnf is down.
package console

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// Width of the text in columns.
const width = 79

// Status is what is to be told.
type Status struct {
	Version, Hostname string
	// Problems of the machine that keep the appliance from working: a processor that is too old.
	Problems []string
	// Management are the addresses to get in by, on the netdev ManagementDevice.
	Management       []netip.Prefix
	ManagementDevice string
	// Port of gRPC and gNMI; 0: nobody listens.
	Port uint16
	// Control is the state of vnf, Dataplane that of vnf-dataplane; anything but Running says in words how they are.
	Control, Dataplane string
	Workers            int
	// Ports are the interfaces of that kind that are switched on, PortsUp those with a link.
	Ports, PortsUp int
	// Sessions of BGP configured, and those that are established.
	Sessions, Established int
	// Alarms, the worst first.
	Alarms []Alarm
	// Machine says what there is, Notes what is less than it could be.
	Machine string
	Notes   []string
}

// Alarm is something wrong.
type Alarm struct{ Severity, Resource, Text string }

// Running is the state of a process that is in order, alone or with more words behind it.
const Running = "running"

const starting = "starting"

// Limits of what is shown; the rest is counted.
const (
	maxAddresses = 4
	maxAlarms    = 4
	maxNotes     = 3
)

// Render writes the text of the file that agetty shows. It depends on nothing but the status.
func Render(s *Status) string {
	var b page
	b.rule()
	b.line("  %s", strings.TrimSpace("Millrace "+s.Version))
	if n := width - 2 - len(s.Hostname) - len(b.last()); n > 0 && s.Hostname != "" {
		b.append(strings.Repeat(" ", n) + s.Hostname)
	} else if s.Hostname != "" {
		b.line("  %s", s.Hostname)
	}
	b.rule()
	for i, p := range s.Problems {
		b.field([]string{"THIS MACHINE", ""}[min(i, 1)], "%s", p)
	}
	b.management(s)
	b.field("Health", "%s", s.health())
	for i, a := range s.Alarms {
		if i == maxAlarms {
			b.field("", "and %d more: vnfctl system alarms", len(s.Alarms)-i)
			break
		}
		b.field("", "%s: %s: %s", a.Severity, a.Resource, a.Text)
	}
	if s.Dataplane == Running {
		b.field("Data plane", "running, %s, %d of %s up", count(s.Workers, "worker"), s.PortsUp, count(s.Ports, "port"))
	} else {
		b.field("Data plane", "%s", s.Dataplane)
	}
	if s.Control == Running {
		if s.Sessions > 0 {
			b.field("BGP", "%d of %s established", s.Established, count(s.Sessions, "session"))
		}
	} else {
		b.field("vnf", "%s", s.Control)
	}
	if s.Machine != "" {
		b.field("Machine", "%s", s.Machine)
	}
	for i, n := range s.Notes {
		if i == maxNotes {
			b.field("", "and %d more: /run/millrace/sizing.json", len(s.Notes)-i)
			break
		}
		b.field("", "%s", n)
	}
	b.connect(s)
	b.WriteByte('\n')
	return b.String()
}

func (b *page) management(s *Status) {
	if len(s.Management) == 0 {
		where := s.ManagementDevice
		if where == "" {
			where = "no network card"
		}
		b.field("Management", "%s: no address (yet)", where)
	}
	for i, a := range s.Management {
		label := ""
		if i == 0 {
			label = "Management"
		}
		if i == maxAddresses {
			b.field(label, "and %d more", len(s.Management)-i)
			break
		}
		if i == 0 && s.ManagementDevice != "" {
			b.field(label, "%s on %s", a, s.ManagementDevice)
		} else {
			b.field(label, "%s", a)
		}
	}
}

func (b *page) connect(s *Status) {
	b.WriteByte('\n')
	if len(s.Management) > 0 {
		a := s.Management[0].Addr()
		if s.Port != 0 {
			b.line("  vnfctl --address %s system info", netip.AddrPortFrom(a, s.Port))
		}
		b.line("  ssh USER@%s", a)
	}
	b.line("  As root here: vnfctl --address unix:/run/millrace/vnf.sock, vnf preflight")
}

// health in a word or two.
func (s *Status) health() string {
	forwards := strings.HasPrefix(s.Dataplane, Running)
	switch {
	case len(s.Problems) > 0:
		return "NOT WORKING: this machine can't run the data plane"
	case s.Control == starting || !forwards && s.Dataplane == starting:
		return "starting"
	case s.Control != Running && !forwards:
		return "NOT WORKING"
	case s.Control != Running:
		return "FORWARDING WITHOUT CONTROL"
	case !forwards:
		return "NOT FORWARDING"
	case len(s.Alarms) > 0:
		return count(len(s.Alarms), "alarm")
	}
	return "OK"
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// page is text of bounded width.
type page struct{ strings.Builder }

func (b *page) rule() { b.WriteString(strings.Repeat("=", width) + "\n") }

func (b *page) last() string {
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	return lines[len(lines)-1]
}

// append adds to the last line.
func (b *page) append(text string) {
	s := strings.TrimSuffix(b.String(), "\n")
	b.Reset()
	b.WriteString(s + clean(text) + "\n")
}

func (b *page) line(format string, args ...any) {
	b.WriteString(cut(clean(fmt.Sprintf(format, args...)), width) + "\n")
}

const labelWidth = 14

// field writes a label and a text beside it, which is broken between words.
func (b *page) field(label, format string, args ...any) {
	room := width - labelWidth - 2
	text := clean(fmt.Sprintf(format, args...))
	for first := true; first || text != ""; first = false {
		part := text
		if len(part) > room {
			at := strings.LastIndexByte(part[:room+1], ' ')
			if at <= 0 {
				at = room
			}
			part = part[:at]
		}
		text = strings.TrimLeft(text[len(part):], " ")
		if !first {
			label = ""
		}
		fmt.Fprintf(b, "  %-*s%s\n", labelWidth, label, escape(part))
	}
}

// clean makes text printable ASCII: what comes from outside must not drive a terminal.
func clean(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r >= ' ' && r < 0x7f:
			b.WriteRune(r)
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case r == '…':
			b.WriteString("...")
		case r == utf8.RuneError || r < ' ' || r == 0x7f:
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}

// escape keeps agetty from taking a backslash as the beginning of something of its own.
func escape(s string) string { return strings.ReplaceAll(s, `\`, `\\`) }

func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return escape(s)
}
