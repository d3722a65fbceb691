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

	"millrace/server/config"
)

// store keeps the configuration in force in the state directory, so that what was changed over the API outlives a restart. The file
// of the operator is never written. It wins whenever it has changed since.
type store struct {
	startup string // path of the operator's file; may be empty
	running string
	sum     string // of the operator's file when it was read
}

const runningHead = "# The configuration in force, written by vnf. Startup file sha256:"

func newStore(startup, stateDir string) *store {
	return &store{startup: startup, running: filepath.Join(stateDir, "running.yaml")}
}

// load returns the configuration to begin with.
func (s *store) load(log *slog.Logger) (*config.Config, error) {
	var file []byte
	if s.startup != "" {
		var err error
		if file, err = os.ReadFile(s.startup); err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
	}
	s.sum = sum(file)
	running, err := os.ReadFile(s.running)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	head, _, _ := bytes.Cut(running, []byte("\n"))
	if err == nil && (s.startup == "" || strings.TrimPrefix(string(head), runningHead) == s.sum) {
		c, err := config.Parse(running)
		if err == nil {
			log.Info("configuration read", "file", s.running)
			return c, nil
		}
		if s.startup == "" {
			return nil, fmt.Errorf("%s:\n%w", s.running, err)
		}
		log.Error("the stored configuration is not usable; taking the startup file", "file", s.running, "error", err)
	}
	c, err := config.Parse(file)
	if err != nil {
		return nil, fmt.Errorf("%s:\n%w", s.startup, err)
	}
	log.Info("configuration read", "file", s.startup)
	return c, nil
}

// reload reads the operator's file again.
func (s *store) reload() (*config.Config, error) {
	if s.startup == "" {
		return nil, errors.New("there is no configuration file to be read again")
	}
	file, err := os.ReadFile(s.startup)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c, err := config.Parse(file)
	if err != nil {
		return nil, fmt.Errorf("%s:\n%w", s.startup, err)
	}
	s.sum = sum(file)
	return c, nil
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
	_, err = fmt.Fprintf(f, "%s%s\n%s", runningHead, s.sum, y)
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
