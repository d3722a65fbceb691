"""Sends what must never cause an ICMP error, and what must: counts the errors that come back for each.

Prints {"name": [sent, errors], …}. Every packet carries its own destination, which the error quotes.
"""
from wire import *

w = Wire()
gw = w.resolve("10.0.1.1")
me4, me6 = "10.0.1.2", "2001:db8:1::2"
N = 3


def eth(dst=gw):
    return Ether(src=w.mac, dst=dst)


def to4(i):
    return "10.99.1.%d" % i  # no route


def to6(i):
    return "2001:db8:99::%x" % i


quoted4 = bytes(IP(src="10.99.0.1", dst=me4) / UDP(sport=1, dport=2) / (b"x" * 8))
quoted6 = bytes(IPv6(src="2001:db8:99::1", dst=me6) / UDP(sport=1, dport=2) / (b"x" * 8))
cases = {
    # name: (expect errors, packet by number)
    "control4": lambda i: eth() / IP(src=me4, dst=to4(i)) / UDP(dport=9) / b"x",
    "echo4": lambda i: eth() / IP(src=me4, dst=to4(i)) / ICMP() / b"x",
    "error4": lambda i: eth() / IP(src=me4, dst=to4(i)) / ICMP(type=3, code=1) / quoted4,
    "ttl-error4": lambda i: eth() / IP(src=me4, dst=to4(i), ttl=1) / ICMP(type=11) / quoted4,
    "unknown-icmp4": lambda i: eth() / IP(src=me4, dst=to4(i)) / ICMP(type=250) / (b"x" * 8),
    "fragment4": lambda i: eth() / IP(src=me4, dst=to4(i), frag=100, proto=17) / (b"x" * 16),
    "l2-broadcast4": lambda i: eth("ff:ff:ff:ff:ff:ff") / IP(src=me4, dst=to4(i)) / UDP(dport=9) / b"x",
    "l2-multicast4": lambda i: eth("01:00:5e:00:00:05") / IP(src=me4, dst=to4(i)) / UDP(dport=9) / b"x",
    "multicast4": lambda i: eth("01:00:5e:01:02:%02x" % i) / IP(src=me4, dst="239.1.2.%d" % i, ttl=1) / UDP(dport=9) / b"x",
    "broadcast4": lambda i: eth("ff:ff:ff:ff:ff:ff") / IP(src=me4, dst="255.255.255.255", ttl=1) / UDP(dport=9) / b"x",
    "directed4": lambda i: eth() / IP(src=me4, dst="10.0.2.255") / UDP(dport=9) / b"x",
    "source-zero4": lambda i: eth() / IP(src="0.0.0.0", dst=to4(i)) / UDP(dport=9) / b"x",
    "source-multicast4": lambda i: eth() / IP(src="239.1.1.1", dst=to4(i)) / UDP(dport=9) / b"x",
    "source-broadcast4": lambda i: eth() / IP(src="10.0.1.255", dst=to4(i)) / UDP(dport=9) / b"x",
    "control6": lambda i: eth() / IPv6(src=me6, dst=to6(i)) / UDP(dport=9) / b"x",
    "echo6": lambda i: eth() / IPv6(src=me6, dst=to6(i)) / ICMPv6EchoRequest(data=b"x"),
    "error6": lambda i: eth() / IPv6(src=me6, dst=to6(i)) / ICMPv6DestUnreach() / quoted6,
    "hop-error6": lambda i: eth() / IPv6(src=me6, dst=to6(i), hlim=1) / ICMPv6TimeExceeded() / quoted6,
    "error-behind-header6": lambda i: eth() / IPv6(src=me6, dst=to6(i)) / IPv6ExtHdrDestOpt() / ICMPv6DestUnreach() / quoted6,
    "l2-multicast6": lambda i: eth("33:33:00:00:00:05") / IPv6(src=me6, dst=to6(i)) / UDP(dport=9) / b"x",
    "multicast6": lambda i: eth("33:33:00:01:02:%02x" % i) / IPv6(src=me6, dst="ff0e::1:2:%x" % i, hlim=1) / UDP(dport=9) / b"x",
    "source-unspecified6": lambda i: eth() / IPv6(src="::", dst=to6(i)) / UDP(dport=9) / b"x",
    "source-multicast6": lambda i: eth() / IPv6(src="ff02::1", dst=to6(i)) / UDP(dport=9) / b"x",
}

result = {}
for name, make in cases.items():
    for i in range(1, N + 1):
        w.send(make(i))
    errors = 0
    for data in w.receive(0.25):
        p = Ether(data)
        if ICMP in p and p[ICMP].type in (3, 4, 5, 11, 12):
            errors += 1
        elif any(c in p for c in (ICMPv6DestUnreach, ICMPv6TimeExceeded, ICMPv6PacketTooBig, ICMPv6ParamProblem)):
            errors += 1
    result[name] = [N, errors]
print(json.dumps(result))
