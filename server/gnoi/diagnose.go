package gnoiserver

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	dpb "millrace/api/proto/dataplane/v1"
)

// diagnose writes down what the appliance knows of itself, for people. There is nothing secret in it: no configuration, no packets.
func (z *healthzService) diagnose(ctx context.Context, h health) []byte {
	ctx, cancel := context.WithTimeout(ctx, healthPatience)
	defer cancel()
	var b bytes.Buffer
	title := func(s string) { fmt.Fprintf(&b, "\n== %s\n", s) }
	fmt.Fprintf(&b, "Millrace %s at %s\n", z.opt.Version, z.opt.Now().UTC().Format(time.RFC3339Nano))
	title("components")
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if len(h[name]) == 0 {
			fmt.Fprintf(&b, "%s: healthy\n", name)
			continue
		}
		fmt.Fprintf(&b, "%s: UNHEALTHY: %s\n", name, strings.Join(h[name], "; "))
	}
	title("alarms")
	for _, a := range z.opt.Alarms.Alarms() {
		fmt.Fprintf(&b, "%s severity %d, %s, %s: %s\n", a.Since.UTC().Format(time.RFC3339), a.Severity, a.ID, a.Resource, a.Text)
	}
	title("processes")
	all, err := z.opt.Processes()
	for _, p := range all {
		fmt.Fprintf(&b, "%s: process %d\n", p.Name, p.PID)
	}
	note(&b, err)
	title("data plane")
	if i, err := z.opt.Dataplane.Info(ctx); err != nil {
		note(&b, err)
	} else {
		fmt.Fprintf(&b, "version %s, %s, up %s\n", i.GetVersion(), i.GetDpdkVersion(), time.Duration(i.GetUptimeNs()).Round(time.Millisecond))
		fmt.Fprintf(&b, "memory %d of %d bytes, packet buffers %d of %d, next hops %d of %d, groups %d of %d, neighbours %d\n",
			i.GetMemoryUsed(), i.GetMemoryTotal(), i.GetMbufsUsed(), i.GetMbufsTotal(), i.GetNextHops(), i.GetNextHopsMax(),
			i.GetGroups(), i.GetGroupsMax(), i.GetNeighbors())
	}
	title("interfaces")
	for st, err := range z.opt.Dataplane.Interfaces(ctx, "") {
		if note(&b, err) || b.Len() > maxArtifact/2 {
			break
		}
		c := st.GetCounters()
		fmt.Fprintf(&b, "%s: %s, driver %s, %d Mbit/s, since %s, rx %d packets, tx %d packets\n", st.GetConfig().GetName(),
			strings.TrimPrefix(st.GetOperStatus().String(), "OPER_STATUS_"), st.GetDriver(), st.GetSpeed(),
			time.Unix(0, int64(st.GetLastChange())).UTC().Format(time.RFC3339), c.GetRxPackets(), c.GetTxPackets())
	}
	title("workers")
	for w, err := range z.opt.Dataplane.Workers(ctx) {
		if note(&b, err) {
			break
		}
		fmt.Fprintf(&b, "%d: %s, rx %d packets, %d lost between workers\n", w.GetId(), shares(w), w.GetRxPackets(), w.GetDispatchDrops())
	}
	title("drops")
	for d, err := range z.opt.Dataplane.Drops(ctx) {
		if note(&b, err) {
			break
		}
		if d.GetPackets() > 0 {
			fmt.Fprintf(&b, "%s: %d\n", d.GetReason(), d.GetPackets())
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	title("vnf")
	fmt.Fprintf(&b, "%s, %d goroutines, heap %d bytes of %d from the system\n", runtime.Version(), runtime.NumGoroutine(), m.HeapAlloc, m.Sys)
	if p := pprof.Lookup("goroutine"); p != nil {
		_ = p.WriteTo(&b, 1) // a Buffer takes all
	}
	return b.Bytes()
}

func note(b *bytes.Buffer, err error) bool {
	if err != nil {
		fmt.Fprintf(b, "not known: %v\n", err)
	}
	return err != nil
}

// shares of a worker's time.
func shares(w *dpb.WorkerState) string {
	all := float64(max(1, w.GetBusyCycles()+w.GetIdleCycles()+w.GetSleepCycles())) / 100
	return fmt.Sprintf("busy %.1f %%, idle %.1f %%, asleep %.1f %%", float64(w.GetBusyCycles())/all, float64(w.GetIdleCycles())/all, float64(w.GetSleepCycles())/all)
}
