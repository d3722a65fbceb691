package cli

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) pingCommand() *cobra.Command {
	req := &vnfv1.PingRequest{}
	var interval, wait time.Duration
	var bytes uint32
	c := &cobra.Command{
		Use: "ping DESTINATION", Short: "Send echo requests from the data plane", Args: cobra.ExactArgs(1),
		Long:    "Send ICMP or ICMPv6 echo requests from the data plane itself. The exit code is 7 if nothing answered.",
		Example: "  vnfctl ping 203.0.113.7\n  vnfctl ping 203.0.113.7 --count 3 --size 1472 --dont-fragment\n  vnfctl ping fe80::2 --interface eth1",
		RunE: func(c *cobra.Command, args []string) error {
			req.Destination = args[0]
			req.Interval, req.Timeout, req.Size = durationpb.New(interval), durationpb.New(wait), &bytes
			client, err := a.system()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithCancel(c.Context())
			defer cancel()
			stream, err := client.Ping(ctx, req)
			if err != nil {
				return err
			}
			var st pingStats
			l := list{a: a, stream: true}
			err = receive(stream, func(r *vnfv1.PingReply) error {
				st.add(r)
				if a.format != "table" {
					return l.add(r)
				}
				_, err := fmt.Fprintln(a.out, pingLine(r))
				return err
			})
			if a.format == "table" && st.sent > 0 {
				st.print(a.out)
			}
			switch {
			case err != nil && c.Context().Err() == nil:
				return err
			case st.answered == 0 && st.sent > 0:
				return &partialError{"nothing answered"}
			}
			return nil
		},
	}
	a.instanceFlag(c, &req.NetworkInstance, "default")
	a.interfaceFlag(c, &req.Interface, "link of a link-local destination")
	f := c.Flags()
	f.StringVar(&req.Source, "from", "", "source `address`; empty: by the route")
	f.Uint32VarP(&req.Count, "count", "c", 5, "requests, up to 1000000")
	f.DurationVar(&interval, "interval", time.Second, "between requests, 10ms to 1h")
	f.DurationVarP(&wait, "wait", "W", time.Second, "for an answer, 1ms to 1m")
	f.Uint32VarP(&bytes, "size", "s", 56, "bytes of payload, up to 8900")
	f.Uint32Var(&req.Ttl, "ttl", 64, "1 to 255")
	f.BoolVarP(&req.DontFragment, "dont-fragment", "M", false, "set the DF bit")
	return c
}

// milli is a round-trip time as ping prints it.
func milli(d *durationpb.Duration) string {
	return fmt.Sprintf("%.3f ms", float64(d.AsDuration())/float64(time.Millisecond))
}

func pingLine(r *vnfv1.PingReply) string {
	switch r.GetOutcome() {
	case vnfv1.PingOutcome_PING_OUTCOME_REPLY:
		return fmt.Sprintf("%d bytes from %s: seq=%d ttl=%d time=%s", r.GetLength(), r.GetFrom(), r.GetSequence(), r.GetTtl(), milli(r.GetRtt()))
	case vnfv1.PingOutcome_PING_OUTCOME_TIMEOUT:
		return fmt.Sprintf("seq=%d no answer", r.GetSequence())
	case vnfv1.PingOutcome_PING_OUTCOME_NO_ROUTE:
		return fmt.Sprintf("seq=%d no route", r.GetSequence())
	case vnfv1.PingOutcome_PING_OUTCOME_TOO_BIG:
		return fmt.Sprintf("seq=%d too big: the MTU is %d%s", r.GetSequence(), r.GetMtu(), suffix(", said ", r.GetFrom()))
	}
	return fmt.Sprintf("from %s: seq=%d %s (type %d code %d) time=%s", r.GetFrom(), r.GetSequence(), short(r.GetOutcome()), r.GetIcmpType(),
		r.GetIcmpCode(), milli(r.GetRtt()))
}

type pingStats struct {
	sent, answered   int
	least, sum, most time.Duration
	squares          float64
}

func (s *pingStats) add(r *vnfv1.PingReply) {
	s.sent++
	if r.GetOutcome() != vnfv1.PingOutcome_PING_OUTCOME_REPLY {
		return
	}
	d := r.GetRtt().AsDuration()
	if s.answered == 0 || d < s.least {
		s.least = d
	}
	s.answered++
	s.most, s.sum = max(s.most, d), s.sum+d
	s.squares += d.Seconds() * d.Seconds()
}

