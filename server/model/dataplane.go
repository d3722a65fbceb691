package model

import (
	"millrace/server/config"
	"millrace/yang/tree"
)

// dataplaneSection is /dataplane: what the data plane is started with, and its settings.
func dataplaneSection() section {
	return section{
		read:  readDataplane,
		write: writeDataplane,
		names: []string{"settings"},
		locate: func(_ *locator, steps []step) tree.Path {
			if s := stepAt(steps, 1); s.Name != "" {
				return top("dataplane/settings/config/" + s.Name)
			}
			return top("dataplane/settings")
		},
	}
}

// number is a leaf and the field it fills.
type number struct {
	leaf  string
	field *uint32
}

func startNumbers(d *config.Dataplane) []number {
	return []number{
		{"workers", &d.Workers}, {"memory", &d.Memory}, {"mbufs", &d.Mbufs}, {"mbuf-size", &d.MbufSize}, {"ipv4-routes", &d.IPv4Routes},
		{"ipv6-routes", &d.IPv6Routes}, {"ipv4-tbl8", &d.IPv4TBL8}, {"ipv6-tbl8", &d.IPv6TBL8}, {"next-hops", &d.NextHops},
		{"next-hop-groups", &d.Groups},
	}
}

func settingsNumbers(s *config.Settings) []number {
	return []number{
		{"neighbor-limit", &s.NeighborLimit}, {"neighbor-queue", &s.NeighborQueue},
		{"neighbor-reachable-time", &s.NeighborReachableTime}, {"neighbor-stale-time", &s.NeighborStaleTime},
		{"icmp-error-rate", &s.ICMPErrorRate}, {"punt-rate", &s.PuntRate}, {"neighbor-rate", &s.NeighborRate},
	}
}

func readDataplane(x *reader) {
	at, n := top("dataplane/config"), x.Root.At("dataplane/config")
	d := &x.C.System.Dataplane
	for _, f := range startNumbers(d) {
		*f.field = num[uint32](x, n, at, f.leaf)
	}
	for _, v := range n.At("cpus").Value().List() {
		cpu, _ := v.Uint()
		d.CPUs = append(d.CPUs, uint32(cpu))
	}
	d.Hugepages, d.Poll = flag(n, "hugepages"), isTrue(n, "poll")
	d.ExceptionNetns, d.EAL = n.Text("exception-netns"), n.Text("eal")

	at, n = top("dataplane/settings/config"), x.Root.At("dataplane/settings/config")
	for _, f := range settingsNumbers(&x.C.Settings) {
		*f.field = num[uint32](x, n, at, f.leaf)
	}
}

func writeDataplane(w *writer) {
	at := top("dataplane/config")
	d := w.C.System.Dataplane
	for _, f := range startNumbers(&d) {
		w.opt(at, f.leaf, *f.field)
	}
	w.opt(at, "cpus", d.CPUs)
	w.opt(at, "hugepages", d.Hugepages)
	w.opt(at, "exception-netns", d.ExceptionNetns)
	w.opt(at, "poll", d.Poll)
	w.opt(at, "eal", d.EAL)
	s := w.C.Settings
	for _, f := range settingsNumbers(&s) {
		w.opt(top("dataplane/settings/config"), f.leaf, *f.field)
	}
}
