package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Two modules to generate from: the second augments the first.
const (
	lampModule = `
module lamp {
  yang-version "1";
  namespace "urn:lamp";
  prefix "l";
  organization "Lamps";
  revision 2020-02-02;

  identity COLOUR;
  identity RED { base COLOUR; }

  typedef level { type uint8 { range "1..100"; } default 50; units "percent"; }

  grouping lamp-config {
    leaf name { type string { length "1..8"; pattern '[a-z$]+'; } }
    leaf level { type level; }
    leaf colour { type identityref { base COLOUR; } }
    leaf like { type leafref { path "../../../lamp/config/name"; } }
    leaf-list tag { type union { type enumeration { enum ON; enum OFF; } type decimal64 { fraction-digits 2; range "-1.5..2"; } } }
  }

  container lamps {
    list lamp {
      key "name";
      leaf name { type leafref { path "../config/name"; } }
      container config { uses lamp-config; }
      container state { config false; uses lamp-config; leaf hours { type uint64; } }
      choice power {
        case mains { leaf volts { type uint16; mandatory true; } }
        case battery { container battery { presence "is there"; leaf cells { type uint8; } } }
      }
    }
  }
  container unused { leaf x { type string; } }
  rpc blow { input { leaf what { type string; } } }
}`
	moodModule = `
module mood {
  yang-version "1";
  namespace "urn:mood";
  prefix "m";
  import lamp { prefix lamp; }
  identity BLUE { base lamp:COLOUR; }
  augment "/lamp:lamps/lamp:lamp/lamp:state" {
    leaf temper { type string; }
  }
  augment "/lamp:lamps/lamp:lamp/lamp:config" {
    leaf mood { type string; }
    leaf whim { type string; }
  }
}`
	ownModule = `
module vnf-shade {
  yang-version "1";
  namespace "urn:millrace:yang:vnf-shade";
  prefix "shade";
  import lamp { prefix l; }
  augment "/l:lamps/l:lamp/l:config" {
    leaf shade { type string; description "Of paper. Or silk."; }
  }
  augment "/l:lamps/l:lamp/l:state" {
    leaf shade { type string; }
  }
}`
)

