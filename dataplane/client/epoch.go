package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// NextEpoch returns an epoch larger than any it returned before for the same file: the present time in Unix seconds, or one more
// than the stored one if the clock stands or went back. It fits 32 bits until the year 2106, so that epoch<<32|n makes ids that
// never meet those of an earlier run.
func NextEpoch(path string, now time.Time) (uint64, error) {
	epoch := uint64(max(1, now.Unix()))
	b, err := os.ReadFile(path)
	switch {
	case err == nil:
		if old, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32); err == nil && old >= epoch {
			epoch = old + 1
		}
	case !errors.Is(err, fs.ErrNotExist):
		return 0, fmt.Errorf("read epoch: %w", err)
	}
	if epoch > 1<<32-1 {
		return 0, fmt.Errorf("epoch %d of %s does not fit 32 bits", epoch, path)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".epoch-*")
	if err != nil {
		return 0, fmt.Errorf("store epoch: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = fmt.Fprintln(tmp, epoch)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return 0, fmt.Errorf("store epoch: %w", err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return 0, fmt.Errorf("store epoch: %w", err)
	}
	return epoch, nil
}
