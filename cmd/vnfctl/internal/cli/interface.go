package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) interfaceCommand() *cobra.Command {
	return group("interface", "Ports, VLAN sub-interfaces and loopbacks", []string{"interfaces", "if"},
		a.interfaceList(), a.interfaceShow(), a.interfaceAdd(), a.interfaceSet(), a.interfaceDelete(), a.interfaceAddress(),
		a.interfaceWatch(), a.interfaceClear(), a.interfaceXstats())
}

func (a *app) interfaceList() *cobra.Command {
	var instance, kind string
	var counters bool
	c := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List interfaces with their state, or their counters", Args: cobra.NoArgs,
		Example: "  vnfctl interface list\n  vnfctl interface list --counters --watch\n  vnfctl interface list -o json | jq '.[].state.mac'",
		RunE: func(c *cobra.Command, _ []string) error {
			k, err := parseEnum[vnfv1.InterfaceKind]("kind", kind)
			if err != nil {
				return err
			}
			l := a.newList("NAME", "KIND", "STATUS", "MTU", "SPEED", "MAC", "INSTANCE", "ADDRESSES")
			if counters {
				l = a.newList("NAME", "RX-PACKETS", "RX-OCTETS", "RX-ERR", "RX-MISSED", "RX-DISCARD", "TX-PACKETS", "TX-OCTETS", "TX-ERR",
					"TX-DISCARD", "PUNTED")
			}
			req := &vnfv1.ListInterfacesRequest{NetworkInstance: instance, Kind: k}
			if err := a.eachInterface(c.Context(), req, func(i *vnfv1.Interface) error {
				if counters {
					return l.add(i, counterCells(i)...)
				}
				return l.add(i, interfaceCells(i)...)
			}); err != nil {
				return err
			}
			return l.end()
		},
	}
	a.instanceFlag(c, &instance, "all")
	c.Flags().StringVar(&kind, "kind", "", "port, vlan or loopback")
	fixed(c, "kind", words(vnfv1.InterfaceKind(0)))
	c.Flags().BoolVarP(&counters, "counters", "c", false, "show packets and octets")
	return a.watchable(c)
}

// eachInterface walks all pages.
func (a *app) eachInterface(ctx context.Context, req *vnfv1.ListInterfacesRequest, f func(*vnfv1.Interface) error) error {
	client, err := a.interfaces()
	if err != nil {
		return err
	}
	for {
		ctx, cancel := a.call(ctx)
		resp, err := client.ListInterfaces(ctx, req)
		cancel()
		if err != nil {
			return err
		}
		for _, i := range resp.GetInterfaces() {
			if err := f(i); err != nil {
				return err
			}
		}
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
			return nil
		}
	}
}

func statusWord(i *vnfv1.Interface) string {
	s := short(i.GetState().GetOperStatus())
	if !i.GetConfig().GetEnabled() {
		s = "disabled"
	}
	return s
}

func speed(mbps uint64) string {
	switch {
	case mbps == 0:
		return ""
	case mbps%1000 == 0:
		return fmt.Sprintf("%dG", mbps/1000)
	}
	return fmt.Sprintf("%dM", mbps)
}

