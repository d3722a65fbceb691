package gnoiserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/openconfig/gnoi/file"
	"github.com/openconfig/gnoi/types"
	"google.golang.org/grpc/codes"
)

func opening(name string, mode uint32) *file.PutRequest {
	return &file.PutRequest{Request: &file.PutRequest_Open{Open: &file.PutRequest_Details{RemoteFile: name, Permissions: mode}}}
}

func contents(b []byte) *file.PutRequest {
	return &file.PutRequest{Request: &file.PutRequest_Contents{Contents: b}}
}

func sha(b []byte) *file.PutRequest {
	sum := sha256.Sum256(b)
	return &file.PutRequest{Request: &file.PutRequest_Hash{Hash: &types.HashType{Method: types.HashType_SHA256, Hash: sum[:]}}}
}

// put sends messages and says what came of them.
func put(ctx context.Context, c file.FileClient, all ...*file.PutRequest) error {
	s, err := c.Put(ctx)
	if err != nil {
		return err
	}
	for _, m := range all {
		if err := s.Send(m); err != nil {
			break // the answer has the reason
		}
	}
	_, err = s.CloseAndRecv()
	return err
}

func get(ctx context.Context, c file.FileClient, name string) ([]byte, error) {
	all, err := drain(c.Get(ctx, &file.GetRequest{RemoteFile: name}))
	if err != nil {
		return nil, err
	}
	var b []byte
	for i, m := range all {
		if h := m.GetHash(); h != nil {
			if sum := sha256.Sum256(b); i != len(all)-1 || !bytes.Equal(sum[:], h.GetHash()) || h.GetMethod() != types.HashType_SHA256 {
				return b, errors.New("the hash is wrong")
			}
			return b, nil
		}
		b = append(b, m.GetContents()...)
	}
	return b, errors.New("there is no hash")
}

