package state

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"millrace/yang/schema"
)

// madeOf are parts of the tree whose leaves have names that are not written in the sources, and what they are made of.
var madeOf = map[string]string{}

// TestEveryStateLeafHasASource fails for each leaf of state that is no twin of configuration, and whose name no source writes: it is
// one that the schema promises and nobody gives.
func TestEveryStateLeafHasASource(t *testing.T) {
	s, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	written := namesWritten(t)
	s.Root.Walk(func(n *schema.Node) {
		if n.Config || !n.IsLeaf() || n.IsKey() || mirrorsConfig(n) || written[n.Name] {
			return
		}
		for place := range madeOf {
			if strings.HasPrefix(n.Path(), place) {
				return
			}
		}
		t.Errorf("%s: no source gives it", n.Path())
	})
}

// mirrorsConfig says that a leaf of state has a twin in configuration, which the hub shows where no source knows better.
func mirrorsConfig(n *schema.Node) bool {
	for state := n.Parent; state != nil; state = state.Parent {
		if state.Name != "state" {
			continue
		}
		c := state.Parent.Child("config")
		if c == nil || !c.Config {
			return false
		}
		for name := range strings.SplitSeq(strings.TrimPrefix(n.Path(), state.Path()+"/"), "/") {
			c = c.Child(name)
		}
		return c != nil
	}
	return false
}

// namesWritten are the words between slashes in the strings of the sources, but for where they say what they know.
func namesWritten(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				return n.Name.Name != "Roots" && n.Name.Name != "Sampled"
			case *ast.BasicLit:
				if n.Kind != token.STRING {
					return false
				}
				text, err := strconv.Unquote(n.Value)
				if err != nil {
					t.Fatal(err)
				}
				for name := range strings.SplitSeq(text, "/") {
					names[name] = true
				}
			}
			return true
		})
	}
	return names
}
