"""What the scripts here share: raw frames on one interface of the namespace they run in."""
import json
import logging
import select
import socket
import struct
import sys
import time

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.all import *  # noqa: E402,F401,F403  (the scripts take scapy's names from here)

conf.verb = 0


class Wire:
    """A packet socket. What was received is kept until it is asked for."""

    def __init__(self, iface="eth0"):
        self.iface = iface
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 20)
        self.s.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA: the kernel takes 802.1Q tags out of the frame
        self.s.bind((iface, 3))
        self.mac = self.s.getsockname()[4].hex(":")

    def send(self, pkt):
        self.s.send(bytes(pkt))

    def receive(self, seconds, want=None):
        """Frames that came in within the time, those we sent left out; ends early when `want` have come."""
        got = []
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if left <= 0 or (want is not None and len(got) >= want):
                return got
            if not select.select([self.s], [], [], left)[0]:
                continue
            data, ancillary, _, addr = self.s.recvmsg(65535, 256)
            if addr[2] == socket.PACKET_OUTGOING:
                continue
            for level, kind, aux in ancillary:
                if level == 263 and kind == 8:
                    status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", aux[:20])
                    if status & 0x10:  # TP_STATUS_VLAN_VALID
                        data = data[:12] + struct.pack("!HH", tpid if status & 0x40 else 0x8100, tci) + data[12:]
            got.append(data)

    def resolve(self, ip):
        """The MAC address of an IPv4 neighbour, by the kernel's own ARP."""
        import subprocess
        for _ in range(20):
            subprocess.run(["ping", "-c", "1", "-W", "1", ip], stdout=subprocess.DEVNULL)
            out = subprocess.run(["ip", "neigh", "show", ip], capture_output=True, text=True).stdout.split()
            if "lladdr" in out:
                return out[out.index("lladdr") + 1]
            time.sleep(0.1)
        sys.exit("no MAC address of " + ip)


def report(**kw):
    print(json.dumps(kw))
