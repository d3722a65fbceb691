package control

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"millrace/server/config"
)

// store keeps the configuration in force in the state directory, so that what was changed over the API outlives a restart. The file
// of the operator is never written. It wins whenever it has changed since.
type store struct {
	startup string // path of the operator's file; may be empty
	running string

	mu  sync.Mutex
	sum string // of the operator's file when it was read
}

const runningHead = "# The configuration in force, written by vnf. Startup file sha256:"

func newStore(startup, stateDir string) *store {
	return &store{startup: startup, running: filepath.Join(stateDir, "running.yaml")}
}

// load returns the configuration to begin with: that in force last, unless the operator's file has changed since. A file that is
// not right does not keep vnf from going on with what was in force.
func (s *store) load(log *slog.Logger) (*config.Config, error) {
	var startup *config.Config
	var file []byte
	var fault error
	if s.startup != "" {
		if file, fault = os.ReadFile(s.startup); fault == nil {
			startup, fault = config.Parse(file)
		}
		if fault != nil {
			fault = fmt.Errorf("%s:\n%w", s.startup, fault)
		}
	} else {
		startup = new(config.Config)
	}
	s.sum = sum(file)
	stored, err := os.ReadFile(s.running)
	var running *config.Config
	if err == nil {
		if running, err = config.Parse(stored); err != nil {
			log.Error("the stored configuration is not usable", "file", s.running, "error", err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		log.Error("the stored configuration is not readable", "error", err)
	}
	head, _, _ := bytes.Cut(stored, []byte("\n"))
	same := s.startup == "" || strings.TrimPrefix(string(head), runningHead) == s.sum
	switch {
	case running != nil && (same || fault != nil):
		if fault != nil {
			log.Error("the configuration file is not taken; going on with what was in force", "error", fault)
		}
		log.Info("configuration read", "file", s.running)
		return running, nil
	case fault != nil:
		return nil, fault
	}
	log.Info("configuration read", "file", s.startup)
	return startup, nil
}

// reload reads the operator's file again and hands it to apply. What is stored then belongs to the new file, if it was taken.
func (s *store) reload(apply func(*config.Config) error) error {
	if s.startup == "" {
		return errors.New("there is no configuration file to be read again")
	}
	file, err := os.ReadFile(s.startup)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	c, err := config.Parse(file)
	if err != nil {
		return fmt.Errorf("%s:\n%w", s.startup, err)
	}
	before := s.setSum(sum(file))
	if err := apply(c); err != nil {
		s.setSum(before)
		return err
	}
	return nil
}

// setSum changes the sum and returns the one before.
func (s *store) setSum(sum string) (before string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, s.sum = s.sum, sum
	return before
}

// save stores a configuration that is about to come into force. It holds passwords: mode 0600.
func (s *store) save(c *config.Config) (err error) {
	y, err := c.YAML()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(s.running), ".running-*")
	if err != nil {
		return fmt.Errorf("save configuration: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	s.mu.Lock()
	_, err = fmt.Fprintf(f, "%s%s\n%s", runningHead, s.sum, y)
	s.mu.Unlock()
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), s.running)
	}
	if err != nil {
		return fmt.Errorf("save configuration: %w", err)
	}
	return nil
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
