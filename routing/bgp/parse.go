package bgp

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Community is a community value of one of the three kinds.
type Community struct {
	Standard uint32
	Large    [3]uint32
	Extended string // "rt:65001:100", as GoBGP takes it
	Type     CommunityType
}

// wellKnown are the names of IANA's registry that have a meaning here.
var wellKnown = map[string]uint32{
	"graceful-shutdown":   0xffff0000,
	"accept-own":          0xffff0001,
	"llgr-stale":          0xffff0006,
	"no-llgr":             0xffff0007,
	"blackhole":           0xffff029a,
	"no-export":           0xffffff01,
	"no-advertise":        0xffffff02,
	"no-export-subconfed": 0xffffff03,
	"no-peer":             0xffffff04,
}

// String is the usual text, "65001:100" or a well-known name.
func (c Community) String() string {
	switch c.Type {
	case LargeCommunity:
		return fmt.Sprintf("%d:%d:%d", c.Large[0], c.Large[1], c.Large[2])
	case ExtendedCommunity:
		return c.Extended
	}
	for name, v := range wellKnown {
		if v == c.Standard {
			return name
		}
	}
	return fmt.Sprintf("%d:%d", c.Standard>>16, c.Standard&0xffff)
}

func numbers(s string, bits ...int) ([]uint64, error) {
	parts := strings.Split(s, ":")
	if len(parts) != len(bits) {
		return nil, fmt.Errorf("%q is not %d numbers with colons between", s, len(bits))
	}
	out := make([]uint64, len(parts))
	for i, p := range parts {
		if p == "" || p[0] < '0' || p[0] > '9' {
			return nil, fmt.Errorf("%q: %q is not a number", s, p)
		}
		v, err := strconv.ParseUint(p, 10, bits[i])
		if err != nil {
			return nil, fmt.Errorf("%q: %q is not a number of %d bits", s, p, bits[i])
		}
		out[i] = v
	}
	return out, nil
}

// ParseCommunity reads a community value: for the standard kind "65001:100", a number of 32 bits or a well-known name such as
// "no-export"; for the large kind "65001:1:2"; for the extended kind "rt:" or "soo:" with "65001:100",
// "1.10:100" (an AS of 4 bytes) or "192.0.2.1:100".
func ParseCommunity(t CommunityType, s string) (Community, error) {
	switch t {
	case StandardCommunity:
		if v, ok := wellKnown[strings.ToLower(s)]; ok {
			return Community{Standard: v}, nil
		}
		if !strings.Contains(s, ":") {
			n, err := numbers(s, 32)
			if err != nil {
				return Community{}, fmt.Errorf("%q is neither a community nor a well-known name", s)
			}
			return Community{Standard: uint32(n[0])}, nil
		}
		n, err := numbers(s, 16, 16)
		if err != nil {
			return Community{}, err
		}
		return Community{Standard: uint32(n[0]<<16 | n[1])}, nil
	case LargeCommunity:
		n, err := numbers(s, 32, 32, 32)
		if err != nil {
			return Community{}, err
		}
		return Community{Type: t, Large: [3]uint32{uint32(n[0]), uint32(n[1]), uint32(n[2])}}, nil
	case ExtendedCommunity:
		kind, value, ok := strings.Cut(strings.ToLower(s), ":")
		if !ok || kind != "rt" && kind != "soo" {
			return Community{}, fmt.Errorf("%q does not begin with \"rt:\" or \"soo:\"", s)
		}
		admin, local, ok := strings.Cut(value, ":")
		if !ok {
			return Community{}, fmt.Errorf("%q has no colon after the administrator", s)
		}
		localBits := 16
		if a, err := netip.ParseAddr(admin); err == nil && a.Is4() {
			admin = a.String()
		} else if hi, lo, dot := strings.Cut(admin, "."); dot {
			n, err := numbers(hi+":"+lo, 16, 16)
			if err != nil {
				return Community{}, fmt.Errorf("%q: administrator: %w", s, err)
			}
			admin = fmt.Sprintf("%d.%d", n[0], n[1])
		} else {
			n, err := numbers(admin, 16)
			if err != nil {
				return Community{}, fmt.Errorf("%q: administrator: %w", s, err)
			}
			admin, localBits = strconv.FormatUint(n[0], 10), 32
		}
		n, err := numbers(local, localBits)
		if err != nil {
			return Community{}, fmt.Errorf("%q: value: %w", s, err)
		}
		return Community{Type: t, Extended: fmt.Sprintf("%s:%s:%d", kind, admin, n[0])}, nil
	}
	return Community{}, errors.New("unknown kind of community")
}

