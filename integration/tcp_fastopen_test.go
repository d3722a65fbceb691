package integration

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// tcpiSynData is TCPI_OPT_SYN_DATA of linux/tcp.h: data of the SYN was acknowledged with it.
const tcpiSynData = 32

// TestTCPFastOpen: Linux asks for a cookie with its first connection, and sends data in the SYN of the next (RFC 7413). A listener
// without Fast Open gives none, and a client that tries is served as any other.
func TestTCPFastOpen(t *testing.T) {
	r := newTermination(t, "tfo", `
listeners:
  - {name: fast, port: 7, service: echo, options: {fast-open: true}}
  - {name: plain, port: 8007, service: echo}
`)
	r.run(r.a, "sysctl", "-qw", "net.ipv4.tcp_fastopen=1")
	exchange := func(r *termination, family string, port int) (synData bool) {
		r.t.Helper()
		c := r.dial(r.a, at(boxAtA[family], port), func(fd int) error {
			return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT, 1)
		})
		r.ok(echoes(c, 3, 100_000))
		return tcpInfo(r, c).Options&tcpiSynData != 0
	}
	// The cookie is the client's for an address of the box, whatever the port: the plain listener comes first.
	r.families("without", func(r *termination, family string) {
		before := r.mib()
		for range 2 {
			if exchange(r, family, 8007) {
				r.t.Error("data of the SYN was taken by a listener without Fast Open")
			}
		}
		if after := r.mib(); after["fast-open-cookie-out"] != before["fast-open-cookie-out"] {
			r.t.Error("a listener without Fast Open gave a cookie")
		}
	})
	r.families("with", func(r *termination, family string) {
		r.run(r.a, "ip", "tcp_metrics", "flush")
		before := r.mib()
		if exchange(r, family, 7) {
			r.t.Error("the first SYN had data already")
		}
		if n := r.mib()["fast-open-cookie-out"] - before["fast-open-cookie-out"]; n != 1 {
			r.t.Fatalf("%d cookies were given, want 1", n)
		}
		for range 3 {
			if !exchange(r, family, 7) {
				r.t.Error("data of the SYN was not taken")
			}
		}
		after := r.mib()
		if n := after["fast-open-in"] - before["fast-open-in"]; n != 3 {
			r.t.Errorf("%d connections came with data in the SYN, want 3", n)
		}
		if n := after["fast-open-bad"] - before["fast-open-bad"]; n != 0 {
			r.t.Errorf("%d cookies of our own were refused", n)
		}
	})
}

func tcpInfo(r *termination, c *net.TCPConn) *unix.TCPInfo {
	r.t.Helper()
	raw, err := c.SyscallConn()
	r.ok(err)
	var info *unix.TCPInfo
	r.ok(raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }))
	r.ok(err)
	return info
}
