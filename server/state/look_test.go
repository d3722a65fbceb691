package state

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client"
	"millrace/server/config"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// tables is a data plane of tables in memory.
type tables struct {
	interfaces []*dpb.InterfaceState
	addresses  []*dpb.AddressState
}

func all[T any](rows []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (d *tables) Interfaces(context.Context, string) iter.Seq2[*dpb.InterfaceState, error] {
	return all(d.interfaces)
}

func (d *tables) Addresses(context.Context, string) iter.Seq2[*dpb.AddressState, error] {
	return all(d.addresses)
}

func (d *tables) Neighbors(context.Context, string) iter.Seq2[*dpb.NeighborState, error] {
	return all[*dpb.NeighborState](nil)
}
func (d *tables) XStats(context.Context, string) iter.Seq2[*dpb.XStat, error] {
	return all[*dpb.XStat](nil)
}
func (d *tables) Subscribe(context.Context) (*client.Stream, error) {
	return nil, client.ErrDisconnected
}

func manyInterfaces(b *testing.B, n int) *Interfaces {
	b.Helper()
	s, err := schema.Load()
	if err != nil {
		b.Fatal(err)
	}
	d, cfg := &tables{}, &config.Config{}
	for i := range n {
		name := fmt.Sprintf("eth%d", i)
		cfg.Interfaces = append(cfg.Interfaces, config.Interface{Name: name, Type: config.Port, Iface: name})
		d.interfaces = append(d.interfaces, &dpb.InterfaceState{
			Config: &dpb.Interface{Name: name, Kind: dpb.InterfaceKind_INTERFACE_KIND_PORT, AdminUp: true}, OperStatus: dpb.OperStatus_OPER_STATUS_UP,
			Mtu: 1500, Mac: make([]byte, 6), Speed: 10000, Driver: "x", LastChange: 1, Counters: &dpb.InterfaceCounters{RxPackets: 1},
		})
		d.addresses = append(d.addresses, &dpb.AddressState{Interface: name, Address: []byte{10, byte(i >> 8), byte(i), 1}, PrefixLen: 24})
	}
	return NewInterfaces(s, d, func() *config.Config { return cfg })
}

// BenchmarkLook is what it costs each second to find that nothing has changed.
func BenchmarkLook(b *testing.B) {
	for _, n := range []int{64, 4096} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			i := manyInterfaces(b, n)
			for b.Loop() {
				i.look(context.Background(), false)
			}
		})
	}
}

// BenchmarkReadCounters is one reader of the counters of 64 interfaces; most of them come while what was read is still fresh.
func BenchmarkReadCounters(b *testing.B) {
	i := manyInterfaces(b, 64)
	ms, err := tree.Expand(i.s, tree.MustPath("/interfaces/interface/state/counters"))
	if err != nil {
		b.Fatal(err)
	}
	for _, fresh := range []bool{true, false} {
		b.Run(fmt.Sprintf("fresh=%v", fresh), func(b *testing.B) {
			for b.Loop() {
				if !fresh {
					i.read = time.Time{}
				}
				if err := i.Read(context.Background(), ms[0], func(telemetry.Batch) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
