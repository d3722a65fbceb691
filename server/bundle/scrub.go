package bundle

import (
	"bytes"
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
)

// shortest secret that is searched for as it is: shorter ones are in any text by chance, and parts are made without secrets anyway.
const shortest = 5

// Removed stands where a secret was.
const Removed = "(removed)"

// What looks like a secret wherever it comes from.
var (
	privateKey = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`)
	cryptHash  = regexp.MustCompile(`\$(?:[1567]|2[abxy]?|y|gy|sha1|argon2[a-z]*|scrypt|pbkdf2[a-z0-9-]*)\$[./A-Za-z0-9$=,+-]{8,}`)
	userInfo   = regexp.MustCompile(`(://[^/@\s:"']+):[^/@\s"'(]+@`)
	// A name that says so, and its value: bare, quoted, in JSON, or in JSON within JSON.
	named = regexp.MustCompile(`(?i)((?:password|passwd|passphrase|secret|auth-key|private-key|community-string|bearer|authorization|token|api-?key)(?:-hash(?:ed)?)?\\?["']?\s*(?:[:=]\s*)\\?["']?)(?:(?:bearer|basic)\s+)?([^\s"'\\,;&}\])]+)`)
)

// Scrubber takes secrets out of text.
type Scrubber struct {
	// known are the values, the longest first, in the forms that they may be written in.
	known [][]byte
}

// NewScrubber knows the values given, and what secrets look like.
func NewScrubber(secrets []string) *Scrubber {
	s := &Scrubber{}
	add := func(b []byte) {
		if len(b) >= shortest {
			s.known = append(s.known, b)
		}
	}
	for _, v := range secrets {
		add([]byte(v))
		var b bytes.Buffer
		for _, html := range []bool{false, true} {
			b.Reset()
			e := json.NewEncoder(&b)
			e.SetEscapeHTML(html)
			if e.Encode(v) == nil {
				add(bytes.Clone(bytes.Trim(b.Bytes(), "\"\n")))
			}
		}
	}
	slices.SortFunc(s.known, func(a, b []byte) int { return cmp.Or(cmp.Compare(len(b), len(a)), bytes.Compare(a, b)) })
	s.known = slices.CompactFunc(s.known, bytes.Equal)
	return s
}

// longest is the size of the longest value known.
func (s *Scrubber) longest() int {
	if len(s.known) == 0 {
		return 0
	}
	return len(s.known[0])
}

// Clean returns the text without secrets, and how many there were.
func (s *Scrubber) Clean(text []byte) ([]byte, int) {
	n := 0
	for _, k := range s.known {
		if c := bytes.Count(text, k); c > 0 {
			n += c
			text = bytes.ReplaceAll(text, k, []byte(Removed))
		}
	}
	for _, r := range []struct {
		re *regexp.Regexp
		by string
	}{{privateKey, Removed}, {cryptHash, Removed}, {userInfo, "${1}:" + Removed + "@"}} {
		text = r.re.ReplaceAllFunc(text, func(m []byte) []byte {
			n++
			return r.re.ReplaceAll(m, []byte(r.by))
		})
	}
	clean, more := cleanNamed(text)
	return clean, n + more
}

// suspicious are what named begins with, one of which is in any match.
var suspicious = [][]byte{
	[]byte("pass"), []byte("secret"), []byte("key"), []byte("community-string"), []byte("bearer"), []byte("authorization"), []byte("token"),
}

// cleanNamed looks at the pieces between commas and ends of lines, which no match goes across: the expression is slow, and few pieces need it.
func cleanNamed(text []byte) ([]byte, int) {
	n := 0
	var out []byte // nil: nothing has changed so far
	for at := 0; at < len(text); {
		end := len(text)
		if k := bytes.IndexAny(text[at:], ",\n"); k >= 0 {
			end = at + k + 1
		}
		piece := text[at:end]
		lower := bytes.ToLower(piece)
		if slices.ContainsFunc(suspicious, func(s []byte) bool { return bytes.Contains(lower, s) }) {
			piece = named.ReplaceAllFunc(piece, func(m []byte) []byte {
				part := named.FindSubmatch(m)
				if bytes.HasPrefix(part[2], []byte("(")) || harmless[string(part[2])] {
					return m
				}
				if out == nil {
					out = append(make([]byte, 0, len(text)), text[:at]...)
				}
				n++
				return append(bytes.Clone(part[1]), Removed...)
			})
		}
		if out != nil {
			out = append(out, piece...)
		}
		at = end
	}
	if out == nil {
		out = text
	}
	return out, n
}

// harmless are values of leaves with such a name that tell nothing.
var harmless = map[string]bool{"true": true, "false": true, "null": true, "[": true, "{": true}
