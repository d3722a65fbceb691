package image

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"
)

type object = map[string]any
type array = []any

// instance is what a cloud knows about a guest.
type instance struct {
	uuid, hostname, sshKey string
	ports                  []port
	// userData is a document for the part `millrace` of #cloud-config.
	userData object
}

// port is a NIC as Nova and Neutron describe it.
type port struct {
	mac, tag, pci string
	mtu           int
	// address and gateway of the link's subnet, of IPv4; without address it is given by DHCP.
	address, netmask, gateway string
	// address6 has its prefix's length.
	address6 string
}

// metaData is meta_data.json of the format of OpenStack.
func (i instance) metaData() object {
	var devices array
	for _, p := range i.ports {
		if p.tag != "" {
			devices = append(devices, object{"type": "nic", "bus": "pci", "address": p.pci, "mac": p.mac, "tags": array{p.tag}})
		}
	}
	return object{
		"uuid": i.uuid, "hostname": i.hostname, "name": i.hostname, "availability_zone": "nova", "launch_index": 0, "project_id": "5d1e2c0f7b1f4be3",
		"public_keys": object{"operator": i.sshKey},
		"keys":        array{object{"name": "operator", "type": "ssh", "data": i.sshKey}},
		"devices":     devices,
	}
}

// networkData is network_data.json of the format of OpenStack.
func (i instance) networkData() object {
	var links, networks array
	for n, p := range i.ports {
		id := "tap" + p.mac[len(p.mac)-2:]
		links = append(links, object{"id": id, "vif_id": "0000000" + string(rune('0'+n)), "type": "ovs", "mtu": p.mtu, "ethernet_mac_address": p.mac})
		net := object{"id": "network" + string(rune('0'+n)), "link": id, "network_id": i.uuid}
		if p.address == "" {
			net["type"] = "ipv4_dhcp"
		} else {
			net["type"], net["ip_address"], net["netmask"] = "ipv4", p.address, p.netmask
			net["routes"] = array{}
			if p.gateway != "" {
				net["routes"] = array{object{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": p.gateway}}
			}
		}
		networks = append(networks, net)
		if p.address6 != "" {
			networks = append(networks, object{"id": "network6" + string(rune('0'+n)), "link": id, "network_id": i.uuid, "type": "ipv6", "ip_address": p.address6, "routes": array{}})
		}
	}
	return object{"links": links, "networks": networks, "services": array{}}
}

// cloudConfig is the user-data.
func (i instance) cloudConfig(t *testing.T) string {
	t.Helper()
	doc := object{}
	if i.userData != nil {
		doc["millrace"] = i.userData
	}
	b, err := yaml.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return "#cloud-config\n" + string(b)
}

// configDrive makes the drive that Nova gives a guest, and returns its file.
func (i instance) configDrive(t *testing.T, dir string) string {
	t.Helper()
	root := filepath.Join(dir, "config-2")
	files := map[string]string{
		"openstack/latest/meta_data.json":    text(t, i.metaData()),
		"openstack/latest/network_data.json": text(t, i.networkData()),
		"openstack/latest/vendor_data.json":  "{}",
		"openstack/latest/user_data":         i.cloudConfig(t),
	}
	// Nova has a folder per version of the format with the same content.
	for name, s := range files {
		writeFile(t, filepath.Join(root, name), s)
		writeFile(t, filepath.Join(root, "openstack/2018-08-27", filepath.Base(name)), s)
	}
	return iso(t, root, "config-2")
}

// noCloud makes a seed of the kind NoCloud, as virt-install and cloud-localds make, and returns its file.
func (i instance) noCloud(t *testing.T, dir, networkConfig string) string {
	t.Helper()
	root := filepath.Join(dir, "cidata")
	writeFile(t, filepath.Join(root, "meta-data"), text(t, object{
		"instance-id": i.uuid, "local-hostname": i.hostname, "public-keys": array{i.sshKey}}))
	writeFile(t, filepath.Join(root, "user-data"), i.cloudConfig(t))
	if networkConfig != "" {
		writeFile(t, filepath.Join(root, "network-config"), networkConfig)
	}
	return iso(t, root, "cidata")
}

func iso(t *testing.T, root, label string) string {
	t.Helper()
	file := root + ".iso"
	command(t, "genisoimage", "-quiet", "-o", file, "-V", label, "-r", "-J", "-joliet-long", root)
	return file
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func writeFile(t *testing.T, name, s string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(s), 0o644); err != nil {
		t.Fatal(err)
	}
}
