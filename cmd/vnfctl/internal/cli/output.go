package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
	"sigs.k8s.io/yaml"
)

// list prints items as they come: rows of a table, or elements of one JSON or YAML list.
type list struct {
	a    *app
	w    *tabwriter.Writer
	rows int
	// A list of events is endless: one JSON object a line, rows at once.
	stream bool
	widths []int
}

// newList begins a list; the table has these columns.
func (a *app) newList(columns ...string) *list {
	l := &list{a: a}
	if a.format == "table" {
		l.w = tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
		fmt.Fprintln(l.w, strings.Join(columns, "\t"))
	}
	return l
}

// newStream begins an endless list, whose columns have fixed widths.
func (a *app) newStream(columns []string, widths []int) *list {
	l := &list{a: a, stream: true, widths: widths}
	if a.format == "table" {
		l.line(columns)
	}
	return l
}

func (l *list) line(cells []string) {
	var b strings.Builder
	for i, c := range cells {
		if i == len(cells)-1 {
			b.WriteString(c)
			break
		}
		width := 0
		if i < len(l.widths) {
			width = l.widths[i]
		}
		fmt.Fprintf(&b, "%-*s  ", width, c)
	}
	fmt.Fprintln(l.a.out, strings.TrimRight(b.String(), " "))
}

// add prints one item; cells are its row.
func (l *list) add(m proto.Message, cells ...string) error {
	for i, c := range cells {
		if c == "" {
			cells[i] = "-"
		}
	}
	switch {
	case l.a.format == "table" && l.stream:
		l.line(cells)
	case l.a.format == "table":
		fmt.Fprintln(l.w, strings.Join(cells, "\t"))
	case l.stream && l.a.format == "json":
		b, err := marshal(m, false)
		if err != nil {
			return err
		}
		fmt.Fprintf(l.a.out, "%s\n", b)
	case l.a.format == "json":
		b, err := marshal(m, true)
		if err != nil {
			return err
		}
		open := ",\n"
		if l.rows == 0 {
			open = "[\n"
		}
		fmt.Fprintf(l.a.out, "%s  %s", open, bytes.ReplaceAll(b, []byte("\n"), []byte("\n  ")))
	default:
		b, err := toYAML(m)
		if err != nil {
			return err
		}
		fmt.Fprintf(l.a.out, "- %s\n", bytes.ReplaceAll(bytes.TrimSpace(b), []byte("\n"), []byte("\n  ")))
	}
	l.rows++
	return nil
}

// flush prints the rows so far, so that long lists begin to show at once.
func (l *list) flush() {
	if l.w != nil {
		l.w.Flush()
	}
}

// end closes the list.
func (l *list) end() error {
	switch {
	case l.stream:
	case l.a.format == "json" && l.rows == 0:
		fmt.Fprintln(l.a.out, "[]")
	case l.a.format == "json":
		fmt.Fprintln(l.a.out, "\n]")
	case l.a.format == "yaml" && l.rows == 0:
		fmt.Fprintln(l.a.out, "[]")
	case l.w != nil:
		return l.w.Flush()
	}
	return nil
}

// show prints one message: for programs as it is, for people by the function.
func (a *app) show(m proto.Message, people func(w io.Writer) error) error {
	switch a.format {
	case "json":
		b, err := marshal(m, true)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.out, "%s\n", b)
		return err
	case "yaml":
		b, err := toYAML(m)
		if err != nil {
			return err
		}
		_, err = a.out.Write(b)
		return err
	}
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	if err := people(w); err != nil {
		return err
	}
	return w.Flush()
}

// done says in a word that something was done; programs get the answer itself.
func (a *app) done(m proto.Message, format string, args ...any) error {
	return a.show(m, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		return err
	})
}

// marshal writes JSON with a layout that stays the same, which protojson does not promise.
func marshal(m proto.Message, indent bool) ([]byte, error) {
	b, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write the answer: %w", err)
	}
	var out bytes.Buffer
	if indent {
		err = json.Indent(&out, b, "", "  ")
	} else {
		err = json.Compact(&out, b)
	}
	return out.Bytes(), err
}

func toYAML(m proto.Message) ([]byte, error) {
	b, err := marshal(m, false)
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(b)
}

// short is a value of an enum for people: INTERFACE_KIND_PORT is "port".
func short(e protoreflect.Enum) string {
	v := e.Descriptor().Values().ByNumber(e.Number())
	if v == nil {
		return fmt.Sprint(e.Number())
	}
	name := strings.TrimPrefix(string(v.Name()), enumPrefix(e))
	if name == "UNSPECIFIED" {
		return ""
	}
	return strings.ReplaceAll(strings.ToLower(name), "_", "-")
}

func enumPrefix(e protoreflect.Enum) string {
	var b strings.Builder
	for i, r := range string(e.Descriptor().Name()) {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String() + "_"
}

// words lists what parseEnum takes.
func words(e protoreflect.Enum) []string {
	var out []string
	vs := e.Descriptor().Values()
	for i := range vs.Len() {
		name := strings.TrimPrefix(string(vs.Get(i).Name()), enumPrefix(e))
		if name != "UNSPECIFIED" {
			out = append(out, strings.ReplaceAll(strings.ToLower(name), "_", "-"))
		}
	}
	return out
}

// parseEnum reads what short wrote; empty is the unspecified value.
func parseEnum[E protoreflect.Enum](flag, s string) (E, error) {
	var zero E
	if s == "" {
		return zero, nil
	}
	want := enumPrefix(zero) + strings.ReplaceAll(strings.ToUpper(s), "-", "_")
	v := zero.Descriptor().Values().ByName(protoreflect.Name(want))
	if v == nil {
		return zero, usagef("--%s: %q is none of %s", flag, s, strings.Join(words(zero), ", "))
	}
	return zero.Type().New(v.Number()).(E), nil
}

// since is an age for people.
func since(t *timestamppb.Timestamp, now time.Time) string {
	if t == nil {
		return ""
	}
	return age(now.Sub(t.AsTime()))
}

func age(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

func clock(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Local().Format("15:04:05.000")
}

// count is a number with a unit of thousands: 12.3k, 4.56M.
func count(n float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= u.size {
			return fmt.Sprintf("%.3g%s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%.0f", n)
}

// size is bytes for people.
func size(n uint64) string {
	for _, u := range []struct {
		size uint64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.size), u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

// field prints a line of a description, unless there is nothing to say.
func field(w io.Writer, name, value string) {
	if value != "" {
		fmt.Fprintf(w, "%s:\t%s\n", name, value)
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
