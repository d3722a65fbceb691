"""Sends echo requests to 10.0.1.2 from a trunk with good and bad tags.

usage: tagsend.py ROUTER-MAC VLAN SOURCE; prints {"name": replies, …} of N=3 each.
"""
from wire import *

w = Wire()
gw, vlan, src = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ping = lambda i: IP(src=src, dst="10.0.1.2") / ICMP(id=77, seq=i) / b"x"
eth = Ether(src=w.mac, dst=gw)
cases = {
    "good": lambda i: eth / Dot1Q(vlan=vlan) / ping(i),
    "priority": lambda i: eth / Dot1Q(vlan=vlan, prio=7, id=1) / ping(i),
    "unknown": lambda i: eth / Dot1Q(vlan=999) / ping(i),
    "double": lambda i: eth / Dot1Q(vlan=vlan) / Dot1Q(vlan=5) / ping(i),
    "other-type": lambda i: eth / Dot1Q(vlan=vlan, type=0x1234) / ping(i),
    "reserved": lambda i: eth / Dot1Q(vlan=4095) / ping(i),
}
result = {}
for name, make in cases.items():
    for i in range(3):
        w.send(make(i))
    result[name] = 0
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        for d in w.receive(0.05, 1):
            p = Ether(d)
            if Dot1Q in p and ARP in p and p[ARP].op == 1 and p[ARP].pdst == src:
                w.send(Ether(src=w.mac, dst=p.src) / Dot1Q(vlan=p[Dot1Q].vlan)
                       / ARP(op=2, hwsrc=w.mac, psrc=src, hwdst=p[ARP].hwsrc, pdst=p[ARP].psrc))
            elif ICMP in p and p[ICMP].type == 0 and Dot1Q in p and p[Dot1Q].vlan == vlan:
                result[name] += 1
report(**result)
