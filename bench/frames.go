// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
)

// frameLen is the length of the frames that are forwarded, without FCS.
const frameLen = 64

// udpFrame builds a frame with a UDP datagram from port 1024 or more to port 9.
func udpFrame(buf []byte, dst, src net.HardwareAddr, from, to netip.Addr, sport uint16) {
	clear(buf)
	copy(buf, dst)
	copy(buf[6:], src)
	var l4 []byte
	if to.Is4() {
		binary.BigEndian.PutUint16(buf[12:], 0x0800)
		ip := buf[14:]
		ip[0], ip[8], ip[9] = 0x45, 64, 17
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
		f, t := from.As4(), to.As4()
		copy(ip[12:], f[:])
		copy(ip[16:], t[:])
		binary.BigEndian.PutUint16(ip[10:], checksum(ip[:20]))
		l4 = ip[20:]
	} else {
		binary.BigEndian.PutUint16(buf[12:], 0x86dd)
		ip := buf[14:]
		ip[0], ip[6], ip[7] = 0x60, 17, 64
		binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-40))
		f, t := from.As16(), to.As16()
		copy(ip[8:], f[:])
		copy(ip[24:], t[:])
		l4 = ip[40:]
	}
	binary.BigEndian.PutUint16(l4, sport)
	binary.BigEndian.PutUint16(l4[2:], 9)
	binary.BigEndian.PutUint16(l4[4:], uint16(len(l4)))
}

// checksum is the Internet checksum (RFC 1071) of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// writePcap writes one frame for each destination.
func writePcap(path string, mac net.HardwareAddr, to []netip.Addr) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	w := bufio.NewWriterSize(f, 1<<20)
	h := make([]byte, 24)
	binary.LittleEndian.PutUint32(h, 0xa1b2c3d4)
	binary.LittleEndian.PutUint16(h[4:], 2)
	binary.LittleEndian.PutUint16(h[6:], 4)
	binary.LittleEndian.PutUint32(h[16:], 65535)
	binary.LittleEndian.PutUint32(h[20:], 1) // Ethernet
	_, _ = w.Write(h)
	r := newRand(10)
	rec := make([]byte, 16+frameLen)
	binary.LittleEndian.PutUint32(rec[8:], frameLen)
	binary.LittleEndian.PutUint32(rec[12:], frameLen)
	for _, a := range to {
		udpFrame(rec[16:], mac, net.HardwareAddr{2, 0, 0, 0, 0, 1}, sourceFor(r, a), a, uint16(1024+r.IntN(60000)))
		_, _ = w.Write(rec)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// sourceFor is a random unicast address of the destination's family that no table of ours covers.
func sourceFor(r *rand.Rand, to netip.Addr) netip.Addr {
	if to.Is4() {
		return addr4(10<<24 | 1<<16 | r.Uint32()&0xffff)
	}
	return addr6(0x20010db8_00010000, r.Uint64()|1)
}
