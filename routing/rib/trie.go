package rib

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// key is an address as 128 bits, IPv4 in the top 32.
type key struct{ hi, lo uint64 }

func addrKey(a netip.Addr) key {
	if a.Is4() {
		b := a.As4()
		return key{hi: uint64(binary.BigEndian.Uint32(b[:])) << 32}
	}
	b := a.As16()
	return key{hi: binary.BigEndian.Uint64(b[:8]), lo: binary.BigEndian.Uint64(b[8:])}
}

func (k key) addr(v6 bool) netip.Addr {
	if !v6 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(k.hi>>32))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.hi)
	binary.BigEndian.PutUint64(b[8:], k.lo)
	return netip.AddrFrom16(b)
}

func (k key) bit(i uint8) int {
	if i < 64 {
		return int(k.hi>>(63-i)) & 1
	}
	return int(k.lo>>(127-i)) & 1
}

// common is the number of leading bits in which k and o agree, at most limit.
func (k key) common(o key, limit uint8) uint8 {
	n := bits.LeadingZeros64(k.hi ^ o.hi)
	if n == 64 && limit > 64 {
		n += bits.LeadingZeros64(k.lo ^ o.lo)
	}
	return min(uint8(n), limit)
}

func (k key) mask(n uint8) key {
	switch {
	case n == 0:
		return key{}
	case n < 64:
		return key{hi: k.hi &^ (1<<(64-n) - 1)}
	case n == 64:
		return key{hi: k.hi}
	case n < 128:
		return key{hi: k.hi, lo: k.lo &^ (1<<(128-n) - 1)}
	}
	return k
}

// compare orders by address, then shorter prefix first, which is the order of
// a pre-order walk.
func compareKeys(a key, al uint8, b key, bl uint8) int {
	switch {
	case a.hi != b.hi:
		if a.hi < b.hi {
			return -1
		}
		return 1
	case a.lo != b.lo:
		if a.lo < b.lo {
			return -1
		}
		return 1
	case al != bl:
		if al < bl {
			return -1
		}
		return 1
	}
	return 0
}

// trieNode holds the first 32 bits of its key; the whole of it is kept apart,
// for IPv6 only, so that an IPv4 node takes 24 bytes.
type trieNode struct {
	top    uint32
	child  [2]uint32
	parent uint32
	val    uint32 // 0: a branching node without a value
	plen   uint8
}

// trie is a path-compressed binary trie from prefix to a non-zero uint32. A
// node keeps its index as long as its prefix has a value.
type trie struct {
	v6    bool
	root  uint32
	count int
	nodes arena[trieNode]
	keys  []*[chunkSize]key // of IPv6
}

func (t *trie) key(i uint32) key {
	if t.v6 {
		return t.keys[i>>chunkBits][i&(chunkSize-1)]
	}
	return key{hi: uint64(t.nodes.at(i).top) << 32}
}

func (t *trie) prefix(i uint32) netip.Prefix {
	return netip.PrefixFrom(t.key(i).addr(t.v6), int(t.nodes.at(i).plen))
}

func (t *trie) newNode(k key, plen uint8, val uint32) uint32 {
	i := t.nodes.alloc()
	n := t.nodes.at(i)
	n.top, n.plen, n.val = uint32(k.hi>>32), plen, val
	if t.v6 {
		for int(i>>chunkBits) >= len(t.keys) {
			t.keys = append(t.keys, new([chunkSize]key))
		}
		t.keys[i>>chunkBits][i&(chunkSize-1)] = k
	}
	return i
}

func (t *trie) freeNode(i uint32) {
	t.nodes.release(i)
	if t.nodes.end() == 0 {
		t.keys = nil
	}
}

// covers says whether node i's prefix covers the first plen bits of k.
func (t *trie) covers(i uint32, k key, plen uint8) bool {
	n := t.nodes.at(i)
	return n.plen <= plen && t.key(i).common(k, n.plen) == n.plen
}

// insert returns the node of the prefix, made if need be; k has no bits set
// beyond plen. The caller sets the value at once, by setVal.
func (t *trie) insert(k key, plen uint8) uint32 {
	var parent uint32
	var side int
	cur := t.root
	for cur != 0 {
		n := t.nodes.at(cur)
		c := t.key(cur).common(k, min(n.plen, plen))
		if c < n.plen {
			return t.split(parent, side, cur, k, plen, c)
		}
		if n.plen == plen {
			return cur
		}
		parent, side = cur, k.bit(n.plen)
		cur = n.child[side]
	}
	i := t.newNode(k, plen, 0)
	t.link(parent, side, i)
	return i
}

