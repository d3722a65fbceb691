package grpcserver_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/server/config"
	"millrace/server/grpc/grpctest"
)

const testConfig = `
interfaces:
  - name: eth1
    type: port
    iface: tap1
    addresses: [192.0.2.1/24, "2001:db8::1/64"]
  - name: eth2
    type: port
    device: "0000:00:05.0"
    enabled: false
  - name: eth1.7
    type: vlan
    parent: eth1
    vlan-id: 7
    network-instance: blue
network-instances:
  - name: default
    static-routes:
      - {prefix: 198.51.100.0/24, next-hops: [{address: 192.0.2.9}]}
  - name: blue
`

func newBox(t *testing.T) *grpctest.Box {
	t.Helper()
	b := grpctest.New(t, testConfig)
	b.Seam.Set(func(s *dpb.ListResult, _ *dpb.Info) {
		s.Interfaces = []*dpb.InterfaceState{{
			Config:     &dpb.Interface{Name: "eth1", Kind: dpb.InterfaceKind_INTERFACE_KIND_PORT, AdminUp: true},
			OperStatus: dpb.OperStatus_OPER_STATUS_UP, Ifindex: 3, Mac: []byte{2, 0, 0, 0, 0, 1}, Mtu: 1500, Speed: 10000, Tap: "eth1",
			Counters: &dpb.InterfaceCounters{RxPackets: 7, RxOctets: 700},
		}}
		s.Addresses = []*dpb.AddressState{{Interface: "eth1", Address: []byte{192, 0, 2, 1}, PrefixLen: 24, Dad: dpb.DadState_DAD_STATE_PREFERRED}}
		s.Vrfs = []*dpb.VrfState{{Name: "default", Ip4Routes: 3, Ip4RoutesMax: 100}, {Name: "blue"}}
	})
	return b
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// fields are the violations that an error names.
func fields(err error) []string {
	var out []string
	for _, d := range status.Convert(err).Details() {
		if br, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range br.GetFieldViolations() {
				out = append(out, v.GetField())
			}
		}
	}
	return out
}

// wantError checks the code and the first field named; an empty field: none.
func wantError(t *testing.T, err error, code codes.Code, field string) {
	t.Helper()
	got := ""
	if f := fields(err); len(f) > 0 {
		got = f[0]
	}
	if status.Code(err) != code || got != field {
		t.Errorf("got %v, field %q; want %v, field %q (%v)", status.Code(err), got, code, field, err)
	}
}

func defaultRoutes(b *grpctest.Box) []config.StaticRoute {
	for _, n := range b.Store.Config().NetworkInstances {
		if n.Name == config.DefaultInstance {
			return n.StaticRoutes
		}
	}
	return nil
}