// project makes folders of models and of a project with the given lists.
func project(t *testing.T, lists map[string]string) (models, root string) {
	t.Helper()
	models, root = filepath.Join(t.TempDir(), "models"), t.TempDir()
	files := map[string]string{
		filepath.Join(models, "lamp.yang"):            lampModule,
		filepath.Join(models, "mood.yang"):            moodModule,
		filepath.Join(root, "yang", "vnf-shade.yang"): ownModule,
	}
	for name, text := range lists {
		files[filepath.Join(root, "yang", "supported", name)] = text
	}
	for name, text := range files {
		if err := write(name, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return models, root
}

const modulesList = "module lamp\nmodule mood\n"

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDeviationsAreMinimal(t *testing.T) {
	models, root := project(t, map[string]string{"modules.txt": modulesList, "lamps.txt": `
# what we have
/lamps/lamp:
{config,state}/{name,level,colour}
config/mood   # of the other module
battery/...
- battery/cells
`})
	if err := run(models, root, root); err != nil {
		t.Fatal(err)
	}
	text := read(t, filepath.Join(root, "yang", "vnf-deviations.yang"))
	var got []string
	for l := range strings.Lines(text) {
		if p, ok := strings.CutPrefix(strings.TrimSpace(l), "deviation "); ok {
			got = append(got, strings.Trim(p, "\" {"))
		}
	}
	want := []string{
		"/l:lamps/l:lamp/l:power/l:battery/l:battery/l:cells",
		"/l:lamps/l:lamp/l:config/l:like",
		"/l:lamps/l:lamp/l:config/l:tag",
		"/l:lamps/l:lamp/l:config/m:whim",
		"/l:lamps/l:lamp/l:state/l:hours",
		"/l:lamps/l:lamp/l:state/l:like",
		"/l:lamps/l:lamp/l:state/l:tag",
		"/l:lamps/l:lamp/l:state/m:temper",
		"/l:lamps/l:lamp/l:power/l:mains/l:volts",
		"/l:unused",
	}
	if !slices.Equal(got, want) {
		t.Errorf("deviations:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, line := range []string{`import lamp { prefix "l"; }`, `import mood { prefix "m"; }`} {
		if !strings.Contains(text, line) {
			t.Errorf("%s is missing in\n%s", line, text)
		}
	}

	page := read(t, filepath.Join(root, "docs", "tree.md"))
	for _, line := range []string{
		"## /lamps (lamp)", "rw   lamp[name]", "rw       level  level = 50", "rw     battery!", "rw       m:mood  string",
		"rw       shade:shade  string", "ro     state", "/lamps/lamp/state/hours\n",
	} {
		if !strings.Contains(page, line) {
			t.Errorf("%q is missing in\n%s", line, page)
		}
	}
}

func TestSchemaFile(t *testing.T) {
	models, root := project(t, map[string]string{"modules.txt": modulesList, "lamps.txt": "/lamps/...\n"})
	if err := run(models, root, root); err != nil {
		t.Fatal(err)
	}
	text := read(t, filepath.Join(root, "yang", "schema", "schema.json"))
	for _, line := range []string{
		`{"name":"lamp","namespace":"urn:lamp","organization":"Lamps","revision":"2020-02-02"}`,
		`{"base":"string","ranges":["1..8"],"patterns":["[a-z$]+"]}`,
		`{"base":"uint8","name":"level","ranges":["1..100"]}`,
		`{"base":"identityref","values":["lamp:RED","mood:BLUE"]}`,
		`{"base":"enumeration","values":["ON","OFF"]}`,
		`{"base":"decimal64","ranges":["-1.50..2.00"],"fraction-digits":2}`,
		`"ref-path":"/lamps/lamp/config/name","ref-expr":"../../../lamp/config/name"`,
		`"name":"lamp","module":"lamp","kind":"list","keys":["name"]`,
		`"name":"level","module":"lamp","kind":"leaf","default":["50"],"units":"percent"`,
		`"name":"level","module":"lamp","kind":"leaf","state":true`,
		`"name":"volts","module":"lamp","kind":"leaf","mandatory":true`,
		`"name":"battery","module":"lamp","kind":"container","presence":true`,
		`"name":"shade","module":"vnf-shade","kind":"leaf","description":"Of paper."`,
		"\"deviated\": [\n\"/unused\"\n]",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("%s is missing in\n%s", line, text)
		}
	}
}

func TestReadOnly(t *testing.T) {
	models, root := project(t, map[string]string{"modules.txt": modulesList, "lamps.txt": "/lamps/lamp/state/...\nread-only /lamps\n"})
	if err := run(models, root, root); err != nil {
		t.Fatal(err)
	}
	if text := read(t, filepath.Join(root, "yang", "vnf-deviations.yang")); !strings.Contains(text, "deviation \"/l:lamps\" {\n    deviate add {\n      config false;") {
		t.Errorf("no deviation in\n%s", text)
	}
	if page := read(t, filepath.Join(root, "docs", "tree.md")); strings.Contains(page, "\nrw ") {
		t.Errorf("not all is state:\n%s", page)
	}
}

func TestSameInputSameOutput(t *testing.T) {
	models, root := project(t, map[string]string{"modules.txt": modulesList, "lamps.txt": "/lamps/...\n"})
	var first map[string]string
	for range 5 {
		out := t.TempDir()
		if err := run(models, root, out); err != nil {
			t.Fatal(err)
		}
		files := map[string]string{}
		err := filepath.WalkDir(out, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				files[strings.TrimPrefix(path, out)] = read(t, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = files
		}
		for name, text := range first {
			if files[name] != text {
				t.Errorf("%s differs from run to run", name)
			}
		}
	}
	if len(first) < 6 {
		t.Errorf("only %d files", len(first))
	}
}

func TestListErrors(t *testing.T) {
	for _, c := range []struct{ list, want string }{
		{"/lamps/lamp/config/nmae", "lamps.txt:1: /lamps/lamp/config/nmae: there is no such node"},
		{"# x\n\n/lamps/lamp:\nstate/{hours,days}", "lamps.txt:4: /lamps/lamp/state/days: there is no such node"},
		{"/lamps/lamp/config", "lamps.txt:1: /lamps/lamp/config: is not a leaf"},
		{"/lamps/lamp/config/name/...", "lamps.txt:1: /lamps/lamp/config/name: a leaf has nothing below it"},
		{"- /lamps/lamp/config/level", "lamps.txt:1: /lamps/lamp/config/level: nothing of it was supported before"},
		{"read-only /lamps/lamp/state/hours", "lamps.txt:1: /lamps/lamp/state/hours: is state already"},
		{"read-only /unused", "/unused is to be read-only and nothing of it is supported"},
		{"config/name", `lamps.txt:1: "config/name" is relative to nothing`},
		{"lamps:", `lamps.txt:1: "lamps:" has to start with /`},
		{"/lamps/{lamp", `lamps.txt:1: "/lamps/{lamp": unmatched brace`},
		{"/lamps/lamp}", `lamps.txt:1: "/lamps/lamp}": unmatched brace`},
		{"/lamps/lamp/config/name level", "lamps.txt:1:"},
		{"module nothing", "nothing"},
		{"/lamps/...\n- /lamps/lamp/config/name", ""}, // a key is supported all the same
	} {
		models, root := project(t, map[string]string{"modules.txt": modulesList, "lamps.txt": c.list})
		err := run(models, root, root)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%q: %v", c.list, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%q: error %v, want %q", c.list, err, c.want)
		}
		if c.want != "" {
			if _, err := os.Stat(filepath.Join(root, "yang", "oc")); err == nil {
				t.Errorf("%q: files were written", c.list)
			}
		}
	}
}

func TestLeafrefToWhatIsNotSupported(t *testing.T) {
	models, root := project(t, map[string]string{"modules.txt": modulesList + "module refer\n", "lamps.txt": "/refer/...\n"})
	refer := `module refer { yang-version "1"; namespace "urn:refer"; prefix "r"; import lamp { prefix l; }
		container refer { leaf to { type leafref { path "/l:lamps/l:lamp/l:config/l:level"; } } } }`
	if err := write(filepath.Join(models, "refer.yang"), []byte(refer)); err != nil {
		t.Fatal(err)
	}
	err := run(models, root, root)
	want := "lamps.txt:1: /refer/to refers to /lamps/lamp/config/level, which is not supported"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestShowPaths(t *testing.T) {
	models, root := project(t, map[string]string{"modules.txt": modulesList, "lamps.txt": "/lamps/lamp/config/level\n"})
	var b bytes.Buffer
	if err := showPaths(&b, models, root, "/lamps/lamp/config"); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"+ /lamps/lamp/config/level level\n", "+ /lamps/lamp/config/name string\n", "- /lamps/lamp/config/colour identityref\n"} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("%q is missing in\n%s", line, b.String())
		}
	}
	if err := showPaths(&b, models, root, "/lamp"); err == nil {
		t.Error("a path that is not there was shown")
	}
}

func TestTranslateXSD(t *testing.T) {
	for _, c := range [][2]string{
		{`[0-9]+`, `[0-9]+`},
		{`^[0-9]+$`, `^[0-9]+$`},
		{`a^b$`, `a\^b\$`},
		{`[^$]\$`, `[^$]\$`},
		{`\[^x`, `\[\^x`},
	} {
		if got := translateXSD(c[0]); got != c[1] {
			t.Errorf("%s became %s, want %s", c[0], got, c[1])
		}
	}
}
