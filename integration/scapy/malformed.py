"""Sends classes of malformed packets, one class for each line read from standard input.

usage: malformed.py ROUTER-MAC-OF-THIS-SIDE; prints one JSON line per class: {"class": name, "sent": n}; at the end {"class": "", "sent": 0}.
"""
import random

from wire import *

w = Wire()
gw = sys.argv[1]
me4, me6, box4, box6, b4, b6 = "10.0.1.2", "2001:db8:1::2", "10.0.1.1", "2001:db8:1::1", "10.0.2.2", "2001:db8:2::2"
eth = Ether(src=w.mac, dst=gw)
pay = bytes(range(24))
rnd = random.Random(7)


def truncated(p, start=14):
    data = bytes(p)
    return [data[:n] for n in range(start, len(data))]


def ip4(**kw):
    kw = {"src": me4, "dst": b4, **kw}
    return eth / IP(**kw) / UDP(sport=5, dport=9) / pay


def ip6(**kw):
    kw = {"src": me6, "dst": b6, **kw}
    return eth / IPv6(**kw) / UDP(sport=5, dport=9) / pay


def resum(frame, off=14):
    """Sets the IPv4 header checksum of a header of 20 bytes."""
    f = bytearray(frame)
    f[off + 10:off + 12] = b"\0\0"
    f[off + 10:off + 12] = checksum(bytes(f[off:off + 20])).to_bytes(2, "big")
    return bytes(f)


def with_byte(frame, at, value):
    f = bytearray(bytes(frame))
    f[at] = value
    return bytes(f)


def with_16(frame, at, value):
    f = bytearray(bytes(frame))
    f[at:at + 2] = value.to_bytes(2, "big")
    return bytes(f)


def opts(raw):
    raw += b"\0" * (-len(raw) % 4)
    h = IP(src=me4, dst=b4, ihl=5 + len(raw) // 4, len=20 + len(raw) + 8 + len(pay), proto=17)
    h = bytearray(bytes(h)[:20] + raw)
    h[10:12] = b"\0\0"
    h[10:12] = checksum(bytes(h)).to_bytes(2, "big")
    return bytes(eth)[:12] + b"\x08\0" + bytes(h) + bytes(UDP(sport=5, dport=9, len=8 + len(pay))) + pay


def v6raw(nh, body, dst=box6, hlim=64, src=me6):
    return bytes(Ether(src=w.mac, dst=gw, type=0x86dd)) + bytes(IPv6(src=src, dst=dst, nh=nh, hlim=hlim, plen=len(body))) + body


def icmp6(type_, code, rest, dst=box6, hlim=255, src=me6, ok=True):
    body = bytes([type_, code, 0, 0]) + rest
    c = in6_chksum(58, IPv6(src=src, dst=dst), body)
    if ok:
        body = body[:2] + c.to_bytes(2, "big") + body[4:]
    return v6raw(58, body, dst, hlim, src)


def icmp4(body, dst=box4):
    return resum(bytes(eth / IP(src=me4, dst=dst, proto=1, len=20 + len(body)))) + body


target = socket.inet_pton(socket.AF_INET6, box6)
sll = b"\x01\x01" + bytes.fromhex(w.mac.replace(":", ""))
arp = Ether(src=w.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=w.mac, psrc=me4, pdst=box4)
ext = eth / IPv6(src=me6, dst=box6) / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) / IPv6ExtHdrDestOpt(
    options=[PadN(optdata=b"\0" * 12)]) / IPv6ExtHdrFragment(m=1) / ICMPv6EchoRequest(data=pay)


def with_lengths(frame, base):
    """Every truncation, with the IP header's length told to fit."""
    out = []
    for n in range(base, len(bytes(frame))):
        f = bytes(frame)[:n]
        out.append(with_16(f, 18, n - 54) if f[12:14] == b"\x86\xdd" else resum(with_16(f, 16, n - 14)))
    return out


