package cloud

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// seeds reads what cloud-init does not keep, from where it says that it was found: NoCloud's network configuration, and user data before
// cloud-init's network stage has stored them.
func (r Reader) seeds(in *Instance, subplatform string) (problems []Problem) {
	for _, at := range seedPlaces(subplatform) {
		if in.UserData != nil && (in.NetworkConfig != nil || in.NetworkData != nil) {
			return problems
		}
		dir := filepath.Join(r.Root, at)
		if strings.HasPrefix(at, "/dev/") {
			if r.Mount == nil {
				continue
			}
			mounted, done, err := r.Mount(at)
			if err != nil {
				problems = append(problems, Problem{"seed " + at, err.Error()})
				continue
			}
			problems = append(problems, in.seed(mounted)...)
			done()
			continue
		}
		problems = append(problems, in.seed(dir)...)
	}
	return problems
}

// seedPlaces are the disks and directories of cloud-init's "config-disk (/dev/sr0)" or "seed-dir (dmi,/var/lib/cloud/seed/nocloud)".
func seedPlaces(subplatform string) []string {
	_, list, _ := strings.Cut(subplatform, "(")
	var places []string
	for p := range strings.SplitSeq(strings.TrimSuffix(list, ")"), ",") {
		if p = strings.TrimSpace(p); filepath.IsAbs(p) && filepath.Clean(p) == p && len(p) < 256 && len(places) < 8 {
			places = append(places, p)
		}
	}
	return places
}

// seed reads one place. There are the files of OpenStack or those of NoCloud. Links that lead out of it are not followed.
func (in *Instance) seed(dir string) (problems []Problem) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return []Problem{{"seed", err.Error()}}
	}
	defer func() { _ = root.Close() }()
	take := func(to *[]byte, field string, names ...string) {
		for _, name := range names {
			if *to != nil {
				return
			}
			b, err := readFrom(root, name)
			switch {
			case err == nil:
				*to = b
			case !errors.Is(err, fs.ErrNotExist):
				problems = append(problems, Problem{field, err.Error()})
			}
		}
	}
	take(&in.UserData, "user-data", "openstack/latest/user_data", "user-data")
	take(&in.NetworkData, "network-data", "openstack/latest/network_data.json")
	take(&in.NetworkConfig, "network-config", "network-config")
	return problems
}

func readFrom(root *os.Root, name string) ([]byte, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not hold the boot up
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readAll(f, maxUserData)
}
