// Package cloud reads what cloud-init found out about this machine, and from the user data what is for the appliance.
//
// It works at two times of the boot: after cloud-init's local stage, when there is instance data if the platform gave a disk, but no user data
// in cloud-init's files yet, so that is read from the disk; and after its network stage, when all is there. None of it is trusted: sizes are
// bounded, and what cannot be understood is told and done without.
package cloud

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Bounds of what is read.
const (
	maxInstanceData = 8 << 20
	maxUserData     = 4 << 20
	maxDevices      = 256
)

// noInstance is the instance id of a box that no platform tells anything.
const noInstance = "iid-datasource-none"

// Device is a network card as the platform describes it.
type Device struct {
	MAC, PCI string
	Tags     []string
}

// Instance is what the platform tells.
type Instance struct {
	// ID is the platform's name of this machine; empty: no platform told one.
	ID       string
	Hostname string
	// Platform is where that is from: "ConfigDrive", …; empty: nowhere.
	Platform string
	// Addresses are names and addresses by which the platform says that others reach the machine.
	Addresses []string
	Devices   []Device
	// NetworkData is OpenStack's network_data.json, NetworkConfig the network configuration of NoCloud; nil: there is none.
	NetworkData, NetworkConfig []byte
	// UserData is as the platform gave it; Merged the cloud-config that cloud-init made of it, with what it refers to.
	UserData, Merged []byte
}

// Problem is something that is not as it should be.
type Problem struct {
	// Field is where: "millrace.tls.key"; empty: in all of it.
	Field  string `json:"field,omitempty"`
	Reason string `json:"reason"`
}

// Error makes a Problem an error.
func (p Problem) Error() string {
	if p.Field == "" {
		return p.Reason
	}
	return p.Field + ": " + p.Reason
}

// Reader reads from the tree below Root, "/" for this machine.
type Reader struct {
	Root string
	// Mount makes the file system on a device readable and returns where, and how to undo that; nil: disks are not read.
	Mount func(device string) (dir string, done func(), err error)
}

// instanceData is the part of cloud-init's instance-data.json that we use.
type instanceData struct {
	V1 struct {
		InstanceID  string `json:"instance_id"`
		Hostname    string `json:"local_hostname"`
		Platform    string `json:"platform"`
		Subplatform string `json:"subplatform"`
	} `json:"v1"`
	DS struct {
		MetaData    json.RawMessage `json:"meta_data"`
		NetworkJSON json.RawMessage `json:"network_json"`
		EC2         json.RawMessage `json:"ec2_metadata"`
	} `json:"ds"`
	Base64 []string `json:"base64_encoded_keys"`
}

// Instance reads all that there is. It never fails: what is missing or wrong is told.
func (r Reader) Instance() (*Instance, []Problem) {
	in := &Instance{}
	var problems []Problem
	d, err := r.instanceData()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return in, nil // cloud-init did not run, or has found nothing yet
	case err != nil:
		return in, []Problem{{"instance-data", err.Error()}}
	}
	in.ID, in.Hostname, in.Platform = d.V1.InstanceID, d.V1.Hostname, d.V1.Platform
	if in.ID == noInstance {
		in.ID = ""
	}
	if why := plainWord(in.ID); why != "" {
		problems, in.ID = append(problems, Problem{"instance-id", why}), ""
	}
	in.Devices, err = devices(d.DS.MetaData)
	if err != nil {
		problems = append(problems, Problem{"meta_data.devices", err.Error()})
	}
	in.Addresses = addresses(d)
	if len(d.DS.NetworkJSON) > 0 && string(d.DS.NetworkJSON) != "null" {
		in.NetworkData = d.DS.NetworkJSON
	}
	in.UserData, err = r.read("var/lib/cloud/instance/user-data.txt", maxUserData)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		problems = append(problems, Problem{"user-data", err.Error()})
	}
	in.Merged, _ = r.read("var/lib/cloud/instance/cloud-config.txt", maxUserData)
	return in, append(problems, r.seeds(in, d.V1.Subplatform)...)
}

