// Package nic finds the machine's network cards, says what each is for and what it is called, and hands those of the data plane over to it.
//
// What it came to is in a file in the runtime directory: the control plane reads there what `nic=NAME` in the configuration means, so that a
// configuration names cards as the platform does and not by addresses, which may change from one boot to the next.
package nic

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// Role says who uses a card.
type Role string

// The roles.
const (
	Management Role = "management"
	Data       Role = "data"
)

// FileName is the name of the file below the runtime directory.
const FileName = "nics.json"

// maxFile bounds the file; a card takes about 300 bytes.
const maxFile = 1 << 20

// NIC is a network card.
type NIC struct {
	// Name is what the platform calls it, or we do: the name of its interface in the data plane.
	Name string `json:"name"`
	Role Role   `json:"role"`
	// MAC is as in "fa:16:3e:00:00:01"; empty if it was bound to a user-space driver before anyone looked.
	MAC string `json:"mac,omitempty"`
	// PCI is as in "0000:00:05.0".
	PCI string `json:"pci"`
	// Netdev is the kernel's network device; empty when the kernel has none of it.
	Netdev string `json:"netdev,omitempty"`
	// Driver is what it is bound to now, KernelDriver what it was bound to before us.
	Driver       string `json:"driver,omitempty"`
	KernelDriver string `json:"kernel-driver,omitempty"`
	// PMD is DPDK's driver for it; empty: none is known.
	PMD string `json:"pmd,omitempty"`
	// Bifurcated says that DPDK's driver leaves it bound to the kernel's.
	Bifurcated bool `json:"bifurcated,omitempty"`
	// MTU in bytes, as the platform tells it; 0: it does not.
	MTU  uint32   `json:"mtu,omitempty"`
	Tags []string `json:"tags,omitempty"`
	// Node is the NUMA node of its slot; -1: not known.
	Node int `json:"numa-node"`
	// Problem says why it is not as it should be.
	Problem string `json:"problem,omitempty"`

	vendor, device string
	// group says that it is in an IOMMU group, intx that it has an interrupt pin, platform that it is of virtio and goes by the IOMMU.
	group, intx, virtio, platform bool
}

// File is what there is.
type File struct {
	// IOVAMode is how DPDK has to address memory for these cards: "pa" if one is bound by UIO, else "va"; empty: as it likes.
	IOVAMode string `json:"iova-mode,omitempty"`
	NICs     []NIC  `json:"nics"`
}

// ErrUnknown says that there is no card of that name.
var ErrUnknown = errors.New("there is no such NIC")

// Load reads the file of a runtime directory. Without one there are no cards.
func Load(dir string) (*File, error) {
	path := filepath.Join(dir, FileName)
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &File{}, nil
	case err != nil:
		return nil, err
	case st.Size() > maxFile:
		return nil, fmt.Errorf("%s: %d bytes, at most %d are allowed", path, st.Size(), maxFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &File{}
	if err := json.Unmarshal(b, f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// Save writes the file of a runtime directory, whole or not at all. Everyone may read it: there are no secrets in it.
func (f *File) Save(dir string) error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	// A name that nobody could have made a link of: others may write to the directory.
	t, err := os.CreateTemp(dir, ".nics-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(t.Name()) }()
	_, err = t.Write(append(b, '\n'))
	if err = errors.Join(err, t.Chmod(0o644), t.Close()); err != nil {
		return err
	}
	return os.Rename(t.Name(), filepath.Join(dir, FileName))
}

// Data lists the cards of the data plane.
func (f *File) Data() []NIC {
	return slices.DeleteFunc(slices.Clone(f.NICs), func(n NIC) bool { return n.Role != Data })
}

// Management is the card that the box is managed by; nil: there is none.
func (f *File) Management() *NIC {
	if i := slices.IndexFunc(f.NICs, func(n NIC) bool { return n.Role == Management }); i >= 0 {
		return &f.NICs[i]
	}
	return nil
}

// Device is what the data plane calls the card of that name: its PCI address where a driver of DPDK has it, else its network device by
// packet sockets, which works with any.
func (f *File) Device(name string) (string, error) {
	i := slices.IndexFunc(f.NICs, func(n NIC) bool { return n.Name == name && n.Role == Data })
	if i < 0 {
		var names []string
		for _, n := range f.Data() {
			names = append(names, n.Name)
		}
		if len(names) == 0 {
			return "", fmt.Errorf("%w as %s: none was named for the data plane when this machine booted", ErrUnknown, name)
		}
		return "", fmt.Errorf("%w as %s: the machine has %q", ErrUnknown, name, names)
	}
	n := &f.NICs[i]
	switch {
	case n.Bifurcated || slices.Contains(userDrivers, n.Driver):
		return n.PCI, nil
	case n.Netdev != "":
		return "iface=" + n.Netdev + ",driver=af_packet", nil
	}
	return "", fmt.Errorf("the NIC %s at %s cannot be used: %s", name, n.PCI, cmp.Or(n.Problem, "no driver has it"))
}

// validName is what an interface of the data plane can be called.
var validName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,14}$`)

// reserved are names that an interface cannot have.
var reserved = []string{"lo", "all", "default"}

// ValidName says whether a card and its interface can be called so.
func ValidName(name string) bool {
	return validName.MatchString(name) && !slices.Contains(reserved, name)
}
