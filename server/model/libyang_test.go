package model

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestLibyangTakesTheTree has libyang, an implementation of YANG other than the one that our schema is made with, load our modules and
// deviations with OpenConfig's and read a tree of ours: what it takes in has to be what we wrote.
func TestLibyangTakesTheTree(t *testing.T) {
	yanglint, err := exec.LookPath("yanglint")
	if err != nil {
		t.Skip("no yanglint (Debian: libyang2-tools)")
	}
	models := os.Getenv("YANG_MODELS")
	if models == "" {
		models = "../shared/openconfig"
	}
	if !filepath.IsAbs(models) {
		models = filepath.Join("../..", models)
	}
	if _, err := os.Stat(models); err != nil {
		t.Skipf("no models: %v", err)
	}
	dir := t.TempDir()
	// OpenConfig means to say that set-med asks for set-med-action. What it says asks for it without set-med as well.
	const policy = "openconfig-bgp-policy.yang"
	text, err := os.ReadFile(filepath.Join(models, policy))
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte(`must "(set-med != 'IGP'`), []byte(`must "not(set-med) or (set-med != 'IGP'`))
	if err := os.WriteFile(filepath.Join(dir, policy), text, 0o644); err != nil {
		t.Fatal(err)
	}
	v := newCoverage(t)
	written := v.Tree.Indented()
	if err := os.WriteFile(filepath.Join(dir, "tree.json"), written, 0o644); err != nil {
		t.Fatal(err)
	}

	list, err := os.ReadFile("../../yang/supported/modules.txt")
	if err != nil {
		t.Fatal(err)
	}
	own, err := filepath.Glob("../../yang/vnf-*.yang")
	if err != nil || len(own) == 0 {
		t.Fatal("no modules of ours", err)
	}
	args := []string{"-ii", "-t", "config", "-f", "json", "-o", filepath.Join(dir, "read.json"), "-p", dir, "-p", models, "-p", "../../yang"}
	for l := range strings.Lines(string(list)) {
		name, ok := strings.CutPrefix(strings.TrimSpace(l), "module ")
		if !ok {
			continue
		}
		file := filepath.Join(dir, name+".yang")
		if _, err := os.Stat(file); err != nil {
			file = filepath.Join(models, name+".yang")
		}
		args = append(args, file)
	}
	args = append(append(args, own...), filepath.Join(dir, "tree.json"))
	out, err := exec.CommandContext(t.Context(), yanglint, args...).CombinedOutput()
	if err != nil {
		bad := slices.DeleteFunc(strings.Split(string(out), "\n"), func(l string) bool { return strings.HasPrefix(l, "libyang warn") })
		t.Fatalf("yanglint: %v\n%s", err, strings.Join(bad, "\n"))
	}
	read, err := os.ReadFile(filepath.Join(dir, "read.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(sorted(t, written), sorted(t, read)) {
		t.Errorf("libyang reads another tree than was written:\n%s", read)
	}
}

// sorted parses JSON and sorts its lists, which libyang has in another order.
func sorted(t *testing.T, text []byte) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	sortLists(v)
	return v
}

func sortLists(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, x := range v {
			sortLists(x)
		}
	case []any:
		for _, x := range v {
			sortLists(x)
		}
		text := func(x any) string {
			b, err := json.Marshal(x)
			if err != nil {
				panic(err)
			}
			return string(b)
		}
		slices.SortFunc(v, func(a, b any) int { return strings.Compare(text(a), text(b)) })
	}
}
