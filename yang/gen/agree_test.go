package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openconfig/goyang/pkg/yang"

	"millrace/yang/oc"
	"millrace/yang/schema"
)

// What ygot made and what the service goes by are two files of one source.
func TestStructsAndSchemaHaveTheSameLeaves(t *testing.T) {
	s, err := oc.Schema()
	if err != nil {
		t.Fatal(err)
	}
	structs := map[string]bool{}
	var visit func(e *yang.Entry, path string)
	visit = func(e *yang.Entry, path string) {
		for _, c := range e.Dir {
			switch {
			case c.IsChoice() || c.IsCase():
				visit(c, path)
			case c.IsLeaf() || c.IsLeafList():
				structs[path+"/"+c.Name] = true
			default:
				visit(c, path+"/"+c.Name)
			}
		}
	}
	visit(s.SchemaTree["Device"], "")

	own, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	leaves := map[string]bool{}
	own.Root.Walk(func(n *schema.Node) {
		if n.IsLeaf() {
			leaves[n.Path()] = true
		}
	})
	for _, path := range slices.Sorted(maps.Keys(structs)) {
		if !leaves[path] {
			t.Errorf("%s is in the structs only", path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(leaves)) {
		if !structs[path] {
			t.Errorf("%s is in the schema only", path)
		}
	}
	if len(leaves) < 500 {
		t.Errorf("only %d leaves", len(leaves))
	}
}

func TestStructsReadAndValidate(t *testing.T) {
	for doc, ok := range map[string]bool{
		`{"openconfig-interfaces:interfaces": {"interface": [{"name": "eth1", "config": {"name": "eth1", "mtu": 1500}}]}}`:  true,
		`{"openconfig-interfaces:interfaces": {"interface": [{"name": "eth1", "config": {"name": "eth2", "mtu": 1500}}]}}`:  false,
		`{"openconfig-interfaces:interfaces": {"interface": [{"name": "eth1", "config": {"name": "eth1", "mtu": 99999}}]}}`: false,
		`{"openconfig-interfaces:interfaces": {"interface": [{"name": "eth1", "config": {"name": "eth1", "mut": 1500}}]}}`:  false,
	} {
		d := new(oc.Device)
		err := oc.Unmarshal([]byte(doc), d)
		if err == nil {
			err = d.Validate()
		}
		if (err == nil) != ok {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

// OpenConfig's convention: state has a twin of each leaf of config, which says what is in force. Secrets are not told.
func TestConfigHasItsTwinInState(t *testing.T) {
	s, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	s.Root.Walk(func(n *schema.Node) {
		if !n.IsLeaf() || n.Parent.Name != "config" || !n.Config {
			return
		}
		if n.Path() == "/system/aaa/authentication/users/user/config/password" {
			return
		}
		twin := strings.TrimSuffix(n.Parent.Path(), "config") + "state/" + n.Name
		if s.Find(twin) == nil {
			t.Errorf("%s is supported, %s is not", n.Path(), twin)
		}
	})
}

// The committed files are those of the lists, if the models are at hand (lint checks it too).
func TestCommittedFilesAreFresh(t *testing.T) {
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
	out := t.TempDir()
	if err := run(models, "../..", out); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"yang/schema/schema.json", "yang/vnf-deviations.yang", "docs/tree.md", "yang/oc/enum.go", "yang/oc/structs_1.go", "yang/oc/schema.go"} {
		if read(t, out+"/"+f) != read(t, "../../"+f) {
			t.Errorf("%s is stale: make generate", f)
		}
	}
}