func addressesOf(i *vnfv1.Interface) []string {
	var out []string
	for _, x := range i.GetState().GetAddresses() {
		s := x.GetPrefix()
		if d := x.GetDad(); d == vnfv1.DadState_DAD_STATE_TENTATIVE || d == vnfv1.DadState_DAD_STATE_DUPLICATE {
			s += "(" + short(d) + ")"
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		out = i.GetConfig().GetAddresses()
	}
	return out
}

func interfaceCells(i *vnfv1.Interface) []string {
	c, s := i.GetConfig(), i.GetState()
	mtu := s.GetMtu()
	if mtu == 0 {
		mtu = c.GetMtu()
	}
	return []string{
		c.GetName(), short(c.GetKind()), statusWord(i), nonzero(mtu), speed(s.GetSpeedMbps()), s.GetMac(), c.GetNetworkInstance(),
		strings.Join(addressesOf(i), " "),
	}
}

func counterCells(i *vnfv1.Interface) []string {
	n := i.GetCounters()
	out := []string{i.GetConfig().GetName()}
	for _, v := range []uint64{
		n.GetRxPackets(), n.GetRxOctets(), n.GetRxErrors(), n.GetRxMissed(), n.GetRxDiscards(), n.GetTxPackets(), n.GetTxOctets(),
		n.GetTxErrors(), n.GetTxDiscards(), n.GetPunted(),
	} {
		out = append(out, fmt.Sprint(v))
	}
	return out
}

func nonzero[N uint32 | uint64](n N) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func (a *app) interfaceShow() *cobra.Command {
	c := &cobra.Command{
		Use: "show NAME", Short: "Show all about one interface", Args: cobra.ExactArgs(1), ValidArgsFunction: a.complete(0, a.interfaceNames),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.interfaces()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			i, err := client.GetInterface(ctx, &vnfv1.GetInterfaceRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return a.show(i, func(w io.Writer) error { return describeInterface(w, i, time.Now()) })
		},
	}
	return a.watchable(c)
}

func describeInterface(w io.Writer, i *vnfv1.Interface, now time.Time) error {
	c, s, n := i.GetConfig(), i.GetState(), i.GetCounters()
	field(w, "Name", c.GetName())
	field(w, "Description", c.GetDescription())
	field(w, "Kind", short(c.GetKind()))
	field(w, "Device", c.GetDevice())
	if c.GetKind() == vnfv1.InterfaceKind_INTERFACE_KIND_VLAN {
		field(w, "Parent", fmt.Sprintf("%s, VLAN %d", c.GetParent(), c.GetVlanId()))
	}
	field(w, "Network instance", c.GetNetworkInstance())
	status := statusWord(i)
	if s.GetLastChange() != nil {
		status += " for " + since(s.GetLastChange(), now)
	}
	field(w, "Status", status)
	field(w, "Reason", s.GetError())
	field(w, "MTU", nonzero(s.GetMtu()))
	field(w, "MAC", s.GetMac())
	if s.GetSpeedMbps() != 0 {
		duplex := "half duplex"
		if s.GetFullDuplex() {
			duplex = "full duplex"
		}
		field(w, "Speed", speed(s.GetSpeedMbps())+" "+duplex)
	}
	field(w, "Driver", s.GetDriver())
	if s.GetRxQueues()+s.GetTxQueues() > 0 {
		spread := "flows spread by software"
		if s.GetRss() {
			spread = "flows spread by the device"
		}
		field(w, "Queues", fmt.Sprintf("%d rx, %d tx; %s", s.GetRxQueues(), s.GetTxQueues(), spread))
	}
	field(w, "Promiscuous", yes(c.GetPromiscuous()))
	field(w, "Source check", short(c.GetUrpf()))
	field(w, "Kernel interface", s.GetTap())
	for k, x := range s.GetAddresses() {
		name := ""
		if k == 0 {
			name = "Addresses:"
		}
		note := short(x.GetDad())
		if x.GetAutomatic() {
			note += ", automatic"
		}
		if x.GetConflictMac() != "" {
			note += ", also used by " + x.GetConflictMac()
		}
		fmt.Fprintf(w, "%s\t%s (%s)\n", name, x.GetPrefix(), strings.Trim(note, ", "))
	}
	fmt.Fprintf(w, "Received:\t%d packets, %d octets (%d unicast, %d multicast, %d broadcast)\n", n.GetRxPackets(), n.GetRxOctets(),
		n.GetRxUnicast(), n.GetRxMulticast(), n.GetRxBroadcast())
	fmt.Fprintf(w, "\t%d errors, %d missed, %d discarded, %d to the kernel\n", n.GetRxErrors(), n.GetRxMissed(), n.GetRxDiscards(), n.GetPunted())
	fmt.Fprintf(w, "Sent:\t%d packets, %d octets\n", n.GetTxPackets(), n.GetTxOctets())
	fmt.Fprintf(w, "\t%d errors, %d discarded\n", n.GetTxErrors(), n.GetTxDiscards())
	return nil
}

// interfaceFlags are the fields that add and set have in common; each flag's name is that of a field of InterfaceConfig.
type interfaceFlags struct {
	config vnfv1.InterfaceConfig
	urpf   string
	ra     bool
}

func (f *interfaceFlags) register(a *app, c *cobra.Command) {
	v := &f.config
	a.instanceFlag(c, &v.NetworkInstance, "default")
	c.Flags().Uint32Var(&v.Mtu, "mtu", 0, "largest IP packet in `bytes`, 68 to 9000; 0: the device's")
	c.Flags().StringVar(&v.Mac, "mac", "", "MAC `address`; empty: the device's")
	c.Flags().BoolVar(&v.Enabled, "enabled", true, "switched on")
	c.Flags().BoolVar(&v.Promiscuous, "promiscuous", false, "receive frames for other MACs too")
	c.Flags().Uint32Var(&v.RxQueues, "rx-queues", 0, "receive queues; 0: one per worker")
	c.Flags().Uint32Var(&v.TxQueues, "tx-queues", 0, "transmit queues; 0: one per worker")
	c.Flags().Uint32Var(&v.RxDescriptors, "rx-descriptors", 0, "descriptors per receive queue; 0: 1024")
	c.Flags().Uint32Var(&v.TxDescriptors, "tx-descriptors", 0, "descriptors per transmit queue; 0: 1024")
	c.Flags().StringVar(&f.urpf, "urpf", "off", "check of source addresses: off, loose or strict (RFC 3704)")
	fixed(c, "urpf", words(vnfv1.Urpf(0)))
	c.Flags().StringVar(&v.Description, "description", "", "for people")
	c.Flags().StringSliceVar(&v.Addresses, "ip", nil, "`address/length`; may be given several times")
	c.Flags().BoolVar(&f.ra, "router-advertisement", false, "send IPv6 router advertisements with the usual values")
}

func (f *interfaceFlags) finish() error {
	u, err := parseEnum[vnfv1.Urpf]("urpf", f.urpf)
	if err != nil {
		return err
	}
	f.config.Urpf = u
	if f.ra {
		f.config.RouterAdvertisement = &vnfv1.RouterAdvertisement{}
	}
	return nil
}

func (a *app) interfaceAdd() *cobra.Command {
	var f interfaceFlags
	var kind string
	c := &cobra.Command{
		Use: "add NAME", Aliases: []string{"create"}, Short: "Make an interface", Args: cobra.ExactArgs(1),
		Example: `  vnfctl interface add eth1 --device 0000:00:05.0 --ip 192.0.2.1/24
  vnfctl interface add eth2 --device iface=ens6,driver=af_xdp --mtu 9000
  vnfctl interface add eth1.100 --kind vlan --parent eth1 --vlan-id 100 --ip 198.51.100.1/24
  vnfctl interface add lo0 --kind loopback --ip 203.0.113.1/32`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.finish(); err != nil {
				return err
			}
			k, err := parseEnum[vnfv1.InterfaceKind]("kind", kind)
			if err != nil {
				return err
			}
			f.config.Name, f.config.Kind = args[0], k
			client, err := a.interfaces()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			i, err := client.CreateInterface(ctx, &vnfv1.CreateInterfaceRequest{Config: &f.config})
			if err != nil {
				return err
			}
			return a.done(i, "%s made: %s%s", args[0], statusWord(i), suffix(": ", i.GetState().GetError()))
		},
	}
	f.register(a, c)
	c.Flags().StringVar(&kind, "kind", "port", "port, vlan or loopback")
	fixed(c, "kind", words(vnfv1.InterfaceKind(0)))
	c.Flags().StringVar(&f.config.Device, "device", "", "port: PCI address, DPDK devargs, or iface=NAME[,driver=af_packet|af_xdp]")
	c.Flags().StringVar(&f.config.Parent, "parent", "", "vlan: the port")
	noError(c.RegisterFlagCompletionFunc("parent", a.complete(-1, a.interfaceNames)))
	c.Flags().Uint32Var(&f.config.VlanId, "vlan-id", 0, "vlan: 1 to 4094")
	return c
}

