package store

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/yang/tree"
)

// Entry describes a commit.
type Entry struct {
	ID   uint64    `json:"id"`
	Time time.Time `json:"time"`
	// Who asked for it, by which API and from where, and what they said about it.
	Who     string `json:"who,omitempty"`
	API     string `json:"api,omitempty"`
	Peer    string `json:"peer,omitempty"`
	Comment string `json:"comment,omitempty"`
	// Base is the commit that it changed; 0: none.
	Base uint64 `json:"base,omitempty"`
	// Startup is the checksum of the operator's file that was taken into account; empty: none was.
	Startup string `json:"startup,omitempty"`
	// Changes is the number of leaves that changed, Diff a line for each without secrets; DiffCut says that the lines are not all.
	Changes int      `json:"changes"`
	Diff    []string `json:"diff,omitempty"`
	DiffCut bool     `json:"diff-cut,omitempty"`
	// Confirm is there if the commit has, or had, to be confirmed.
	Confirm *Confirmation `json:"confirm,omitempty"`
}

// Confirmation of a commit.
type Confirmation struct {
	// ID is the name that has to be given.
	ID string `json:"id"`
	// Deadline is when Revert comes back.
	Deadline time.Time `json:"deadline"`
	// Revert is the commit that comes back.
	Revert uint64 `json:"revert"`
	// Confirmed is when it was; zero: not yet.
	Confirmed time.Time `json:"confirmed,omitzero"`
}

// A file of a commit is a line with the kind of the file and the checksum of all that follows, a line with the Entry as JSON, and the
// tree as RFC 7951 has it, which may be compressed.
const (
	magic     = "millrace-commit/1"
	plainBody = "json"
	gzipBody  = "gzip"
	suffix    = ".commit"
	corrupt   = ".corrupt"
	temporary = ".new-"
	// From this size on, the trees of commits that are no longer in force are compressed.
	compressFrom = 64 << 10
	// maxTree bounds what a compressed tree may grow to.
	maxTree = 1 << 30
)

var errCorrupt = errors.New("the file is damaged")

func (s *Store) path(id uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%012d%s", id, suffix))
}

// encodeFile is the content of a commit's file.
func encodeFile(entry Entry, kind string, body []byte) ([]byte, error) {
	head, err := json.Marshal(entry)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	h.Write(head)
	h.Write([]byte("\n"))
	h.Write(body)
	first := fmt.Sprintf("%s %s sha256:%s\n", magic, kind, hex.EncodeToString(h.Sum(nil)))
	out := make([]byte, 0, len(first)+len(head)+1+len(body))
	out = append(append(append(out, first...), head...), '\n')
	return append(out, body...), nil
}

// decodeFile is the reverse of encodeFile. The body is as it is in the file.
func decodeFile(b []byte) (entry Entry, kind string, body []byte, err error) {
	first, rest, ok := bytes.Cut(b, []byte("\n"))
	words := strings.Fields(string(first))
	if !ok || len(words) != 3 || words[0] != magic {
		return entry, "", nil, fmt.Errorf("%w: it does not begin as a commit does", errCorrupt)
	}
	sum := sha256.Sum256(rest)
	if words[2] != "sha256:"+hex.EncodeToString(sum[:]) {
		return entry, "", nil, fmt.Errorf("%w: the checksum is another", errCorrupt)
	}
	head, body, ok := bytes.Cut(rest, []byte("\n"))
	if !ok {
		return entry, "", nil, fmt.Errorf("%w: there is no tree", errCorrupt)
	}
	if err := json.Unmarshal(head, &entry); err != nil {
		return entry, "", nil, fmt.Errorf("%w: %w", errCorrupt, err)
	}
	if kind = words[1]; kind != plainBody && kind != gzipBody {
		return entry, "", nil, fmt.Errorf("%w: the kind %q is not known", errCorrupt, kind)
	}
	return entry, kind, body, nil
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // the level is right
	_, _ = z.Write(body)                            // nor can a Buffer fail
	_ = z.Close()
	return b.Bytes()
}

func decompress(body []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCorrupt, err)
	}
	out, err := io.ReadAll(io.LimitReader(z, maxTree+1))
	if err == nil && len(out) > maxTree {
		err = errors.New("the tree is too big")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCorrupt, err)
	}
	return out, nil
}

