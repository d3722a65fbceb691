package control

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/appliance/agent"
	"millrace/server/bundle"
	"millrace/server/bundle/bundletest"
)

// The secrets that are planted, wherever one could be.
var planted = map[string]string{
	"BGP neighbour":          `n3ighbour-"p4ss\word&1`,
	"BGP peer group":         "gr0up-p4ssword-2",
	"hash of a user":         "$2b$04$abcdefghijklmnopqrstuuJ0Z1Q3ZzX8Vv8mB0r5sQk2o4mY9r7y6",
	"hash in a log":          "$6$saltsalt$" + strings.Repeat("qwertzuiop1234", 6),
	"password in a log":      "l0gged-p4ssword-3",
	"in an address":          "url-p4ssword-4",
	"private key in a log":   strings.Repeat("MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg", 3),
	"in the audit log":       "audit-t0ken-5",
	"in an environment file": "env-s3cret-6",
	"rotated, in a history":  "old-p4ssword-7",
}

func supportConfig(neighbor string) string {
	return fmt.Sprintf(`
system: {grpc-listen: none, metrics-listen: none, hostname: box-1}
interfaces:
  - {name: eth1, type: port, iface: none7, addresses: [192.0.2.1/24]}
network-instances:
  - name: default
    bgp:
      asn: 65001
      router-id: 192.0.2.1
      listen-port: 20179
      peer-groups: [{name: g, remote-as: 65003, password: %q}]
      neighbors:
        - {address: 192.0.2.2, remote-as: 65002, password: %s}
        - {address: 192.0.2.3, peer-group: g}
aaa:
  users:
    - {name: someone, role: operator, password-hash: %q}
`, planted["BGP peer group"], quoted(neighbor), planted["hash of a user"])
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func fileOf(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// agentWith serves an agent whose journal has what is given.
func agentWith(t *testing.T, runtimeDir, journal string) {
	t.Helper()
	text := fileOf(t, filepath.Join(t.TempDir(), "journal"), journal, 0o600)
	script := fileOf(t, filepath.Join(t.TempDir(), "journalctl"), "#!/bin/sh\nexec cat '"+text+"'\n", 0o700)
	l, err := agent.Open(runtimeDir, os.Getgid())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- agent.NewServer(agent.Options{Machine: &agent.Machine{Journalctl: script, HostnameFile: filepath.Join(t.TempDir(), "hostname"), SetHostname: func(string) error { return nil }}, Users: []uint32{uint32(os.Getuid())}}).Serve(ctx, l)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// supported runs a daemon without a data plane and returns a client of it.
func supported(t *testing.T, dir string) vnfv1.SystemServiceClient {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- RunDaemon(ctx, DaemonOptions{
			ConfigFile: filepath.Join(dir, "vnf.yaml"), RuntimeDir: filepath.Join(dir, "run"), StateDir: filepath.Join(dir, "state"),
			Logger: slog.New(slog.DiscardHandler), Version: "test",
		})
	}()
	for socket := filepath.Join(dir, "run", GRPCSocket); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("the daemon ended: %v", err)
		default:
		}
	}
	conn, err := grpc.NewClient("unix:"+filepath.Join(dir, "run", GRPCSocket), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return vnfv1.NewSystemServiceClient(conn)
}

// fetch gets a bundle and unpacks it: its files without their folder.
func fetch(t *testing.T, c vnfv1.SystemServiceClient, req *vnfv1.GetSupportBundleRequest) (files map[string]string, problems []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	stream, err := c.GetSupportBundle(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	name := ""
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name += m.GetFileName()
		all.Write(m.GetData())
		problems = append(problems, m.GetProblems()...)
	}
	folder, ok := strings.CutSuffix(name, ".tar.gz")
	if !ok || strings.ContainsAny(name, "/\\") {
		t.Errorf("name %q", name)
	}
	in, files := bundletest.Unpack(t, &all)
	if in != folder {
		t.Errorf("the files are in %q, not in %q", in, folder)
	}
	return files, problems
}

// No secret is in any file, in no form.
func searchFor(t *testing.T, files map[string]string, secrets map[string]string) {
	t.Helper()
	for what, secret := range secrets {
		forms := []string{secret, strings.Trim(quoted(secret), `"`), base64.StdEncoding.EncodeToString([]byte(secret)), fmt.Sprintf("%x", secret)}
		for name, text := range files {
			for _, form := range forms {
				if at := strings.Index(text, form); at >= 0 {
					t.Errorf("the secret %s is in %s: …%s…", what, name, text[max(0, at-60):min(len(text), at+len(form)+20)])
				}
			}
		}
	}
}

func TestSupportBundle(t *testing.T) {
	dir := t.TempDir()
	key := "-----BEGIN EC PRIVATE KEY-----\n" + planted["private key in a log"] + "\n-----END EC PRIVATE KEY-----\n"
	journal := "2026 vnf[1]: user someone has " + planted["hash in a log"] + "\n" + key +
		`2026 vnf[1]: msg="dial" url=https://me:` + planted["in an address"] + `@example.net password=` + planted["password in a log"] + "\n" +
		`{"auth-password":"` + planted["rotated, in a history"] + `"} and ` + planted["BGP neighbour"] + "\nthe last line\n"
	fileOf(t, filepath.Join(dir, "vnf.yaml"), supportConfig(planted["BGP neighbour"]), 0o600)
	fileOf(t, filepath.Join(dir, "state", "audit.log"), `{"action":"login","reason":"the token=`+planted["in the audit log"]+` is wrong"}`+"\n", 0o600)
	fileOf(t, filepath.Join(dir, "run", "vnf.env"), "VNF_TLS_HOSTS=a,b\nSOME_SECRET="+planted["in an environment file"]+"\n", 0o600)
	fileOf(t, filepath.Join(dir, "run", "nics.json"), "{\"nics\": []}\n", 0o600)
	agentWith(t, filepath.Join(dir, "run"), journal)
	c := supported(t, dir)
	files, problems := fetch(t, c, &vnfv1.GetSupportBundleRequest{})

	secrets := map[string]string{}
	for what, s := range planted {
		secrets[what] = s
	}
	for _, name := range []string{"server-key.pem", "ca-key.pem", "client-key.pem"} {
		if b, err := os.ReadFile(filepath.Join(dir, "state", "pki", name)); err == nil {
			lines := strings.Split(strings.TrimSpace(string(b)), "\n")
			secrets[name] = lines[1]
		}
	}
	if len(secrets) == len(planted) {
		t.Error("the daemon has no key of its own to look for")
	}
	searchFor(t, files, secrets)

	for name, want := range map[string]string{
		"manifest.json": `"source": "vnf"`, "config/tree.json": "192.0.2.2", "config/config.yaml": "65002", "config/commits.json": "startup",
		"logs/journal.txt": "the last line", "metrics.txt": "millrace_dataplane_up 0", "state/system-state.json": "box",
		"state/network-instances-protocols.json": "65001", "state/interfaces.json": "eth1",
		"routes/summary.json": "{", "machine/cpu.txt": "/proc/cpuinfo", "machine/memory.txt": "MemTotal", "machine/kernel.txt": "Linux",
		"machine/preflight.json": `"check"`, "audit.log": "login", "appliance/nics.json": "nics", "appliance/vnf.env": "VNF_TLS_HOSTS=a,b",
		"alarms.json": "dataplane", "system.json": "go_version", "goroutines.txt": "goroutine",
		// There is no data plane here: a note in its place.
		"dataplane/workers.json.error.txt": "data plane", "bgp/neighbors-default.json.error.txt": "BGP",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s has no %q: %.200q", name, want, files[name])
		}
	}
	for name, text := range files {
		if strings.Contains(text, "someone") && !strings.HasPrefix(name, "logs/") {
			t.Errorf("%s tells of users", name)
		}
	}
	if !slices.ContainsFunc(problems, func(p string) bool { return strings.HasPrefix(p, "dataplane/workers.json: ") }) {
		t.Errorf("problems %q", problems)
	}
	var m bundle.Manifest
	if err := json.Unmarshal([]byte(files["manifest.json"]), &m); err != nil || len(m.Failed()) != len(problems) || m.Version != "test" {
		t.Errorf("%v, %+v", err, m)
	}
	for _, p := range m.Parts {
		// They are made without, rather than cleaned.
		if dir, _, _ := strings.Cut(p.Name, "/"); p.Removed != 0 && (dir == "config" || dir == "state" || dir == "bgp") {
			t.Errorf("%s had %d secrets", p.Name, p.Removed)
		}
		if p.Absent != (p.Name == "appliance/sizing.json" || p.Name == "appliance/day0.json" || p.Name == "appliance/dataplane.env") {
			t.Errorf("%s: absent is %v", p.Name, p.Absent)
		}
		if _, ok := files[p.Name]; !ok && p.Error == "" && p.Bytes > 0 {
			t.Errorf("%s is in the manifest and not in the archive", p.Name)
		}
	}

	stream, err := c.GetSupportBundle(t.Context(), &vnfv1.GetSupportBundleRequest{LogLines: 20001})
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("log_lines: %v", err)
	}
}