func suffix(sep, s string) string {
	if s == "" {
		return ""
	}
	return sep + s
}

func (a *app) interfaceSet() *cobra.Command {
	var f interfaceFlags
	c := &cobra.Command{
		Use: "set NAME", Aliases: []string{"update"}, Short: "Change what is given, leave the rest", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.complete(0, a.interfaceNames),
		Example: `  vnfctl interface set eth1 --mtu 9000
  vnfctl interface set eth1 --enabled=false
  vnfctl interface set eth1 --ip 192.0.2.1/24,2001:db8::1/64   # replaces the whole list`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.finish(); err != nil {
				return err
			}
			f.config.Name = args[0]
			mask := &fieldmaskpb.FieldMask{}
			c.Flags().Visit(func(flag *pflag.Flag) {
				path := strings.ReplaceAll(flag.Name, "-", "_")
				if path == "ip" {
					path = "addresses"
				}
				if f.config.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(path)) != nil {
					mask.Paths = append(mask.Paths, path)
				}
			})
			if len(mask.Paths) == 0 {
				return &usageError{c, fmt.Errorf("nothing to change is given")}
			}
			client, err := a.interfaces()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			i, err := client.UpdateInterface(ctx, &vnfv1.UpdateInterfaceRequest{Config: &f.config, UpdateMask: mask})
			if err != nil {
				return err
			}
			return a.done(i, "%s changed: %s%s", args[0], statusWord(i), suffix(": ", i.GetState().GetError()))
		},
	}
	f.register(a, c)
	return c
}

