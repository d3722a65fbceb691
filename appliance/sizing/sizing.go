// Package sizing decides what the data plane of an appliance gets of its machine: hugepages, workers and their CPUs, and how large
// the tables are; and brings the machine to it at boot, without a reboot.
//
// Compute is a pure function of a Machine, which Detect reads. Apply reserves the hugepages and keeps everything else off the
// workers' CPUs. The outcome is a Sizing, kept in the file Path for those who start the data plane and for those who ask.
package sizing

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Path is where the appliance's boot leaves the sizing of the machine.
const Path = "/run/millrace/sizing.json"

// Limits of vnf-dataplane, which Compute keeps to and Validate holds a file against.
const (
	MaxWorkers = 32
	minMbufs   = 1024
	maxMbufs   = 16777216
	minTable   = 1024
	maxRoutes  = 16777216
	maxObjects = 1048576
	minTBL8    = 16
	maxTBL8v4  = 4194304
	maxTBL8v6  = 41943040
)

// Sizing is what the data plane gets of a machine. A count of zero leaves that to vnf-dataplane's own default.
type Sizing struct {
	// VCPUs and MemoryMiB are the machine's: CPUs online, and memory the kernel has to give.
	VCPUs     int `json:"vcpus"`
	MemoryMiB int `json:"memory-mib"`
	// Hugepages2M is how many pages of 2 MiB are reserved for the data plane; 0: it does without.
	Hugepages2M int `json:"hugepages-2m"`
	// HugepageNode is the NUMA node they are on; -1: wherever.
	HugepageNode int `json:"hugepage-node"`
	// DataplaneMemoryMiB is what the data plane may use for packets and tables, from hugepages or without.
	DataplaneMemoryMiB int `json:"dataplane-memory-mib"`
	// Workers is the number of forwarding threads.
	Workers int `json:"workers"`
	// CPUs are the control thread's and then one for each worker. Empty: not pinned.
	CPUs []int `json:"cpus"`
	// IsolatedCPUs run nothing but the data plane; HousekeepingCPUs everything else. Together they are all.
	IsolatedCPUs     []int `json:"isolated-cpus"`
	HousekeepingCPUs []int `json:"housekeeping-cpus"`
	// Sizes of the default network instance's tables, as vnf-dataplane's options of these names.
	IPv4Routes uint32 `json:"ipv4-routes"`
	IPv6Routes uint32 `json:"ipv6-routes"`
	IPv4TBL8   uint32 `json:"ipv4-tbl8"`
	IPv6TBL8   uint32 `json:"ipv6-tbl8"`
	NextHops   uint32 `json:"next-hops"`
	Groups     uint32 `json:"groups"`
	// Mbufs is the number of packet buffers, MbufSize the data room of one in bytes.
	Mbufs    uint32 `json:"mbufs"`
	MbufSize uint32 `json:"mbuf-size"`
	// NetworkInstances is for how many further instances of default size there is memory.
	NetworkInstances int `json:"network-instances"`
	// Notes say what is less than it could be, and why; for people.
	Notes []string `json:"notes,omitempty"`
}

// ControlShared says that the control thread has its CPU together with the rest of the machine.
func (s *Sizing) ControlShared() bool {
	return len(s.CPUs) > 0 && slices.Contains(s.HousekeepingCPUs, s.CPUs[0])
}

// Validate tells of the first value that vnf-dataplane would not take.
func (s *Sizing) Validate() error {
	between := func(name string, v, low, high int64) error {
		if v != 0 && (v < low || v > high) {
			return fmt.Errorf("%s: %d is not from %d to %d", name, v, low, high)
		}
		return nil
	}
	if s.Workers < 0 || s.Hugepages2M < 0 || s.DataplaneMemoryMiB < 0 {
		return errors.New("workers, hugepages-2m and dataplane-memory-mib: not to be negative")
	}
	if n := len(s.CPUs); n != 0 && n != s.Workers+1 {
		return fmt.Errorf("cpus: %d CPUs for %d workers, %d are needed", n, s.Workers, s.Workers+1)
	}
	for _, list := range [][]int{s.CPUs, s.IsolatedCPUs, s.HousekeepingCPUs} {
		for _, c := range list {
			if c < 0 || c > 4095 {
				return fmt.Errorf("cpus: %d is not from 0 to 4095", c)
			}
		}
	}
	return errors.Join(
		between("workers", int64(s.Workers), 1, MaxWorkers),
		between("dataplane-memory-mib", int64(s.DataplaneMemoryMiB), 64, 1048576),
		between("ipv4-routes", int64(s.IPv4Routes), minTable, maxRoutes),
		between("ipv6-routes", int64(s.IPv6Routes), minTable, maxRoutes),
		between("ipv4-tbl8", int64(s.IPv4TBL8), minTBL8, maxTBL8v4),
		between("ipv6-tbl8", int64(s.IPv6TBL8), minTBL8, maxTBL8v6),
		between("next-hops", int64(s.NextHops), minTable, maxObjects),
		between("groups", int64(s.Groups), minTable, maxObjects),
		between("mbufs", int64(s.Mbufs), minMbufs, maxMbufs),
		between("mbuf-size", int64(s.MbufSize), 1664, 65535),
	)
}

// Load reads the file of a sizing. Its error is fs.ErrNotExist where there is none: the machine was not sized.
func Load(path string) (*Sizing, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, fmt.Errorf("read the sizing: %w", err)
	}
	s := new(Sizing)
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("sizing %s: %w", path, err)
	}
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("sizing %s: %w", path, err)
	}
	return s, nil
}

// Save writes the file of a sizing, whole or not at all, readable by everyone.
func (s *Sizing) Save(path string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the sizing: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".sizing-*")
	if err != nil {
		return fmt.Errorf("write the sizing: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write the sizing: %w", err)
	}
	return nil
}
