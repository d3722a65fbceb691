package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/server/bundle/bundletest"
)

func offlineBundle(t *testing.T, configuration string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	file, state := filepath.Join(dir, "startup.yaml"), filepath.Join(dir, "state")
	for path, text := range map[string]string{
		file: configuration, filepath.Join(state, "audit.log"): "{\"action\": \"commit\"}\n", filepath.Join(state, "pki", "server-key.pem"): "k3y-material",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := newRoot()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	cmd.SetArgs([]string{"support-bundle", "--output", "-", "--config", file, "--state-dir", state, "--runtime-dir", dir})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	_, files := bundletest.Unpack(t, &out)
	return files
}

// Without vnf there is a bundle too, and no secret in it either: with a configuration that is read, and one that is not.
func TestOfflineSupportBundle(t *testing.T) {
	const good = `
network-instances:
  - name: default
    bgp: {asn: 65001, router-id: 192.0.2.1, neighbors: [{address: 192.0.2.2, remote-as: 65002, password: pl4nted-one}]}
aaa:
  users: [{name: someone, role: admin, password-hash: "$2b$04$pl4ntedpl4ntedpl4nteuuJ0Z1Q3ZzX8Vv8mB0r5sQk2o4mY9r7y6"}]
`
	for _, configuration := range []string{good, good + "\nnonsense: {password: pl4nted-two}\n", strings.ReplaceAll(good, "pl4nted-one", strings.Repeat("pl4nted-one", 9))} {
		files := offlineBundle(t, configuration)
		for name, text := range files {
			if strings.Contains(text, "pl4nted") || strings.Contains(text, "k3y-material") || strings.Contains(text, "someone") {
				t.Errorf("%s has a secret: %.400s", name, text)
			}
		}
		for name, want := range map[string]string{"manifest.json": `"source": "files"`, "audit.log": "commit", "machine/memory.txt": "MemTotal", "machine/disk.txt": "server-key.pem"} {
			if !strings.Contains(files[name], want) {
				t.Errorf("%s has no %q: %.200s", name, want, files[name])
			}
		}
		switch {
		case configuration == good && !strings.Contains(files["config/config.yaml"], "65002"):
			t.Errorf("the configuration is %q", files["config/config.yaml"])
		case configuration != good && files["config/config.yaml.error.txt"] == "":
			t.Error("it does not say why the configuration can't be read")
		}
	}
}