// readHead reads the Entry of a commit from its file, which is checked whole.
func (s *Store) readHead(id uint64) (Entry, error) {
	b, err := os.ReadFile(s.path(id))
	if err != nil {
		return Entry{}, err
	}
	entry, _, _, err := decodeFile(b)
	if err == nil && entry.ID != id {
		err = fmt.Errorf("%w: it is of commit %d", errCorrupt, entry.ID)
	}
	return entry, err
}

// readCommit reads a commit from its file.
func (s *Store) readCommit(id uint64) (Entry, *tree.Tree, error) {
	b, err := os.ReadFile(s.path(id))
	if err != nil {
		return Entry{}, nil, err
	}
	entry, kind, body, err := decodeFile(b)
	if err == nil && entry.ID != id {
		err = fmt.Errorf("%w: it is of commit %d", errCorrupt, entry.ID)
	}
	if err == nil && kind == gzipBody {
		body, err = decompress(body)
	}
	if err != nil {
		return entry, nil, err
	}
	t, err := tree.Parse(s.opt.Schema, body)
	return entry, t, err
}

// commitFile is a file on its way to the disk while the system is brought to what it says.
type commitFile struct {
	s     *Store
	entry Entry
	tmp   string
	ready chan error
	// renamed says that the file has its name, so that it would count at the next start.
	renamed bool
}

// begin writes a commit's file under a temporary name.
func (s *Store) begin(entry Entry, t *tree.Tree) *commitFile {
	f := &commitFile{s: s, entry: entry, tmp: filepath.Join(s.dir, fmt.Sprintf("%s%d", temporary, entry.ID)), ready: make(chan error, 1)}
	go func() {
		b, err := encodeFile(entry, plainBody, s.json.encode(t))
		if err == nil {
			err = s.writeTemp(f.tmp, b)
		}
		f.ready <- err
	}()
	return f
}

// writeTemp writes a file that is on the disk when it returns.
func (s *Store) writeTemp(name string, b []byte) error {
	w, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	s.hook("created")
	half := len(b) / 2
	_, err = w.Write(b[:half])
	s.hook("half")
	if err == nil {
		_, err = w.Write(b[half:])
	}
	s.hook("written")
	return errors.Join(err, w.Sync(), w.Close())
}

// finish gives the file its name.
func (f *commitFile) finish() error {
	if err := <-f.ready; err != nil {
		f.ready <- err
		return err
	}
	f.ready <- nil
	f.s.hook("synced")
	return f.s.putInPlace(f.tmp, f.s.path(f.entry.ID), &f.renamed)
}

// putInPlace renames a file such that the new name outlives a loss of power.
func (s *Store) putInPlace(tmp, name string, renamed *bool) error {
	if err := os.Rename(tmp, name); err != nil {
		return err
	}
	*renamed = true
	s.hook("renamed")
	err := syncDir(s.dir)
	s.hook("durable")
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// discard takes away the file of a commit that failed.
func (f *commitFile) discard(saved bool) {
	<-f.ready
	names := []string{f.tmp}
	if f.renamed || saved {
		names = append(names, f.s.path(f.entry.ID))
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			f.s.log.Error("remove the file of a commit that failed", "error", err)
		}
	}
	if f.renamed {
		if err := syncDir(f.s.dir); err != nil {
			f.s.log.Error("remove the file of a commit that failed", "error", err)
		}
	}
}

// rewrite changes the Entry of a commit that is on the disk.
func (s *Store) rewrite(id uint64, change func(*Entry)) error {
	b, err := os.ReadFile(s.path(id))
	if err != nil {
		return err
	}
	entry, kind, body, err := decodeFile(b)
	if err != nil {
		return err
	}
	change(&entry)
	return s.replace(entry, kind, body)
}

// replace writes a commit's file anew.
func (s *Store) replace(entry Entry, kind string, body []byte) error {
	b, err := encodeFile(entry, kind, body)
	if err != nil {
		return err
	}
	tmp := filepath.Join(s.dir, fmt.Sprintf("%srewrite-%d", temporary, entry.ID))
	renamed := false
	if err = s.writeTemp(tmp, b); err == nil {
		err = s.putInPlace(tmp, s.path(entry.ID), &renamed)
	}
	if err != nil && !renamed {
		_ = os.Remove(tmp)
	}
	return err
}

// ids lists the commits on the disk, oldest first.
func (s *Store) ids() ([]uint64, error) {
	files, err := os.ReadDir(s.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []uint64
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), suffix)
		if id, err := strconv.ParseUint(name, 10, 64); ok && err == nil && id > 0 {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out, nil
}
