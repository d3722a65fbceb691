package grpcserver

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/server/config"
)

var interfaceKinds = map[config.InterfaceType]vnfv1.InterfaceKind{
	config.Port:     vnfv1.InterfaceKind_INTERFACE_KIND_PORT,
	config.VLAN:     vnfv1.InterfaceKind_INTERFACE_KIND_VLAN,
	config.Loopback: vnfv1.InterfaceKind_INTERFACE_KIND_LOOPBACK,
}

var urpfModes = map[config.URPF]vnfv1.Urpf{
	"": vnfv1.Urpf_URPF_OFF, "off": vnfv1.Urpf_URPF_OFF, "loose": vnfv1.Urpf_URPF_LOOSE, "strict": vnfv1.Urpf_URPF_STRICT,
}

// deviceOut writes a port's device as the API has it: devargs, or "iface=NAME,driver=X".
func deviceOut(c config.Interface) string {
	switch {
	case c.Iface == "":
		return c.Device
	case c.Driver == "":
		return "iface=" + c.Iface
	}
	return fmt.Sprintf("iface=%s,driver=%s", c.Iface, c.Driver)
}

func deviceIn(c *checks, field, s string, out *config.Interface) {
	if !strings.HasPrefix(s, "iface=") {
		out.Device = s
		return
	}
	for _, part := range strings.Split(s, ",") {
		switch key, value, _ := strings.Cut(part, "="); key {
		case "iface":
			out.Iface = value
		case "driver":
			out.Driver = config.IfaceDriver(value)
		default:
			c.addf(field, "%q is unknown; write iface=NAME or iface=NAME,driver=af_packet or af_xdp", part)
		}
	}
	if out.Iface == "" {
		c.addf(field, "iface= lacks the name of a kernel network device")
	}
}

func interfaceConfigOut(c config.Interface) *vnfv1.InterfaceConfig {
	o := &vnfv1.InterfaceConfig{
		Name: c.Name, Kind: interfaceKinds[c.Type], Device: deviceOut(c), Parent: c.Parent, VlanId: c.VLANID,
		NetworkInstance: instanceName(c.NetworkInstance), Mtu: c.MTU, Enabled: c.Enabled == nil || *c.Enabled,
		Promiscuous: c.Promiscuous, RxQueues: c.RxQueues, TxQueues: c.TxQueues, RxDescriptors: c.RxDescriptors,
		TxDescriptors: c.TxDescriptors, Urpf: urpfModes[c.URPF], Description: c.Description,
	}
	if !c.MAC.IsZero() {
		o.Mac = c.MAC.String()
	}
	for _, a := range c.Addresses {
		o.Addresses = append(o.Addresses, a.String())
	}
	if r := c.RouterAdvertisements; r.On() {
		o.RouterAdvertisement = &vnfv1.RouterAdvertisement{
			MaxInterval: r.MaxInterval, MinInterval: r.MinInterval, RouterLifetime: r.RouterLifetime, Managed: r.Managed,
			OtherConfig: r.OtherConfig, ValidLifetime: r.ValidLifetime, PreferredLifetime: r.PreferredLifetime,
			SuppressPrefixes: r.SuppressPrefixes, SendMtu: r.SendMTU,
		}
	}
	return o
}

// interfaceConfigIn reads what needs parsing; the rules between the fields are config's.
func interfaceConfigIn(c *checks, field string, in *vnfv1.InterfaceConfig) config.Interface {
	if in == nil {
		c.addf(field, "is missing")
		return config.Interface{}
	}
	at := func(name string) string { return field + "." + name }
	enabled := in.GetEnabled()
	o := config.Interface{
		Name: in.GetName(), Description: in.GetDescription(), Enabled: &enabled, Parent: in.GetParent(), VLANID: in.GetVlanId(),
		NetworkInstance: in.GetNetworkInstance(), MTU: in.GetMtu(), Promiscuous: in.GetPromiscuous(), RxQueues: in.GetRxQueues(),
		TxQueues: in.GetTxQueues(), RxDescriptors: in.GetRxDescriptors(), TxDescriptors: in.GetTxDescriptors(),
	}
	if o.NetworkInstance == config.DefaultInstance {
		o.NetworkInstance = ""
	}
	if in.GetName() == "" {
		c.addf(at("name"), "is empty")
	}
	for t, k := range interfaceKinds {
		if k == in.GetKind() {
			o.Type = t
		}
	}
	if o.Type == "" {
		c.addf(at("kind"), "is needed: port, VLAN or loopback")
	}
	enumField(c, at("urpf"), in.GetUrpf())
	for mode, u := range urpfModes {
		if u == in.GetUrpf() && u != vnfv1.Urpf_URPF_OFF {
			o.URPF = mode
		}
	}
	deviceIn(c, at("device"), in.GetDevice(), &o)
	if in.GetMac() != "" {
		mac, err := config.ParseMAC(in.GetMac())
		if err != nil {
			c.addf(at("mac"), "%q %v", in.GetMac(), err)
		}
		o.MAC = mac
	}
	for n, a := range in.GetAddresses() {
		o.Addresses = append(o.Addresses, ifPrefixField(c, fmt.Sprintf("%s[%d]", at("addresses"), n), a))
	}
	if r := in.GetRouterAdvertisement(); r != nil {
		o.RouterAdvertisements = &config.RouterAdvertisements{
			MaxInterval: r.GetMaxInterval(), MinInterval: r.GetMinInterval(), RouterLifetime: r.RouterLifetime,
			Managed: r.GetManaged(), OtherConfig: r.GetOtherConfig(), ValidLifetime: r.GetValidLifetime(),
			PreferredLifetime: r.GetPreferredLifetime(), SuppressPrefixes: r.GetSuppressPrefixes(), SendMTU: r.GetSendMtu(),
		}
	}
	return o
}

