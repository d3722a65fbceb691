#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seed corpora of the fuzzers of TCP options, fuzz/corpus/stack-options, and of the
reassembly queue, fuzz/corpus/stack-reass (scripts for stack/tcp/reass_model.c). Deterministic."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).resolve().parents[1] / "corpus"

MSS = bytes([2, 4, 0x05, 0xB4])
WSCALE = bytes([3, 3, 7])
SACK_PERM = bytes([4, 2])
TS = struct.pack("!BBII", 8, 10, 0x80000001, 77)
NOP = b"\1"


def sack(*blocks):
    return bytes([5, 2 + 8 * len(blocks)]) + b"".join(struct.pack("!II", *b) for b in blocks)


def option(kind, contents=b""):
    return bytes([kind, 2 + len(contents)]) + contents


COOKIE = bytes(range(8))
OPTIONS = {
    "syn-linux": (1, MSS + SACK_PERM + TS + NOP + WSCALE),
    "syn-windows": (1, MSS + NOP + option(3, b"\x08") + NOP + NOP + SACK_PERM),
    "syn-tfo": (1, MSS + option(34, COOKIE)),
    "syn-tfo-request": (1, MSS + option(34)),
    "syn-tfo-experimental": (1, option(254, b"\xf9\x89" + COOKIE) + option(254, b"\xf9\x89")),
    "syn-uto": (1, option(28, b"\x80\x05") + b"\0" + MSS),
    "timestamps": (0, NOP + NOP + TS),
    "sack": (0, NOP + NOP + TS + NOP + NOP + sack((1, 2), (5, 9), (0xFFFFFFFF, 4))),
    "sack-4": (0, NOP + NOP + sack((1, 2), (5, 9), (11, 12), (20, 21))),
    "unknown": (0, option(200, b"abc") + option(253, b"\x12\x34") + TS),
    "wrong-lengths": (1, bytes([2, 3, 1, 3, 2, 8, 9]) + bytes(7) + bytes([5, 9]) + bytes(7)),
    "malformed": (1, MSS + bytes([2, 0])),
    "beyond": (0, NOP + bytes([8, 11]) + bytes(8)),
}


def insert(at, length, kind=0, fill=0x80):
    """length up to 15, or a multiple of 8 up to 1016; at: an offset, or of near()."""
    size = length if length < 16 else 0x80 | length // 8
    return bytes([0, kind, fill, size]) + struct.pack("!H", at)


def near(index, before=False, gap=0):
    """At the end of segment `index`, moved by gap (-1 to 2), or over its end."""
    return 0x8000 | index | (0x40 if before else 0) | (gap + 1) << 4


def advance(by):
    return bytes([230, by])


SHED = bytes([250, 40])
HEAD = bytes([0, 63])
REASS = {
    "append": HEAD + insert(100, 400) + b"".join(insert(near(0), 400) for _ in range(5)) + advance(200),
    "holes": HEAD + b"".join(insert(100 + 200 * i, 80) for i in range(10)) + advance(150) + SHED,
    "down": HEAD + b"".join(insert(2000 - 8 * i, 8) for i in range(20)) + advance(255),
    "fill": HEAD + b"".join(insert(50 + 2 * i, 1) for i in range(12))
    + b"".join(insert(51 + 2 * i, 1) for i in range(12)) + advance(50),
    "conflict": HEAD + insert(200, 80, fill=1) + insert(400, 80, fill=2) + insert(100, 800, fill=3) + advance(150),
    "conflict-shared": HEAD + insert(200, 80, fill=1) + insert(100, 800, kind=0x18, fill=3) + advance(150),
    "same-shared": HEAD + insert(200, 80) + insert(100, 800, kind=0x19) + advance(150),
    "chains": HEAD + insert(300, 400, kind=1) + insert(near(0, True), 80, kind=5) + insert(200, 800, kind=7) + advance(255),
    "few-records": bytes([128, 1]) + insert(100, 80) + insert(300, 80) + insert(500, 80) + insert(near(0), 80) + advance(120),
}


def main():
    for name, (syn, options) in OPTIONS.items():
        write("stack-options", name, bytes([syn]) + options)
    for name, script in REASS.items():
        write("stack-reass", name, script)


def write(corpus, name, data):
    folder = CORPUS / corpus
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
