package model

import (
	"fmt"
	"strconv"
	"strings"
)

// Identities of well-known communities, and their names in Config.
var wellKnownIdentities = map[string]string{
	"NO_EXPORT": "no-export", "NO_ADVERTISE": "no-advertise", "NO_EXPORT_SUBCONFED": "no-export-subconfed", "NOPEER": "no-peer",
	"GRACEFUL_SHUTDOWN": "graceful-shutdown",
}

// Well-known communities that have no identity.
var wellKnownNumbers = map[string]uint32{
	"accept-own": 0xffff0001, "llgr-stale": 0xffff0006, "no-llgr": 0xffff0007, "blackhole": 0xffff029a,
}

// standardToConfig reads a standard community: a number, 65000:100, an identity, or an expression.
func standardToConfig(s string) string {
	local := strings.TrimPrefix(s, "openconfig-bgp-types:")
	if name, ok := wellKnownIdentities[local]; ok {
		return name
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return s
	}
	for name, v := range wellKnownNumbers {
		if uint64(v) == n {
			return name
		}
	}
	return fmt.Sprintf("%d:%d", n>>16, n&0xffff)
}

func standardToTree(s string) string {
	for id, name := range wellKnownIdentities {
		if s == name {
			return id
		}
	}
	if v, ok := wellKnownNumbers[s]; ok {
		return strconv.FormatUint(uint64(v), 10)
	}
	return s
}

// The prefixes of extended communities: a route target and a site of origin (RFC 4360).
var extendedKinds = map[string]string{"rt": "route-target", "soo": "route-origin"}

// extendedToConfig reads an extended community. An AS number of more than 16 bits, which OpenConfig writes as a number, is written
// with a dot in Config.
func extendedToConfig(s string) string {
	for short, long := range extendedKinds {
		rest, ok := strings.CutPrefix(s, long+":")
		if !ok {
			continue
		}
		admin, local, _ := strings.Cut(rest, ":")
		if n, err := strconv.ParseUint(admin, 10, 32); err == nil && n > 0xffff {
			rest = fmt.Sprintf("%d.%d:%s", n>>16, n&0xffff, local)
		}
		return short + ":" + rest
	}
	return s
}

func extendedToTree(s string) string {
	for short, long := range extendedKinds {
		rest, ok := strings.CutPrefix(s, short+":")
		if !ok {
			continue
		}
		admin, local, _ := strings.Cut(rest, ":")
		if hi, lo, dot := strings.Cut(admin, "."); dot {
			h, errH := strconv.ParseUint(hi, 10, 16)
			l, errL := strconv.ParseUint(lo, 10, 16)
			if errH == nil && errL == nil {
				rest = fmt.Sprintf("%d:%s", h<<16|l, local)
			}
		}
		return long + ":" + rest
	}
	return s
}