// split puts the prefix above or beside cur, which shares only c bits with it.
func (t *trie) split(parent uint32, side int, cur uint32, k key, plen, c uint8) uint32 {
	ck := t.key(cur)
	i := t.newNode(k, plen, 0)
	if c == plen {
		t.link(i, ck.bit(c), cur)
		t.link(parent, side, i)
		return i
	}
	fork := t.newNode(k.mask(c), c, 0)
	t.link(fork, ck.bit(c), cur)
	t.link(fork, k.bit(c), i)
	t.link(parent, side, fork)
	return i
}

// link makes i, which may be 0, a child of parent; parent 0 stands for above the root.
func (t *trie) link(parent uint32, side int, i uint32) {
	if parent == 0 {
		t.root = i
	} else {
		t.nodes.at(parent).child[side] = i
	}
	if i != 0 {
		t.nodes.at(i).parent = parent
	}
}

// above is the parent of a node and on which side of it the node is.
func (t *trie) above(i uint32) (parent uint32, side int) {
	if parent = t.nodes.at(i).parent; parent != 0 && t.nodes.at(parent).child[1] == i {
		side = 1
	}
	return parent, side
}

func (t *trie) setVal(i, val uint32) {
	n := t.nodes.at(i)
	if n.val == 0 {
		t.count++
	}
	n.val = val
}

// find returns the node of the exact prefix if it has a value, otherwise 0.
func (t *trie) find(k key, plen uint8) uint32 {
	cur := t.root
	for cur != 0 && t.covers(cur, k, plen) {
		n := t.nodes.at(cur)
		if n.plen == plen {
			if n.val == 0 {
				return 0
			}
			return cur
		}
		cur = n.child[k.bit(n.plen)]
	}
	return 0
}

// remove takes the value of a node out, and the nodes that only it needed.
func (t *trie) remove(cur uint32) {
	parent, side := t.above(cur)
	t.count--
	n := t.nodes.at(cur)
	n.val = 0
	switch {
	case n.child[0] != 0 && n.child[1] != 0:
		return
	case n.child[0] != 0:
		t.link(parent, side, n.child[0])
	case n.child[1] != 0:
		t.link(parent, side, n.child[1])
	default:
		t.link(parent, side, 0)
		if parent != 0 {
			p := t.nodes.at(parent)
			if other := p.child[1-side]; p.val == 0 && other != 0 {
				gp, gside := t.above(parent)
				t.link(gp, gside, other)
				t.freeNode(parent)
			}
		}
	}
	t.freeNode(cur)
}

// covering appends the values of the prefixes that cover the first plen bits
// of k, shortest first.
func (t *trie) covering(k key, plen uint8, dst []uint32) []uint32 {
	cur := t.root
	for cur != 0 && t.covers(cur, k, plen) {
		n := t.nodes.at(cur)
		if n.val != 0 {
			dst = append(dst, n.val)
		}
		if n.plen == plen {
			break
		}
		cur = n.child[k.bit(n.plen)]
	}
	return dst
}

// subtree returns the top node of what the prefix covers, or 0.
func (t *trie) subtree(k key, plen uint8) uint32 {
	cur := t.root
	for cur != 0 {
		n := t.nodes.at(cur)
		if n.plen >= plen {
			if t.key(cur).common(k, plen) == plen {
				return cur
			}
			return 0
		}
		if t.key(cur).common(k, n.plen) != n.plen {
			return 0
		}
		cur = n.child[k.bit(n.plen)]
	}
	return 0
}

// walk calls f with the values below node i in order until f returns false.
func (t *trie) walk(i uint32, f func(val uint32) bool) bool {
	if i == 0 {
		return true
	}
	n := t.nodes.at(i)
	if n.val != 0 && !f(n.val) {
		return false
	}
	return t.walk(n.child[0], f) && t.walk(n.child[1], f)
}

// walkAfter is walk without the values up to and including the given prefix in
// the order.
func (t *trie) walkAfter(i uint32, k key, plen uint8, f func(val uint32) bool) bool {
	if i == 0 {
		return true
	}
	n := t.nodes.at(i)
	nk := t.key(i)
	if nk.common(k, min(n.plen, plen)) < min(n.plen, plen) {
		if compareKeys(nk, n.plen, k, plen) < 0 {
			return true // all of the subtree is before the cursor
		}
		return t.walk(i, f)
	}
	if n.plen > plen {
		return t.walk(i, f) // more specific than the cursor: after it
	}
	if n.plen == plen {
		return t.walk(n.child[0], f) && t.walk(n.child[1], f)
	}
	if k.bit(n.plen) == 0 {
		return t.walkAfter(n.child[0], k, plen, f) && t.walk(n.child[1], f)
	}
	return t.walkAfter(n.child[1], k, plen, f)
}
