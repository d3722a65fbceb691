package boot

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

// ReportName is the name of the report's file below the runtime directory.
const ReportName = "day0.json"

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

	log *slog.Logger
}

// maxProblems bounds what hostile data can fill.
const maxProblems = 100

// LoadReport reads the report of a runtime directory; without one it is empty.
func LoadReport(dir string) (*Report, error) {
	r := &Report{}
	b, err := os.ReadFile(filepath.Join(dir, ReportName))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s: %w", ReportName, err)
	}
	return r, nil
}

// Save writes the report into a runtime directory. Everyone may read it.
func (r *Report) Save(dir string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	_, err = writeFile(filepath.Join(dir, ReportName), append(b, '\n'), 0o644)
	return err
}

func (r *Report) add(field, format string, args ...any) {
	r.take([]cloud.Problem{{Field: field, Reason: fmt.Sprintf(format, args...)}})
}

func (r *Report) take(problems []cloud.Problem) {
	for _, p := range problems {
		if len(r.Problems) >= maxProblems {
			return
		}
		if len(p.Reason) > 2000 {
			p.Reason = p.Reason[:2000] + "…"
		}
		r.Problems = append(r.Problems, p)
		if r.log != nil {
			r.log.Error(p.Error())
		}
	}
}