func (r Reader) instanceData() (*instanceData, error) {
	b, err := r.read("run/cloud-init/instance-data-sensitive.json", maxInstanceData)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = r.read("run/cloud-init/instance-data.json", maxInstanceData)
	}
	if err != nil {
		return nil, err
	}
	d := &instanceData{}
	if err := json.Unmarshal(b, d); err != nil {
		return nil, fmt.Errorf("cloud-init's instance data are not understood: %w", err)
	}
	for _, key := range d.Base64 { // what Python could not write as it is
		switch key {
		case "v1/instance_id":
			d.V1.InstanceID = decoded(d.V1.InstanceID)
		case "v1/local_hostname":
			d.V1.Hostname = decoded(d.V1.Hostname)
		}
	}
	return d, nil
}

func decoded(s string) string {
	if b, err := base64.StdEncoding.DecodeString(s); err == nil {
		return string(b)
	}
	return s
}

// plainWord says why something cannot be a word of a file's line.
func plainWord(s string) string {
	if len(s) > 255 {
		return fmt.Sprintf("is longer than 255 bytes: %.32q…", s)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Sprintf("%q has control characters", s)
	}
	return ""
}

// devices reads Nova's list of tagged devices; only NICs are of interest.
func devices(metaData json.RawMessage) ([]Device, error) {
	var m struct {
		Devices []struct {
			Type    string   `json:"type"`
			Bus     string   `json:"bus"`
			Address string   `json:"address"`
			MAC     string   `json:"mac"`
			Tags    []string `json:"tags"`
		} `json:"devices"`
	}
	if len(metaData) == 0 {
		return nil, nil
	}
	var any struct {
		Devices json.RawMessage `json:"devices"`
	}
	if json.Unmarshal(metaData, &any) != nil || len(any.Devices) == 0 {
		return nil, nil // other platforms have other meta data
	}
	if err := json.Unmarshal(metaData, &m); err != nil {
		return nil, err
	}
	if len(m.Devices) > maxDevices {
		return nil, fmt.Errorf("%d devices, at most %d are read", len(m.Devices), maxDevices)
	}
	var all []Device
	for i, d := range m.Devices {
		if d.Type != "nic" && d.MAC == "" {
			continue
		}
		n := Device{Tags: d.Tags}
		if d.MAC != "" {
			mac, err := net.ParseMAC(d.MAC)
			if err != nil || len(mac) != 6 {
				return all, fmt.Errorf("devices[%d].mac: %.40q is not a MAC", i, d.MAC)
			}
			n.MAC = mac.String()
		}
		if d.Bus == "pci" && pciAddress.MatchString(d.Address) {
			n.PCI = strings.ToLower(d.Address)
		}
		if len(n.Tags) > 32 {
			n.Tags = n.Tags[:32]
		}
		all = append(all, n)
	}
	return all, nil
}

var pciAddress = regexp.MustCompile(`^[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]$`)

// hostname is what a certificate can be for.
var hostname = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)

// addresses are what a certificate of the machine should be good for.
func addresses(d *instanceData) []string {
	var m struct {
		Hostname string `json:"hostname"`
	}
	var e map[string]json.RawMessage
	_ = json.Unmarshal(d.DS.MetaData, &m)
	_ = json.Unmarshal(d.DS.EC2, &e)
	found := []string{d.V1.Hostname, m.Hostname}
	for _, key := range []string{"public-ipv4", "local-ipv4", "public-hostname", "local-hostname"} {
		var s string
		if json.Unmarshal(e[key], &s) == nil {
			found = append(found, s)
		}
	}
	var all []string
	seen := map[string]bool{}
	for _, s := range found {
		if hostname.MatchString(s) && !seen[s] {
			seen[s], all = true, append(all, s)
		}
	}
	return all
}

// read reads a file below the root, if it is not too large.
func (r Reader) read(name string, most int64) ([]byte, error) {
	return readFile(filepath.Join(r.Root, name), most)
}

func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readAll(f, most)
}

func readAll(f *os.File, most int64) ([]byte, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", f.Name())
	}
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		return nil, fmt.Errorf("%s is longer than %d bytes", f.Name(), most)
	}
	return b, err
}
