package cli

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/spf13/cobra"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) captureCommand() *cobra.Command {
	var file, direction string
	var snaplen uint32
	var packets uint64
	c := &cobra.Command{
		Use: "capture INTERFACE|all [FILTER]", Short: "Copy packets as they pass an interface, as pcapng", Args: cobra.MinimumNArgs(1),
		Long: "Copy packets as they come and go by a port or VLAN interface, or all, and write them as pcapng to standard output or a\n" +
			"file. The filter is in pcap-filter(7) syntax. It ends after --count packets or with Ctrl-C.",
		ValidArgsFunction: a.complete(0, a.interfaceNames),
		Example: `  vnfctl capture eth1 'tcp port 179' | tshark -r -
  vnfctl capture eth1 -w eth1.pcapng --count 1000
  vnfctl capture all icmp --direction in | tcpdump -nr -`,
		RunE: func(c *cobra.Command, args []string) error {
			d, err := parseEnum[vnfv1.CaptureDirection]("direction", strings.TrimSuffix(direction, "both"))
			if err != nil {
				return err
			}
			req := &vnfv1.CaptureRequest{
				Interface: args[0], Filter: strings.Join(args[1:], " "), Snaplen: snaplen, Count: packets, Direction: d,
			}
			if req.Interface == "all" {
				req.Interface = ""
			}
			out := a.out
			switch {
			case file != "" && file != "-":
				f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
				if err != nil {
					return err
				}
				defer f.Close()
				out = f
			case isTerminal(a.out):
				return usagef("packets are not for a terminal: pipe them into `tshark -r -`, or name a file with -w")
			}
			return a.capture(c, req, out)
		},
	}
	c.Flags().StringVarP(&file, "write", "w", "", "`file` to write to; - or none: standard output")
	c.Flags().Uint32VarP(&snaplen, "snaplen", "s", 0, "`bytes` kept of each packet; 0: all")
	c.Flags().Uint64VarP(&packets, "count", "c", 0, "packets after which it ends; 0: no end")
	c.Flags().StringVar(&direction, "direction", "both", "in, out or both")
	fixed(c, "direction", []string{"in", "out", "both"})
	return c
}

func (a *app) capture(c *cobra.Command, req *vnfv1.CaptureRequest, out io.Writer) error {
	client, err := a.system()
	if err != nil {
		return err
	}
	stream, err := client.Capture(c.Context(), req)
	if err != nil {
		return err
	}
	// The answer's header comes when the capture runs, and only then is there something to write.
	if _, err := stream.Header(); err != nil {
		return err
	}
	w := &captureWriter{out: out, filter: req.GetFilter(), snaplen: req.GetSnaplen(), version: a.env.Version}
	// The file is one from its first moment, also if no packet comes.
	if err := w.begin(req.GetInterface()); err != nil {
		return err
	}
	var packets, dropped uint64
	err = receive(stream, func(r *vnfv1.CaptureResponse) error {
		packets += uint64(len(r.GetPackets()))
		dropped = r.GetDropped()
		return w.write(r)
	})
	if errors.Is(err, syscall.EPIPE) {
		err = nil // the reader has had enough
	}
	fmt.Fprintf(a.env.Stderr, "%d packets captured, %d lost\n", packets, dropped)
	return err
}

// captureWriter writes pcapng with an interface for each name that packets come by.
type captureWriter struct {
	out     io.Writer
	filter  string
	snaplen uint32
	version string

	w     *pcapgo.NgWriter
	index map[string]int
	block []byte
}

func (w *captureWriter) iface(name string) pcapgo.NgInterface {
	return pcapgo.NgInterface{
		Name: name, Filter: w.filter, OS: "Millrace", LinkType: layers.LinkTypeEthernet, SnapLength: w.snaplen,
		TimestampResolution: 9,
	}
}

// begin writes the header. A pcapng file needs a first interface, which is "any" where the request was for all.
func (w *captureWriter) begin(name string) error {
	if name == "" {
		name = "any"
	}
	ng, err := pcapgo.NewNgWriterInterface(w.out, w.iface(name), pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{
		Hardware: runtime.GOARCH, OS: "Millrace", Application: "vnfctl " + w.version,
	}})
	if err != nil {
		return fmt.Errorf("write the capture: %w", err)
	}
	w.w, w.index = ng, map[string]int{name: 0}
	return w.flush()
}

func (w *captureWriter) write(r *vnfv1.CaptureResponse) error {
	for _, p := range r.GetPackets() {
		at, ok := w.index[p.GetInterface()]
		if !ok {
			var err error
			if at, err = w.w.AddInterface(w.iface(p.GetInterface())); err != nil {
				return fmt.Errorf("write the capture: %w", err)
			}
			w.index[p.GetInterface()] = at
		}
		// The writer knows no flags, so that packets are put behind what it has written.
		if err := w.flush(); err != nil {
			return err
		}
		w.block = appendPacket(w.block[:0], uint32(at), p)
		if _, err := w.out.Write(w.block); err != nil {
			return fmt.Errorf("write the capture: %w", err)
		}
	}
	return w.flush()
}

func (w *captureWriter) flush() error {
	if err := w.w.Flush(); err != nil {
		return fmt.Errorf("write the capture: %w", err)
	}
	return nil
}

// appendPacket appends an Enhanced Packet Block with the packet's direction in epb_flags.
func appendPacket(b []byte, iface uint32, p *vnfv1.CapturedPacket) []byte {
	const (
		blockType, optFlags = 6, 2
		inbound, outbound   = 1, 2
	)
	le := binary.LittleEndian
	data := p.GetData()
	pad := -len(data) & 3
	total := uint32(28 + len(data) + pad + 8 + 4 + 4)
	stamp := uint64(0)
	if p.GetTime() != nil {
		stamp = uint64(p.GetTime().AsTime().UnixNano())
	}
	direction := uint32(inbound)
	if p.GetOutbound() {
		direction = outbound
	}
	b = le.AppendUint32(b, blockType)
	b = le.AppendUint32(b, total)
	b = le.AppendUint32(b, iface)
	b = le.AppendUint32(b, uint32(stamp>>32))
	b = le.AppendUint32(b, uint32(stamp))
	b = le.AppendUint32(b, uint32(len(data)))
	b = le.AppendUint32(b, max(p.GetLength(), uint32(len(data))))
	b = append(b, data...)
	b = append(b, make([]byte, pad)...)
	b = le.AppendUint16(b, optFlags)
	b = le.AppendUint16(b, 4)
	b = le.AppendUint32(b, direction)
	b = le.AppendUint32(b, 0) // opt_endofopt
	return le.AppendUint32(b, total)
}
