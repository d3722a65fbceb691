package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/openconfig/goyang/pkg/yang"
)

// The types below are schema.json as package yang/schema reads it; see there.
type (
	fileModule struct {
		Name         string `json:"name"`
		Namespace    string `json:"namespace"`
		Organization string `json:"organization,omitempty"`
		Revision     string `json:"revision,omitempty"`
		Version      string `json:"version,omitempty"`
	}
	fileNode struct {
		Parent      int      `json:"parent,omitempty"`
		Name        string   `json:"name"`
		Module      string   `json:"module"`
		Kind        string   `json:"kind"`
		State       bool     `json:"state,omitempty"`
		Keys        []string `json:"keys,omitempty"`
		Presence    bool     `json:"presence,omitempty"`
		UserOrdered bool     `json:"user-ordered,omitempty"`
		Mandatory   bool     `json:"mandatory,omitempty"`
		Atomic      bool     `json:"atomic,omitempty"` // telemetry-atomic
		Default     []string `json:"default,omitempty"`
		Units       string   `json:"units,omitempty"`
		Description string   `json:"description,omitempty"`
		Type        int      `json:"type,omitempty"`
	}
	fileType struct {
		Base           string   `json:"base"`
		Name           string   `json:"name,omitempty"`
		Values         []string `json:"values,omitempty"`
		Members        []int    `json:"members,omitempty"`
		Ranges         []string `json:"ranges,omitempty"`
		Patterns       []string `json:"patterns,omitempty"`
		RefPath        string   `json:"ref-path,omitempty"`
		RefExpr        string   `json:"ref-expr,omitempty"`
		FractionDigits uint8    `json:"fraction-digits,omitempty"`
	}
)

// schemaWriter gathers nodes and types.
type schemaWriter struct {
	m      *models
	nodes  []fileNode
	types  []fileType
	number map[string]int // of a type, by its JSON, from 1
	used   map[string]bool
}

// schemaJSON is the schema of the pruned tree. Modules are those with nodes in it and those whose identities are values in it.
func schemaJSON(m *models, deviated []*node) ([]byte, error) {
	w := &schemaWriter{m: m, number: map[string]int{}, used: map[string]bool{deviationsModule: true}}
	for _, c := range m.root.children {
		if err := w.node(c, 0); err != nil {
			return nil, err
		}
	}
	var mods []fileModule
	for _, mod := range m.modules {
		if w.used[mod.Name] {
			mods = append(mods, describeModule(mod))
		}
	}
	var paths []string
	for _, d := range deviated {
		if m.find(d.path()) == nil { // else another module's node of the same name is supported
			paths = append(paths, d.path())
		}
	}
	slices.Sort(paths)

	// One line each, so that a change of the lists is a readable change of the file.
	var b bytes.Buffer
	b.WriteString("{")
	list(&b, "modules", mods, ",")
	list(&b, "types", w.types, ",")
	list(&b, "nodes", w.nodes, ",")
	list(&b, "deviated", slices.Compact(paths), "")
	b.WriteString("\n}\n")
	return b.Bytes(), nil
}

func list[T any](b *bytes.Buffer, name string, items []T, after string) {
	fmt.Fprintf(b, "\n%q: [", name)
	for i, item := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		b.Write(encode(item))
	}
	b.WriteString("\n]" + after)
}

// encode as JSON without escapes for HTML. The types of this file always encode.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

func describeModule(mod *yang.Module) fileModule {
	f := fileModule{Name: mod.Name, Namespace: mod.Namespace.Name}
	if mod.Organization != nil {
		f.Organization = strings.Join(strings.Fields(mod.Organization.Name), " ")
	}
	for _, r := range mod.Revision {
		f.Revision = max(f.Revision, r.Name)
	}
	for _, x := range mod.Extensions {
		if strings.HasSuffix(x.Keyword, ":openconfig-version") {
			f.Version = x.Argument
		}
	}
	return f
}

func (w *schemaWriter) node(n *node, parent int) error {
	e := n.entry
	w.used[n.module] = true
	f := fileNode{
		Parent: parent, Name: n.name, Module: n.module, State: e.ReadOnly(), Keys: n.keys(), Presence: n.presence(),
		Mandatory: e.Mandatory.Value(), Units: e.Units,
	}
	for _, x := range e.Exts {
		if strings.HasSuffix(x.Keyword, ":telemetry-atomic") {
			f.Atomic = true
		}
	}
	if w.m.own[n.module] {
		f.Description = firstSentence(e.Description)
	}
	switch {
	case e.IsLeaf():
		f.Kind = "leaf"
	case e.IsLeafList():
		f.Kind = "leaf-list"
	case e.IsList():
		f.Kind = "list"
	case e.IsContainer():
		f.Kind = "container"
	default:
		return fmt.Errorf("%s: nodes of this kind are not supported", n.path())
	}
	if e.ListAttr != nil {
		f.UserOrdered = e.ListAttr.OrderedByUser
	}
	if n.leaf() {
		t, err := w.fileType(n, e.Type)
		if err != nil {
			return err
		}
		f.Type = t
		f.Default = e.DefaultValues()
		if f.Units == "" {
			f.Units = e.Type.Units
		}
	}
	w.nodes = append(w.nodes, f)
	self := len(w.nodes)
	for _, c := range n.children {
		if err := w.node(c, self); err != nil {
			return err
		}
	}
	return nil
}

