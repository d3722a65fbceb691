package cli

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) traceCommand() *cobra.Command {
	var n uint32
	var iface string
	var timeout time.Duration
	var dump bool
	c := &cobra.Command{
		Use: "trace [FILTER]", Short: "Show the way of the next packets through the graph", Args: cobra.ArbitraryArgs,
		Long: "Record the next packets that come in and match a filter (pcap-filter(7) syntax), and show each node they pass, what it\n" +
			"decided, and why the packet was dropped if it was.",
		Example: "  vnfctl trace\n  vnfctl trace --interface eth1 --count 3 'icmp and host 203.0.113.7'\n  vnfctl trace -o json tcp port 179",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.system()
			if err != nil {
				return err
			}
			stream, err := client.Trace(c.Context(), &vnfv1.TraceRequest{
				Count: n, Filter: strings.Join(args, " "), Interface: iface, Timeout: durationpb.New(timeout),
			})
			if err != nil {
				return err
			}
			l := list{a: a, stream: true}
			seen := 0
			err = receive(stream, func(r *vnfv1.TraceRecord) error {
				seen++
				if a.format != "table" {
					return l.add(r)
				}
				return describeTrace(a.out, r, dump)
			})
			if err == nil && seen == 0 {
				return &partialError{fmt.Sprintf("no packet matched in %v", timeout)}
			}
			return err
		},
	}
	c.Flags().Uint32VarP(&n, "count", "c", 10, "packets, 1 to 1000")
	a.interfaceFlag(c, &iface, "only packets that come in by this interface's port")
	c.Flags().DurationVarP(&timeout, "for", "t", time.Minute, "time after which it ends")
	c.Flags().BoolVarP(&dump, "hex", "x", false, "with the first bytes of the packet")
	return c
}

func describeTrace(w io.Writer, r *vnfv1.TraceRecord, dump bool) error {
	fmt.Fprintf(w, "packet %d, %s, %d bytes by %s, worker %d\n", r.GetSequence(), clock(r.GetTime()), r.GetLength(), r.GetInterface(), r.GetWorker())
	if s := summary(r.GetPacket()); s != "" {
		fmt.Fprintf(w, "  %s\n", s)
	}
	width := 0
	for _, s := range r.GetSteps() {
		width = max(width, len(s.GetNode()))
	}
	for _, s := range r.GetSteps() {
		line := fmt.Sprintf("  %8d ns  %-*s  %s", s.GetElapsed().AsDuration().Nanoseconds(), width, s.GetNode(), s.GetDetail())
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
	switch {
	case r.GetDropReason() != "":
		fmt.Fprintf(w, "  dropped: %s\n", r.GetDropReason())
	case r.GetOutInterface() != "":
		fmt.Fprintf(w, "  left by %s\n", r.GetOutInterface())
	}
	if dump {
		for _, line := range strings.Split(strings.TrimRight(hex.Dump(r.GetPacket()), "\n"), "\n") {
			fmt.Fprintf(w, "  %s\n", line)
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

// summary says in one line what a frame is.
func summary(frame []byte) string {
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	var out []string
	if arp, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP); ok {
		kind := "request who has"
		if arp.Operation == layers.ARPReply {
			kind = "reply to"
		}
		return fmt.Sprintf("ARP %s %s from %s", kind, ip(arp.DstProtAddress), ip(arp.SourceProtAddress))
	}
	if n := p.NetworkLayer(); n != nil {
		out = append(out, n.NetworkFlow().String())
	}
	switch {
	case p.TransportLayer() != nil:
		out = append(out, p.TransportLayer().LayerType().String(), "port "+p.TransportLayer().TransportFlow().String())
	case p.Layer(layers.LayerTypeICMPv4) != nil:
		out = append(out, p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4).TypeCode.String())
	case p.Layer(layers.LayerTypeICMPv6) != nil:
		out = append(out, p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6).TypeCode.String())
	}
	return strings.Join(out, " ")
}

func ip(b []byte) string {
	e := layers.NewIPEndpoint(b)
	return e.String()
}
