"""A host behind an 802.1Q trunk, for a kernel without VLAN devices: answers ARP, ND and echo requests in its VLANs, and
reports what it saw.

usage: tagged.py SECONDS VLAN=IP4,IP6 …; after so long, or when it is asked to end, prints {"VLAN": {"arp": n, "echo4": n, "echo6": n}, …, "untagged": n, "wrong": n}.
A datagram for another VLAN's address counts as wrong.
"""
import signal

from wire import *

w = Wire()
hosts = {}
for arg in sys.argv[2:]:
    vlan, ips = arg.split("=")
    hosts[int(vlan)] = ips.split(",")
seen = {str(v): {"arp": 0, "echo4": 0, "echo6": 0} for v in hosts}
seen.update(untagged=0, wrong=0)
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
print("ready", file=sys.stderr, flush=True)
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end and not asked:
    for data in w.receive(min(0.2, max(0.01, end - time.monotonic())), 1):
        p = Ether(data)
        if Dot1Q not in p:
            seen["untagged"] += (IP in p and p[IP].proto == 1)
            continue
        v = p[Dot1Q].vlan
        if v not in hosts:
            seen["wrong"] += 1
            continue
        ip4, ip6 = hosts[v]
        s = seen[str(v)]
        l2 = Ether(src=w.mac, dst=p.src) / Dot1Q(vlan=v)
        if ARP in p and p[ARP].op == 1 and p[ARP].pdst == ip4:
            s["arp"] += 1
            w.send(l2 / ARP(op=2, hwsrc=w.mac, psrc=ip4, hwdst=p[ARP].hwsrc, pdst=p[ARP].psrc))
        elif ICMPv6ND_NS in p and p[ICMPv6ND_NS].tgt == ip6 and p[IPv6].src != "::":
            s["arp"] += 1
            w.send(l2 / IPv6(src=ip6, dst=p[IPv6].src, hlim=255) / ICMPv6ND_NA(tgt=ip6, S=1, O=1, R=0)
                   / ICMPv6NDOptDstLLAddr(lladdr=w.mac))
        elif ICMP in p and p[ICMP].type == 8:
            s["echo4"] += p[IP].dst == ip4
            seen["wrong"] += p[IP].dst != ip4
            w.send(l2 / IP(src=p[IP].dst, dst=p[IP].src) / ICMP(type=0, id=p[ICMP].id, seq=p[ICMP].seq) / bytes(p[ICMP].payload))
        elif ICMPv6EchoRequest in p:
            s["echo6"] += p[IPv6].dst == ip6
            seen["wrong"] += p[IPv6].dst != ip6
            e = p[ICMPv6EchoRequest]
            w.send(l2 / IPv6(src=p[IPv6].dst, dst=p[IPv6].src) / ICMPv6EchoReply(id=e.id, seq=e.seq, data=e.data))
report(**seen)
