package gnoiserver

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/openconfig/gnoi/file"
	"github.com/openconfig/gnoi/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Limits of the File service.
const (
	maxFile  = 64 << 20  // octets of one file
	maxFiles = 1024      // files and folders
	maxTotal = 512 << 20 // octets of all
	maxName  = 255       // octets of a path
	chunk    = 64 << 10
	maxPuts  = 4 // files on their way in at one time
)

// fileService gives files of one folder, which clients see as "/". os.Root keeps names and links from leading out of it.
type fileService struct {
	file.UnimplementedFileServer
	root *os.Root
	puts chan struct{}
	// mu is held while a file takes its place, so that the limits hold.
	mu sync.Mutex
}

func newFileService(dir string) (*fileService, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	r, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f := &fileService{root: r, puts: make(chan struct{}, maxPuts)}
	if err := f.sweep(); err != nil {
		_ = r.Close()
		return nil, err
	}
	return f, nil
}

// sweep takes away what an earlier run was receiving when it ended.
func (f *fileService) sweep() error {
	return fs.WalkDir(f.root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasPrefix(d.Name(), tempPrefix) {
			err = f.root.Remove(p)
		}
		return err
	})
}

const tempPrefix = ".put-"

// local turns the absolute path of a client into one below the folder.
func local(field, name string) (string, error) {
	switch {
	case !strings.HasPrefix(name, "/"):
		return "", invalid(field, "%q is not an absolute path", name)
	case len(name) > maxName:
		return "", invalid(field, "is longer than %d bytes", maxName)
	case strings.ContainsAny(name, "\x00\n\r"):
		return "", invalid(field, "%q holds a control character", name)
	}
	clean := strings.TrimPrefix(path.Clean(name), "/")
	for word := range strings.SplitSeq(strings.TrimPrefix(name, "/"), "/") {
		if word == ".." || strings.HasPrefix(word, tempPrefix) {
			return "", invalid(field, "%q is not a name for a file here", name)
		}
	}
	if clean == "" {
		clean = "."
	}
	return clean, nil
}

func fileError(field, name string, err error) error {
	code := codes.Internal
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return status.Errorf(codes.NotFound, "%s: there is no %s", field, name)
	case errors.Is(err, fs.ErrPermission), strings.Contains(err.Error(), "escapes"):
		code = codes.PermissionDenied
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return status.Errorf(code, "%s: %s: %v", field, name, err)
}

func (f *fileService) Get(req *file.GetRequest, out file.File_GetServer) error {
	name, err := local("remote_file", req.GetRemoteFile())
	if err != nil {
		return err
	}
	// A pipe, which somebody may have put there, would be waited for.
	r, err := f.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fileError("remote_file", req.GetRemoteFile(), err)
	}
	defer func() { _ = r.Close() }()
	if st, err := r.Stat(); err != nil || !st.Mode().IsRegular() {
		return invalid("remote_file", "%s is not a file", req.GetRemoteFile())
	}
	sum := sha256.New()
	for {
		buf := make([]byte, chunk)
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			sum.Write(buf[:n])
			if err := out.Send(&file.GetResponse{Response: &file.GetResponse_Contents{Contents: buf[:n]}}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return fileError("remote_file", req.GetRemoteFile(), err)
		}
	}
	h := &types.HashType{Method: types.HashType_SHA256, Hash: sum.Sum(nil)}
	return out.Send(&file.GetResponse{Response: &file.GetResponse_Hash{Hash: h}})
}

// octal reads a mode whose decimal digits are those of the octal number, as gNOI has it.
func octal(field string, n uint32) (fs.FileMode, error) {
	if n == 0 {
		return 0o600, nil
	}
	m, err := strconv.ParseUint(strconv.FormatUint(uint64(n), 10), 8, 32)
	if err != nil || m > 0o777 {
		return 0, invalid(field, "%d is not a mode such as 644", n)
	}
	return fs.FileMode(m), nil
}

