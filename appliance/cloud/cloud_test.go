package cloud

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// put writes files below a root.
func put(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// configDriveData is as cloud-init 22.4 lays out what it finds on a ConfigDrive.
const configDriveData = `{
 "base64_encoded_keys": [], "sensitive_keys": ["merged_cfg"],
 "ds": {
  "_doc": "…", "ec2_metadata": {"public-ipv4": "203.0.113.9", "local-ipv4": ""},
  "meta_data": {"uuid": "0ea1", "hostname": "edge1.example", "devices": [
   {"type": "nic", "bus": "pci", "address": "0000:00:03.0", "mac": "FA:16:3E:00:00:01", "tags": ["mgmt"]},
   {"type": "nic", "bus": "pci", "address": "0000:00:04.0", "mac": "fa:16:3e:00:00:02", "tags": ["wan", "x"]},
   {"type": "disk", "bus": "scsi", "address": "1:0:2:0", "serial": "d", "tags": ["db"]}]},
  "network_json": {"links": [], "networks": [], "services": []}
 },
 "v1": {"instance_id": "0ea1", "local_hostname": "edge1", "platform": "openstack", "subplatform": "config-disk (/dev/sr0)"}
}`

func TestInstance(t *testing.T) {
	root, disk := t.TempDir(), t.TempDir()
	put(t, root, map[string]string{"run/cloud-init/instance-data-sensitive.json": configDriveData})
	put(t, disk, map[string]string{"openstack/latest/user_data": plain})
	done := 0
	r := Reader{Root: root, Mount: func(device string) (string, func(), error) {
		if device != "/dev/sr0" {
			t.Errorf("mounts %s", device)
		}
		return disk, func() { done++ }, nil
	}}
	in, problems := r.Instance()
	if len(problems) > 0 {
		t.Error(problems)
	}
	want := &Instance{
		ID: "0ea1", Hostname: "edge1", Platform: "openstack", Addresses: []string{"edge1", "edge1.example", "203.0.113.9"},
		Devices: []Device{
			{MAC: "fa:16:3e:00:00:01", PCI: "0000:00:03.0", Tags: []string{"mgmt"}},
			{MAC: "fa:16:3e:00:00:02", PCI: "0000:00:04.0", Tags: []string{"wan", "x"}},
		},
		NetworkData: in.NetworkData, UserData: []byte(plain),
	}
	if !reflect.DeepEqual(in, want) {
		t.Errorf("got  %+v\nwant %+v", in, want)
	}
	if done != 1 || !strings.Contains(string(in.NetworkData), "links") {
		t.Error(done, string(in.NetworkData))
	}
	// Later cloud-init has stored the user data, and the disk is not needed.
	put(t, root, map[string]string{"var/lib/cloud/instance/user-data.txt": "#cloud-config\n"})
	if in, _ = r.Instance(); string(in.UserData) != "#cloud-config\n" || done != 1 {
		t.Errorf("%q %d", in.UserData, done)
	}
}

func TestNoCloudSeed(t *testing.T) {
	root := t.TempDir()
	put(t, root, map[string]string{
		"run/cloud-init/instance-data.json": `{"v1": {"instance_id": "iid-1", "platform": "nocloud",
			"subplatform": "seed-dir (dmi,/var/lib/cloud/seed/nocloud)"}, "ds": {"meta_data": {"instance-id": "iid-1"}}}`,
		"var/lib/cloud/seed/nocloud/user-data":      plain,
		"var/lib/cloud/seed/nocloud/network-config": "version: 2\n",
	})
	in, problems := Reader{Root: root}.Instance()
	if len(problems) > 0 || string(in.NetworkConfig) != "version: 2\n" || string(in.UserData) != plain {
		t.Errorf("%+v %v", in, problems)
	}
}

func TestNothing(t *testing.T) {
	in, problems := Reader{Root: t.TempDir()}.Instance()
	if len(problems) > 0 || in.ID != "" {
		t.Error(in, problems)
	}
}

func TestHostile(t *testing.T) {
	disk := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(disk, "user-data")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ data, want string }{
		"not JSON":    {"{", "instance-data: cloud-init's instance data are not understood"},
		"id":          {`{"v1": {"instance_id": "a\nb"}}`, "instance-id: "},
		"devices":     {`{"ds": {"meta_data": {"devices": 3}}}`, "meta_data.devices: "},
		"MAC":         {`{"ds": {"meta_data": {"devices": [{"type": "nic", "mac": "x"}]}}}`, `devices[0].mac: "x" is not a MAC`},
		"link":        {`{"v1": {"subplatform": "config-disk (/dev/sr0)"}}`, "user-data: "},
		"not mounted": {`{"v1": {"subplatform": "config-disk (/dev/sr9)"}}`, "seed /dev/sr9: no medium"},
	} {
		root := t.TempDir()
		put(t, root, map[string]string{"run/cloud-init/instance-data.json": c.data})
		in, problems := Reader{Root: root, Mount: func(device string) (string, func(), error) {
			if device != "/dev/sr0" {
				return "", nil, errors.New("no medium")
			}
			return disk, func() {}, nil
		}}.Instance()
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), c.want) {
			t.Errorf("%s: %v", name, problems)
		}
		if in.UserData != nil {
			t.Errorf("%s: read %.20q", name, in.UserData)
		}
	}
}

func TestSeedPlaces(t *testing.T) {
	for s, want := range map[string][]string{
		"config-disk (/dev/sr0)": {"/dev/sr0"}, "seed-dir (dmi,/var/lib/cloud/seed/nocloud,/dev/vdb)": {"/var/lib/cloud/seed/nocloud", "/dev/vdb"},
		"metadata (http://169.254.169.254)": nil, "": nil, "seed-dir (/a/../../etc)": nil,
	} {
		if got := seedPlaces(s); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q", s, got)
		}
	}
}

func FuzzInstance(f *testing.F) {
	f.Add([]byte(configDriveData))
	f.Fuzz(func(t *testing.T, b []byte) {
		root := t.TempDir()
		put(t, root, map[string]string{"run/cloud-init/instance-data.json": string(b)})
		in, _ := Reader{Root: root}.Instance()
		for _, d := range in.Devices {
			if d.PCI != "" && len(d.PCI) != 12 || d.MAC != "" && len(d.MAC) != 17 {
				t.Errorf("%+v", d)
			}
		}
	})
}
