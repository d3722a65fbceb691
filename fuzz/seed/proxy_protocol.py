#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seed corpus of the fuzzer of PROXY headers, fuzz/corpus/stack-proxy-protocol. Deterministic."""
import pathlib
import socket
import struct

CORPUS = pathlib.Path(__file__).resolve().parents[1] / "corpus" / "stack-proxy-protocol"

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PORTS = struct.pack("!HH", 56324, 443)
IN4 = socket.inet_pton(socket.AF_INET, "192.0.2.1") + socket.inet_pton(socket.AF_INET, "198.51.100.2") + PORTS
IN6 = socket.inet_pton(socket.AF_INET6, "2001:db8::1") + socket.inet_pton(socket.AF_INET6, "2001:db8::2") + PORTS
UNIX = b"/run/client".ljust(108, b"\0") + b"/run/server".ljust(108, b"\0")


def crc32c(data):
    crc = 0xFFFFFFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def v2(command, family, rest):
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


def with_crc(command, family, rest):
    header = v2(command, family, rest + tlv(3, bytes(4)))
    return header[:-4] + struct.pack("!I", crc32c(header))


SSL = tlv(0x20, b"\1" + bytes(4) + tlv(0x21, b"TLSv1.3") + tlv(0x22, b"client.example"))
SEEDS = {
    "v1-tcp4": b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET / HTTP/1.1\r\n\r\n",
    "v1-tcp6": b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n",
    "v1-unknown": b"PROXY UNKNOWN\r\n",
    "v1-unknown-text": b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
    "v1-longest": b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n",
    "v1-bad-port": b"PROXY TCP4 192.0.2.1 198.51.100.2 065 443\r\n",
    "v2-tcp4": v2(0x21, 0x11, IN4) + b"data",
    "v2-tcp6": v2(0x21, 0x21, IN6),
    "v2-unix": v2(0x21, 0x31, UNIX),
    "v2-unspec": v2(0x21, 0x00, b""),
    "v2-local": v2(0x20, 0x00, b""),
    "v2-local-filled": v2(0x20, 0x12, IN4),
    "v2-tlvs": v2(0x21, 0x11, IN4 + tlv(1, b"h2") + tlv(2, b"example.org") + tlv(4, bytes(9)) + SSL),
    "v2-crc": with_crc(0x21, 0x11, IN4 + tlv(5, b"id")),
    "v2-crc-wrong": v2(0x21, 0x11, IN4 + tlv(3, bytes(4))),
    "v2-udp": v2(0x21, 0x12, IN4),
    "v2-tlv-cut": v2(0x21, 0x11, IN4 + b"\1\0\5ab"),
}

CORPUS.mkdir(parents=True, exist_ok=True)
for name, data in SEEDS.items():
    (CORPUS / name).write_bytes(data)
