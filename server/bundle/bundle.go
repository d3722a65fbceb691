// Package bundle makes a support bundle: a tar.gz of what one looks at to find a fault, which can be handed to others. Every part is bounded
// in size and time; one that fails leaves a note in its place and costs the others nothing. There is no secret in any: the parts are made
// without, and what they wrote is searched for secrets again (Scrubber) before it goes into the archive.
package bundle

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"
	"strings"
	"time"
)

// Limits of a bundle.
const (
	// DefaultMax is what a part may have, in bytes before compression, if it does not say.
	DefaultMax = 2 << 20
	// DefaultTotal is what all parts may have together.
	DefaultTotal = 64 << 20
	// DefaultPatience is how long a part may take.
	DefaultPatience = 15 * time.Second
)

// Part is a file of a bundle.
type Part struct {
	// Name is its path in the archive, "state/interfaces.json".
	Name string
	// Max bounds it, in bytes; 0: DefaultMax. What is beyond is cut off.
	Max int
	// Patience is how long it may take; 0: as the bundle says.
	Patience time.Duration
	// Collect writes it. It stops when the context ends or a write fails. That there is no such file (fs.ErrNotExist) is no fault.
	Collect func(ctx context.Context, w io.Writer) error
}

// Options of a bundle.
type Options struct {
	// Version and Hostname of the appliance, and who asked for the bundle.
	Version, Hostname, By string
	// Source says what made it: "vnf", or "files" when vnf was down.
	Source string
	Parts  []Part
	// Secrets are values that are in no part, whatever it wrote.
	Secrets []string
	// Total and Patience; 0: the defaults.
	Total    int
	Patience time.Duration
	// Now; nil: the clock.
	Now func() time.Time
}

// Manifest is the last file of a bundle, manifest.json.
type Manifest struct {
	// Format of the archive; 1.
	Format   int       `json:"format"`
	Created  time.Time `json:"created"`
	Hostname string    `json:"hostname"`
	Version  string    `json:"version"`
	Source   string    `json:"source"`
	By       string    `json:"requested-by,omitempty"`
	Parts    []Outcome `json:"parts"`
}

// Outcome is what became of a part.
type Outcome struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
	// Absent: there is no such thing on this machine.
	Absent bool `json:"absent,omitempty"`
	// Truncated: it had more.
	Truncated bool `json:"truncated,omitempty"`
	// Removed is how many secrets were found in it and taken out.
	Removed int           `json:"secrets-removed,omitempty"`
	Error   string        `json:"error,omitempty"`
	Took    time.Duration `json:"took-ns"`
}

// Failed are the parts with an error.
func (m *Manifest) Failed() []Outcome {
	var out []Outcome
	for _, p := range m.Parts {
		if p.Error != "" {
			out = append(out, p)
		}
	}
	return out
}

// SafeName makes a name one for a file.
func SafeName(name string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_' {
			return r
		}
		return '-'
	}, name)
	return strings.Trim(clean, ".-")
}

// FileName is a name for a bundle's file, and without its ending that of the folder in it.
func FileName(hostname string, t time.Time) string {
	return "millrace-support-" + SafeName(hostname) + "-" + t.UTC().Format("20060102T150405Z") + ".tar.gz"
}

// Write makes the bundle. Its error is the context's or that of w; parts that fail are in the manifest.
func Write(ctx context.Context, w io.Writer, o Options) (*Manifest, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Total <= 0 {
		o.Total = DefaultTotal
	}
	if o.Patience <= 0 {
		o.Patience = DefaultPatience
	}
	now := o.Now()
	m := &Manifest{Format: 1, Created: now.UTC(), Hostname: o.Hostname, Version: o.Version, Source: o.Source, By: o.By}
	z := gzip.NewWriter(w)
	a := &archive{tar: tar.NewWriter(z), folder: strings.TrimSuffix(FileName(o.Hostname, now), ".tar.gz"), now: now}
	scrub, left := NewScrubber(o.Secrets), o.Total
	for _, p := range o.Parts {
		out, text := collect(ctx, p, min(left, limit(p)), cmp.Or(p.Patience, o.Patience), scrub)
		if err := ctx.Err(); err != nil {
			return m, context.Cause(ctx)
		}
		left -= len(text)
		m.Parts = append(m.Parts, out)
		if err := a.part(out, text); err != nil {
			return m, fmt.Errorf("write the support bundle: %w", err)
		}
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = a.file("manifest.json", append(text, '\n'))
	}
	if err = errors.Join(err, a.tar.Close(), z.Close()); err != nil {
		return m, fmt.Errorf("write the support bundle: %w", err)
	}
	return m, nil
}

func limit(p Part) int {
	if p.Max > 0 {
		return p.Max
	}
	return DefaultMax
}

// collect makes a part; what it panics with is its error.
func collect(ctx context.Context, p Part, most int, patience time.Duration, scrub *Scrubber) (out Outcome, text []byte) {
	// A secret that the bound would cut in two is taken out whole before the cut.
	b := &bounded{most: most + scrub.longest()}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	err := func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("fault: %v\n%s", r, debug.Stack())
			}
		}()
		return p.Collect(ctx, b)
	}()
	text, removed := scrub.Clean(b.Bytes())
	if b.full {
		err = nil // of the write that was refused
	}
	if b.full || len(text) > most {
		b.full = true
		text = text[:max(0, min(most, len(text)-scrub.longest()))]
	}
	out = Outcome{Name: p.Name, Bytes: len(text), Truncated: b.full, Removed: removed, Took: time.Since(began)}
	if out.Absent = errors.Is(err, fs.ErrNotExist); err != nil && !out.Absent {
		clean, n := scrub.Clean([]byte(err.Error()))
		out.Error, out.Removed = string(clean), out.Removed+n
	}
	return out, text
}

// errFull ends a collection.
var errFull = errors.New("the part is full")

// bounded keeps the first so many bytes.
type bounded struct {
	bytes.Buffer
	most int
	full bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.most - b.Len()
	if len(p) > room {
		b.full = true
		_, _ = b.Buffer.Write(p[:max(room, 0)])
		return max(room, 0), errFull
	}
	return b.Buffer.Write(p)
}

// WriteString hides Buffer's, which has no bound.
func (b *bounded) WriteString(s string) (int, error) { return b.Write([]byte(s)) }

// ReadFrom hides Buffer's.
func (b *bounded) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{b}, r)
}

type archive struct {
	tar    *tar.Writer
	folder string
	now    time.Time
}

// part writes what was collected, and beside it the error there was. What is empty is in the manifest only.
func (a *archive) part(o Outcome, text []byte) error {
	if len(text) > 0 {
		if err := a.file(o.Name, text); err != nil {
			return err
		}
	}
	if o.Error == "" {
		return nil
	}
	return a.file(o.Name+".error.txt", []byte(o.Error+"\n"))
}

func (a *archive) file(name string, text []byte) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: a.folder + "/" + name, Mode: 0o600, Size: int64(len(text)), ModTime: a.now}
	if err := a.tar.WriteHeader(h); err != nil {
		return err
	}
	_, err := a.tar.Write(text)
	return err
}
