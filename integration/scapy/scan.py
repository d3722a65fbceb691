"""Scans a /16 behind a router: one packet to each address. Counts the host unreachables.

usage: scan.py PREFIX16 (such as 10.2); prints {"sent": n, "errors": n, "seconds": s}.
"""
from wire import *

w = Wire()
gw = w.resolve("10.0.1.1")
frame = bytearray(bytes(Ether(src=w.mac, dst=gw) / IP(src="10.0.1.2", dst=sys.argv[1] + ".0.0", chksum=0) / UDP(sport=1, dport=9)))
frame[40:42] = b"\0\0"  # no UDP checksum
w.receive(0.2)
start = time.monotonic()
sent = 0
for third in range(256):
    for fourth in range(256):
        if third == 0 and fourth < 10 or third == 255 and fourth == 255:
            continue
        frame[32], frame[33] = third, fourth
        frame[24:26] = b"\0\0"
        s = sum(int.from_bytes(frame[i:i + 2], "big") for i in range(14, 34, 2))
        s = (s & 0xffff) + (s >> 16)
        s = (s & 0xffff) + (s >> 16)
        frame[24:26] = (~s & 0xffff).to_bytes(2, "big")
        w.s.send(frame)
        sent += 1
    time.sleep(0.005)
took = time.monotonic() - start
errors = sum(1 for d in w.receive(4) if d[12:14] == b"\x08\x00" and d[23] == 1 and d[34:36] == b"\x03\x01")
report(sent=sent, errors=errors, seconds=took)
