"""Floods a router with ARP requests, gratuitous ARP and neighbour solicitations from ever new senders.

usage: neighflood.py SECONDS; the senders are of 10.2.0.0/16 and 2001:db8:2::/64. Prints {"sent": n, "seconds": s}.
"""
from wire import *

w = Wire()
a4, r4, n6 = [], [], []
for i in range(3000):
    mac = "02:00:00:00:%02x:%02x" % (i >> 8, i & 255)
    ip = "10.2.%d.%d" % (100 + (i >> 8), i & 255 or 1)
    arp = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc=ip, pdst="10.2.0.1")
    a4.append(bytes(arp).ljust(60, b"\0"))
    arp[ARP].pdst = ip
    r4.append(bytes(arp).ljust(60, b"\0"))
    ns = (Ether(src=mac, dst="33:33:ff:00:00:01") / IPv6(src="2001:db8:2::1:%x" % (i + 1), dst="ff02::1:ff00:1", hlim=255)
          / ICMPv6ND_NS(tgt="2001:db8:2::1") / ICMPv6NDOptSrcLLAddr(lladdr=mac))
    n6.append(bytes(ns))
start = time.monotonic()
sent = 0
while time.monotonic() - start < float(sys.argv[1]):
    for group in zip(a4, r4, n6):
        for f in group:
            w.s.send(f)
            sent += 1
        if sent % 300 == 0:
            time.sleep(0.001)
report(sent=sent, seconds=time.monotonic() - start)
