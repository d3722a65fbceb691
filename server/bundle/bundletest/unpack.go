// Package bundletest reads support bundles in tests.
package bundletest

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
)

// Unpack returns the folder that all files of a bundle have to be in, and these by their names in it. They have to have the mode 0600.
func Unpack(t *testing.T, r io.Reader) (folder string, files map[string]string) {
	t.Helper()
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]string{}
	for a := tar.NewReader(z); ; {
		h, err := a.Next()
		if errors.Is(err, io.EOF) {
			return folder, files
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(a)
		if err != nil {
			t.Fatal(err)
		}
		if h.Mode != 0o600 {
			t.Errorf("%s has the mode %o", h.Name, h.Mode)
		}
		dir, name, ok := strings.Cut(h.Name, "/")
		if folder == "" {
			folder = dir
		}
		if !ok || dir != folder {
			t.Errorf("%s is not in %s", h.Name, folder)
		}
		files[name] = string(b)
	}
}
