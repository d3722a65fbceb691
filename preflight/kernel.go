package preflight

import (
	"fmt"
	"strconv"
	"strings"
)

func (m *Machine) netFeatures() []Result {
	var results []Result
	if m.exists("/proc/net/packet") {
		results = append(results, Result{Check: "af_packet", Level: OK, Found: "there"})
	} else {
		results = append(results, Result{
			Check: "af_packet", Level: Fail, Found: "not there",
			Meaning: "Ports by iface: use it, and so does tcpdump.", Fix: []string{"modprobe af_packet"},
		})
	}
	xdp := false
	for line := range strings.Lines(m.read("/proc/net/protocols")) {
		xdp = xdp || strings.HasPrefix(line, "XDP ")
	}
	kernel := m.read("/proc/sys/kernel/osrelease")
	if xdp {
		results = append(results, Result{Check: "af_xdp", Level: OK, Found: "there, kernel " + kernel})
	} else {
		results = append(results, Result{
			Check: "af_xdp", Level: Info, Found: "not in this kernel (" + kernel + ")",
			Meaning: "Only for ports with driver: af_xdp; af_packet does without. It needs Linux 4.18 with CONFIG_XDP_SOCKETS.",
		})
	}
	if m.exists("/dev/net/tun") {
		results = append(results, Result{Check: "tun", Level: OK, Found: "/dev/net/tun"})
	} else {
		results = append(results, Result{
			Check: "tun", Level: Fail, Found: "no /dev/net/tun",
			Meaning: "The exception path, and with it BGP, needs TAP devices. Containers need the device handed in.",
			Fix:     []string{"modprobe tun", "container: --device /dev/net/tun"},
		})
	}
	if m.exists("/proc/self/ns/net") {
		results = append(results, Result{Check: "namespaces", Level: OK, Found: "network namespaces"})
	} else {
		results = append(results, Result{
			Check: "namespaces", Level: Fail, Found: "no network namespaces",
			Meaning: "The exception path lives in one of its own. The kernel needs CONFIG_NET_NS.",
			Fix:     []string{"set system.dataplane.exception-netns to none, and do without BGP over the ports"},
		})
	}
	return results
}

// The capabilities that the data plane and `vnf run` need, by bit.
var neededCaps = []struct {
	bit       uint
	name, why string
}{
	{12, "CAP_NET_ADMIN", "TAPs, namespaces and port settings"},
	{13, "CAP_NET_RAW", "af_packet ports"},
	{21, "CAP_SYS_ADMIN", "entering the exception namespace"},
}

func (m *Machine) capabilities() []Result {
	set, err := strconv.ParseUint(field(m.read("/proc/self/status"), "CapEff", ":"), 16, 64)
	if err != nil {
		return []Result{{Check: "privileges", Level: Warn, Found: "the capabilities are not readable"}}
	}
	var missing []string
	for _, c := range neededCaps {
		if set&(1<<c.bit) == 0 {
			missing = append(missing, fmt.Sprintf("%s (%s)", c.name, c.why))
		}
	}
	if len(missing) > 0 {
		return []Result{{
			Check: "privileges", Level: Fail, Found: "missing: " + strings.Join(missing, ", "),
			Meaning: "vnf run and vnf-dataplane need them.",
			Fix:     []string{"run it as root, or in a container with --cap-add NET_ADMIN --cap-add NET_RAW --cap-add SYS_ADMIN"},
		}}
	}
	return []Result{{Check: "privileges", Level: OK, Found: "all capabilities needed"}}
}

// limit is the soft limit of a line of /proc/self/limits; unlimited is the largest number.
func (m *Machine) limit(name string) (uint64, bool) {
	for line := range strings.Lines(m.read("/proc/self/limits")) {
		rest, ok := strings.CutPrefix(line, name)
		f := strings.Fields(rest)
		if !ok || len(f) == 0 {
			continue
		}
		if f[0] == "unlimited" {
			return 1<<64 - 1, true
		}
		n, err := strconv.ParseUint(f[0], 10, 64)
		return n, err == nil
	}
	return 0, false
}

func (m *Machine) limits() []Result {
	var results []Result
	// A process with CAP_IPC_LOCK may lock as much as it likes.
	caps, _ := strconv.ParseUint(field(m.read("/proc/self/status"), "CapEff", ":"), 16, 64)
	lock, ok := m.limit("Max locked memory")
	switch {
	case !ok:
	case lock < 512<<20 && caps&(1<<14) == 0:
		results = append(results, Result{
			Check: "memlock", Level: Warn, Found: size(lock) + " may be locked",
			Meaning: "vfio-pci and af_xdp lock the memory of packets and fail beyond that.",
			Fix:     []string{"ulimit -l unlimited", "systemd: LimitMEMLOCK=infinity"},
		})
	default:
		results = append(results, Result{Check: "memlock", Level: OK, Found: "enough memory may be locked"})
	}
	files, ok := m.limit("Max open files")
	switch {
	case !ok:
	case files < 1024:
		results = append(results, Result{
			Check: "nofile", Level: Warn, Found: fmt.Sprintf("%d files may be open", files),
			Meaning: "Each port, queue and BGP session needs a few.", Fix: []string{"ulimit -n 65536", "systemd: LimitNOFILE=65536"},
		})
	default:
		results = append(results, Result{Check: "nofile", Level: OK, Found: fmt.Sprintf("%d files may be open", files)})
	}
	return results
}