// fileType returns the number of a type.
func (w *schemaWriter) fileType(n *node, t *yang.YangType) (int, error) {
	f := fileType{Base: t.Kind.String(), FractionDigits: uint8(t.FractionDigits)}
	if t.Name != f.Base {
		f.Name = t.Name
	}
	switch t.Kind {
	case yang.Yint8, yang.Yint16, yang.Yint32, yang.Yint64, yang.Yuint8, yang.Yuint16, yang.Yuint32, yang.Yuint64, yang.Ydecimal64:
		if !t.Range.Equal(yang.BaseTypedefs[f.Base].YangType.Range) {
			f.Ranges = ranges(t.Range)
		}
	case yang.Ystring, yang.Ybinary:
		f.Ranges = ranges(t.Length)
		var err error
		if f.Patterns, err = patterns(t); err != nil {
			return 0, fmt.Errorf("%s: %w", n.path(), err)
		}
	case yang.Yenum:
		for _, v := range t.Enum.Values() {
			f.Values = append(f.Values, t.Enum.Name(v))
		}
	case yang.Ybits:
		for _, v := range t.Bit.Values() {
			f.Values = append(f.Values, t.Bit.Name(v))
		}
	case yang.Yidentityref:
		for _, id := range t.IdentityBase.Values {
			mod := w.m.owner(id)
			w.used[mod] = true
			f.Values = append(f.Values, mod+":"+id.Name)
		}
		slices.Sort(f.Values)
		f.Values = slices.Compact(f.Values)
	case yang.Yleafref:
		target, err := w.m.target(n, t.Path)
		if err != nil {
			return 0, err
		}
		f.RefPath, f.RefExpr = target.path(), strings.Join(strings.Fields(t.Path), " ")
	case yang.Yunion:
		for _, u := range t.Type {
			member, err := w.fileType(n, u)
			if err != nil {
				return 0, err
			}
			f.Members = append(f.Members, member)
		}
	case yang.Ybool, yang.Yempty:
	default:
		return 0, fmt.Errorf("%s: type %s is not supported", n.path(), f.Base)
	}
	text := string(encode(f))
	if w.number[text] == 0 {
		w.types = append(w.types, f)
		w.number[text] = len(w.types)
	}
	return w.number[text], nil
}

// owner is the module that defines an identity; for one in a submodule, the module it belongs to.
func (m *models) owner(id *yang.Identity) string {
	root := yang.RootNode(id)
	if root.BelongsTo != nil {
		return root.BelongsTo.Name
	}
	return root.Name
}

func ranges(r yang.YangRange) []string {
	var out []string
	for _, part := range r {
		lo, hi := part.Min.String(), part.Max.String()
		switch {
		case lo == hi:
			out = append(out, lo)
		default:
			out = append(out, lo+".."+hi)
		}
	}
	return out
}

// patterns as RE2, without anchors. OpenConfig gives POSIX patterns beside the XSD ones (RFC 7950 section 9.4.5), IETF only XSD.
func patterns(t *yang.YangType) ([]string, error) {
	var out []string
	if len(t.POSIXPattern) >= len(t.Pattern) {
		out = append(out, t.POSIXPattern...)
	} else {
		for _, p := range t.Pattern {
			out = append(out, translateXSD(p))
		}
	}
	for _, p := range out {
		if _, err := regexp.Compile("^(?:" + p + ")$"); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", p, err)
		}
	}
	return out, nil
}

// translateXSD makes an XSD pattern one of RE2: ^ and $ stand for themselves there, unless the module's author took them for anchors,
// as many do, at both ends.
func translateXSD(p string) string {
	if strings.HasPrefix(p, "^") && strings.HasSuffix(p, "$") {
		return p
	}
	var b strings.Builder
	class := false
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '\\' && i+1 < len(p):
			b.WriteByte(c)
			i++
			b.WriteByte(p[i])
		case c == '[' && !class:
			class = true
			b.WriteByte(c)
		case c == ']':
			class = false
			b.WriteByte(c)
		case (c == '^' || c == '$') && !class:
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// firstSentence of a description, on one line.
func firstSentence(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if i := strings.Index(s, ". "); i >= 0 {
		s = s[:i+1]
	}
	return s
}
