package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// supported is what yang/supported says. Its files have one statement a line, and comments from # on:
//
//	module openconfig-interfaces       a module to load
//	/interfaces/interface:             what the lines below, up to the next such line, are relative to
//	{config,state}/{name,type,mtu}     leaves and leaf-lists; braces as in a shell
//	state/counters/...                 a container or list with everything in it
//	- state/counters/in-pkts           but without this, leaf or subtree
//	read-only /components              of this only state is supported: it and all below it become state
//
// Paths are those of data nodes, without keys and prefixes. A path that starts with / is absolute. A presence container may
// be named by itself. The keys of a list, and the leaves they refer to, are supported with anything in the list.
type supported struct {
	modules []string
	lines   []line
}

// line is one path.
type line struct {
	at      string // file:line
	path    string
	all     bool // and everything below
	without bool // not supported after all
	state   bool // supported as state only
}

func loadSupported(dir string) (*supported, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no *.txt in %s", dir)
	}
	slices.Sort(files)
	s := new(supported)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		if err := s.parse(filepath.Base(f), text); err != nil {
			return nil, err
		}
	}
	slices.Sort(s.modules)
	s.modules = slices.Compact(s.modules)
	return s, nil
}

func (s *supported) parse(file string, text []byte) error {
	prefix := ""
	number := 0
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); {
		number++
		at := fmt.Sprintf("%s:%d", file, number)
		stmt, _, _ := strings.Cut(sc.Text(), "#")
		stmt = strings.TrimSpace(stmt)
		if stmt == "" {
			continue
		}
		if name, ok := strings.CutPrefix(stmt, "module "); ok {
			s.modules = append(s.modules, strings.TrimSpace(name))
			continue
		}
		if p, ok := strings.CutSuffix(stmt, ":"); ok {
			if !strings.HasPrefix(p, "/") {
				return fmt.Errorf("%s: %q has to start with /", at, stmt)
			}
			prefix = p
			continue
		}
		l := line{at: at}
		if rest, ok := strings.CutPrefix(stmt, "- "); ok {
			l.without, stmt = true, strings.TrimSpace(rest)
		} else if rest, ok := strings.CutPrefix(stmt, "read-only "); ok {
			l.state, stmt = true, strings.TrimSpace(rest)
		}
		if strings.ContainsAny(stmt, " \t") {
			return fmt.Errorf("%s: %q: one path a line", at, stmt)
		}
		if !strings.HasPrefix(stmt, "/") { // the prefix's braces are expanded with the line's
			if prefix == "" {
				return fmt.Errorf("%s: %q is relative to nothing", at, stmt)
			}
			stmt = prefix + "/" + stmt
		}
		paths, err := expand(stmt)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		for _, p := range paths {
			l.path, l.all = strings.CutSuffix(p, "/...")
			s.lines = append(s.lines, l)
		}
	}
	return nil
}

// expand writes out the braces of a path.
func expand(path string) ([]string, error) {
	open := strings.IndexByte(path, '{')
	if open < 0 {
		if strings.ContainsAny(path, "},") {
			return nil, fmt.Errorf("%q: unmatched brace", path)
		}
		return []string{path}, nil
	}
	depth, start := 0, open+1
	var choices []string
	for i := open; i < len(path); i++ {
		switch c := path[i]; {
		case c == '{':
			depth++
		case c == ',' && depth == 1:
			choices = append(choices, path[start:i])
			start = i + 1
		case c == '}':
			if depth--; depth > 0 {
				continue
			}
			choices = append(choices, path[start:i])
			var out []string
			for _, choice := range choices {
				more, err := expand(path[:open] + choice + path[i+1:])
				if err != nil {
					return nil, err
				}
				out = append(out, more...)
			}
			return out, nil
		}
	}
	return nil, fmt.Errorf("%q: unmatched brace", path)
}
