package image

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// report notes a figure in report.json beside the image.
func report(t *testing.T, name string, value any) {
	t.Helper()
	t.Logf("%s: %v", name, value)
	file := filepath.Join(filepath.Dir(imageFile(t)), "report.json")
	all := map[string]any{}
	if b, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(b, &all); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	all[name] = value
	b, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.WriteFile(file, append(b, '\n'), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}
