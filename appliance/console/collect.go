package console

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/appliance/nic"
	"millrace/appliance/report"
	"millrace/appliance/sizing"
	"millrace/preflight"
)

// How long vnf may take to answer, before it counts as silent.
const patience = 5 * time.Second

// maxPages bounds what is counted of a list.
const maxPages = 8

// Sources are where a status comes from.
type Sources struct {
	Version string
	// RuntimeDir has nics.json and sizing.json.
	RuntimeDir string
	// Conn leads to vnf.
	Conn grpc.ClientConnInterface
	// Unit tells the state of a unit of systemd, as in ActiveState; nil: systemctl does.
	Unit func(ctx context.Context, name string) string
	// Addresses are those of a network device; nil: of this machine's. An empty name stands for all but loopback.
	Addresses func(device string) []netip.Prefix
	// CPU says whether the processor will do; nil: this machine's.
	CPU func() preflight.Result
	// Hostname; nil: the kernel's.
	Hostname func() string
}

func (s *Sources) fill() {
	if s.Unit == nil {
		s.Unit = unitState
	}
	if s.Addresses == nil {
		s.Addresses = addressesOf
	}
	if s.CPU == nil {
		s.CPU = preflight.New("/").CPU
	}
	if s.Hostname == nil {
		s.Hostname = func() string {
			h, _ := os.Hostname()
			return h
		}
	}
}

// Collect looks at everything once. What can't be seen is left out or said in words; it never fails.
func Collect(ctx context.Context, s Sources) *Status {
	s.fill()
	st := &Status{Version: s.Version, Hostname: s.Hostname(), Control: Running, Dataplane: Running, Port: 9339}
	if r := s.CPU(); r.Level == preflight.Fail {
		st.Problems = append(st.Problems, strings.TrimSpace(r.Found+". "+r.Meaning))
		st.Problems = append(st.Problems, r.Fix...)
	}
	s.network(st)
	s.machine(st)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.ask(ctx, st); err != nil {
		s.boot(st)
		st.Control = s.inWords(ctx, "vnf.service", "does not answer")
		st.Dataplane = s.inWords(ctx, "vnf-dataplane.service", Running)
		st.Ports, st.PortsUp, st.Workers = 0, 0, 0
		if st.Dataplane == Running {
			st.Dataplane = "running (vnf would know more)"
		}
	}
	return st
}

// inWords says how a unit is; alive is what to say of one that runs.
func (s *Sources) inWords(ctx context.Context, unit, alive string) string {
	switch state := s.Unit(ctx, unit); state {
	case "active":
		return alive
	case "activating", "reloading":
		return starting
	case "deactivating":
		return "stopping"
	case "failed":
		return "FAILED: journalctl -u " + unit
	case "inactive":
		return "not started"
	default:
		return cmp.Or(state, "not known")
	}
}

func (s *Sources) network(st *Status) {
	if f, err := nic.Load(s.RuntimeDir); err == nil {
		for _, n := range f.NICs {
			if n.Role == nic.Management && st.ManagementDevice == "" {
				st.ManagementDevice = n.Netdev
			}
			if n.Problem != "" {
				st.Notes = append(st.Notes, fmt.Sprintf("%s: %s", n.Name, n.Problem))
			}
		}
	}
	st.Management = s.Addresses(st.ManagementDevice)
}

func (s *Sources) machine(st *Status) {
	z, err := sizing.Load(filepath.Join(s.RuntimeDir, filepath.Base(sizing.Path)))
	if err != nil {
		return
	}
	st.Machine = fmt.Sprintf("%d vCPUs, %d MiB, %d MiB of them for packets and tables", z.VCPUs, z.MemoryMiB, z.DataplaneMemoryMiB)
	st.Notes = append(st.Notes, z.Notes...)
}

// boot is what vnf would have alarms of.
func (s *Sources) boot(st *Status) {
	r, err := report.Load(s.RuntimeDir)
	if err != nil {
		return
	}
	for _, p := range r.Problems {
		if r.CPU == "" || !strings.Contains(p.Reason, r.CPU) { // the processor has its own lines
			st.Notes = append(st.Notes, p.Error())
		}
	}
}

