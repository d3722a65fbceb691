package boot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// marker is the file that says to which instance the box was set up.
const marker = "instance-id"

// nobody stands in it for a box that no platform told anything.
const nobody = "-"

// first says whether this is the first boot of an instance: the first at all, or that of a copy, which has another name. A platform that has
// nothing to say any more, such as one whose disk was taken away, changes nothing.
func (m *Machine) first(o *outlook) bool {
	b, err := os.ReadFile(m.path(stateDir, marker))
	if err != nil {
		return true
	}
	was := strings.TrimSpace(string(b))
	return o.in.ID != "" && was != o.in.ID && was != ""
}

// firstBoot gives a new instance its configuration and certificates. It is done when the marker is written: what was interrupted is done again.
func (m *Machine) firstBoot(o *outlook) error {
	if err := m.saveNICs(o); err != nil {
		return err
	}
	if !m.first(o) {
		o.Configuration, o.Certificates = "kept", "kept"
		return nil
	}
	if err := m.certificates(o); err != nil {
		return err
	}
	if err := m.configuration(o); err != nil {
		return err
	}
	id := o.in.ID
	if id == "" {
		id = nobody
	}
	_, err := writeFile(m.path(stateDir, marker), []byte(id+"\n"), 0o644)
	return err
}

// configuration writes the file that the control plane begins with.
func (m *Machine) configuration(o *outlook) error {
	if o.day0.Config == nil && m.configured() {
		o.Configuration = "kept"
		return nil
	}
	nics := o.nics.Data()
	doc, err := firstConfig(o.day0.Config, nics, o.plan)
	if err == nil {
		err = m.tryConfig(doc)
	}
	o.Configuration = "user-data"
	if o.day0.Config == nil {
		o.Configuration = "nics"
	}
	if err != nil && o.day0.Config != nil {
		o.Add("millrace.config", "is not taken, the box has its NICs only: %v", err)
		o.Configuration = "nics"
		doc, err = firstConfig(nil, nics, o.plan)
		if err == nil {
			err = m.tryConfig(doc)
		}
	}
	if err != nil {
		// What the platform says of addresses can contradict itself.
		o.Add("network", "the NICs' addresses are not taken: %v", err)
		if doc, err = firstConfig(nil, nics, nil); err != nil {
			return err
		}
	}
	path := m.path(startup)
	if _, err := writeFile(path, doc, 0o640); err != nil {
		return err
	}
	return m.Owner(path, true)
}

// configured says whether there is a configuration that was not made by us of cards alone.
func (m *Machine) configured() bool {
	if found, _ := filepath.Glob(m.path(vnfState, "commits", "*")); len(found) > 0 {
		return true
	}
	b, err := os.ReadFile(m.path(startup))
	if err != nil {
		return false
	}
	for line := range bytes.Lines(b) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && string(line) != "{}" && string(line) != "---" {
			return true
		}
	}
	return false
}

// tryConfig has the file checked as the control plane checks it.
func (m *Machine) tryConfig(doc []byte) error {
	dir, err := os.MkdirTemp(m.path(stateDir), "check-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "startup.yaml")
	if err := os.WriteFile(path, doc, 0o600); err != nil {
		return err
	}
	if err := m.Check(path); err != nil {
		// The operator knows of no such file.
		return errors.New(strings.TrimPrefix(strings.ReplaceAll(err.Error(), path+":\n", ""), path+": "))
	}
	return nil
}

// writeEnv tells the control plane how others call the box.
func (m *Machine) writeEnv(o *outlook) error {
	hosts := o.in.Addresses
	if n := o.nics.Management(); n != nil {
		if l, _ := o.plan.Link(n.MAC, n.Netdev); l.MAC != "" {
			for _, a := range l.Addresses {
				hosts = append(hosts, a.Addr().String())
			}
		}
		hosts = append(hosts, m.addresses(n.Netdev)...)
	}
	seen := map[string]bool{}
	var all []string
	for _, h := range hosts {
		if !seen[h] && len(all) < 32 {
			seen[h], all = true, append(all, h)
		}
	}
	_, err := writeFile(m.path(runDir, "vnf.env"), fmt.Appendf(nil, "VNF_TLS_HOSTS=%s\n", strings.Join(all, ",")), 0o644)
	return err
}

// exists says whether a path is there.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
