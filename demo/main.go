// Command demo shows the appliance at work in a lab of network namespaces on this machine: hosts on both sides, and a network behind
// two BGP routers that we did not write, FRRouting and BIRD. It cleans up behind itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"millrace/internal/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

const picture = `
    host A ──── eth1 ┌─────────┐ eth3 ──── FRR  (AS 65010) ────┐
   10.0.1.2          │ Millrace│                              host C
    host B ──── eth2 │ AS 65001│ eth4 ──── BIRD (AS 65020) ────┘  203.0.113.1
   10.0.2.2          └─────────┘                                  2001:db8:c::1
`

func run(ctx context.Context) error {
	began := time.Now()
	l, err := lab.New("demo")
	if err != nil {
		return err
	}
	defer l.Close()
	d := &demo{lab: l, color: os.Getenv("NO_COLOR") == "" && isTerminal(os.Stdout)}

	d.title("The lab: every box is a network namespace, every line a veth pair")
	fmt.Print(picture)
	d.build()
	if err := d.start(); err != nil {
		return err
	}
	for _, step := range []func() error{d.bgpComesUp, d.routes, d.traffic, d.look, d.trace, d.pathAway, d.killControl} {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if err := step(); err != nil {
			return err
		}
	}
	d.title(fmt.Sprintf("Done in %.0f seconds; the lab is taken down", time.Since(began).Seconds()))
	return nil
}

type demo struct {
	lab   *lab.Lab
	box   *lab.Box
	frr   *lab.FRR
	bird  *lab.BIRD
	color bool
}

func (d *demo) paint(code, s string) string {
	if !d.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (d *demo) title(s string) { fmt.Printf("\n%s\n", d.paint("1;36", "── "+s)) }
func (d *demo) say(f string, a ...any) {
	fmt.Printf("%s\n", d.paint("32", "   "+fmt.Sprintf(f, a...)))
}

// show prints a command and its output, at most max lines of it.
func (d *demo) show(out, command string, limit int) {
	fmt.Printf("\n%s\n", d.paint("1", " $ "+command))
	lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
	for i, line := range lines {
		if i == limit {
			fmt.Printf("   … %d more lines\n", len(lines)-limit)
			break
		}
		fmt.Println("   " + line)
	}
}

func (d *demo) ctl(limit int, args ...string) error {
	out, err := d.box.Ctl(args...)
	if err != nil {
		return err
	}
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = a
		if strings.ContainsAny(a, " ") {
			quoted[i] = "'" + a + "'"
		}
	}
	d.show(out, "vnfctl "+strings.Join(quoted, " "), limit)
	return nil
}

func (d *demo) host(ns string, limit int, name string, args ...string) error {
	out, err := d.lab.NS(ns).Output(name, args...)
	if err != nil {
		return err
	}
	d.show(out, fmt.Sprintf("[host %s] %s %s", strings.ToUpper(ns), name, strings.Join(args, " ")), limit)
	return nil
}

var lossRE = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`)

// pings runs f while host A sends 100 pings a second to a destination, and says how many got lost.
func (d *demo) pings(dst string, f func() error) (sent, lost int, err error) {
	p, err := d.lab.NS("a").Start("ping", "-i", "0.01", "-q", dst)
	if err != nil {
		return 0, 0, err
	}
	time.Sleep(500 * time.Millisecond)
	if err := f(); err != nil {
		return 0, 0, err
	}
	time.Sleep(500 * time.Millisecond)
	if err := p.Signal(syscall.SIGINT); err != nil {
		return 0, 0, err
	}
	if err := p.Wait(5 * time.Second); err != nil {
		return 0, 0, err
	}
	m := lossRE.FindStringSubmatch(p.Output())
	if m == nil {
		return 0, 0, fmt.Errorf("ping said: %s", p.Output())
	}
	var received int
	_, _ = fmt.Sscan(m[1], &sent)
	_, _ = fmt.Sscan(m[2], &received)
	return sent, sent - received, nil
}

func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
