"""Sends one ARP or ND message and prints what comes back about the address within some time.

usage: arp.py gratuitous IP MAC | reply IP MAC TARGET-MAC | na IP6 MAC; prints {"arp": [[op, sender MAC, sender IP, target IP], …]}.
"""
from wire import *

w = Wire()
kind, ip, mac = sys.argv[1:4]
if kind == "gratuitous":
    w.send(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc=ip, pdst=ip))
elif kind == "reply":
    w.send(Ether(src=mac, dst=sys.argv[4]) / ARP(op=2, hwsrc=mac, psrc=ip, hwdst=sys.argv[4], pdst=ip))
elif kind == "na":
    w.send(Ether(src=mac, dst="33:33:00:00:00:01") / IPv6(src=ip, dst="ff02::1", hlim=255)
           / ICMPv6ND_NA(tgt=ip, R=0, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=mac))
got = []
for data in w.receive(1.5):
    p = Ether(data)
    if ARP in p:
        got.append([p[ARP].op, p[ARP].hwsrc, p[ARP].psrc, p[ARP].pdst])
report(arp=got)
