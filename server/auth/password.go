package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/GehirnInc/crypt"
	"github.com/GehirnInc/crypt/sha256_crypt"
	"github.com/GehirnInc/crypt/sha512_crypt"
	"golang.org/x/crypto/bcrypt"
)

// maxPassword bounds what is hashed: bcrypt takes no more, and longer ones cost the time of whoever checks them.
const maxPassword = 72

// HashPassword makes a hash as crypt(5) has it, by bcrypt with a cost of 10.
func HashPassword(password string) (string, error) {
	if password == "" || len(password) > maxPassword {
		return "", errors.New("is not 1 to 72 bytes long")
	}
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	return string(h), err
}

// checkPassword holds a password against a hash of bcrypt, sha512crypt or sha256crypt.
func checkPassword(hash, password string) bool {
	if len(password) > maxPassword || hash == "" {
		return false
	}
	var c crypt.Crypter
	switch {
	case strings.HasPrefix(hash, "$2"):
		return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	case strings.HasPrefix(hash, "$6$"):
		c = sha512_crypt.New()
	case strings.HasPrefix(hash, "$5$"):
		c = sha256_crypt.New()
	default:
		return false
	}
	return c.Verify(hash, []byte(password)) == nil
}

// Passwords checks passwords. Hashes are made to be slow, and clients send the password with each call: one that was right is known
// again for some minutes by a keyed digest. Wrong ones are limited by user and by address.
type Passwords struct {
	key   [32]byte
	now   func() time.Time
	slots chan struct{} // hashing at the same time

	mu    sync.Mutex
	right map[string]known
	wrong map[string]*failures
}

type known struct {
	digest [32]byte
	until  time.Time
}

type failures struct {
	n     int
	since time.Time
	// attempts before this are not looked at.
	blocked time.Time
}

const (
	knownFor    = 5 * time.Minute
	failWindow  = time.Minute
	maxFailures = 5
	blockFor    = 30 * time.Second
	maxTracked  = 4096
	maxHashing  = 2
)

// ErrBlocked is returned while a user or an address is not listened to after too many wrong passwords.
var ErrBlocked = errors.New("too many wrong passwords; wait half a minute")

// ErrPassword is returned for a wrong password, and for a user that is not there.
var ErrPassword = errors.New("unknown user or wrong password")

// NewPasswords makes a Passwords. now may be nil.
func NewPasswords(now func() time.Time) (*Passwords, error) {
	if now == nil {
		now = time.Now
	}
	p := &Passwords{now: now, slots: make(chan struct{}, maxHashing), right: map[string]known{}, wrong: map[string]*failures{}}
	_, err := rand.Read(p.key[:])
	return p, err
}

// Check says whether a password is right for a user whose hash is given; empty: there is no such user, which takes as long. peer is
// the address that asks.
func (p *Passwords) Check(user, hash, password, peer string) error {
	m := hmac.New(sha256.New, p.key[:])
	for _, s := range []string{user, hash, password} {
		m.Write([]byte(s))
		m.Write([]byte{0})
	}
	var digest [32]byte
	m.Sum(digest[:0])
	who := []string{"user " + user, "peer " + peer}
	now := p.now()
	p.mu.Lock()
	if k, ok := p.right[user]; ok && hash != "" && now.Before(k.until) && hmac.Equal(k.digest[:], digest[:]) {
		p.mu.Unlock()
		return nil
	}
	p.mu.Unlock()
	if p.blocked(who) {
		return ErrBlocked
	}
	p.slots <- struct{}{}
	// Of many that came at once only the first few are looked at.
	if p.blocked(who) {
		<-p.slots
		return ErrBlocked
	}
	ok := false
	if hash == "" {
		// As slow as a user that is there.
		checkPassword("$2a$10$CwTycUXWue0Thq9StjUM0uJ8Q1dPGVbN4gYb1cW1ZbXqf3y1pB1Ki", password)
	} else {
		ok = checkPassword(hash, password)
	}

	now = p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { <-p.slots }()
	if ok {
		p.forget(now)
		p.right[user] = known{digest, now.Add(knownFor)}
		for _, w := range who {
			delete(p.wrong, w)
		}
		return nil
	}
	p.forget(now)
	for _, w := range who {
		f := p.wrong[w]
		if f == nil || now.Sub(f.since) > failWindow {
			if f == nil && len(p.wrong) >= maxTracked {
				continue
			}
			f = &failures{since: now}
			p.wrong[w] = f
		}
		if f.n++; f.n >= maxFailures {
			f.blocked, f.n, f.since = now.Add(blockFor), 0, now
		}
	}
	return ErrPassword
}

func (p *Passwords) blocked(who []string) bool {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(who, func(w string) bool { f := p.wrong[w]; return f != nil && now.Before(f.blocked) })
}

// forget drops what is too old to matter.
func (p *Passwords) forget(now time.Time) {
	for u, k := range p.right {
		if now.After(k.until) {
			delete(p.right, u)
		}
	}
	for w, f := range p.wrong {
		if now.Sub(f.since) > failWindow && now.After(f.blocked) {
			delete(p.wrong, w)
		}
	}
}