classes = {
    "eth-bad-source": lambda: [bytes(Ether(src=s, dst=gw) / IP(src=me4, dst=b4) / UDP() / pay)
                               for s in ("01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00")],
    "eth-other": lambda: [bytes(Ether(src=w.mac, dst="02:de:ad:be:ef:00") / IP(src=me4, dst=b4) / UDP() / pay)],
    "eth-type": lambda: [bytes(Ether(src=w.mac, dst=gw, type=t)) + pay for t in (0, 46, 1500, 0x0806 + 1, 0x8847, 0xffff)],
    "vlan-truncated": lambda: [bytes(eth / Dot1Q(vlan=5) / IP(src=me4, dst=b4))[:n] for n in (20, 24, 30)],
    "arp-truncated": lambda: truncated(arp),
    "arp-lies": lambda: [with_16(arp, 14, 6), with_16(arp, 16, 0x86dd), with_byte(arp, 18, 8), with_byte(arp, 18, 0), with_byte(arp, 19, 16),
                         with_16(arp, 20, 0), with_16(arp, 20, 3), with_16(arp, 20, 65535),
                         with_byte(arp, 22, 1), with_byte(arp, 28, 224), with_byte(arp, 28, 127)],
    "ip4-truncated": lambda: truncated(ip4()),
    "ip4-options-truncated": lambda: truncated(opts(b"\x07\x07\x04\0\0\0\0")),
    "ip4-version": lambda: [resum(with_byte(ip4(), 14, v << 4 | 5)) for v in range(16) if v != 4],
    "ip4-header-length": lambda: [resum(with_byte(ip4(), 14, 0x40 | n)) for n in range(5)],
    "ip4-total-length": lambda: [resum(with_16(ip4(), 16, n)) for n in (0, 1, 19, 53, 100, 1500, 9000, 65535)],
    "ip4-checksum": lambda: [with_16(ip4(), 24, n) for n in (0, 0xffff, 0x1234)],
    "ip4-martian-source": lambda: [bytes(ip4(src=s)) for s in ("0.0.0.1", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255")],
    "ip4-martian-destination": lambda: [bytes(ip4(dst=d)) for d in ("0.0.0.0", "127.0.0.1", "240.0.0.1")],
    "ip4-spoofed": lambda: [bytes(ip4(src=s)) for s in ("10.0.1.1", "10.0.2.1")],
    "ip4-directed-broadcast": lambda: [bytes(ip4(dst="10.0.2.255"))],
    "ip4-source-route": lambda: [opts(b"\x83\x07\x04\x0a\x00\x02\x02"), opts(b"\x89\x07\x04\x0a\x00\x02\x02")],
    "ip4-bad-options": lambda: [opts(b"\x07\x00\x04\0"), opts(b"\x07\x01\x04\0"), opts(b"\x07\xff\x04\0"), opts(b"\x01\x01\x01\x07"),
                                opts(b"\x44\x03\x05\0"), opts(b"\x94\x03\0\0"), opts(b"\x07\x03\x00\0"), opts(b"\x07\x02\0\0")],
    "ip4-transport": lambda: with_lengths(eth / IP(src=me4, dst=box4) / UDP(sport=5, dport=9, len=32) / pay, 34)
                     + with_lengths(eth / IP(src=me4, dst=box4) / TCP(sport=5, dport=9, flags="S"), 34)
                     + [bytes(eth / IP(src=me4, dst=box4) / UDP(sport=5, dport=9, len=n) / pay) for n in (0, 7, 33, 65535)]
                     + [bytes(eth / IP(src=me4, dst=box4) / TCP(sport=5, dport=9, dataofs=n)) for n in (0, 4, 6, 15)],
    "icmp4-truncated": lambda: [icmp4(bytes(ICMP())[:n]) for n in range(8)],
    "icmp4-checksum": lambda: [icmp4(bytes([8, 0, 0x12, 0x34, 0, 1, 0, 1]) + pay)],
    "icmp4-redirect": lambda: [icmp4(bytes(ICMP(type=5, code=1, gw="10.0.1.9") / IP(src=box4, dst="10.0.2.9") / UDP()))],
    "ip6-truncated": lambda: truncated(ip6()),
    "ip6-extension-truncated": lambda: truncated(ext),
    "ip6-extension-short": lambda: with_lengths(ext, 55)[:31],  # behind the fragment header it is the reassembly's matter
    "ip6-version": lambda: [with_byte(ip6(), 14, v << 4) for v in range(16) if v != 6],
    "ip6-payload-length": lambda: [with_16(ip6(), 18, n) for n in (33, 100, 1500, 65535)],
    "ip6-martian-source": lambda: [bytes(ip6(src=s)) for s in ("::1", "ff02::1", "ff0e::1")],
    "ip6-martian-destination": lambda: [bytes(ip6(dst=d)) for d in ("::", "::1")],
    "ip6-spoofed": lambda: [bytes(ip6(src=s)) for s in (box6, "2001:db8:2::1")],
    "ip6-link-local": lambda: [bytes(ip6(src="fe80::2"))],
    "ip6-rh0": lambda: [v6raw(43, bytes([59, 2, 0, 1, 0, 0, 0, 0]) + target),
                        v6raw(43, bytes([59, 4, 0, 2, 0, 0, 0, 0]) + target * 2)],
    "ip6-hop-by-hop": lambda: [v6raw(0, bytes([17, 0, 1, 200, 0, 0, 0, 0]) + bytes(UDP(dport=9)), d) for d in (b6, box6)]
                      + [v6raw(0, bytes([17, 255, 1, 4, 0, 0, 0, 0]) + bytes(UDP(dport=9)), d) for d in (b6, box6)],
    "ip6-unknown-option": lambda: [v6raw(0, bytes([17, 0, t, 4, 0, 0, 0, 0]) + bytes(UDP(dport=9)), b6) for t in (0x5e, 0x9e, 0xde)],
    "ip6-transport": lambda: with_lengths(eth / IPv6(src=me6, dst=box6) / UDP(sport=5, dport=9, len=32) / pay, 54)
                     + with_lengths(eth / IPv6(src=me6, dst=box6) / TCP(sport=5, dport=9, flags="S"), 54),
    "icmp6-truncated": lambda: [v6raw(58, bytes([128, 0, 0, 0, 0, 1, 0, 1])[:n]) for n in range(8)],
    "icmp6-checksum": lambda: [icmp6(128, 0, b"\0\1\0\1" + pay, ok=False)],
    "nd-hop-limit": lambda: [icmp6(t, 0, b"\0" * 4 + target + sll, hlim=h) for t in (135, 136) for h in (64, 254)],
    "nd-code": lambda: [icmp6(t, 1, b"\0" * 4 + target + sll) for t in (135, 136)],
    "nd-truncated": lambda: [icmp6(135, 0, (b"\0" * 4 + target)[:n]) for n in range(20)],
    "nd-options": lambda: [icmp6(135, 0, b"\0" * 4 + target + o) for o in (b"\1\0" + b"\0" * 6, b"\1\2" + b"\0" * 6, b"\1\xff" + b"\0" * 6, b"\1")],
    "nd-target": lambda: [icmp6(135, 0, b"\0" * 4 + socket.inet_pton(socket.AF_INET6, a) + sll) for a in ("ff02::1", "::")],
    "nd-redirect": lambda: [icmp6(137, 0, b"\0" * 4 + target + target, src="fe80::9")],
}


def mutants():
    bases = [bytes(p) for p in (ip4(), ip6(), arp, ext, opts(b"\x07\x07\x04\0\0\0\0"), eth / Dot1Q(vlan=5) / IP(src=me4, dst=b4) / UDP(),
                                icmp6(135, 0, b"\0" * 4 + target + sll), icmp4(bytes(ICMP()) + pay), icmp6(128, 0, b"\0\1\0\1" + pay),
                                eth / IP(src=me4, dst=box4) / ICMP(type=3) / IP(src=box4, dst=b4) / UDP())]
    for _ in range(6000):
        f = bytearray(rnd.choice(bases))
        for _ in range(rnd.randint(1, 6)):
            f[rnd.randrange(12, len(f))] = rnd.choice((0, 1, 0x7f, 0x80, 0xff, rnd.randrange(256)))
        f = bytes(f[:rnd.randint(14, len(f))]) if rnd.random() < 0.3 else bytes(f)
        if len(f) >= 34 and f[12:14] == b"\x08\0" and rnd.random() < 0.7:
            f = resum(f)
        yield f


classes["mutants"] = lambda: list(mutants())

for name, make in classes.items():
    if not sys.stdin.readline():
        break
    frames = make()
    for i, f in enumerate(frames):
        w.s.send(f)
        if i % 50 == 49:
            time.sleep(0.003)
    print(json.dumps({"class": name, "sent": len(frames)}), flush=True)
print(json.dumps({"class": "", "sent": 0}), flush=True)
