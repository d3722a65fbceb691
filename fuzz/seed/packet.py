#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seed corpus of the packet fuzzer, fuzz/corpus/packet: conversations with the box of
dataplane/core/packet_fuzz.c, which says what the bytes mean. Deterministic."""
import ipaddress
import pathlib
import struct

OUT = pathlib.Path(__file__).resolve().parents[1] / "corpus" / "packet"

ETH1, ETH2, STRIPPED, IP_ETH1, IP_ETH2, IP_VLAN, KERNEL, TIME = range(8)
SUMS = 8
SEGS = 16
MAC_BOX1 = bytes([2, 0, 0, 0, 0, 1])
MAC_BOX2 = bytes([2, 0, 0, 0, 0, 2])
MAC_PEER = bytes([2, 0, 0, 0, 9, 1])
BCAST = b"\xff" * 6
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58


def a(text):
    return ipaddress.ip_address(text).packed


def rec(lead, data):
    return bytes([lead]) + struct.pack("!H", len(data)) + data


def after(tenths):
    return rec(TIME, bytes([tenths]))


def eth(dst, kind, payload, src=MAC_PEER, vlan=None):
    tag = struct.pack("!HH", 0x8100, vlan) if vlan is not None else b""
    return dst + src + tag + struct.pack("!H", kind) + payload


def ip4(src, dst, proto, payload, ttl=64, options=b"", frag=0, tos=0):
    ihl = 5 + len(options) // 4
    head = struct.pack("!BBHHHBBH", 0x40 | ihl, tos, ihl * 4 + len(payload), 7, frag, ttl, proto, 0)
    return head + a(src) + a(dst) + options + payload


def ip6(src, dst, proto, payload, hops=64):
    return struct.pack("!IHBB", 0x60000000, len(payload), proto, hops) + a(src) + a(dst) + payload


def udp(n=8, sport=5000, dport=53):
    return struct.pack("!HHHH", sport, dport, 8 + n, 0) + bytes(n)


def tcp(flags, sport=40000, dport=179):
    return struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 0x50, flags, 8192, 0, 0)


def icmp(kind, code, rest, body=b""):
    return struct.pack("!BBHI", kind, code, 0, rest) + body


def ext(following, data=b"\x01\x04\0\0\0\0"):
    """A hop-by-hop, destination or routing header of eight bytes."""
    return bytes([following, 0]) + data


def arp(op, sha, spa, tha, tpa):
    return struct.pack("!HHBBH", 1, 0x800, 6, 4, op) + sha + a(spa) + tha + a(tpa)


def nd(kind, flags, target, options=b""):
    return struct.pack("!BBHI", kind, 0, 0, flags) + (a(target) if target else b"") + options


def lla(kind, mac=MAC_PEER):
    return bytes([kind, 1]) + mac


SEEDS = {
    "forward4": [
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "198.51.100.7", UDP, udp())),
        rec(IP_ETH2 | SUMS, ip4("10.0.2.2", "10.0.1.2", TCP, tcp(0x10))),
        rec(IP_ETH2 | SUMS, ip4("10.0.7.7", "10.0.1.2", UDP, udp())),
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "10.0.2.2", UDP, udp(), ttl=1)),
        rec(IP_VLAN | SUMS, ip4("10.0.3.2", "10.0.1.2", UDP, udp())),
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "198.18.3.9", UDP, udp())),
    ],
    "forward6": [
        rec(IP_ETH1, ip6("2001:db8:1::2", "2001:db8:100::7", UDP, udp())),
        rec(IP_ETH2, ip6("2001:db8:2::2", "2001:db8:1::2", TCP, tcp(0x10))),
        rec(IP_ETH1, ip6("2001:db8:1::2", "2001:db8:2::2", UDP, udp(), hops=1)),
        rec(IP_ETH1, ip6("2001:db8:1::2", "2001:db8:100::7", 0, ext(60) + ext(43) + ext(UDP) + udp())),
        rec(IP_VLAN, ip6("2001:db8:3::2", "2001:db8:18:3::1", UDP, udp())),
    ],
    "routes": [rec(IP_ETH1 | SUMS, ip4("10.0.1.2", d, UDP, udp()))
               for d in ("198.18.0.1", "198.18.1.1", "198.18.2.1", "198.18.3.1", "9.9.9.9", "10.0.1.255",
                         "255.255.255.255", "224.0.0.5", "127.0.0.1", "240.0.0.1")] +
              [rec(IP_ETH1, ip6("2001:db8:1::2", d, UDP, udp()))
               for d in ("2001:db8:18::1", "2001:db8:18:1::1", "2001:db8:18:2::1", "2001:db8:18:3::1", "2001:db9::1",
                         "ff02::5", "fe80::1", "::1")],
    "too-big": [
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "10.0.2.2", UDP, udp(1400))),
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "10.0.2.2", UDP, udp(1400), frag=0x4000)),
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "10.0.2.2", UDP, udp(1400), options=b"\x83\x07\x04" + a("10.0.1.2") + b"\0")),
        rec(IP_ETH1 | SUMS | SEGS, ip4("10.0.1.2", "10.0.2.2", UDP, udp(1400))),
        rec(IP_ETH1, ip6("2001:db8:1::2", "2001:db8:2::2", UDP, udp(1400))),
    ],
    "options": [
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "10.0.2.2", UDP, udp(), options=o.ljust((len(o) + 3) // 4 * 4, b"\0")))
        for o in (b"\x07\x0b\x04" + bytes(8), b"\x44\x0c\x05\x01" + bytes(8), b"\x83\x07\x04" + a("10.0.1.1"),
                  b"\x89\x07\x04" + a("10.0.1.1"), b"\x94\x04\0\0", b"\x01\x01\x01\0", b"\x07\x03\x04")
    ],
    "local4": [
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "10.0.1.1", ICMP, icmp(8, 0, 0x11112222, b"abcdefgh"))),
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "192.0.2.1", TCP, tcp(2))),
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "10.0.1.1", TCP, tcp(0x10))),
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "10.0.1.1", UDP, udp(8, 5000, 33434))),
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "10.0.1.1", ICMP, icmp(0, 0, 0x12340001, bytes(56)))),
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "10.0.1.1", ICMP, icmp(11, 0, 0,
            ip4("10.0.1.1", "10.0.1.2", ICMP, icmp(8, 0, 0x12340001))))),
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "10.0.1.1", ICMP, icmp(3, 4, 1280,
            ip4("10.0.1.1", "10.0.1.2", UDP, udp(0, 0x1234, 33435))))),
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "10.0.1.1", ICMP, icmp(5, 1, 1, ip4("10.0.1.1", "10.0.9.2", UDP, udp())))),
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "10.0.1.1", ICMP, icmp(13, 0, 0, bytes(12)))),
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "10.0.1.1", UDP, udp(64), frag=0x2000)),
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "10.0.1.1", 89, bytes(24))),
    ],
    "local6": [
        rec(IP_ETH1 | SUMS, ip6("2001:db8:1::2", "2001:db8:1::1", ICMP6, icmp(128, 0, 0x11112222, b"abcdefgh"))),
        rec(IP_ETH1, ip6("2001:db8:1::2", "2001:db8::1", TCP, tcp(2))),
        rec(IP_ETH1 | SUMS, ip6("2001:db8:2::2", "2001:db8:1::1", ICMP6, icmp(129, 0, 0x12340001, bytes(56)))),
        rec(IP_ETH1 | SUMS, ip6("2001:db8:1::2", "2001:db8:1::1", ICMP6, icmp(2, 0, 1280,
            ip6("2001:db8:1::1", "2001:db8:2::2", ICMP6, icmp(128, 0, 0x12340001))))),
        rec(IP_ETH1 | SUMS, ip6("2001:db8:1::2", "2001:db8:1::1", ICMP6, icmp(1, 4, 0,
            ip6("2001:db8:1::1", "2001:db8:2::2", UDP, udp(0, 0x1234, 33435))))),
        rec(IP_ETH1, ip6("2001:db8:1::2", "2001:db8:1::1", 0, ext(ICMP6, b"\x05\x02\0\0\1\0") + icmp(131, 0, 0, bytes(16)))),
        rec(IP_ETH1, ip6("2001:db8:1::2", "2001:db8:1::1", 44, bytes([UDP, 0, 0, 1]) + bytes(4) + udp())),
        rec(IP_ETH1, ip6("2001:db8:1::2", "2001:db8:1::1", 0, ext(UDP, b"\xc2\x04\0\1\0\0") + udp())),
        rec(IP_ETH1, ip6("2001:db8:1::2", "2001:db8:1::1", 59, b"")),
    ],
    "arp": [
        rec(ETH1, eth(BCAST, 0x806, arp(1, MAC_PEER, "10.0.1.7", bytes(6), "10.0.1.1"))),
        rec(ETH1, eth(BCAST, 0x806, arp(1, MAC_PEER, "10.0.1.1", bytes(6), "10.0.1.1"))),
        rec(ETH1, eth(BCAST, 0x806, arp(1, MAC_PEER, "0.0.0.0", bytes(6), "10.0.1.1"))),
        rec(ETH2, eth(MAC_BOX2, 0x806, arp(2, MAC_PEER, "10.0.2.9", MAC_BOX2, "10.0.2.1"))),
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "203.0.113.1", UDP, udp())),
        rec(ETH1, eth(BCAST, 0x806, arp(1, MAC_PEER, "10.0.3.7", bytes(6), "10.0.3.1"), vlan=10)),
        rec(ETH1, eth(BCAST, 0x806, arp(1, MAC_PEER, "10.0.1.7", bytes(6), "10.0.1.1")[:20])),
    ],
    "neighbor": [
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "10.0.2.77", UDP, udp())),
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "203.0.113.1", UDP, udp())),
        rec(IP_ETH1, ip6("2001:db8:1::2", "2001:db8:2::77", UDP, udp())),
        rec(ETH2, eth(MAC_BOX2, 0x806, arp(2, MAC_PEER, "10.0.2.77", MAC_BOX2, "10.0.2.1"))),
        rec(IP_ETH2 | SUMS, ip6("2001:db8:2::77", "2001:db8:2::1", ICMP6, nd(136, 0x60000000, "2001:db8:2::77", lla(2)), 255)),
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "10.0.2.77", UDP, udp())),
        after(50), after(250), after(250),
        rec(IP_ETH1 | SUMS, ip4("10.0.1.2", "203.0.112.5", UDP, udp())),
        after(10), after(10), after(10), after(10), after(10),
    ],
    "nd": [
        rec(IP_ETH1 | SUMS, ip6("2001:db8:1::7", "ff02::1:ff00:1", ICMP6, nd(135, 0, "2001:db8:1::1", lla(1)), 255)),
        rec(IP_ETH1 | SUMS, ip6("::", "ff02::1:ff00:1", ICMP6, nd(135, 0, "2001:db8:1::1", bytes([14, 1]) + b"nonces"), 255)),
        rec(IP_ETH1 | SUMS, ip6("fe80::7", "ff02::1", ICMP6, nd(136, 0x20000000, "2001:db8:1::1", lla(2)), 255)),
        rec(IP_ETH1 | SUMS, ip6("fe80::7", "ff02::2", ICMP6, nd(133, 0, None, lla(1)), 255)),
        after(10),
        rec(IP_ETH1 | SUMS, ip6("fe80::7", "ff02::1", ICMP6, struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + lla(1) +
            bytes([5, 1, 0, 0, 0, 0, 5, 220]) + bytes([3, 4, 64, 0xc0]) + bytes(12) + a("2001:db8:1::"), 255)),
        rec(IP_ETH1 | SUMS, ip6("fe80::7", "2001:db8:1::1", ICMP6, nd(137, 0, "fe80::9", a("2001:db8:9::1")), 255)),
        rec(IP_ETH2 | SUMS, ip6("fe80::9", "2001:db8:2::1", ICMP6, nd(136, 0xe0000000, "fe80::9", lla(2)), 255)),
        rec(IP_ETH1, ip6("2001:db8:1::2", "2001:db8:113::1", UDP, udp())),
        rec(IP_ETH1 | SUMS, ip6("2001:db8:1::7", "ff02::1:ff00:1", ICMP6, nd(135, 0, "2001:db8:1::1", b"\x01\0"), 255)),
    ],
    "vlan": [
        rec(ETH1, eth(MAC_BOX1, 0x800, ip4("10.0.3.2", "10.0.3.1", UDP, udp()), vlan=10)),
        rec(ETH1, eth(MAC_BOX1, 0x800, ip4("10.0.3.2", "10.0.3.1", UDP, udp()), vlan=0)),
        rec(ETH1, eth(MAC_BOX1, 0x800, ip4("10.0.3.2", "10.0.3.1", UDP, udp()), vlan=11)),
        rec(ETH1, eth(MAC_BOX1, 0x8100, b"\0\x0b\x08\0" + bytes(20), vlan=10)),
        rec(ETH1, eth(MAC_BOX1, 0x88a8, bytes(46))),
        rec(STRIPPED | SUMS, eth(MAC_BOX1, 0x800, ip4("10.0.3.2", "10.0.1.2", UDP, udp()))),
        rec(ETH1, eth(MAC_BOX1, 0x800, b"", vlan=10)),
    ],
    "frames": [
        rec(ETH1, b""), rec(ETH1, MAC_BOX1), rec(ETH1, eth(MAC_BOX1, 0x800, b"")),
        rec(ETH1, eth(MAC_PEER, 0x800, bytes(46))), rec(ETH1, eth(MAC_BOX1, 0x88cc, bytes(46))),
        rec(ETH1, eth(BCAST, 0x800, ip4("10.0.1.2", "10.0.1.255", UDP, udp()))),
        rec(ETH1, eth(MAC_BOX1, 0x800, bytes(46), src=BCAST)), rec(ETH1, eth(MAC_BOX1, 0x86dd, b"\x60" + bytes(20))),
        rec(ETH1 | SUMS, eth(MAC_BOX1, 0x800, ip4("10.0.1.2", "10.0.1.1", ICMP, icmp(8, 0, 1)) + bytes(18))),
    ],
    "kernel": [
        rec(KERNEL | SUMS, eth(MAC_PEER, 0x800, ip4("10.0.1.1", "10.0.2.2", TCP, tcp(2)), src=MAC_BOX1)),
        rec(KERNEL | SUMS, eth(BCAST, 0x800, ip4("10.0.1.1", "224.0.0.5", 89, bytes(24), ttl=1), src=MAC_BOX1)),
        rec(KERNEL | SUMS, eth(BCAST, 0x800, ip4("10.0.1.1", "255.255.255.255", UDP, udp()), src=MAC_BOX1)),
        rec(KERNEL, eth(MAC_PEER, 0x86dd, ip6("2001:db8:1::1", "2001:db8:100::1", TCP, tcp(2)), src=MAC_BOX1)),
        rec(KERNEL, eth(MAC_PEER, 0x86dd, ip6("fe80::1", "fe80::77", UDP, udp()), src=MAC_BOX1)),
        rec(KERNEL, eth(MAC_PEER, 0x86dd, ip6("fe80::1", "ff02::5", 89, bytes(24)), src=MAC_BOX1)),
        rec(KERNEL, eth(MAC_PEER, 0x86dd, ip6("fe80::1", "ff02::2", ICMP6, nd(133, 0, None)), src=MAC_BOX1)),
        rec(KERNEL, eth(MAC_PEER, 0x806, bytes(28), src=MAC_BOX1)),
        rec(KERNEL | SUMS, eth(MAC_PEER, 0x800, ip4("10.0.1.1", "10.0.2.2", UDP, udp(1400)), src=MAC_BOX1)),
    ],
}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for name, records in SEEDS.items():
        body = b"".join(records)
        (OUT / name).write_bytes(b"\0" + body)
    # The same with the walk that is watched, in short segments.
    everything = [r for records in (SEEDS["forward4"], SEEDS["local6"], SEEDS["nd"]) for r in records]
    (OUT / "watched").write_bytes(b"\1" + b"".join(everything))
    (OUT / "segments").write_bytes(b"\1" + b"".join(bytes([r[0] | 2 * SEGS]) + r[1:] for r in everything))


main()
