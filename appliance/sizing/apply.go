package sizing

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// Options are of Apply.
type Options struct {
	// Root is where /proc and /sys are; empty: "/".
	Root string
	// File is where the sizing is left; empty: Path; "-": nowhere.
	File string
	// Ports are the data NICs.
	Ports []Port
	// Systemctl runs systemctl with arguments; nil: the one in PATH.
	Systemctl func(ctx context.Context, args ...string) error
	Logger    *slog.Logger
	// wrote, in tests, is the kernel that looks at what was written to a file of it.
	wrote func(path string)
}

// Apply sizes this machine and brings it to that: reserves the hugepages, keeps everything else off the workers' CPUs, and leaves the
// file. What can't be done makes the sizing smaller or is told in its notes; an error means that there is no sizing at all, and that
// vnf-dataplane starts by its own defaults. It can be done again at any time, with the data plane running too.
func Apply(ctx context.Context, o Options) (*Sizing, error) {
	if o.Root == "" {
		o.Root = "/"
	}
	if o.File == "" {
		o.File = Path
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Systemctl == nil {
		o.Systemctl = systemctl
	}
	m, err := Detect(o.Root)
	if err != nil {
		return nil, err
	}
	m.Ports = o.Ports
	sys := system{o.Root, o.wrote}
	s := Compute(m)
	if want := s.Hugepages2M; want > 0 {
		got, err := sys.reserve(ctx, s.HugepageNode, want)
		if err != nil {
			o.Logger.Warn("hugepages", "error", err)
		}
		if got < want {
			m.HugepagesMax = got
			s = Compute(m)
			s.note("%d hugepages of 2 MiB could be had of the %d that the tables of this machine's size take; restart it to have all", got, want)
			// What is too few to be used, or beyond the smaller tables, goes back.
			if _, err := sys.reserve(ctx, s.HugepageNode, s.Hugepages2M); err != nil {
				o.Logger.Warn("hugepages", "error", err)
			}
		}
	}
	for _, fault := range sys.isolate(ctx, s, o.Systemctl) {
		s.note("%s", fault)
	}
	for _, n := range s.Notes {
		o.Logger.Warn("sizing", "note", n)
	}
	o.Logger.Info("the machine is sized", "vcpus", s.VCPUs, "memory-mib", s.MemoryMiB, "hugepages", s.Hugepages2M, "workers", s.Workers,
		"cpus", fmt.Sprint(s.CPUs), "isolated", FormatCPUs(s.IsolatedCPUs), "ipv4-routes", s.IPv4Routes, "mbufs", s.Mbufs)
	if o.File != "-" {
		if err := s.Save(o.File); err != nil {
			return s, err
		}
	}
	return s, nil
}

// system is the kernel's files below a root.
type system struct {
	root  string
	wrote func(path string)
}

func (y system) path(p string) string { return filepath.Join(y.root, p) }

func (y system) read(p string) (string, error) {
	b, err := os.ReadFile(y.path(p))
	return strings.TrimSpace(string(b)), err
}

// write writes a file that is there: the kernel's are never made by us.
func (y system) write(p, text string) error {
	f, err := os.OpenFile(y.path(p), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if e := f.Close(); err == nil {
		err = e
	}
	if y.wrote != nil {
		y.wrote(p)
	}
	return err
}

func (y system) exists(p string) bool {
	_, err := os.Stat(y.path(p))
	return err == nil
}