func TestFiles(t *testing.T) {
	b := newBed(t)
	c, ctx := file.NewFileClient(b.conn()), b.ctx()
	data := bytes.Repeat([]byte("0123456789abcdef"), 12_345)
	parts := []*file.PutRequest{opening("/image.bin", 640)}
	for rest := data; len(rest) > 0; {
		n := min(chunk, len(rest))
		parts, rest = append(parts, contents(rest[:n])), rest[n:]
	}
	if err := put(ctx, c, append(parts, sha(data))...); err != nil {
		t.Fatal(err)
	}
	if got, err := get(ctx, c, "/image.bin"); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	st, err := c.Stat(ctx, &file.StatRequest{Path: "/"})
	if err != nil || len(st.GetStats()) != 1 || st.GetStats()[0].GetPath() != "/image.bin" || st.GetStats()[0].GetSize() != uint64(len(data)) ||
		st.GetStats()[0].GetPermissions() != 640 {
		t.Errorf("%v %v", st, err)
	}
	if err := put(ctx, c, opening("/./image.bin", 0), sha(nil)); err != nil {
		t.Errorf("an empty file in its place: %v", err)
	}
	if got, err := get(ctx, c, "//image.bin"); err != nil || len(got) != 0 {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
	if _, err := c.Remove(ctx, &file.RemoveRequest{RemoteFile: "/image.bin"}); err != nil {
		t.Error(err)
	}
	_, err = c.Remove(ctx, &file.RemoveRequest{RemoteFile: "/image.bin"})
	refused(t, "remove it again", err, codes.NotFound, "/image.bin")
	_, err = get(ctx, c, "/image.bin")
	refused(t, "get it", err, codes.NotFound, "/image.bin")
	_, err = c.TransferToRemote(ctx, &file.TransferToRemoteRequest{})
	refused(t, "transfer", err, codes.Unimplemented, "Get")
	if left, _ := os.ReadDir(b.files); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestFilesRefused(t *testing.T) {
	b := newBed(t)
	c, ctx := file.NewFileClient(b.conn()), b.ctx()
	outside := filepath.Join(filepath.Dir(b.files), "secret")
	for _, err := range []error{
		os.WriteFile(outside, []byte("secret"), 0o600), os.Symlink(outside, filepath.Join(b.files, "link")),
		os.Symlink("..", filepath.Join(b.files, "up")), os.Mkdir(filepath.Join(b.files, "folder"), 0o700),
		syscall.Mkfifo(filepath.Join(b.files, "pipe"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, code := range map[string]codes.Code{
		"":                             codes.InvalidArgument,
		"a":                            codes.InvalidArgument,
		"/../secret":                   codes.InvalidArgument,
		"/folder/../../secret":         codes.InvalidArgument,
		"/a\x00b":                      codes.InvalidArgument,
		"/a\nb":                        codes.InvalidArgument,
		"/.put-x":                      codes.InvalidArgument,
		"/" + strings.Repeat("x", 255): codes.InvalidArgument,
		"/link":                        codes.PermissionDenied,
		"/up/secret":                   codes.PermissionDenied,
		"/folder":                      codes.InvalidArgument,
		"/pipe":                        codes.InvalidArgument,
		"/nothing":                     codes.NotFound,
	} {
		_, err := get(ctx, c, name)
		refused(t, "get "+name, err, code, "remote_file: ")
		if _, err := c.Stat(ctx, &file.StatRequest{Path: name}); code == codes.InvalidArgument && name != "/folder" && name != "/pipe" {
			refused(t, "stat "+name, err, code, "path: ")
		}
		if code != codes.NotFound && name != "/pipe" && name != "/link" {
			refused(t, "put "+name, put(ctx, c, opening(name, 0), sha(nil)), code, "open.remote_file: ")
		}
	}
	// A link is no file to be replaced, and removing it leaves what it points to.
	refused(t, "put over a link", put(ctx, c, opening("/link", 0), sha(nil)), codes.InvalidArgument, "not a file")
	if _, err := c.Remove(ctx, &file.RemoveRequest{RemoteFile: "/link"}); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(outside); string(got) != "secret" {
		t.Errorf("outside there is %q %v", got, err)
	}
	_, err := c.Remove(ctx, &file.RemoveRequest{RemoteFile: "/folder"})
	refused(t, "remove a folder", err, codes.InvalidArgument, "folder")

	kept := []byte("what was there")
	if err := put(ctx, c, opening("/kept", 600), contents(kept), sha(kept)); err != nil {
		t.Fatal(err)
	}
	wrong := sha([]byte("other"))
	for _, p := range []struct {
		code codes.Code
		word string
		all  []*file.PutRequest
	}{
		{codes.InvalidArgument, "open: ", []*file.PutRequest{contents(kept)}},
		{codes.InvalidArgument, "open: ", []*file.PutRequest{opening("/kept", 0), opening("/kept", 0)}},
		{codes.InvalidArgument, "open.permissions: ", []*file.PutRequest{opening("/kept", 888)}},
		{codes.InvalidArgument, "open.permissions: ", []*file.PutRequest{opening("/kept", 4755)}},
		{codes.InvalidArgument, "open.remote_file: ", []*file.PutRequest{opening("/", 0)}},
		{codes.InvalidArgument, "hash: ", []*file.PutRequest{opening("/kept", 0), contents([]byte("new"))}},
		{codes.InvalidArgument, "hash.method: ", []*file.PutRequest{opening("/kept", 0), {Request: &file.PutRequest_Hash{Hash: &types.HashType{}}}}},
		{codes.DataLoss, "hash: ", []*file.PutRequest{opening("/kept", 0), contents([]byte("new")), wrong}},
		{codes.InvalidArgument, "contents: ", []*file.PutRequest{opening("/kept", 0), contents(make([]byte, chunk+1))}},
	} {
		refused(t, "put", put(ctx, c, p.all...), p.code, p.word)
	}
	big := []*file.PutRequest{opening("/kept", 0)}
	for range maxFile/chunk + 1 {
		big = append(big, contents(make([]byte, chunk)))
	}
	refused(t, "a big file", put(ctx, c, append(big, sha(nil))...), codes.ResourceExhausted, "contents: ")
	if got, err := get(ctx, c, "/kept"); err != nil || !bytes.Equal(got, kept) {
		t.Errorf("refused, and yet it is %q, %v", got, err)
	}
	entries, _ := os.ReadDir(b.files)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) {
			t.Errorf("%s is left", e.Name())
		}
	}
}

// TestFilesBounded: so many at one time, and so many altogether; what an earlier run left half is taken away.
func TestFilesBounded(t *testing.T) {
	b := newBed(t)
	c, ctx := file.NewFileClient(b.conn()), b.ctx()
	for range maxPuts {
		s, err := c.Put(ctx)
		if err == nil {
			err = s.Send(opening("/slow", 0))
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _, _ = s.CloseAndRecv() }()
	}
	waitFor(t, func() bool { return len(b.server.file.puts) == maxPuts })
	refused(t, "one more", put(ctx, c, opening("/x", 0), sha(nil)), codes.ResourceExhausted, "on their way")

	dir := t.TempDir()
	for _, name := range []string{".put-abc", "kept"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := newFileService(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.root.Close()
	if left, _ := os.ReadDir(dir); len(left) != 1 || left[0].Name() != "kept" {
		t.Errorf("left: %v", left)
	}
	for i := range maxFiles {
		if err := os.WriteFile(filepath.Join(dir, itoa(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w, err := f.root.Create(".put-new")
	if err != nil {
		t.Fatal(err)
	}
	refused(t, "a file too many", f.place(w, ".put-new", "new", 0o600, 0), codes.ResourceExhausted, "room")
	w.Close()
}

// FuzzFilePaths: whatever the path, nothing outside the folder is read, made or removed.
func FuzzFilePaths(f *testing.F) {
	for _, s := range []string{"/a", "/../a", "/a/../../b", "//", "/./.put-", "/link/x", "/\xff", "/up", strings.Repeat("/a", 130)} {
		f.Add(s)
	}
	top := f.TempDir()
	dir := filepath.Join(top, "files")
	s, err := newFileService(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.root.Close() })
	secret := filepath.Join(top, "secret")
	for _, err := range []error{os.WriteFile(secret, []byte("secret"), 0o600), os.Symlink("../secret", filepath.Join(dir, "link")), os.Symlink("..", filepath.Join(dir, "up"))} {
		if err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, path string) {
		name, err := local("path", path)
		if err != nil {
			return
		}
		if !filepath.IsLocal(name) && name != "." {
			t.Fatalf("%q becomes %q", path, name)
		}
		if r, err := s.root.Open(name); err == nil {
			b, _ := io.ReadAll(r)
			r.Close()
			if string(b) == "secret" {
				t.Fatalf("%q reads what is outside", path)
			}
		}
		// As Put makes its file, but for the waiting for the disk.
		if w, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			w.Close()
			if _, err := s.Remove(t.Context(), &file.RemoveRequest{RemoteFile: path}); err != nil {
				t.Fatalf("%q was put and can't be removed: %v", path, err)
			}
		}
		entries, err := os.ReadDir(top)
		if b, _ := os.ReadFile(secret); err != nil || len(entries) != 2 || string(b) != "secret" {
			t.Fatalf("%q: outside there is %v, %q, %v", path, entries, b, err)
		}
	})
}
