// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
)

// share of the prefixes of a table that have a length, in thousandths.
type share struct{ bits, permille int }

// ipv4Mix is close to the default-free zone's, with one per cent longer than /24 as networks have of their own: those need the
// second level of DIR-24-8.
var ipv4Mix = []share{
	{24, 605}, {23, 95}, {22, 105}, {21, 50}, {20, 45}, {19, 30}, {18, 15}, {17, 10}, {16, 20}, {15, 6}, {14, 5}, {13, 3}, {12, 1},
	{25, 2}, {26, 2}, {27, 2}, {28, 2}, {29, 1}, {30, 1},
}

// ipv6Mix is close to the default-free zone's. Prefixes longer than /32 lie in allocations, as they do there; see ipv6Table.
var ipv6Mix = []share{
	{48, 480}, {32, 100}, {44, 130}, {40, 110}, {36, 60}, {42, 30}, {46, 40}, {33, 20}, {34, 10}, {29, 10}, {38, 10},
}

func mixText(m []share) string {
	var b strings.Builder
	for i, s := range m {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "/%d %.1f %%", s.bits, float64(s.permille)/10)
	}
	return b.String()
}

// lengths gives n prefix lengths of the mix; their order is random.
func lengths(r *rand.Rand, mix []share, n int) []int {
	out := make([]int, 0, n)
	for _, s := range mix {
		for range n * s.permille / 1000 {
			out = append(out, s.bits)
		}
	}
	for len(out) < n {
		out = append(out, mix[0].bits)
	}
	r.Shuffle(n, func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x6d696c6c72616365)) }

func addr4(v uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], v)
	return netip.AddrFrom4(b)
}

// ipv4Table is n different prefixes, the same in each run, spread at random over 1.0.0.0 to 223.255.255.255 without 10.0.0.0/8 and
// 127.0.0.0/8, where the benchmarks have their own addresses.
func ipv4Table(n int) []netip.Prefix {
	r := newRand(4)
	seen := make(map[netip.Prefix]struct{}, n)
	out := make([]netip.Prefix, 0, n)
	for _, bits := range lengths(r, ipv4Mix, n) {
		for {
			v := r.Uint32()
			if first := v >> 24; first == 0 || first == 10 || first == 127 || first > 223 {
				continue
			}
			p := netip.PrefixFrom(addr4(v), bits).Masked()
			if _, dup := seen[p]; dup || p.Overlaps(own4) {
				continue
			}
			seen[p] = struct{}{}
			out = append(out, p)
			break
		}
	}
	return out
}

// own4 and own6 hold the benchmarks' own addresses: no route covers them.
var (
	own4 = netip.MustParsePrefix("10.0.0.0/8")
	own6 = netip.MustParsePrefix("2001:db8::/32")
)

func addr6(hi, lo uint64) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	return netip.AddrFrom16(b)
}

// ipv6Table is n different prefixes, the same in each run. There is an allocation (/32) for every tenth prefix, in the registries'
// blocks; the longer ones lie in one of eight /40 of an allocation.
func ipv6Table(n int) []netip.Prefix {
	blocks := []uint64{0x2001 << 48, 0x2400 << 48, 0x2600 << 48, 0x2800 << 48, 0x2a00 << 48, 0x2c00 << 48}
	r := newRand(6)
	allocations := make([]uint64, n/10+1)
	for i := range allocations {
		b := r.IntN(len(blocks))
		bits := 12
		if b == 0 {
			bits = 16
		}
		allocations[i] = (blocks[b] | r.Uint64()>>bits) &^ (1<<32 - 1)
	}
	seen := make(map[netip.Prefix]struct{}, n)
	out := make([]netip.Prefix, 0, n)
	for _, bits := range lengths(r, ipv6Mix, n) {
		for try := 0; ; try++ {
			hi := allocations[r.IntN(len(allocations))] | uint64(r.IntN(8))<<29 | r.Uint64()>>40
			if bits <= 32 && try > 0 {
				hi = blocks[r.IntN(len(blocks))] | r.Uint64()>>16
			}
			p := netip.PrefixFrom(addr6(hi, 0), bits).Masked()
			if _, dup := seen[p]; dup || p.Overlaps(own6) {
				continue
			}
			seen[p] = struct{}{}
			out = append(out, p)
			break
		}
	}
	return out
}

// destinations is n addresses, each in a prefix taken at random from the table.
func destinations(table []netip.Prefix, n int) []netip.Addr {
	r := newRand(8)
	out := make([]netip.Addr, n)
	for i := range out {
		out[i] = inside(r, table[r.IntN(len(table))])
	}
	return out
}

// inside is a random address of the prefix that is neither its first nor, for IPv4, its last.
func inside(r *rand.Rand, p netip.Prefix) netip.Addr {
	if p.Addr().Is4() {
		b := p.Addr().As4()
		hosts := uint64(1) << (32 - p.Bits())
		v := binary.BigEndian.Uint32(b[:])
		if hosts > 2 {
			v += 1 + uint32(r.Uint64N(hosts-2))
		}
		return addr4(v)
	}
	b := p.Addr().As16()
	hi := binary.BigEndian.Uint64(b[:8])
	if p.Bits() < 64 {
		hi |= r.Uint64() >> p.Bits()
	}
	return addr6(hi, r.Uint64()|1)
}
