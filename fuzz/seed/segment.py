#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seed corpus of the fuzzer of TCP segments, fuzz/corpus/stack-segment: scripts for stack/tcp/segment_fuzz.c.
Deterministic."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).resolve().parents[1] / "corpus" / "stack-segment"

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << i for i in range(8))
SYN_OPTS = bytes([2, 4, 5, 180, 4, 2, 1, 1, 1, 3, 3, 7])


def offset(n):
    if n == 0:
        return b"\0"
    if -128 <= n < 128:
        return bytes([2]) + struct.pack("!b", n)
    if n < 0:
        return bytes([4]) + struct.pack("!H", -n)
    return bytes([3]) + struct.pack("!H", n)


def seg(flags, to=0, opts=b"", length=0, seq=0, ack=0, wnd=65535, ecn=0, source=0):
    # Numbers in the order in which the harness reads them.
    assert len(opts) % 4 == 0
    return (bytes([0, to, source, flags, ecn, len(opts) // 4]) + struct.pack("!H", length) + offset(seq) + offset(ack)
            + struct.pack("!H", wnd) + b"\0" + opts)


def service(what, conn=0, arg=b""):
    return bytes([4, what, conn]) + arg


def later(tenths_ms):
    return bytes([5]) + struct.pack("!H", tenths_ms)


def much_later(tens_of_ms):
    return bytes([13]) + struct.pack("!H", tens_of_ms)


def sack(*blocks):
    return bytes([1, 1, 5, 2 + 8 * len(blocks)]) + b"".join(struct.pack("!II", *b) for b in blocks)


def handshake(to=0, opts=SYN_OPTS, **kw):
    return seg(SYN, to, opts, **kw) + later(100) + seg(ACK, to)


WRITE = service(0, arg=struct.pack("!H", 4000))
DIAL = bytes([6, 0, 0, 0])
SEEDS = {
    "handshake": handshake(),
    "echo": handshake(1) + seg(ACK | PSH, 1, length=100) + later(50) + seg(ACK, 1) + seg(FIN | ACK, 1, seq=100) + later(50)
    + seg(ACK, 1, seq=1),
    "active": DIAL + seg(SYN | ACK, 1, SYN_OPTS, ack=0) + WRITE + later(100) + seg(ACK, 1),
    "simultaneous": DIAL + seg(SYN, 1, SYN_OPTS) + seg(SYN | ACK, 1, SYN_OPTS) + seg(ACK, 1),
    "close": handshake() + service(4) + seg(ACK) + seg(FIN | ACK) + much_later(7000),
    "closing": handshake() + service(4) + seg(FIN | ACK, ack=-1) + seg(ACK, seq=1),
    "reorder": handshake(1) + seg(ACK, 1, length=100, seq=100) + seg(ACK, 1, length=100, seq=300) + seg(ACK, 1, length=300),
    "loss": handshake() + WRITE + later(10) + seg(ACK, opts=sack((1, 2)) + b"\1\1\1\1") + seg(ACK, ack=-1460) + seg(ACK, ack=-1460)
    + seg(ACK, ack=-1460) + much_later(40),
    "rto": handshake() + WRITE + much_later(30) + much_later(60) + much_later(120) + seg(ACK),
    "zero-window": handshake() + seg(ACK, wnd=0) + WRITE + much_later(30) + much_later(60) + seg(ACK, wnd=1000),
    "reset": handshake() + seg(RST, seq=5) + seg(RST),
    "syn-in-established": handshake() + seg(SYN) + seg(ACK),
    "ecn": seg(SYN | ECE | CWR, opts=SYN_OPTS) + seg(ACK) + WRITE + seg(ACK | ECE) + seg(ACK | CWR, length=10, ecn=3),
    "keepalive": handshake() + much_later(4000) + seg(ACK, seq=-1) + much_later(4000),
    "too-big": handshake() + WRITE + bytes([7, 0, 0]) + offset(-100) + struct.pack("!H", 600) + later(10) + seg(ACK),
    "time-wait-reuse": handshake() + service(4) + seg(FIN | ACK) + seg(SYN, opts=SYN_OPTS, seq=1000) + seg(ACK),
    "urgent": handshake(1) + seg(ACK | URG | PSH, 1, length=10),
    "kill": handshake() + WRITE + service(7),
    "abort": handshake() + seg(ACK, length=50) + service(5),
}
# Bits of the listeners' options, and of the world.
BITS = {"": (0, 0), "-v6": (0, 1), "-cookies": (32, 0), "-nosack": (64, 0), "-bbr": (8, 0), "-tight": (3, 2), "-tfo": (16, 0)}


def main():
    CORPUS.mkdir(parents=True, exist_ok=True)
    for name, script in SEEDS.items():
        for suffix, bits in BITS.items():
            (CORPUS / (name + suffix)).write_bytes(bytes(bits) + script)


main()