func (a *app) interfaceDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Aliases: []string{"rm"}, Short: "Remove an interface with its addresses", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.complete(0, a.interfaceNames),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.interfaces()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.DeleteInterface(ctx, &vnfv1.DeleteInterfaceRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return a.done(resp, "%s removed", args[0])
		},
	}
}

func (a *app) interfaceAddress() *cobra.Command {
	add := &cobra.Command{
		Use: "add NAME ADDRESS/LENGTH", Short: "Add an address", Args: cobra.ExactArgs(2), ValidArgsFunction: a.complete(0, a.interfaceNames),
		Example: "  vnfctl interface address add eth1 2001:db8::1/64",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.interfaces()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			i, err := client.AddInterfaceAddress(ctx, &vnfv1.AddInterfaceAddressRequest{Interface: args[0], Prefix: args[1]})
			if err != nil {
				return err
			}
			return a.done(i, "%s has %s", args[0], args[1])
		},
	}
	del := &cobra.Command{
		Use: "delete NAME ADDRESS[/LENGTH]", Aliases: []string{"rm"}, Short: "Take an address away", Args: cobra.ExactArgs(2),
		ValidArgsFunction: a.complete(0, a.interfaceNames),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.interfaces()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			i, err := client.DeleteInterfaceAddress(ctx, &vnfv1.DeleteInterfaceAddressRequest{Interface: args[0], Prefix: args[1]})
			if err != nil {
				return err
			}
			return a.done(i, "%s no longer has %s", args[0], args[1])
		},
	}
	return group("address", "Addresses of an interface", []string{"addr"}, add, del)
}

func (a *app) interfaceWatch() *cobra.Command {
	return &cobra.Command{
		Use: "watch [NAME]", Short: "Show the interfaces, then each change", Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: a.complete(0, a.interfaceNames),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.interfaces()
			if err != nil {
				return err
			}
			req := &vnfv1.WatchInterfacesRequest{}
			if len(args) > 0 {
				req.Name = args[0]
			}
			stream, err := client.WatchInterfaces(c.Context(), req)
			if err != nil {
				return err
			}
			l := a.newStream([]string{"TIME", "EVENT", "NAME", "STATUS", "MTU", "ADDRESSES"}, []int{12, 7, 15, 16, 5})
			return receive(stream, func(e *vnfv1.InterfaceEvent) error {
				i := e.GetInterface()
				cells := []string{clock(e.GetTime()), short(e.GetKind()), i.GetConfig().GetName(), "", "", ""}
				if i.GetState() != nil {
					cells[3], cells[4], cells[5] = statusWord(i), nonzero(i.GetState().GetMtu()), strings.Join(addressesOf(i), " ")
				}
				return l.add(e, cells...)
			})
		},
	}
}

func (a *app) interfaceClear() *cobra.Command {
	return &cobra.Command{
		Use: "clear [NAME]", Short: "Set counters to zero, of one interface or all", Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: a.complete(0, a.interfaceNames),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.interfaces()
			if err != nil {
				return err
			}
			req := &vnfv1.ClearInterfaceCountersRequest{}
			if len(args) > 0 {
				req.Name = args[0]
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.ClearInterfaceCounters(ctx, req)
			if err != nil {
				return err
			}
			return a.done(resp, "counters of %d interfaces cleared", resp.GetCleared())
		},
	}
}

func (a *app) interfaceXstats() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "xstats NAME", Short: "Show the device's own statistics", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.complete(0, a.interfaceNames),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.interfaces()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.GetInterfaceXstats(ctx, &vnfv1.GetInterfaceXstatsRequest{Name: args[0]})
			if err != nil {
				return err
			}
			l := a.newList("NAME", "VALUE")
			for _, x := range resp.GetXstats() {
				if x.GetValue() == 0 && !all {
					continue
				}
				if err := l.add(x, x.GetName(), fmt.Sprint(x.GetValue())); err != nil {
					return err
				}
			}
			return l.end()
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "also those that are zero")
	return a.watchable(c)
}
