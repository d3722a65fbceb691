// Package report is the file in which an appliance's boot tells what it came to.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"millrace/appliance/cloud"
)

// FileName is the name of the report's file below the runtime directory.
const FileName = "day0.json"

// Report is what a boot came to, for the console, the alarms and who looks for faults.
type Report struct {
	Stage    string `json:"stage"`
	Instance string `json:"instance-id,omitempty"`
	Platform string `json:"platform,omitempty"`
	// Configuration says where the one in force is from: "user-data", "nics" (made of the cards alone) or "kept".
	Configuration string `json:"configuration,omitempty"`
	// Certificates are from "user-data", or the box's "own".
	Certificates string `json:"certificates,omitempty"`
	// CPU is what the processor lacks; empty: nothing.
	CPU      string          `json:"cpu,omitempty"`
	Problems []cloud.Problem `json:"problems,omitempty"`

	// Log takes each problem as well; nil: none.
	Log *slog.Logger `json:"-"`
}

// maxProblems bounds what hostile data can fill.
const maxProblems = 100

// Load reads the report of a runtime directory; without one it is empty.
func Load(dir string) (*Report, error) {
	r := &Report{}
	b, err := os.ReadFile(filepath.Join(dir, FileName))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s: %w", FileName, err)
	}
	return r, nil
}

// Save writes the report into a runtime directory. Everyone may read it.
func (r *Report) Save(dir string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".day0-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, FileName))
}

// Add tells a problem.
func (r *Report) Add(field, format string, args ...any) {
	r.Take([]cloud.Problem{{Field: field, Reason: fmt.Sprintf(format, args...)}})
}

// Take tells problems, up to a number that hostile data cannot exceed.
func (r *Report) Take(problems []cloud.Problem) {
	for _, p := range problems {
		if len(r.Problems) >= maxProblems {
			return
		}
		if len(p.Reason) > 2000 {
			p.Reason = p.Reason[:2000] + "…"
		}
		r.Problems = append(r.Problems, p)
		if r.Log != nil {
			r.Log.Error(p.Error())
		}
	}
}
