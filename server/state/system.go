package state

import (
	"cmp"
	"context"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/server/config"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// SystemOptions of a System. Schema, Config, Tree and Machine have to be given.
type SystemOptions struct {
	Schema *schema.Schema
	// Config and Tree return the configuration in force.
	Config  func() *config.Config
	Tree    func() *tree.Tree
	Machine *Machine
	// Dataplane tells of the data plane's process; nil: it is left out.
	Dataplane interface {
		Info(ctx context.Context) (*dpb.Info, error)
	}
	// GRPCListen is the address the gRPC server listens on: host:port, or empty for none.
	GRPCListen func() string
	// LastCommit is when the configuration was changed last; nil: it is left out.
	LastCommit func() time.Time
	Version    string
	Started    time.Time
}

// System is the source of /system but for alarms.
type System struct{ o SystemOptions }

// NewSystem makes the source.
func NewSystem(o SystemOptions) *System { return &System{o} }

// Roots are the leaves that are not what the configuration says.
func (y *System) Roots() []string {
	roots := []string{"/system/cpus", "/system/memory", "/system/processes"}
	for _, leaf := range []string{"hostname", "boot-time", "up-time", "current-datetime", "software-version", "last-configuration-timestamp"} {
		roots = append(roots, "/system/state/"+leaf)
	}
	for _, leaf := range []string{"name", "enable", "port", "listen-addresses", "transport-security"} {
		roots = append(roots, grpcServerPlace+"/state/"+leaf)
	}
	return roots
}

const grpcServerPlace = "/system/grpc-servers/grpc-server"

// Read asks for what is wanted.
func (y *System) Read(ctx context.Context, m tree.Pattern, emit func(telemetry.Batch) error) error {
	now := time.Now()
	for _, part := range []struct {
		place string
		read  func() error
	}{
		{"/system/state", func() error { return y.box(now, emit) }},
		{grpcServerPlace, func() error { return y.grpcServer(now, emit) }},
		{"/system/memory", func() error { return y.memory(now, emit) }},
		{"/system/cpus", func() error { return y.cpus(m, now, emit) }},
		{"/system/processes", func() error { return y.processes(ctx, now, emit) }},
	} {
		if related(y.o.Schema.Find(part.place), m.Schema) {
			if err := part.read(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (y *System) object(path string) *telemetry.Object {
	return telemetry.NewObject(y.o.Schema, tree.MustPath(path))
}

func nanoseconds(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return uint64(t.UnixNano())
}

func (y *System) box(now time.Time, emit func(telemetry.Batch) error) error {
	o := y.object("/system").Set("state/boot-time", nanoseconds(y.o.Machine.bootTime())).Set("state/software-version", nonZero(y.o.Version)).
		Set("state/current-datetime", now.UTC().Format("2006-01-02T15:04:05.000Z"))
	if !y.o.Started.IsZero() {
		o.Set("state/up-time", uint64(now.Sub(y.o.Started)))
	}
	if y.o.LastCommit != nil {
		o.Set("state/last-configuration-timestamp", nanoseconds(y.o.LastCommit()))
	}
	name := y.o.Config().System.Hostname
	if name == "" {
		name, _ = os.Hostname()
	}
	if n := y.o.Schema.Find("/system/state/hostname"); n != nil {
		if v, err := n.FromText(name); err == nil { // the kernel's need not be a name of DNS
			o.Set("state/hostname", v)
		}
	}
	return emitObject(o, now, emit)
}

// grpcServer tells where the server listens, which has a name even if none is configured.
func (y *System) grpcServer(now time.Time, emit func(telemetry.Batch) error) error {
	name := "DEFAULT"
	for n := range y.o.Tree().Root().List("system/grpc-servers/grpc-server") {
		name = n.Key("name")
	}
	o := telemetry.NewObject(y.o.Schema, entryPath(tree.Path{{Name: "system"}}, "grpc-servers", "grpc-server", "name", name))
	o.Set("state/name", name).Set("state/transport-security", true)
	listen := ""
	if y.o.GRPCListen != nil {
		listen = y.o.GRPCListen()
	}
	host, port, err := net.SplitHostPort(listen)
	o.Set("state/enable", err == nil)
	if err == nil {
		switch host {
		case "", "::":
			host = "ANY"
		case "localhost":
			host = "127.0.0.1"
		}
		o.Set("state/port", port).Set("state/listen-addresses", []string{host})
	}
	return emitObject(o, now, emit)
}

func (y *System) memory(now time.Time, emit func(telemetry.Batch) error) error {
	all := y.o.Machine.memory()
	if all == nil {
		return nil
	}
	o := y.object("/system/memory").Set("state/physical", all["MemTotal"]).Set("state/free", all["MemFree"]).
		Set("state/available", all["MemAvailable"]).Set("state/used", all["MemTotal"]-min(all["MemTotal"], all["MemAvailable"]))
	return emitObject(o, now, emit)
}

func (y *System) cpus(m tree.Pattern, now time.Time, emit func(telemetry.Batch) error) error {
	want := keyOf(m, "cpu", "index")
	all := y.o.Machine.CPUs()
	slices.SortFunc(all, func(a, b string) int {
		x, _ := strconv.Atoi(a)
		z, _ := strconv.Atoi(b)
		return cmp.Or(x-z, cmp.Compare(b, a))
	})
	for _, cpu := range all {
		if want != "" && cpu != want {
			continue
		}
		o := telemetry.NewObject(y.o.Schema, entryPath(tree.Path{{Name: "system"}}, "cpus", "cpu", "index", cpu))
		o.Set("index", cpu).Set("state/index", cpu)
		for _, kind := range append([]string{"total"}, cpuKinds...) {
			if s, ok := y.o.Machine.use(cpu, kind); ok {
				s.set(o, "state/"+kind)
			}
		}
		if err := emitObject(o, now, emit); err != nil {
			return err
		}
	}
	return nil
}

func (s statistics) set(o *telemetry.Object, at string) {
	o.Set(at+"/instant", s.instant).Set(at+"/avg", s.avg).Set(at+"/min", s.min).Set(at+"/max", s.max)
	o.Set(at+"/interval", uint64(s.interval)).Set(at+"/min-time", nanoseconds(s.minTime)).Set(at+"/max-time", nanoseconds(s.maxTime))
}

// processes are those of the appliance: this one and the data plane.
func (y *System) processes(ctx context.Context, now time.Time, emit func(telemetry.Batch) error) error {
	pids := []int{os.Getpid()}
	if y.o.Dataplane != nil {
		if d, err := y.o.Dataplane.Info(ctx); err == nil && d.GetPid() != 0 && int(d.GetPid()) != pids[0] {
			pids = append(pids, int(d.GetPid()))
		}
	}
	boot, total := y.o.Machine.bootTime(), y.o.Machine.memory()["MemTotal"]
	for _, pid := range pids {
		st, err := y.o.Machine.stat(pid)
		if err != nil {
			continue
		}
		o := telemetry.NewObject(y.o.Schema, entryPath(tree.Path{{Name: "system"}}, "processes", "process", "pid", strconv.Itoa(pid)))
		o.Set("pid", pid).Set("state/pid", pid).Set("state/name", st.name)
		if args := y.o.Machine.args(pid); len(args) > 0 {
			o.Set("state/args", args)
		}
		o.Set("state/start-time", uint64(boot.Add(time.Duration(st.start)*clockTick).UnixNano()))
		o.Set("state/cpu-usage-user", st.utime*uint64(clockTick)).Set("state/cpu-usage-system", st.stime*uint64(clockTick))
		o.Set("state/cpu-utilization", y.o.Machine.utilization(pid, st, now)).Set("state/memory-usage", st.rss)
		if total > 0 {
			o.Set("state/memory-utilization", min(100*st.rss/total, 100))
		}
		if err := emitObject(o, now, emit); err != nil {
			return err
		}
	}
	return nil
}

// Sampled are the clock, and what is measured.
func (y *System) Sampled(n *schema.Node) bool {
	for _, place := range []string{"/system/cpus", "/system/memory", "/system/processes"} {
		if top := y.o.Schema.Find(place); top != nil && isBelow(n, top) {
			return !named(n, "index", "pid", "name", "args", "start-time", "physical")
		}
	}
	return named(n, "up-time", "current-datetime")
}

// Watch looks for what has changed.
func (y *System) Watch(ctx context.Context, m tree.Pattern, ready func(), emit func(telemetry.Batch) error) error {
	return watchByReading(ctx, y, m, time.Second, ready, emit)
}
