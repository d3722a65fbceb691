package integration

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/internal/lab"
)

// segment is a TCP segment as an attacker makes it.
type segment struct {
	src, dst netip.AddrPort
	seq, ack uint32
	flags    byte
	window   uint16
	payload  []byte
}

const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
)

func onesSum(b []byte) (sum uint32) {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	return sum
}

func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// frame is the segment in an IP packet in a frame.
func (s *segment) frame(from, to net.HardwareAddr) []byte {
	tcp := make([]byte, 20+len(s.payload))
	binary.BigEndian.PutUint16(tcp, s.src.Port())
	binary.BigEndian.PutUint16(tcp[2:], s.dst.Port())
	binary.BigEndian.PutUint32(tcp[4:], s.seq)
	binary.BigEndian.PutUint32(tcp[8:], s.ack)
	tcp[12], tcp[13] = 5<<4, s.flags
	binary.BigEndian.PutUint16(tcp[14:], s.window)
	copy(tcp[20:], s.payload)
	src, dst := s.src.Addr().AsSlice(), s.dst.Addr().AsSlice()
	binary.BigEndian.PutUint16(tcp[16:], fold(onesSum(src)+onesSum(dst)+unix.IPPROTO_TCP+uint32(len(tcp))+onesSum(tcp)))

	f := append(append([]byte(nil), to...), from...)
	if s.dst.Addr().Is4() {
		ip := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, unix.IPPROTO_TCP, 0, 0}
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(tcp)))
		ip = append(append(ip, src...), dst...)
		binary.BigEndian.PutUint16(ip[10:], fold(onesSum(ip)))
		return append(append(append(f, 0x08, 0x00), ip...), tcp...)
	}
	ip := []byte{0x60, 0, 0, 0, 0, 0, unix.IPPROTO_TCP, 64}
	binary.BigEndian.PutUint16(ip[4:], uint16(len(tcp)))
	ip = append(append(ip, src...), dst...)
	return append(append(append(f, 0x86, 0xdd), ip...), tcp...)
}

// attacker sends frames from a namespace's eth0 to the box.
type attacker struct {
	fd       int
	from, to net.HardwareAddr
}

func (r *termination) attacker(ns *lab.NS, port string) *attacker {
	r.t.Helper()
	a := &attacker{}
	var err error
	a.to, err = net.ParseMAC(r.mac(r.ns, port))
	r.ok(err)
	r.ok(ns.Do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		a.from = ifi.HardwareAddr
		a.fd, err = packetSocket(ifi.Index)
		return err
	}))
	r.t.Cleanup(func() { _ = unix.Close(a.fd) })
	return a
}

func (a *attacker) send(s *segment) error {
	_, err := unix.Write(a.fd, s.frame(a.from, a.to))
	if errors.Is(err, unix.ENOBUFS) {
		return nil
	}
	return err
}