// maxPattern bounds regular expressions. Go's take time linear in the text, so only their size matters.
const maxPattern = 1024

func checkPattern(s string) error {
	if s == "" {
		return errors.New("empty")
	}
	if len(s) > maxPattern {
		return fmt.Errorf("longer than %d bytes", maxPattern)
	}
	if _, err := regexp.Compile(s); err != nil {
		return fmt.Errorf("%q is no regular expression: %w", s, err)
	}
	return nil
}

// checkMember checks a member of a community set: a value or a regular expression.
func checkMember(t CommunityType, s string) error {
	if _, err := ParseCommunity(t, s); err == nil {
		return nil
	}
	if t == ExtendedCommunity {
		kind, rest, ok := strings.Cut(s, ":")
		if k := strings.ToLower(kind); !ok || k != "rt" && k != "soo" {
			return fmt.Errorf("%q does not begin with \"rt:\" or \"soo:\"", s)
		}
		s = rest
	}
	return checkPattern(s)
}

// memberText is the member as GoBGP reads it: values as exact, in one notation.
func memberText(t CommunityType, s string) string {
	c, err := ParseCommunity(t, s)
	switch {
	case err != nil || t == ExtendedCommunity:
		return s
	case t == LargeCommunity:
		return c.String()
	}
	return fmt.Sprintf("%d:%d", c.Standard>>16, c.Standard&0xffff)
}

// ParsePrefixRange reads a member of a prefix set as OpenConfig writes it: a prefix, and the lengths it
// matches as "exact" (or empty) or "16..24".
func ParsePrefixRange(prefix, lengths string) (PrefixRange, error) {
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return PrefixRange{}, fmt.Errorf("%q is no prefix", prefix)
	}
	if p.Addr().Is4In6() {
		return PrefixRange{}, fmt.Errorf("%q is a 4-in-6 prefix", prefix)
	}
	if p != p.Masked() {
		return PrefixRange{}, fmt.Errorf("%q has bits set after its length", prefix)
	}
	r := PrefixRange{Prefix: p, Min: uint8(p.Bits()), Max: uint8(p.Bits())}
	if lengths == "" || lengths == "exact" {
		return r, nil
	}
	lo, hi, ok := strings.Cut(lengths, "..")
	n, err := numbers(lo+":"+hi, 8, 8)
	if !ok || err != nil {
		return PrefixRange{}, fmt.Errorf("%q is neither \"exact\" nor two lengths as in \"16..24\"", lengths)
	}
	r.Min, r.Max = uint8(n[0]), uint8(n[1])
	return r, r.check()
}

func (r PrefixRange) check() error {
	switch {
	case !r.Prefix.IsValid():
		return errors.New("prefix missing or malformed")
	case r.Prefix.Addr().Is4In6():
		return fmt.Errorf("%s is a 4-in-6 prefix", r.Prefix)
	case r.Prefix != r.Prefix.Masked():
		return fmt.Errorf("%s has bits set after its length", r.Prefix)
	case int(r.Min) < r.Prefix.Bits():
		return fmt.Errorf("shortest length %d is below that of %s", r.Min, r.Prefix)
	case r.Max < r.Min:
		return fmt.Errorf("longest length %d is below the shortest, %d", r.Max, r.Min)
	case int(r.Max) > r.Prefix.Addr().BitLen():
		return fmt.Errorf("longest length %d is above %d", r.Max, r.Prefix.Addr().BitLen())
	}
	return nil
}
