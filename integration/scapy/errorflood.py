"""Floods a router with packets for which there is no route, for some seconds, and counts the errors.

usage: errorflood.py SECONDS; prints {"sent": n, "errors4": n, "errors6": n, "seconds": s}.
"""
from wire import *

w = Wire()
gw = w.resolve("10.0.1.1")
frames = []
for i in range(64):
    frames.append(bytes(Ether(src=w.mac, dst=gw) / IP(src="10.0.1.2", dst="10.99.3.%d" % i) / UDP(sport=1000 + i, dport=9) / b"x"))
    frames.append(bytes(Ether(src=w.mac, dst=gw) / IPv6(src="2001:db8:1::2", dst="2001:db8:99::%x" % i) / UDP(sport=1000 + i, dport=9) / b"x"))
w.receive(0.2)
start = time.monotonic()
end = start + float(sys.argv[1])
sent = 0
while time.monotonic() < end:
    for f in frames:
        w.s.send(f)
    sent += len(frames)
    time.sleep(0.002)
took = time.monotonic() - start
e4 = e6 = 0
for data in w.receive(0.5):
    if data[12:14] == b"\x08\x00" and data[23] == 1 and data[34] == 3:
        e4 += 1
    elif data[12:14] == b"\x86\xdd" and data[20] == 58 and data[54] == 1:
        e6 += 1
report(sent=sent, errors4=e4, errors6=e6, seconds=took)
