package state

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/server/config"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// PlatformOptions of a Platform. All but Version have to be given.
type PlatformOptions struct {
	Schema  *schema.Schema
	Config  func() *config.Config
	Machine *Machine
	// Interfaces tells which ports there are.
	Dataplane interface {
		InterfaceDataplane
		Info(ctx context.Context) (*dpb.Info, error)
	}
	Version string
	Started time.Time
}

// Platform is the source of /components: the machine, its CPUs, the software and the ports.
type Platform struct {
	o PlatformOptions
	// sys is where the kernel tells of the machine.
	sys   string
	start starts
}

// NewPlatform makes the source.
func NewPlatform(o PlatformOptions) *Platform { return &Platform{o: o, sys: "/sys"} }

// Roots is all of it.
func (p *Platform) Roots() []string { return []string{"/components"} }

// Sampled is what is measured.
func (p *Platform) Sampled(n *schema.Node) bool {
	return n.Parent.Name == "memory" || n.Parent.Parent.Name == "utilization"
}

// Watch looks for what has changed.
func (p *Platform) Watch(ctx context.Context, m tree.Pattern, ready func(), emit func(telemetry.Batch) error) error {
	return watchByReading(ctx, p, m, 2*time.Second, ready, emit)
}

// Names of the components that are not ports.
const (
	chassisName   = "chassis"
	cpuName       = "cpu"
	serviceName   = "vnf"
	dataplaneName = "vnf-dataplane"
)

// Read asks for what is wanted.
func (p *Platform) Read(ctx context.Context, m tree.Pattern, emit func(telemetry.Batch) error) error {
	want, now := keyOf(m, "component", "name"), time.Now()
	for _, c := range []struct {
		name string
		fill func(context.Context, *telemetry.Object) bool
	}{{chassisName, p.chassis}, {cpuName, p.cpu}, {serviceName, p.service}, {dataplaneName, p.dataplane}} {
		if want != "" && want != c.name {
			continue
		}
		o := p.component(c.name)
		if !c.fill(ctx, o) {
			continue
		}
		if err := emitObject(o, now, emit); err != nil {
			return err
		}
	}
	switch want {
	case chassisName, cpuName, serviceName, dataplaneName:
		return nil
	}
	return p.ports(ctx, want, now, emit)
}

func (p *Platform) component(name string) *telemetry.Object {
	o := telemetry.NewObject(p.o.Schema, entryPath(nil, "components", "component", "name", name))
	return o.Set("name", name).Set("config/name", name).Set("state/name", name)
}

// dmi reads what the firmware says of the machine. A virtual machine may say nothing, and only root may read serial numbers.
func (p *Platform) dmi(file string) any {
	b, err := os.ReadFile(filepath.Join(p.sys, "class/dmi/id", file))
	s := strings.TrimSpace(string(b))
	if err != nil || s == "" || s == "None" || strings.HasPrefix(s, "Not Specified") {
		return nil
	}
	return s
}

func (p *Platform) chassis(_ context.Context, o *telemetry.Object) bool {
	host, _ := os.Hostname()
	o.Set("state/type", "CHASSIS").Set("state/id", nonZero(host)).Set("state/oper-status", "ACTIVE").Set("state/removable", false)
	o.Set("state/mfg-name", p.dmi("sys_vendor")).Set("state/description", p.dmi("product_name")).Set("state/part-no", p.dmi("product_sku"))
	o.Set("state/hardware-version", p.dmi("product_version")).Set("state/serial-no", p.dmi("product_serial"))
	o.Set("state/firmware-version", p.dmi("bios_version")).Set("state/boot-time", nanoseconds(p.o.Machine.bootTime()))
	if mem := p.o.Machine.memory(); mem != nil {
		o.Set("state/memory/available", mem["MemTotal"])
		o.Set("state/memory/utilized", mem["MemTotal"]-min(mem["MemTotal"], mem["MemAvailable"]))
	}
	return true
}

func (p *Platform) cpu(_ context.Context, o *telemetry.Object) bool {
	o.Set("state/type", "CPU").Set("state/description", p.o.Machine.cpuModel()).Set("state/parent", chassisName).Set("state/oper-status", "ACTIVE")
	o.Set("state/removable", false)
	if s, ok := p.o.Machine.use("ALL", "total"); ok {
		s.set(o, "cpu/utilization/state")
	}
	return true
}

func (p *Platform) service(_ context.Context, o *telemetry.Object) bool {
	o.Set("state/type", "OPERATING_SYSTEM").Set("state/description", "Millrace management and routing").Set("state/software-version", nonZero(p.o.Version))
	o.Set("state/parent", chassisName).Set("state/oper-status", "ACTIVE").Set("state/boot-time", nanoseconds(p.o.Started))
	return true
}

// dataplane is there, if it does not answer, as a component that is not active.
func (p *Platform) dataplane(ctx context.Context, o *telemetry.Object) bool {
	o.Set("state/type", "SOFTWARE_MODULE").Set("state/parent", serviceName)
	d, err := p.o.Dataplane.Info(ctx)
	if err != nil {
		o.Set("state/description", "Millrace data plane").Set("state/oper-status", "INACTIVE")
		return true
	}
	o.Set("state/description", "Millrace data plane on "+d.GetDpdkVersion()).Set("state/software-version", nonZero(d.GetVersion()))
	o.Set("state/oper-status", "ACTIVE").Set("state/boot-time", nanoseconds(p.start.of(d)))
	o.Set("state/memory/available", d.GetMemoryTotal()).Set("state/memory/utilized", d.GetMemoryUsed())
	return true
}

// ports are components by the names of their interfaces.
func (p *Platform) ports(ctx context.Context, want string, now time.Time, emit func(telemetry.Batch) error) error {
	states := map[string]*dpb.InterfaceState{}
	for st, err := range p.o.Dataplane.Interfaces(ctx, want) {
		if gone(err) {
			break
		}
		if err != nil {
			return err
		}
		states[st.GetConfig().GetName()] = st
	}
	cfg := p.o.Config()
	for k := range cfg.Interfaces {
		f := &cfg.Interfaces[k]
		if f.Type != config.Port || want != "" && want != f.Name {
			continue
		}
		o := p.component(f.Name)
		o.Set("state/type", "PORT").Set("state/parent", chassisName).Set("state/id", nonZero(f.Device+f.Iface)).Set("state/removable", true)
		st, status := states[f.Name], "INACTIVE"
		if st != nil {
			status = "ACTIVE"
			o.Set("state/description", "Ethernet port, "+st.GetDriver())
		}
		if !f.Up() {
			status = "DISABLED"
		}
		if err := emitObject(o.Set("state/oper-status", status), now, emit); err != nil {
			return err
		}
	}
	return nil
}
