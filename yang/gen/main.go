// Command gen makes what depends on the YANG modules: the deviations module, the Go of ygot, the schema of the management tree and
// the page that lists it.
//
//	go run ./yang/gen -models ../shared/openconfig
//
// The models are the folder of a checkout of openconfig/public at v5.9.0, all modules in one folder. What of them the appliance
// supports is said in yang/supported; modules of our own, yang/vnf-*.yang, are supported whole.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	models := flag.String("models", "", "folder of the OpenConfig modules")
	root := flag.String("root", ".", "folder of the project")
	out := flag.String("out", "", "folder to write to, as if it were the project's (default: the project's)")
	show := flag.String("list", "", "only list the nodes at and below this path, with + before those that are supported")
	flag.Parse()
	if *models == "" || flag.NArg() != 0 {
		flag.Usage()
		os.Exit(2)
	}
	if *out == "" {
		*out = *root
	}
	do := func() error { return run(*models, *root, *out) }
	if *show != "" {
		do = func() error { return showPaths(os.Stdout, *models, *root, *show) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run generates everything. Files are written only when all of them could be made.
func run(models, root, out string) error {
	src, full, err := loadAll(models, root)
	if err != nil {
		return err
	}
	deviated := full.unsupported()
	text, err := deviations(full, deviated)
	if err != nil {
		return err
	}
	// The rest is made from the deviated modules, as others load them.
	tmp, err := os.MkdirTemp("", "gen")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	devFile := filepath.Join(tmp, deviationsModule+".yang")
	if err := write(devFile, text); err != nil {
		return err
	}
	src.own = append(src.own, devFile)
	pruned, err := src.load()
	if err != nil {
		return err
	}
	files := map[string][]byte{"yang/" + deviationsModule + ".yang": text}
	if files["yang/schema/schema.json"], err = schemaJSON(pruned, deviated); err != nil {
		return err
	}
	files["docs/tree.md"] = treePage(pruned, deviated)
	structs, err := goStructs(src)
	if err != nil {
		return err
	}
	for name, text := range structs {
		files["yang/oc/"+name] = text
	}
	if err := removeStale(filepath.Join(out, "yang", "oc"), structs); err != nil {
		return err
	}
	for name, text := range files {
		if err := write(filepath.Join(out, name), text); err != nil {
			return err
		}
	}
	return nil
}

// loadAll loads the modules and marks what is supported.
func loadAll(dir, root string) (source, *models, error) {
	sup, err := loadSupported(filepath.Join(root, "yang", "supported"))
	if err != nil {
		return source{}, nil, err
	}
	own, err := ownModules(filepath.Join(root, "yang"))
	if err != nil {
		return source{}, nil, err
	}
	src := source{models: dir, modules: sup.modules, own: own}
	m, err := src.load()
	if err != nil {
		return source{}, nil, err
	}
	return src, m, m.support(sup)
}

// showPaths is for those who write the lists: it prints also what is not supported. Errors of the lists come last.
func showPaths(w io.Writer, dir, root, path string) error {
	_, m, err := loadAll(dir, root)
	if m == nil {
		return err
	}
	n := m.root
	if strings.Trim(path, "/") != "" {
		if n = m.find(path); n == nil {
			return errors.Join(fmt.Errorf("%s: there is no such node", path), err)
		}
	}
	n.walk(func(c *node) {
		if c == m.root {
			return
		}
		mark, kind := "-", ""
		if c.supported {
			mark = "+"
		}
		if c.leaf() {
			kind = typeText(c.entry.Type)
		}
		fmt.Fprintln(w, mark, c.path(), kind)
	})
	return err
}

// ownModules are the files of our modules, without the one that is generated.
func ownModules(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "vnf-*.yang"))
	if err != nil {
		return nil, err
	}
	var own []string
	for _, f := range files {
		if filepath.Base(f) != deviationsModule+".yang" {
			own = append(own, f)
		}
	}
	return own, nil
}

// write keeps the time of a file that has not changed.
func write(name string, text []byte) error {
	if old, err := os.ReadFile(name); err == nil && string(old) == string(text) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o644)
}
