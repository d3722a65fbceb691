package integration

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

const simpleServices = `
listeners:
  - {name: echo, port: 7, service: echo}
  - {name: discard, port: 9, service: discard}
  - {name: chargen, port: 19, service: chargen, chargen-limit: 7030000}
`

// chargenLines is the pattern of RFC 864: each line is the next 72 of the 95 printing characters.
func chargenLines(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		for k := range 72 {
			b.WriteByte(byte(' ' + (i+k)%95))
		}
		b.WriteString("\r\n")
	}
	return b.Bytes()[:n]
}

// TestTCPServices: echo, discard and chargen with Linux's stack as the client, by one connection, by one closed half, and by a thousand
// at once.
func TestTCPServices(t *testing.T) {
	r := newTermination(t, "svc", simpleServices)
	r.families("echo", func(r *termination, family string) {
		c := r.dial(r.a, at(boxAtA[family], 7))
		// What is asked for first comes back before more is sent.
		for i := range 20 {
			word := []byte(fmt.Sprintf("line %d\n", i))
			_, err := c.Write(word)
			r.ok(err)
			back := make([]byte, len(word))
			_, err = io.ReadFull(c, back)
			r.ok(err)
			if !bytes.Equal(back, word) {
				r.t.Fatalf("%q came back for %q", back, word)
			}
		}
		r.ok(echoes(c, 1, 20<<20))
	})
	r.families("echo from the other side", func(r *termination, family string) {
		r.ok(echoes(r.dial(r.b, at(boxAtA[family], 7)), 2, 1<<20))
	})
	r.families("ncat", func(r *termination, family string) {
		out := r.run(r.a, "sh", "-c", "printf 'half\\nclosed\\n' | ncat -w 10 "+boxAtA[family]+" 7")
		if out != "half\nclosed\n" {
			r.t.Fatalf("ncat got %q", out)
		}
	})
	r.families("discard", func(r *termination, family string) {
		before := r.listener("discard")
		c := r.dial(r.a, at(boxAtA[family], 9))
		const n = 50 << 20
		r.ok(send(c, noise(3, n)))
		got, err := io.ReadAll(c)
		if err != nil || len(got) != 0 {
			r.t.Fatalf("discard answers %d bytes, %v", len(got), err)
		}
		if s := r.listener("discard"); s.GetBytesIn()-before.GetBytesIn() != n || s.GetAccepted() != before.GetAccepted()+1 {
			r.t.Errorf("the listener counts %v after %v", s, before)
		}
	})
	r.families("chargen", func(r *termination, family string) {
		c := r.dial(r.a, at(boxAtA[family], 19))
		got, err := io.ReadAll(c)
		r.ok(err)
		if !bytes.Equal(got, chargenLines(7030000)) {
			r.t.Fatalf("%d bytes, not RFC 864's: %.200q", len(got), got)
		}
	})
	r.families("half closed", func(r *termination, family string) {
		// The end from here comes first, then all that is still to be read.
		c := r.dial(r.a, at(boxAtA[family], 19))
		r.ok(c.CloseWrite())
		time.Sleep(200 * time.Millisecond)
		n, err := io.Copy(io.Discard, c)
		r.ok(err)
		if n != 7030000 {
			r.t.Fatalf("%d bytes after this half was closed", n)
		}
	})
	r.families("a thousand", func(r *termination, family string) { r.thousand(family) })
	r.quiet()
}

// thousand has a thousand connections open at once, each of which is used twice.
func (r *termination) thousand(family string) {
	r.t.Helper()
	const n = 1000
	before := r.listener("echo")
	conns := make([]net.Conn, n)
	r.ok(r.a.Do(func() (err error) {
		for i := range conns {
			if conns[i], err = dialHere(at(boxAtA[family], 7)); err != nil {
				return fmt.Errorf("connection %d: %w", i, err)
			}
		}
		return nil
	}))
	for round := range 2 {
		if s := r.listener("echo"); s.GetActive()-before.GetActive() != n {
			r.t.Errorf("the listener has %v, want %d connections more than %v", s, n, before)
		}
		r.parallel(n, func(i int) error {
			if round == 1 {
				return echoes(conns[i].(*net.TCPConn), uint64(i), 20000)
			}
			word := []byte(fmt.Sprintf("connection %d", i))
			if _, err := conns[i].Write(word); err != nil {
				return err
			}
			back := make([]byte, len(word))
			if _, err := io.ReadFull(conns[i], back); err != nil || !bytes.Equal(back, word) {
				return fmt.Errorf("%q came back for %q: %v", back, word, err)
			}
			return nil
		})
	}
	for _, c := range conns {
		_ = c.Close()
	}
	r.eventually(20*time.Second, func() error {
		if s := r.listener("echo"); s.GetActive() != before.GetActive() || s.GetAccepted()-before.GetAccepted() != n {
			return fmt.Errorf("the listener has %v", s)
		}
		return nil
	})
}

