package bundle

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/server/bundle/bundletest"
)

func says(text string) func(context.Context, io.Writer) error {
	return func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

func TestWrite(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	var b bytes.Buffer
	m, err := Write(context.Background(), &b, Options{
		Version: "1.2", Hostname: "a/../b", By: "me", Source: "vnf", Secrets: []string{"hush-hush"}, Patience: 50 * time.Millisecond, Total: 1000,
		Now: func() time.Time { return at },
		Parts: []Part{
			{Name: "good.txt", Collect: says("all is well, hush-hush\n")},
			{Name: "empty.txt", Collect: says("")},
			{Name: "absent.txt", Collect: file("/no/such/file")},
			{Name: "bad.txt", Collect: func(context.Context, io.Writer) error { return errors.New("no hush-hush here") }},
			{Name: "half.txt", Collect: func(_ context.Context, w io.Writer) error {
				fmt.Fprint(w, "half")
				return errors.New("broke off")
			}},
			{Name: "panics.txt", Collect: func(context.Context, io.Writer) error { panic("ouch") }},
			{Name: "slow.txt", Collect: func(ctx context.Context, _ io.Writer) error {
				<-ctx.Done()
				return context.Cause(ctx)
			}},
			{Name: "long.txt", Max: 10, Collect: func(_ context.Context, w io.Writer) error {
				for range 10 {
					if _, err := io.Copy(w, strings.NewReader("0123456")); err != nil {
						return fmt.Errorf("copy: %w", err)
					}
				}
				return nil
			}},
			{Name: "cut.txt", Max: 10, Collect: says("a hush-hush hush-hush hush-hush hush-hush")},
			{Name: "longer.txt", Collect: says(strings.Repeat("x", 2000))},
			{Name: "last.txt", Collect: says("nothing is left for me")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	folder, files := bundletest.Unpack(t, &b)
	if folder != "millrace-support-a-..-b-20260304T050607Z" {
		t.Errorf("the files are in %q", folder)
	}
	for name, want := range map[string]string{
		"good.txt": "all is well, (removed)\n", "bad.txt.error.txt": "no (removed) here\n", "half.txt": "half",
		"half.txt.error.txt": "broke off\n", "slow.txt.error.txt": "context deadline exceeded\n", "long.txt": "0123456012", "cut.txt": "a (removed",
	} {
		if got, ok := files[name]; !ok || got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"empty.txt", "absent.txt", "absent.txt.error.txt", "last.txt"} {
		if text, ok := files[name]; ok {
			t.Errorf("%s is there: %q", name, text)
		}
	}
	if got := files["panics.txt.error.txt"]; !strings.HasPrefix(got, "fault: ouch\n") {
		t.Errorf("panics.txt.error.txt: %q", got)
	}
	if n := len(files["longer.txt"]); n < 900 || n > 1000 {
		t.Errorf("longer.txt has %d bytes: the total is 1,000", n)
	}
	var read Manifest
	if err := json.Unmarshal([]byte(files["manifest.json"]), &read); err != nil || len(read.Parts) != 11 || len(read.Failed()) != 4 || read.By != "me" {
		t.Errorf("%+v %v", read, err)
	}
	if !m.Parts[7].Truncated || !m.Parts[2].Absent || m.Parts[7].Error != "" || m.Parts[0].Truncated || m.Parts[0].Removed != 1 {
		t.Errorf("%+v", m.Parts)
	}
}

// brokenWriter fails after so many bytes.
type brokenWriter struct{ left int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errors.New("the line is cut")
	}
	return len(p), nil
}

func TestWriteEnds(t *testing.T) {
	parts := []Part{{Name: "a", Collect: says(strings.Repeat("0123456789abcdef", 1<<14))}, {Name: "b", Collect: says("b")}}
	if _, err := Write(context.Background(), &brokenWriter{100}, Options{Parts: parts}); err == nil || !strings.Contains(err.Error(), "cut") {
		t.Errorf("a broken writer: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Write(ctx, io.Discard, Options{Parts: parts}); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}

func TestScrubber(t *testing.T) {
	s := NewScrubber([]string{"pa\"ss\\word<1>", "abc", "longer secret", "longer secret with more"})
	for _, c := range []struct{ in, want string }{
		{"nothing here, 12:34:56, user=root", "nothing here, 12:34:56, user=root"},
		{`x pa"ss\word<1> y`, "x (removed) y"},
		{`{"a":"pa\"ss\\word<1>"}`, `{"a":"(removed)"}`},
		{`{"a":"pa\"ss\\word\u003c1\u003e"}`, `{"a":"(removed)"}`},
		{"a longer secret with more of it", "a (removed) of it"},
		{"abc is too short to be searched for", "abc is too short to be searched for"},
		{"-----BEGIN PRIVATE KEY-----\nAAAA\nBBBB\n-----END PRIVATE KEY-----\nz", "(removed)\nz"},
		{`"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"`, `"(removed)\n"`},
		{"-----BEGIN EC PRIVATE KEY-----\nAAAA cut off", "(removed)"},
		{"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"},
		{"root:$6$salt$hash./hash:1:", "root:(removed):1:"},
		{"$y$j9T$abcdefgh$ijklmnop", "(removed)"},
		{"$2b$12$abcdefghijklmnopqrstuv", "(removed)"},
		{"cost $5 and $1 more", "cost $5 and $1 more"},
		{"https://me:word@example.net/x", "https://me:(removed)@example.net/x"},
		{"password=hunter2 next", "password=(removed) next"},
		{`"password-hashed": "x1y2"`, `"password-hashed": "(removed)"`},
		{`"auth-password":"x1y2"`, `"auth-password":"(removed)"`},
		{`Password: 'x1y2'`, `Password: '(removed)'`},
		{`Authorization: Bearer eyJhbGciOi`, `Authorization: (removed)`},
		{`msg="{\"token\":\"t0k\"}"`, `msg="{\"token\":\"(removed)\"}"`},
		{"/aaa/users/user/config/password: (secret) -> (secret)", "/aaa/users/user/config/password: (secret) -> (secret)"},
		{`"secret": true, "password": null`, `"secret": true, "password": null`},
	} {
		got, n := s.Clean([]byte(c.in))
		if string(got) != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
		if (n > 0) != (c.in != c.want) {
			t.Errorf("%q: %d removed", c.in, n)
		}
		if again, n := s.Clean(got); n != 0 || !bytes.Equal(again, got) {
			t.Errorf("%q: cleaned again it is %q (%d)", c.in, again, n)
		}
	}
}

// A machine tells the same whatever is missing of it.
func TestMachine(t *testing.T) {
	state := t.TempDir()
	var long strings.Builder
	for i := range 60000 {
		fmt.Fprintf(&long, "line %d\n", i)
	}
	for name, text := range map[string]string{"audit.log": long.String(), "pki/server-key.pem": "key", "commits/1": "x"} {
		name = filepath.Join(state, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, root := range []string{"/", t.TempDir()} {
		var b bytes.Buffer
		m, err := Write(context.Background(), &b, Options{Hostname: "h", Parts: Machine(MachineOptions{Root: root, RuntimeDir: t.TempDir(), StateDir: state})})
		if err != nil {
			t.Fatal(err)
		}
		_, files := bundletest.Unpack(t, &b)
		for _, f := range m.Failed() {
			if f.Name != "machine/processes.txt" {
				t.Errorf("%s: %s: %s", root, f.Name, f.Error)
			}
		}
		audit := files["audit.log"]
		if !strings.HasSuffix(audit, "line 59999\n") || !strings.HasPrefix(audit, "line ") || len(audit) > auditTail {
			t.Errorf("%s: %d bytes of the audit log, %.20q", root, len(audit), audit)
		}
		if disk := files["machine/disk.txt"]; !strings.Contains(disk, "server-key.pem") {
			t.Errorf("%s: disk.txt is %q", root, disk)
		}
	}
}
