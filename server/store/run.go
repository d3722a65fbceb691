package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// How often Run looks whether files that were set aside are still there.
const lookAround = 10 * time.Second

// keepCorrupt is how many damaged files are kept.
const keepCorrupt = 10

// Run takes commits back that are not confirmed in time, and keeps the files in order, until ctx ends.
func (s *Store) Run(ctx context.Context) {
	for {
		s.tidy()
		wait := lookAround
		if d, ok := s.expire(ctx); ok {
			wait = min(wait, d)
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			s.audit.close()
			return
		case <-s.wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// tidy removes the files of commits that are too old and compresses those no longer in force. It takes the lock only for a file that it
// writes.
func (s *Store) tidy() {
	s.checkCorrupt()
	ids, err := s.ids()
	if err != nil {
		s.log.Error("look through the commits", "error", err)
		return
	}
	if n := len(ids) - Keep; n > 0 {
		for _, id := range ids[:n] {
			if err := os.Remove(s.path(id)); err != nil && !errors.Is(err, os.ErrNotExist) {
				s.log.Error("remove an old commit", "error", err)
			}
		}
		ids = ids[n:]
	}
	if found, _ := filepath.Glob(filepath.Join(s.dir, "*"+corrupt)); len(found) > keepCorrupt {
		slices.Sort(found)
		for _, name := range found[:len(found)-keepCorrupt] {
			_ = os.Remove(name)
		}
	}
	if len(ids) < 2 {
		return
	}
	for _, id := range slices.Backward(ids[:len(ids)-1]) { // the one in force, and one in the making, stay as they are
		if id >= s.cur.Load().entry.ID {
			continue
		}
		done, err := s.compressFile(id)
		if err != nil {
			s.log.Error("compress an old commit", "commit", id, "error", err)
		}
		if !done {
			break // those before are compressed already
		}
	}
}

// compressFile compresses a commit's tree, and says whether there was something to do.
func (s *Store) compressFile(id uint64) (done bool, err error) {
	f, err := os.Open(s.path(id))
	if err != nil {
		return false, nil // it went meanwhile
	}
	head := make([]byte, len(magic)+1+len(gzipBody))
	_, err = f.Read(head)
	st, serr := f.Stat()
	_ = f.Close()
	if err != nil || serr != nil || string(head) == magic+" "+gzipBody {
		return false, nil
	}
	if st.Size() < compressFrom {
		return true, nil
	}
	b, err := os.ReadFile(s.path(id))
	if err != nil {
		return false, err
	}
	entry, kind, body, err := decodeFile(b)
	if err != nil || kind != plainBody {
		return false, err
	}
	return true, s.replace(entry, gzipBody, compress(body))
}