func (s *pingStats) print(w io.Writer) {
	fmt.Fprintf(w, "\n%d sent, %d answered, %.1f%% lost\n", s.sent, s.answered, 100*float64(s.sent-s.answered)/float64(s.sent))
	if s.answered == 0 {
		return
	}
	mean := s.sum.Seconds() / float64(s.answered)
	dev := math.Sqrt(max(0, s.squares/float64(s.answered)-mean*mean))
	fmt.Fprintf(w, "rtt min/avg/max/mdev = %.3f/%.3f/%.3f/%.3f ms\n", 1e3*s.least.Seconds(), 1e3*mean, 1e3*s.most.Seconds(), 1e3*dev)
}

func (a *app) tracerouteCommand() *cobra.Command {
	req := &vnfv1.TracerouteRequest{}
	var wait time.Duration
	c := &cobra.Command{
		Use: "traceroute DESTINATION", Short: "Show the routers on the way, with probes from the data plane", Args: cobra.ExactArgs(1),
		Long:    "Send probes with rising TTL from the data plane itself. The exit code is 7 if the destination did not answer.",
		Example: "  vnfctl traceroute 203.0.113.7\n  vnfctl traceroute 2001:db8::7 --icmp --probes 1",
		RunE: func(c *cobra.Command, args []string) error {
			req.Destination, req.Timeout = args[0], durationpb.New(wait)
			client, err := a.system()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithCancel(c.Context())
			defer cancel()
			stream, err := client.Traceroute(ctx, req)
			if err != nil {
				return err
			}
			l := list{a: a, stream: true}
			p := hopPrinter{w: a.out}
			arrived := false
			err = receive(stream, func(r *vnfv1.TracerouteReply) error {
				arrived = arrived || r.GetFinal()
				if a.format != "table" {
					return l.add(r)
				}
				p.add(r)
				return nil
			})
			p.end()
			switch {
			case err != nil && c.Context().Err() == nil:
				return err
			case !arrived:
				return &partialError{"the destination did not answer"}
			}
			return nil
		},
	}
	a.instanceFlag(c, &req.NetworkInstance, "default")
	a.interfaceFlag(c, &req.Interface, "link of a link-local destination")
	f := c.Flags()
	f.StringVar(&req.Source, "from", "", "source `address`; empty: by the route")
	f.Uint32Var(&req.FirstTtl, "first", 1, "first TTL")
	f.Uint32VarP(&req.MaxTtl, "max", "m", 30, "last TTL")
	f.Uint32VarP(&req.Probes, "probes", "q", 3, "probes per TTL, 1 to 10")
	f.DurationVarP(&wait, "wait", "W", time.Second, "for an answer, 1ms to 1m")
	f.BoolVar(&req.Icmp, "icmp", false, "probe with echo requests instead of UDP")
	f.Uint32VarP(&req.Size, "size", "s", 32, "bytes of payload, up to 8900")
	return c
}

// hopPrinter prints the probes of one TTL on one line.
type hopPrinter struct {
	w    io.Writer
	ttl  uint32
	from string
}

func (p *hopPrinter) add(r *vnfv1.TracerouteReply) {
	if r.GetTtl() != p.ttl {
		p.end()
		p.ttl, p.from = r.GetTtl(), ""
		fmt.Fprintf(p.w, "%2d ", p.ttl)
	}
	switch {
	case r.GetOutcome() == vnfv1.PingOutcome_PING_OUTCOME_NO_ROUTE:
		fmt.Fprint(p.w, " no route")
		return
	case r.GetFrom() == "":
		fmt.Fprint(p.w, " *")
		return
	case r.GetFrom() != p.from:
		p.from = r.GetFrom()
		fmt.Fprintf(p.w, " %s", p.from)
	}
	fmt.Fprintf(p.w, "  %s", milli(r.GetRtt()))
	if r.GetOutcome() == vnfv1.PingOutcome_PING_OUTCOME_UNREACHABLE && !r.GetFinal() {
		fmt.Fprintf(p.w, " unreachable (code %d)", r.GetIcmpCode())
	}
}

func (p *hopPrinter) end() {
	if p.ttl != 0 {
		fmt.Fprintln(p.w)
	}
	p.ttl = 0
}
