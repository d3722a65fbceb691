// Package preflight looks at a machine and says whether Millrace can run on it, how well, and what would mend what is amiss.
//
// It only reads files below a root directory, /proc and /sys for the most part, and changes nothing.
package preflight

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Level is the weight of a result.
type Level string

// The levels. Fail keeps Millrace from running, or from using the device concerned; Warn costs performance or a feature.
const (
	OK   Level = "ok"
	Info Level = "info"
	Warn Level = "warn"
	Fail Level = "fail"
)

// Result is what one check found.
type Result struct {
	// Check names it, for programs: "hugepages", "nic 0000:00:05.0".
	Check string `json:"check"`
	Level Level  `json:"level"`
	// Found is what is there.
	Found string `json:"found"`
	// Meaning says what that means for the appliance; empty where Found says all.
	Meaning string `json:"meaning,omitempty"`
	// Fix are the commands that mend it, one a line; empty where there is nothing to be mended.
	Fix []string `json:"fix,omitempty"`
}

// Machine is what is looked at.
type Machine struct {
	root string
}

// New looks at the tree below root, "/" for this machine.
func New(root string) *Machine { return &Machine{root} }

// Run makes all checks, in the order of a reader's interest.
func (m *Machine) Run() []Result {
	var all []Result
	for _, check := range []func() []Result{
		m.cpuFlags, m.cpuCount, m.isolation, m.clock, m.memory, m.hugepages, m.iommu, m.vfio, m.nics,
		m.netFeatures, m.capabilities, m.limits,
	} {
		all = append(all, check()...)
	}
	return all
}

// Worst is the highest level of some results.
func Worst(results []Result) Level {
	rank := map[Level]int{OK: 0, Info: 1, Warn: 2, Fail: 3}
	worst := OK
	for _, r := range results {
		if rank[r.Level] > rank[worst] {
			worst = r.Level
		}
	}
	return worst
}

// Write prints results for people.
func Write(w io.Writer, results []Result) error {
	var b strings.Builder
	width := 0
	for _, r := range results {
		width = max(width, len(r.Check))
	}
	indent := strings.Repeat(" ", 6+width+2)
	for _, r := range results {
		fmt.Fprintf(&b, "%-5s %-*s  %s\n", r.Level, width, r.Check, r.Found)
		if r.Meaning != "" {
			fmt.Fprintf(&b, "%s%s\n", indent, r.Meaning)
		}
		for _, f := range r.Fix {
			fmt.Fprintf(&b, "%s→ %s\n", indent, f)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (m *Machine) path(p string) string { return filepath.Join(m.root, p) }

// read returns a file's text without blanks around it; empty if it cannot be read.
func (m *Machine) read(p string) string {
	b, err := os.ReadFile(m.path(p))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (m *Machine) number(p string) (uint64, bool) {
	n, err := strconv.ParseUint(m.read(p), 10, 64)
	return n, err == nil
}

func (m *Machine) exists(p string) bool {
	_, err := os.Lstat(m.path(p))
	return !errors.Is(err, fs.ErrNotExist) && err == nil
}

// glob returns matching paths as they are without the root.
func (m *Machine) glob(p string) []string {
	list, _ := filepath.Glob(m.path(p))
	for i, f := range list {
		list[i] = "/" + strings.TrimPrefix(strings.TrimPrefix(f, filepath.Clean(m.root)), "/")
	}
	return list
}

// link is the last part of what a symbolic link points to; empty if it is none.
func (m *Machine) link(p string) string {
	t, err := os.Readlink(m.path(p))
	if err != nil {
		return ""
	}
	return filepath.Base(t)
}

// field finds "name<sep>value" in a text of lines.
func field(text, name, sep string) string {
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(line, sep); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