// ask asks vnf. The error of its first answer is that of all.
func (s *Sources) ask(ctx context.Context, st *Status) error {
	system := vnfv1.NewSystemServiceClient(s.Conn)
	info, err := system.GetSystemInfo(ctx, &vnfv1.GetSystemInfoRequest{})
	if err != nil {
		return err
	}
	if h := info.GetHostname(); h != "" {
		st.Hostname = h
	}
	if d := info.GetDataplane(); d != nil {
		st.Workers = int(d.GetWorkers())
	} else {
		st.Dataplane = s.inWords(ctx, "vnf-dataplane.service", "does not answer vnf")
	}
	if a, err := system.ListAlarms(ctx, &vnfv1.ListAlarmsRequest{}); err == nil {
		for _, one := range a.GetAlarms() {
			severity := strings.ToLower(strings.TrimPrefix(one.GetSeverity().String(), "ALARM_SEVERITY_"))
			st.Alarms = append(st.Alarms, Alarm{severity, one.GetResource(), one.GetText()})
		}
	}
	if c, err := system.GetConfig(ctx, &vnfv1.GetConfigRequest{Format: vnfv1.ConfigFormat_CONFIG_FORMAT_JSON}); err == nil {
		st.Port = listenPort(c.GetDocument())
	}
	s.ports(ctx, st)
	s.sessions(ctx, system, st)
	return nil
}

// listenPort is that of the gRPC listener of a configuration.
func listenPort(document []byte) uint16 {
	var c struct {
		System struct {
			Listen string `json:"grpc-listen"`
		} `json:"system"`
	}
	if err := json.Unmarshal(document, &c); err != nil || c.System.Listen == "" {
		return 9339
	}
	a, err := netip.ParseAddrPort(c.System.Listen)
	if err != nil {
		_, port, _ := net.SplitHostPort(c.System.Listen)
		n := uint16(0)
		_, _ = fmt.Sscan(port, &n)
		return n
	}
	return a.Port()
}

func (s *Sources) ports(ctx context.Context, st *Status) {
	client, token := vnfv1.NewInterfaceServiceClient(s.Conn), ""
	for range maxPages {
		r, err := client.ListInterfaces(ctx, &vnfv1.ListInterfacesRequest{PageToken: token, Kind: vnfv1.InterfaceKind_INTERFACE_KIND_PORT})
		if err != nil {
			return
		}
		for _, i := range r.GetInterfaces() {
			if !i.GetConfig().GetEnabled() {
				continue
			}
			if st.Ports++; i.GetState().GetOperStatus() == vnfv1.OperStatus_OPER_STATUS_UP {
				st.PortsUp++
			}
		}
		if token = r.GetNextPageToken(); token == "" {
			return
		}
	}
}

func (s *Sources) sessions(ctx context.Context, system vnfv1.SystemServiceClient, st *Status) {
	instances := []string{""}
	if r, err := system.ListNetworkInstances(ctx, &vnfv1.ListNetworkInstancesRequest{}); err == nil {
		instances = nil
		for _, n := range r.GetNetworkInstances() {
			instances = append(instances, n.GetName())
		}
	}
	client := vnfv1.NewBgpServiceClient(s.Conn)
	for _, name := range instances {
		b, err := client.GetBgp(ctx, &vnfv1.GetBgpRequest{NetworkInstance: name})
		if err == nil && b.GetRunning() {
			st.Sessions += int(b.GetNeighbors())
			st.Established += int(b.GetNeighborsEstablished())
		}
	}
}

func unitState(ctx context.Context, name string) string {
	out, err := exec.CommandContext(ctx, "systemctl", "show", "--property", "ActiveState", "--value", name).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// addressesOf are the addresses of a device, or all; global ones first.
func addressesOf(device string) []netip.Prefix {
	var out []netip.Prefix
	all, _ := net.Interfaces()
	for _, i := range all {
		if i.Flags&net.FlagLoopback != 0 || device != "" && i.Name != device {
			continue
		}
		list, _ := i.Addrs()
		for _, a := range list {
			if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() {
				out = append(out, p)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b netip.Prefix) int {
		return cmp.Or(cmp.Compare(a.Addr().BitLen(), b.Addr().BitLen()), a.Addr().Compare(b.Addr()))
	})
	return out
}