// mergeInterface puts the fields that the mask names into the present configuration.
func mergeInterface(old, with *vnfv1.InterfaceConfig, mask []string) (*vnfv1.InterfaceConfig, error) {
	if len(mask) == 0 || slices.Contains(mask, "*") {
		return with, nil
	}
	out := proto.Clone(old).(*vnfv1.InterfaceConfig)
	src, dst := with.ProtoReflect(), out.ProtoReflect()
	fields := src.Descriptor().Fields()
	for n, name := range mask {
		f := fields.ByName(protoreflect.Name(name))
		if f == nil {
			return nil, invalid(fmt.Sprintf("update_mask.paths[%d]", n), "%q is not a field of InterfaceConfig", name)
		}
		if src.Has(f) {
			dst.Set(f, src.Get(f))
		} else {
			dst.Clear(f)
		}
	}
	return out, nil
}

// interfaceConfigOfState shows an interface that is not in the configuration as its owner wrote it.
func interfaceConfigOfState(c *dpb.Interface) *vnfv1.InterfaceConfig {
	return &vnfv1.InterfaceConfig{
		Name: c.GetName(), Kind: vnfv1.InterfaceKind(c.GetKind()), Device: c.GetDevice(), Parent: c.GetParent(), VlanId: c.GetVlanId(),
		NetworkInstance: instanceName(c.GetVrf()), Mtu: c.GetMtu(), Mac: macString(c.GetMac()), Enabled: c.GetAdminUp(),
		Promiscuous: c.GetPromiscuous(), RxQueues: c.GetRxQueues(), TxQueues: c.GetTxQueues(), RxDescriptors: c.GetRxDescriptors(),
		TxDescriptors: c.GetTxDescriptors(), Urpf: vnfv1.Urpf(c.GetUrpf()), Description: c.GetDescription(),
	}
}

func interfaceStateOut(s *dpb.InterfaceState) *vnfv1.InterfaceState {
	return &vnfv1.InterfaceState{
		OperStatus: vnfv1.OperStatus(s.GetOperStatus()), Ifindex: s.GetIfindex(), Mac: macString(s.GetMac()), Mtu: s.GetMtu(),
		SpeedMbps: s.GetSpeed(), FullDuplex: s.GetFullDuplex(), LastChange: unixNano(s.GetLastChange()), Driver: s.GetDriver(),
		RxQueues: s.GetRxQueues(), TxQueues: s.GetTxQueues(), Rss: s.GetRss(), Tap: s.GetTap(),
	}
}

func interfaceCountersOut(c *dpb.InterfaceCounters) *vnfv1.InterfaceCounters {
	return &vnfv1.InterfaceCounters{
		RxPackets: c.GetRxPackets(), RxOctets: c.GetRxOctets(), RxUnicast: c.GetRxUnicast(), RxMulticast: c.GetRxMulticast(),
		RxBroadcast: c.GetRxBroadcast(), RxErrors: c.GetRxErrors(), RxMissed: c.GetRxMissed(), RxDiscards: c.GetRxDiscards(),
		TxPackets: c.GetTxPackets(), TxOctets: c.GetTxOctets(), TxErrors: c.GetTxErrors(), TxDiscards: c.GetTxDiscards(),
		Punted: c.GetPunted(),
	}
}

func interfaceAddressOut(a *dpb.AddressState) *vnfv1.InterfaceAddress {
	return &vnfv1.InterfaceAddress{
		Prefix: prefixString(a.GetAddress(), a.GetPrefixLen()), Dad: vnfv1.DadState(a.GetDad()), Automatic: a.GetAutomatic(),
		ConflictMac: macString(a.GetConflictMac()),
	}
}