// TestTCPHTTP: the responder with curl, with requests written by hand, and with wrk.
func TestTCPHTTP(t *testing.T) {
	file := filepath.Join(t.TempDir(), "blob")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	const size = 20 << 20
	_, err = io.Copy(out, noise(5, size))
	if err != nil || out.Close() != nil {
		t.Fatal(err)
	}
	r := newTermination(t, "http", `
listeners:
  - name: web
    port: 80
    service: http
    http:
      server: millrace
      response: {status: 404, body: "nothing here\n"}
      routes:
        - {path: /health, response: {status: 204}}
        - {path: /text, response: {body: "some text\n", headers: [{name: X-Test, value: "yes"}]}}
        - {path: /files, prefix: true, response: {headers: [{name: Content-Type, value: application/octet-stream}], body-file: `+file+`}}
  - {name: get-only, port: 81, service: http, http: {methods: [GET], response: {body: "got\n"}}}
`)
	r.families("curl", func(r *termination, family string) {
		base := "http://" + at(boxAtA[family], 80)
		curl := func(args ...string) string {
			return r.run(r.a, "curl", append([]string{"-sS", "-m", "120"}, args...)...)
		}
		for _, c := range []struct{ args, want string }{
			{"-i " + base + "/text", "HTTP/1.1 200 OK\r\n"},
			{"-i " + base + "/text", "X-Test: yes\r\n"},
			{"-i " + base + "/text", "Server: millrace\r\n"},
			{"-i " + base + "/text", "\r\n\r\nsome text\n"},
			{"-i " + base + "/text?query", "\r\n\r\nsome text\n"},
			{"-i " + base + "/", "HTTP/1.1 404 "},
			{"-i " + base + "/", "\r\n\r\nnothing here\n"},
			{"-i " + base + "/health", "HTTP/1.1 204 "},
			{"-i -0 " + base + "/text", "Connection: close\r\n"},
			{"-i -X POST -d data " + base + "/text", "some text\n"},
			{"-i -X POST -d data http://" + at(boxAtA[family], 81) + "/", "HTTP/1.1 405 "},
		} {
			if out := curl(strings.Fields(c.args)...); !strings.Contains(out, c.want) {
				r.t.Errorf("curl %s: no %q in\n%s", c.args, c.want, out)
			}
		}
		if out := curl("-I", base+"/text"); !strings.Contains(out, "Content-Length: 10\r\n") || strings.Contains(out, "some text") {
			r.t.Errorf("HEAD: %s", out)
		}
		// Two on one connection.
		if out := curl("-v", base+"/text", base+"/text"); !strings.Contains(out, "Re-using existing connection") {
			r.t.Errorf("the connection was not kept:\n%s", out)
		}
		got := filepath.Join(t.TempDir(), "got")
		curl("-o", got, base+"/files/a/b")
		f, err := os.Open(got)
		r.ok(err)
		defer func() { _ = f.Close() }()
		r.ok(wantNoise(f, 5, size))
		// Many requests at once, on connections of their own.
		if out := curl("-Z", "--parallel-max", "20", "-w", "%{http_code}\n", "-o", "/dev/null", base+"/health?[1-100]"); strings.Count(out, "204") != 100 {
			r.t.Errorf("of 100 parallel requests: %s", out)
		}
	})
	r.families("raw", func(r *termination, family string) {
		ask := func(request string) string {
			c := r.dial(r.a, at(boxAtA[family], 80))
			_, err := io.WriteString(c, request)
			r.ok(err)
			r.ok(c.CloseWrite())
			answer, err := io.ReadAll(c)
			if err != nil {
				r.t.Errorf("%.60q: %v", request, err)
			}
			return string(answer)
		}
		// Pipelined, and in order.
		answers := ask("GET /text HTTP/1.1\r\nHost: x\r\n\r\nHEAD /text HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.1\r\nHost: x\r\n\r\n" +
			"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /text HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /text HTTP/1.1\r\n\r\n")
		var statuses []string
		for _, m := range regexp.MustCompile(`HTTP/1\.1 (\d+)`).FindAllStringSubmatch(answers, -1) {
			statuses = append(statuses, m[1])
		}
		if fmt.Sprint(statuses) != "[200 200 404 204 200]" || strings.Count(answers, "some text") != 2 {
			r.t.Errorf("pipelined: %v in\n%s", statuses, answers)
		}
		for request, want := range map[string]string{
			"garbage\r\n\r\n":                                  "400",
			"GET /text\r\n\r\n":                                "400",
			"GET /text HTTP/1.1\r\n\r\n":                       "400", // No Host.
			"GET /text HTTP/1.1\r\nHost : x\r\n\r\n":           "400",
			"GET /te xt HTTP/1.1\r\nHost: x\r\n\r\n":           "400",
			"GET /text HTTP/1.1\r\nHost: x\r\nA\r\n\r\n":       "400",
			"GET /text HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n": "400",
			"POST /text HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab":                 "400",
			"POST /text HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": "400",
			"GET /text HTTP/9.1\r\nHost: x\r\n\r\n":                                                              "505",
			"GET /" + strings.Repeat("a", 70000) + " HTTP/1.1\r\nHost: x\r\n\r\n":                                "414",
			"GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 70000) + "\r\n\r\n":                         "431",
		} {
			if answer := ask(request); !strings.HasPrefix(answer, "HTTP/1.1 "+want) {
				r.t.Errorf("%.60q: want %s, got %.100q", request, want, answer)
			}
		}
	})
	r.families("wrk", func(r *termination, family string) {
		out := r.run(r.a, "wrk", "-t", "1", "-c", "50", "-d", "2s", "http://"+at(boxAtA[family], 80)+"/text")
		m := regexp.MustCompile(`(\d+) requests in`).FindStringSubmatch(out)
		if m == nil || strings.Contains(out, "Socket errors") || strings.Contains(out, "Non-2xx") {
			r.t.Fatal(out)
		}
		if n, _ := strconv.Atoi(m[1]); n < 1000 {
			r.t.Errorf("%d requests in 2 s", n)
		}
		r.t.Log(strings.TrimSpace(out[strings.Index(out, "Requests/sec"):]))
	})
	r.quiet()
}
