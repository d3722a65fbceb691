package preflight

import (
	"fmt"
	"slices"
	"strings"
)

// The names in /proc/cpuinfo of what x86-64-v2 adds.
var v2Flags = []string{"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"}

func (m *Machine) flags() []string {
	return strings.Fields(field(m.read("/proc/cpuinfo"), "flags", ":"))
}

// CPU says whether the processor has the instructions that the data plane is made of.
func (m *Machine) CPU() Result { return m.cpuFlags()[0] }

func (m *Machine) cpuFlags() []Result {
	r := Result{Check: "cpu", Level: OK}
	flags := m.flags()
	model := field(m.read("/proc/cpuinfo"), "model name", ":")
	if len(flags) == 0 {
		return []Result{{
			Check: "cpu", Level: Fail, Found: "no CPU flags in /proc/cpuinfo",
			Meaning: "The data plane is built for x86-64; this is another processor, or /proc is not mounted.",
		}}
	}
	var missing []string
	for _, f := range v2Flags {
		if !slices.Contains(flags, f) {
			missing = append(missing, f)
		}
	}
	if len(missing) > 0 {
		r.Level = Fail
		r.Found = fmt.Sprintf("%s lacks %s", model, strings.Join(missing, " "))
		r.Meaning = "The data plane needs the x86-64-v2 instructions and ends at once without them. Virtual machines often hide them."
		r.Fix = []string{"qemu: -cpu host   libvirt: <cpu mode='host-model'/>   OpenStack: cpu_mode=host-model in nova.conf, or any model from Nehalem on"}
		return []Result{r}
	}
	vector := "no AVX2"
	switch {
	case slices.Contains(flags, "avx512f"):
		vector = "AVX-512"
	case slices.Contains(flags, "avx2"):
		vector = "AVX2"
	}
	r.Found = fmt.Sprintf("%s: x86-64-v2 and %s", model, vector)
	return []Result{r}
}

// online counts the CPUs of a list such as "0-3,8".
func online(list string) int {
	n := 0
	for part := range strings.SplitSeq(list, ",") {
		var a, b int
		switch k, _ := fmt.Sscanf(part, "%d-%d", &a, &b); k {
		case 2:
			n += b - a + 1
		case 1:
			n++
		}
	}
	return n
}

func (m *Machine) cpuCount() []Result {
	n := online(m.read("/sys/devices/system/cpu/online"))
	r := Result{Check: "cpus", Level: OK, Found: fmt.Sprintf("%d online", n)}
	if n < 2 {
		r.Level = Warn
		r.Meaning = "Forwarding and control share one CPU: a busy control plane delays packets. Two are enough for one worker."
		r.Fix = []string{"give the machine a second CPU"}
	}
	return []Result{r}
}

func (m *Machine) isolation() []Result {
	isolated, nohz := m.read("/sys/devices/system/cpu/isolated"), m.read("/sys/devices/system/cpu/nohz_full")
	if nohz == "(null)" {
		nohz = ""
	}
	if isolated == "" {
		return []Result{{
			Check: "isolation", Level: Info, Found: "no CPU is isolated",
			Meaning: "The kernel may run other tasks on the workers' CPUs; that costs latency, not correctness.",
			Fix:     []string{"add to the kernel command line for workers on CPUs 2 and 3: isolcpus=2,3 nohz_full=2,3 rcu_nocbs=2,3"},
		}}
	}
	found := "CPUs " + isolated + " are isolated"
	if nohz != "" {
		found += ", without timer ticks on " + nohz
	}
	return []Result{{Check: "isolation", Level: OK, Found: found, Meaning: "Name them in system.dataplane.cpus."}}
}

func (m *Machine) clock() []Result {
	const dir = "/sys/devices/system/clocksource/clocksource0/"
	src := m.read(dir + "current_clocksource")
	flags := m.flags()
	steady := slices.Contains(flags, "constant_tsc") && slices.Contains(flags, "nonstop_tsc")
	r := Result{Check: "clock", Level: OK, Found: "clocksource " + src}
	switch {
	case !steady:
		r.Level = Warn
		r.Found += ", the TSC is not constant and non-stop"
		r.Meaning = "Times that the data plane measures by the TSC (utilisation, traces, round trips) may be wrong."
		r.Fix = []string{"qemu: -cpu host,+invtsc   libvirt: <feature policy='require' name='invtsc'/>"}
	case src != "tsc" && src != "kvm-clock" && src != "hyperv_clocksource_tsc_page":
		r.Level = Warn
		r.Meaning = "Reading this clock is slow, and the kernel did not trust the TSC."
		if slices.Contains(strings.Fields(m.read(dir+"available_clocksource")), "tsc") {
			r.Fix = []string{"echo tsc > " + dir + "current_clocksource"}
		}
	}
	return []Result{r}
}
