// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"millrace/internal/lab"
)

// netdevCounters reads the counters of a namespace's devices.
type netdevCounters struct{ f *os.File }

func openCounters(ns *lab.NS) (c netdevCounters, err error) {
	err = ns.Do(func() error {
		c.f, err = os.Open("/proc/thread-self/net/dev")
		return err
	})
	return c, err
}

func (c netdevCounters) close() { _ = c.f.Close() }

// rxPackets is how many packets a device received.
func (c netdevCounters) rxPackets(dev string) (uint64, error) {
	if _, err := c.f.Seek(0, 0); err != nil {
		return 0, err
	}
	s := bufio.NewScanner(c.f)
	for s.Scan() {
		name, rest, ok := strings.Cut(s.Text(), ":")
		if f := strings.Fields(rest); ok && strings.TrimSpace(name) == dev && len(f) > 1 {
			return strconv.ParseUint(f[1], 10, 64)
		}
	}
	return 0, fmt.Errorf("no device %s", dev)
}

// packetSocket opens a raw socket on a device of a namespace. protocol is in network byte order; 0 receives nothing.
func packetSocket(ns *lab.NS, dev string, protocol uint16) (fd int, err error) {
	fd = -1
	err = ns.Do(func() error {
		var ifreq *unix.Ifreq
		if ifreq, err = unix.NewIfreq(dev); err != nil {
			return err
		}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return fmt.Errorf("packet socket: %w", err)
		}
		if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifreq); err != nil {
			return fmt.Errorf("device %s: %w", dev, err)
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: int(ifreq.Uint32())})
	})
	if err != nil && fd >= 0 {
		_ = unix.Close(fd)
	}
	return fd, err
}
