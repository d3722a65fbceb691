package cloud

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// MountReadOnly makes the file system of a disk readable below a directory of its own in dir.
func MountReadOnly(dir string) func(device string) (string, func(), error) {
	return func(device string) (string, func(), error) {
		at, err := os.MkdirTemp(dir, "seed-")
		if err != nil {
			return "", nil, err
		}
		const flags = syscall.MS_RDONLY | syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC
		var errs []error
		for _, kind := range []string{"iso9660", "vfat"} {
			if err := syscall.Mount(device, at, kind, flags, ""); err != nil {
				errs = append(errs, fmt.Errorf("mount %s as %s: %w", device, kind, err))
				continue
			}
			return at, func() {
				_ = syscall.Unmount(at, syscall.MNT_DETACH)
				_ = os.Remove(at)
			}, nil
		}
		_ = os.Remove(at)
		return "", nil, errors.Join(errs...)
	}
}