// flood sends n segments that vary makes, at some 20,000 a second.
func (a *attacker) flood(n int, vary func(rnd *rand.Rand) *segment) error {
	rnd := rand.New(rand.NewPCG(2, 3))
	for i := range n {
		if err := a.send(vary(rnd)); err != nil {
			return err
		}
		if i%20 == 19 {
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

// sockstress makes n connections whose window is closed from the first ACK on.
func (a *attacker) sockstress(n int, family string, dst netip.AddrPort) error {
	src := map[string]netip.Addr{"ipv4": netip.MustParseAddr("198.18.255.1"), "ipv6": netip.MustParseAddr("2001:db8:f::1")}[family]
	const first = 10000
	made := map[uint16]bool{}
	buf := make([]byte, 2048)
	for end := time.Now().Add(time.Minute); len(made) < n; {
		if time.Now().After(end) {
			return fmt.Errorf("only %d SYNs were answered", len(made))
		}
		for p := range uint16(n) {
			if !made[first+p] {
				if err := a.send(&segment{src: netip.AddrPortFrom(src, first+p), dst: dst, seq: 1, flags: flagSYN, window: 1000}); err != nil {
					return err
				}
			}
		}
		// Until a receive times out, there are answers.
		for {
			got, err := unix.Read(a.fd, buf)
			if err != nil {
				break
			}
			tcp := buf[14+map[string]int{"ipv4": 20, "ipv6": 40}[family]:]
			port := binary.BigEndian.Uint16(tcp[2:])
			if got < 54 || binary.BigEndian.Uint16(tcp) != dst.Port() || tcp[13] != flagSYN|flagACK || made[port] {
				continue
			}
			made[port] = true
			ack := &segment{src: netip.AddrPortFrom(src, port), dst: dst, seq: 2, ack: binary.BigEndian.Uint32(tcp[4:]) + 1, flags: flagACK}
			if err := a.send(ack); err != nil {
				return err
			}
		}
	}
	return nil
}

// receive returns the box's next segment of a connection; without one for a while, it is nil.
func (a *attacker) receive(src, dst netip.AddrPort) []byte {
	buf := make([]byte, 2048)
	ip := 20
	if src.Addr().Is6() {
		ip = 40
	}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		n, err := unix.Read(a.fd, buf)
		if err != nil || n < 14+ip+20 {
			continue
		}
		tcp := buf[14+ip : n]
		// Frames are padded to 60 bytes: the IP header tells the length.
		total := int(binary.BigEndian.Uint16(buf[16:]))
		if ip == 40 {
			total = ip + int(binary.BigEndian.Uint16(buf[18:]))
		}
		if to, _ := netip.AddrFromSlice(buf[14+ip-len(src.Addr().AsSlice()) : 14+ip]); to != src.Addr() {
			continue
		}
		if binary.BigEndian.Uint16(tcp) == dst.Port() && binary.BigEndian.Uint16(tcp[2:]) == src.Port() && total-ip <= len(tcp) && total > ip {
			return tcp[:total-ip]
		}
	}
	return nil
}

// conflict tells an echo service the same octets twice, differently, and what is outside of the window; it returns what came back.
func (a *attacker) conflict(src, dst netip.AddrPort) (string, error) {
	out := func(seq, ack uint32, flags byte, payload string) error {
		return a.send(&segment{src: src, dst: dst, seq: seq, ack: ack, flags: flags, window: 5000, payload: []byte(payload)})
	}
	// What answered floods is still waiting, and leaves no room.
	for buf := make([]byte, 2048); ; {
		if _, err := unix.Read(a.fd, buf); err != nil {
			break
		}
	}
	if err := out(99, 0, flagSYN, ""); err != nil {
		return "", err
	}
	synack := a.receive(src, dst)
	if synack == nil || synack[13] != flagSYN|flagACK {
		return "", fmt.Errorf("the SYN's answer is % x", synack)
	}
	ack := binary.BigEndian.Uint32(synack[4:]) + 1
	// That may have been a cookie, which counts from the first octet only.
	if err := out(100, ack, flagACK, ""); err != nil {
		return "", err
	}
	for _, s := range []struct {
		seq  uint32
		data string
	}{
		{104, "EFGH"},         // Out of order, and first.
		{104, "????"},         // Instead of it.
		{102, "??????"},       // Around it, with octets that came in order.
		{100 + 1<<30, "evil"}, // Far beyond the window.
		{20, "old!"},          // Far before it.
	} {
		if s.seq == 102 {
			// What is in order first, then what contradicts both.
			if err := out(100, ack, flagACK|flagPSH, "abcd"); err != nil {
				return "", err
			}
		}
		if err := out(s.seq, ack, flagACK|flagPSH, s.data); err != nil {
			return "", err
		}
	}
	if err := out(108, ack, flagACK|flagPSH, "ijkl"); err != nil {
		return "", err
	}
	got := make([]byte, 12)
	for have := 0; have < len(got); {
		tcp := a.receive(src, dst)
		if tcp == nil {
			return string(got[:have]), fmt.Errorf("after %d octets nothing comes", have)
		}
		at := binary.BigEndian.Uint32(tcp[4:]) - ack
		if data := tcp[int(tcp[12]>>4)*4:]; tcp[13]&flagRST == 0 && at <= uint32(have) && int(at)+len(data) > have {
			have = int(at) + copy(got[at:], data)
			if err := out(112, ack+uint32(have), flagACK, ""); err != nil {
				return "", err
			}
		}
	}
	return string(got), out(112, ack+12, flagRST, "")
}

// someone is an address that nobody has, on a network that the box sends to host b.
func someone(rnd *rand.Rand, family string) netip.AddrPort {
	a := netip.AddrFrom4([4]byte{198, 18, byte(rnd.UintN(256)), byte(1 + rnd.UintN(250))})
	if family == "ipv6" {
		b := netip.MustParseAddr("2001:db8:f::").As16()
		binary.BigEndian.PutUint64(b[8:], rnd.Uint64())
		a = netip.AddrFrom16(b)
	}
	return netip.AddrPortFrom(a, uint16(1024+rnd.UintN(60000)))
}

// bounded tells whether memory is near its limit at most: what connections may always have comes on top.
func bounded(u *vnfv1.TcpWorkerUsage) bool {
	return u.GetMemory() < u.GetMemoryLimit()+u.GetMemoryLimit()/8
}

// TestTCPAttacks: floods and peers that mean no good. Clients are served and connections live meanwhile, memory stays bounded, and what
// happened is counted.
func TestTCPAttacks(t *testing.T) {
	r := newTermination(t, "attack", `
challenge-ack-rate: 10
listeners:
  - {name: echo, port: 7, service: echo, backlog: 256, options: {synack-retries: 1}}
  - {name: discard, port: 9, service: discard}
  - {name: chargen, port: 19, service: chargen, options: {user-timeout: 10s}}
  - name: web
    port: 80
    service: http
    header-timeout: 1s
    idle-timeout: 2s
    http: {response: {body: "here\n"}}
`, func(o *routerOptions) {
		// What answers there are go where nobody looks.
		o.instances = `  - name: default
    static-routes:
      - {prefix: 198.18.0.0/15, next-hops: [{address: 10.0.1.2}]}
      - {prefix: "2001:db8:f::/48", next-hops: [{address: "2001:db8:1::2"}]}`
	})
	for _, ns := range []*lab.NS{r.a, r.b} {
		r.nft(ns)
	}
	// The host does not tell the box that nobody has these addresses.
	r.a.Sysctl("net.ipv4.ip_forward", "0")
	evil := r.attacker(r.a, "pa")
	witness := map[string]net.Conn{"ipv4": r.dial(r.b, "10.0.1.1:7"), "ipv6": r.dial(r.b, "[2001:db8:1::1]:7")}
	for _, c := range witness {
		r.ok(speak(c))
	}
	target := func(family string, port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(boxAtA[family]), port)
	}
	r.families("syn flood", func(r *termination, family string) {
		before := r.mib()
		end := make(chan error, 1)
		go func() {
			end <- evil.flood(40000, func(rnd *rand.Rand) *segment {
				return &segment{src: someone(rnd, family), dst: target(family, 7), seq: rnd.Uint32(), flags: flagSYN, window: 65535}
			})
		}()
		for served := 0; ; served++ {
			select {
			case err := <-end:
				r.ok(err)
				if served < 5 {
					r.t.Errorf("only %d clients were served meanwhile", served)
				}
			default:
				r.ok(echoes(r.dial(r.b, at(boxAtA[family], 7)), 1, 20000))
				continue
			}
			break
		}
		r.ok(speak(witness[family]))
		r.rose(before, "syn-cookies-sent", "syn-cookies-ok")
		if u := r.usage(); u.GetHalfOpen() > 256 || u.GetPressure() != 0 {
			r.t.Errorf("the worker has %v", u)
		}
		if s := r.listener("echo"); s.GetCookiesSent() == 0 || s.GetCookiesValid() == 0 {
			r.t.Errorf("the listener counts %v", s)
		}
	})
	r.families("reset and ack floods", func(r *termination, family string) {
		c := witness[family].(*net.TCPConn)
		local := c.LocalAddr().(*net.TCPAddr).AddrPort()
		before := r.mib()
		// To the connection itself, blindly: sequence numbers are guessed.
		r.ok(evil.flood(20000, func(rnd *rand.Rand) *segment {
			s := &segment{src: local, dst: target(family, 7), seq: rnd.Uint32(), ack: rnd.Uint32(), window: 1000,
				flags: []byte{flagRST, flagRST | flagACK, flagACK, flagSYN, flagSYN | flagACK, flagFIN | flagACK}[rnd.UintN(6)]}
			if s.flags == flagACK {
				s.payload = []byte("evil")
			}
			return s
		}))
		// And to nobody.
		r.ok(evil.flood(5000, func(rnd *rand.Rand) *segment {
			return &segment{src: someone(rnd, family), dst: target(family, 7), seq: rnd.Uint32(), ack: rnd.Uint32(), flags: flagACK, window: 1000}
		}))
		r.ok(speak(c))
		// An answer in the stream that nobody asked for would be found here.
		word := []byte("the witness still hears itself alone")
		_, err := c.Write(word)
		r.ok(err)
		back := make([]byte, len(word))
		_, err = io.ReadFull(c, back)
		r.ok(err)
		if string(back) != string(word) {
			r.t.Errorf("the connection has %q", back)
		}
		r.rose(before, "challenge-acks", "challenge-acks-limited", "syn-cookies-bad", "drop-syn")
		now := r.mib()
		if rst := now["out-rsts"] - before["out-rsts"]; rst > 5000 {
			r.t.Errorf("%d resets were sent", rst)
		}
	})
	r.families("conflicts", func(r *termination, family string) {
		src := map[string]string{"ipv4": "198.18.254.1:7777", "ipv6": "[2001:db8:f::2]:7777"}[family]
		got, err := evil.conflict(netip.MustParseAddrPort(src), target(family, 7))
		r.ok(err)
		if got != "abcdEFGHijkl" {
			r.t.Errorf("of segments that contradict each other comes back %q", got)
		}
	})
	r.sub("slow readers", func(r *termination) {
		// They ask for all there is, and close the window: it is held no longer than the user timeout allows.
		before := r.mib()
		var slow []net.Conn
		for range 100 {
			slow = append(slow, r.dial(r.a, "10.0.1.1:19", receiveBuffer(4096)))
		}
		time.Sleep(time.Second)
		u := r.usage()
		if u.GetConnections() < 100 || !bounded(u) {
			r.t.Errorf("the worker has %v", u)
		}
		r.ok(echoes(r.dial(r.b, "10.0.1.1:7"), 2, 5<<20))
		r.rose(before, "zero-window-in", "zero-window-probes")
		for _, c := range slow {
			_ = c.Close()
		}
	})
	r.families("zero windows", func(r *termination, family string) {
		// A peer that keeps no state of its connections asks for what it never takes.
		before := r.mib()
		const n = 200
		r.ok(evil.sockstress(n, family, target(family, 19)))
		r.eventually(5*time.Second, func() error {
			if s := r.listener("chargen"); s.GetActive() != n {
				return fmt.Errorf("%d of %d connections", s.GetActive(), n)
			}
			return nil
		})
		if u := r.usage(); !bounded(u) {
			r.t.Errorf("the worker has %v", u)
		}
		r.ok(echoes(r.dial(r.b, at(boxAtA[family], 7)), 3, 5<<20))
		r.eventually(25*time.Second, func() error {
			if s := r.listener("chargen"); s.GetActive() != 0 {
				return fmt.Errorf("still %d connections", s.GetActive())
			}
			return nil
		})
		r.rose(before, "zero-window-probes", "timeout-drops")
	})
	r.sub("slow writers", func(r *termination) {
		var slow []net.Conn
		for range 100 {
			c := r.dial(r.a, "10.0.1.1:80")
			_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: ")
			r.ok(err)
			slow = append(slow, c)
		}
		out, err := r.get(r.b, "10.0.1.1:80", "/")
		r.ok(err)
		if out != "here\n" {
			r.t.Errorf("meanwhile: %q", out)
		}
		// Each is ended, by an answer or without, whatever it goes on to write.
		for _, c := range slow {
			go func() {
				for range 30 {
					time.Sleep(200 * time.Millisecond)
					if _, err := io.WriteString(c, "x"); err != nil {
						return
					}
				}
			}()
		}
		r.parallel(len(slow), func(i int) error {
			_ = slow[i].SetReadDeadline(time.Now().Add(time.Minute))
			got, err := io.ReadAll(slow[i])
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				return fmt.Errorf("connection %d is still there", i)
			}
			if len(got) > 0 && !strings.HasPrefix(string(got), "HTTP/1.1 408 ") {
				return fmt.Errorf("connection %d got %q", i, got)
			}
			return nil
		})
	})
	for _, c := range witness {
		r.ok(speak(c))
		_ = c.Close()
	}
	r.quiet()
}