func (f *fileService) Put(in file.File_PutServer) error {
	select {
	case f.puts <- struct{}{}:
		defer func() { <-f.puts }()
	default:
		return status.Errorf(codes.ResourceExhausted, "%d files are on their way in, more are not taken", maxPuts)
	}
	first, err := in.Recv()
	if err != nil {
		return err
	}
	open := first.GetOpen()
	if open == nil {
		return invalid("open", "the first message has to be it")
	}
	name, err := local("open.remote_file", open.GetRemoteFile())
	if err != nil {
		return err
	}
	if name == "." {
		return invalid("open.remote_file", "names no file")
	}
	mode, err := octal("open.permissions", open.GetPermissions())
	if err != nil {
		return err
	}
	temp := path.Join(path.Dir(name), tempPrefix+rand.Text())
	w, err := f.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fileError("open.remote_file", open.GetRemoteFile(), err)
	}
	defer func() {
		_ = w.Close()
		_ = f.root.Remove(temp) // gone if it took its place
	}()
	sums := []hash.Hash{sha256.New(), sha512.New(), md5.New()}
	all := io.MultiWriter(w, sums[0], sums[1], sums[2])
	size := int64(0)
	for {
		m, err := in.Recv()
		if errors.Is(err, io.EOF) {
			return invalid("hash", "is missing: what came is thrown away")
		}
		if err != nil {
			return err
		}
		if h := m.GetHash(); h != nil {
			i := int(h.GetMethod()) - 1
			if i < 0 || i >= len(sums) {
				return invalid("hash.method", "is none of SHA256, SHA512, MD5")
			}
			if subtle.ConstantTimeCompare(sums[i].Sum(nil), h.GetHash()) != 1 {
				return status.Error(codes.DataLoss, "hash: is not that of what came, which is thrown away")
			}
			break
		}
		b := m.GetContents()
		switch {
		case m.GetOpen() != nil:
			return invalid("open", "is there twice")
		case len(b) > chunk:
			return invalid("contents", "%d bytes in a message, at most %d are allowed", len(b), chunk)
		case size+int64(len(b)) > maxFile:
			return status.Errorf(codes.ResourceExhausted, "contents: a file may have %d bytes at most", maxFile)
		}
		size += int64(len(b))
		if _, err := all.Write(b); err != nil {
			return fileError("contents", open.GetRemoteFile(), err)
		}
	}
	if err := f.place(w, temp, name, mode, size); err != nil {
		return err
	}
	return in.SendAndClose(&file.PutResponse{})
}

// place puts a whole file where it belongs, for good.
func (f *fileService) place(w *os.File, temp, name string, mode fs.FileMode, size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if st, err := f.root.Lstat(name); err == nil && !st.Mode().IsRegular() {
		return invalid("open.remote_file", "%s is there, and not a file", name)
	}
	files, total := 0, int64(0)
	err := fs.WalkDir(f.root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if p == "." || p == name || strings.HasPrefix(d.Name(), tempPrefix) {
			return nil
		}
		files++
		if st, err := d.Info(); err == nil {
			total += st.Size()
		}
		return nil
	})
	if err != nil {
		return fileError("open.remote_file", name, err)
	}
	if files >= maxFiles || total+size > maxTotal {
		return status.Errorf(codes.ResourceExhausted, "open.remote_file: there is room for %d files of %d bytes together; remove some", maxFiles, maxTotal)
	}
	err = errors.Join(w.Chmod(mode), w.Sync())
	if err == nil {
		err = f.root.Rename(temp, name)
	}
	if err == nil {
		var d *os.File
		if d, err = f.root.Open(path.Dir(name)); err == nil {
			err = errors.Join(d.Sync(), d.Close())
		}
	}
	return fileError("open.remote_file", name, err)
}

func (f *fileService) Stat(_ context.Context, req *file.StatRequest) (*file.StatResponse, error) {
	name, err := local("path", req.GetPath())
	if err != nil {
		return nil, err
	}
	st, err := f.root.Stat(name)
	if err != nil {
		return nil, fileError("path", req.GetPath(), err)
	}
	if !st.IsDir() {
		return &file.StatResponse{Stats: []*file.StatInfo{statInfo("/"+name, st)}}, nil
	}
	entries, err := fs.ReadDir(f.root.FS(), name)
	if err != nil {
		return nil, fileError("path", req.GetPath(), err)
	}
	resp := &file.StatResponse{}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}
		if st, err := e.Info(); err == nil {
			resp.Stats = append(resp.Stats, statInfo(path.Join("/", name, e.Name()), st))
		}
	}
	return resp, nil
}

func statInfo(name string, st fs.FileInfo) *file.StatInfo {
	mode, _ := strconv.ParseUint(fmt.Sprintf("%o", st.Mode().Perm()), 10, 32)
	return &file.StatInfo{
		Path: name, LastModified: uint64(st.ModTime().UnixNano()), Permissions: uint32(mode), Size: uint64(st.Size()), Umask: 77,
	}
}

func (f *fileService) Remove(_ context.Context, req *file.RemoveRequest) (*file.RemoveResponse, error) {
	name, err := local("remote_file", req.GetRemoteFile())
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	st, err := f.root.Lstat(name)
	if err != nil {
		return nil, fileError("remote_file", req.GetRemoteFile(), err)
	}
	if st.IsDir() {
		return nil, invalid("remote_file", "%s is a folder", req.GetRemoteFile())
	}
	if err := f.root.Remove(name); err != nil {
		return nil, fileError("remote_file", req.GetRemoteFile(), err)
	}
	return &file.RemoveResponse{}, nil
}

func (f *fileService) TransferToRemote(context.Context, *file.TransferToRemoteRequest) (*file.TransferToRemoteResponse, error) {
	return nil, status.Error(codes.Unimplemented, "the appliance opens no connections to file servers: use Get")
}
