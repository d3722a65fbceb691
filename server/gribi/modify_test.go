package gribi

import (
	"net/netip"
	"strings"
	"testing"

	aftpb "github.com/openconfig/gribi/v1/proto/gribi_aft"
	spb "github.com/openconfig/gribi/v1/proto/service"
	"google.golang.org/protobuf/proto"

	"millrace/routing/rib"
	"millrace/server/gribi/gribitest"
)

func TestProgram(t *testing.T) {
	b := newBench(t, Options{})
	c := b.client(fibAck, 1)
	ids := c.do(gribitest.HopTo(1, "10.0.1.9"), gribitest.HopTo(2, "10.0.2.9"), gribitest.Group("default", 1, 0, 1, 3, 2, 1), gribitest.Prefix("default", "192.0.2.0/24", 1, ""),
		gribitest.Prefix("default", "2001:db8:99::/48", 1, ""))
	c.want("FIB_PROGRAMMED", ids...)
	for _, p := range []string{"192.0.2.0/24", "2001:db8:99::/48"} {
		if !b.plane.has("default", p) {
			t.Errorf("%s was acknowledged, and is not in the data plane", p)
		}
	}
	b.wantGoes("", "192.0.2.1", "10.0.1.9*3 10.0.2.9*1")
	b.wantGoes("", "2001:db8:99::1", "10.0.1.9*3 10.0.2.9*1")
	// A next hop, and then a group, that becomes another: the routes follow.
	c.want("FIB_PROGRAMMED", c.do(gribitest.HopTo(2, "10.0.2.8"))...)
	b.wantGoes("", "192.0.2.1", "10.0.1.9*3 10.0.2.8*1")
	c.want("FIB_PROGRAMMED", c.do(replace(gribitest.Group("default", 1, 0, 1, 1)))...)
	b.wantGoes("", "192.0.2.1", "10.0.1.9*1")
	// What is in use cannot be deleted, what is not there is.
	c.want("FAILED", c.do(del(gribitest.HopTo(1, "")), del(gribitest.Group("default", 1, 0)))...)
	c.want("FIB_PROGRAMMED", c.do(del(gribitest.HopTo(2, "")), del(gribitest.HopTo(2, "")), del(gribitest.Group("default", 7, 0)))...)
	c.want("FIB_PROGRAMMED", c.do(del(gribitest.Prefix("default", "192.0.2.0/24", 0, "")), del(gribitest.Prefix("default", "2001:db8:99::/48", 0, "")),
		del(gribitest.Group("default", 1, 0)), del(gribitest.HopTo(1, "")))...)
	if b.plane.has("default", "192.0.2.0/24") {
		t.Error("the deletion was acknowledged, and the route is in the data plane")
	}
	if n := len(b.get("", spb.AFTType_ALL)); n != 0 {
		t.Errorf("%d entries are left", n)
	}
	if s := b.rib.Stats(); s.Candidates[rib.SourceGRIBI] != 0 {
		t.Errorf("the RIB has %v", s)
	}
}

func TestBackup(t *testing.T) {
	b := newBench(t, Options{})
	c := b.client(single, 1)
	c.ok(gribitest.HopTo(1, "10.0.1.9"), gribitest.HopTo(2, "10.0.2.9"), gribitest.HopTo(3, "10.0.2.7"), gribitest.Group("default", 3, 0, 3, 1), gribitest.Group("default", 2, 3, 2, 1),
		gribitest.Group("default", 1, 2, 1, 1), gribitest.Prefix("default", "192.0.2.0/24", 1, ""))
	b.wantGoes("", "192.0.2.1", "10.0.1.9*1")
	b.rib.SetInterfaceState("eth1", false)
	b.wantGoes("", "192.0.2.1", "10.0.2.9*1")
	c.ok(gribitest.HopTo(2, "10.0.1.8"))
	b.wantGoes("", "192.0.2.1", "10.0.2.7*1") // the backup's backup
	c.ok(gribitest.Group("default", 3, 0, 2, 1, 3, 1), gribitest.HopTo(3, "10.0.2.6"))
	b.wantGoes("", "192.0.2.1", "10.0.2.6*1")
	b.rib.SetInterfaceState("eth1", true)
	b.wantGoes("", "192.0.2.1", "10.0.1.9*1")
	c.want("FAILED", c.do(gribitest.Group("default", 3, 1, 3, 1), gribitest.Group("default", 3, 3, 3, 1), del(gribitest.Group("default", 2, 0)))...)
	b.wantGoes("", "192.0.2.1", "10.0.1.9*1")
}

// TestRefused: everything that cannot be done is refused by name and changes nothing.
func TestRefused(t *testing.T) {
	b := newBench(t, Options{NoForwardReferences: true})
	c := b.client(fibAck, 1)
	// In the FIB too, so that only what is refused could change what Get says.
	c.want("FIB_PROGRAMMED", c.do(gribitest.HopTo(1, "10.0.1.9"), gribitest.Group("default", 1, 0, 1, 1),
		gribitest.Prefix("default", "192.0.2.0/24", 1, ""))...)
	before := b.get("", spb.AFTType_ALL)
	hop := func(h *aftpb.Afts_NextHop) *spb.AFTOperation { return gribitest.Hop("default", 2, h) }
	v4 := func(prefix string, e *aftpb.Afts_Ipv4Entry) *spb.AFTOperation {
		return &spb.AFTOperation{NetworkInstance: "default", Op: spb.AFTOperation_ADD, Entry: &spb.AFTOperation_Ipv4{
			Ipv4: &aftpb.Afts_Ipv4EntryKey{Prefix: prefix, Ipv4Entry: e}}}
	}
	many := gribitest.Group("default", 2, 0)
	for i := range uint64(65) {
		many.GetNextHopGroup().NextHopGroup.NextHop = append(many.GetNextHopGroup().GetNextHopGroup().GetNextHop(),
			&aftpb.Afts_NextHopGroup_NextHopKey{Index: i + 1})
	}
	for _, x := range []struct {
		op   *spb.AFTOperation
		want string
	}{
		{hop(&aftpb.Afts_NextHop{}), "next_hop: one of ip_address"},
		{hop(&aftpb.Afts_NextHop{IpAddress: gribitest.Str("10.0.0.300")}), "next_hop.ip_address"},
		{hop(&aftpb.Afts_NextHop{IpAddress: gribitest.Str("127.0.0.1")}), "next_hop.ip_address"},
		{hop(&aftpb.Afts_NextHop{IpAddress: gribitest.Str("::ffff:10.0.0.1")}), "next_hop.ip_address"},
		{hop(&aftpb.Afts_NextHop{IpAddress: gribitest.Str("fe80::1")}), "next_hop.interface_ref"},
		{hop(&aftpb.Afts_NextHop{MacAddress: gribitest.Str("02:00:00:00:00:01"), IpAddress: gribitest.Str("10.0.1.1")}), "next_hop.mac_address"},
		{hop(&aftpb.Afts_NextHop{PopTopLabel: nil, IpInIp: &aftpb.Afts_NextHop_IpInIp{DstIp: gribitest.Str("10.0.0.1")}}), "next_hop.ip_in_ip"},
		{hop(&aftpb.Afts_NextHop{EncapsulateHeader: 3}), "next_hop.encapsulate_header"},
		{hop(&aftpb.Afts_NextHop{DecapsulateHeader: 3}), "next_hop.decapsulate_header"},
		{hop(&aftpb.Afts_NextHop{PushedMplsLabelStack: []*aftpb.Afts_NextHop_PushedMplsLabelStackUnion{{}}}), "next_hop.pushed_mpls_label_stack"},
		{hop(&aftpb.Afts_NextHop{EncapHeader: []*aftpb.Afts_NextHop_EncapHeaderKey{{Index: 1}}}), "next_hop.encap_header"},
		{hop(&aftpb.Afts_NextHop{NetworkInstance: gribitest.Str("red")}), "next_hop.network_instance"},
		{hop(&aftpb.Afts_NextHop{InterfaceRef: &aftpb.Afts_NextHop_InterfaceRef{Subinterface: gribitest.Num(1)}}), "next_hop.interface_ref.interface"},
		{hop(&aftpb.Afts_NextHop{InterfaceRef: &aftpb.Afts_NextHop_InterfaceRef{Interface: gribitest.Str("eth1"), Subinterface: gribitest.Num(5000)}}), "subinterface"},
		{gribitest.Hop("default", 0, &aftpb.Afts_NextHop{IpAddress: gribitest.Str("10.0.1.1")}), "next_hop.index"},
		{gribitest.Group("default", 0, 0, 1, 1), "next_hop_group.id"},
		{gribitest.Group("default", 2, 0), "next_hop_group.next_hop"},
		{gribitest.Group("default", 2, 0, 1, 0), "next_hop[1].weight"},
		{gribitest.Group("default", 2, 0, 1, 1, 1, 2), "twice"},
		{gribitest.Group("default", 2, 0, 9, 1), "there is no next hop 9"},
		{gribitest.Group("default", 2, 9, 1, 1), "there is no next-hop group 9"},
		{gribitest.Group("blue", 2, 0, 1, 1), "there is no next hop 1 of network instance blue"},
		{many, "65 are more than 64"},
		{gribitest.Prefix("default", "192.0.2.1/24", 1, ""), "ipv4.prefix"},
		{gribitest.Prefix("default", "192.0.2.1", 1, ""), "ipv4.prefix"},
		{gribitest.Prefix("default", "198.51.100.0/24", 9, ""), "there is no next-hop group 9"},
		{gribitest.Prefix("default", "198.51.100.0/24", 1, "red"), "next_hop_group_network_instance"},
		{gribitest.Prefix("red", "198.51.100.0/24", 1, ""), "network_instance"},
		{gribitest.Prefix("", "198.51.100.0/24", 1, ""), "network_instance"},
		{gribitest.Prefix("default", "198.51.100.0/24", 0, ""), "ipv4.next_hop_group"},
		{v4("198.51.100.0/24", nil), "ipv4.next_hop_group"},
		{v4("2001:db8::/32", &aftpb.Afts_Ipv4Entry{NextHopGroup: gribitest.Num(1)}), "other family"},
		{v4("198.51.100.0/24", &aftpb.Afts_Ipv4Entry{NextHopGroup: gribitest.Num(1), DecapsulateHeader: 2}), "ipv4.decapsulate_header"},
		{replace(gribitest.HopTo(5, "10.0.1.1")), "REPLACE"},
		{replace(gribitest.Group("default", 5, 0, 1, 1)), "REPLACE"},
		{replace(gribitest.Prefix("default", "198.51.100.0/24", 1, "")), "REPLACE"},
		{with(spb.AFTOperation_INVALID, gribitest.HopTo(2, "10.0.1.1")), "op: INVALID"},
		{&spb.AFTOperation{NetworkInstance: "default", Op: spb.AFTOperation_ADD}, "entry: is missing"},
		{&spb.AFTOperation{NetworkInstance: "default", Op: spb.AFTOperation_ADD, Entry: &spb.AFTOperation_Mpls{}}, "mpls:"},
		{&spb.AFTOperation{NetworkInstance: "default", Op: spb.AFTOperation_ADD, Entry: &spb.AFTOperation_MacEntry{}}, "mac_entry:"},
		{&spb.AFTOperation{NetworkInstance: "default", Op: spb.AFTOperation_ADD, Entry: &spb.AFTOperation_PolicyForwardingEntry{}}, "policy_forwarding_entry:"},
	} {
		id := c.do(x.op)[0]
		c.want("FAILED", id)
		if why := c.reason(id); !strings.Contains(why, x.want) {
			t.Errorf("%v: refused with %q, want %q in it", x.op, why, x.want)
		}
	}
	after := b.get("", spb.AFTType_ALL)
	if len(after) != len(before) {
		t.Fatalf("there are %d entries, were %d", len(after), len(before))
	}
	for i := range before {
		if !proto.Equal(before[i], after[i]) {
			t.Errorf("%v became %v", before[i], after[i])
		}
	}
}

// TestForwardReferences: operations wait for what they refer to, whatever the order.
func TestForwardReferences(t *testing.T) {
	b := newBench(t, Options{Limits: Limits{Pending: 3}})
	c := b.client(fibAck, 1)
	p := c.do(gribitest.Prefix("default", "192.0.2.0/24", 1, ""))[0]
	g := c.do(gribitest.Group("default", 1, 2, 1, 1))[0] // waits for next hop 1, then for group 2
	c.want("FIB_PROGRAMMED", c.do(gribitest.HopTo(1, "10.0.1.9"))...)
	c.mu.Lock()
	early := len(c.got[p]) + len(c.got[g])
	c.mu.Unlock()
	if early > 0 {
		t.Fatal("there were answers before what they refer to")
	}
	c.want("FIB_PROGRAMMED", c.do(gribitest.Group("default", 2, 0, 1, 1))...)
	c.want("FIB_PROGRAMMED", g, p)
	b.wantGoes("", "192.0.2.1", "10.0.1.9*1")
	// One that is overtaken fails, and is not applied late.
	old := c.do(gribitest.Prefix("default", "192.0.2.0/24", 7, ""))[0]
	c.want("FIB_PROGRAMMED", c.do(gribitest.Prefix("default", "192.0.2.0/24", 2, ""))...)
	c.want("FAILED", old)
	// No more than allowed wait.
	ids := c.do(gribitest.Prefix("default", "10.1.0.0/16", 8, ""), gribitest.Prefix("default", "10.2.0.0/16", 8, ""), gribitest.Prefix("default", "10.3.0.0/16", 8, ""),
		gribitest.Prefix("default", "10.4.0.0/16", 8, ""))
	c.want("FAILED", ids[3])
	if _, err := b.stub.Flush(t.Context(), &spb.FlushRequest{
		NetworkInstance: &spb.FlushRequest_All{All: &spb.Empty{}}, Election: &spb.FlushRequest_Override{Override: &spb.Empty{}},
	}); err != nil {
		t.Fatal(err)
	}
	c.want("FAILED", ids[:3]...)
	b.wantGoes("", "192.0.2.1", "")
}

// TestInstances: prefixes use groups of other instances, next hops are resolved or packets looked up in others.
func TestInstances(t *testing.T) {
	b := newBench(t, Options{})
	c := b.client(fibAck, 1)
	c.want("FIB_PROGRAMMED", c.do(gribitest.HopTo(1, "10.0.1.9"), gribitest.Group("default", 1, 0, 1, 1), gribitest.Prefix("blue", "192.0.2.0/24", 1, "default"),
		gribitest.Hop("blue", 1, &aftpb.Afts_NextHop{NetworkInstance: gribitest.Str("default")}), gribitest.Group("blue", 1, 0, 1, 1), gribitest.Prefix("blue", "0.0.0.0/0", 1, ""),
		gribitest.Hop("blue", 2, &aftpb.Afts_NextHop{NetworkInstance: gribitest.Str("default"), IpAddress: gribitest.Str("10.0.2.9")}), gribitest.Group("blue", 2, 0, 2, 1),
		gribitest.Prefix("blue", "198.51.100.0/24", 2, ""))...)
	b.wantGoes("blue", "192.0.2.1", "10.0.1.9*1")
	b.wantGoes("blue", "203.0.113.1", "lookup@default")
	b.wantGoes("blue", "198.51.100.1", "10.0.2.9*1")
	// A flush of one instance leaves what others use.
	r, err := b.stub.Flush(t.Context(), &spb.FlushRequest{
		NetworkInstance: &spb.FlushRequest_Name{Name: "default"}, Election: &spb.FlushRequest_Id{Id: &spb.Uint128{Low: 1}},
	})
	if err != nil || r.GetResult() != spb.FlushResponse_NON_ZERO_REFERENCE_REMAIN {
		t.Fatal(r, err)
	}
	if n := len(b.get("default", spb.AFTType_ALL)); n != 2 {
		t.Errorf("%d entries are left, want the next hop and the group", n)
	}
	// An instance that goes takes its entries with it, and one of its name does not find them.
	if err := b.rib.DeleteVRF("blue"); err != nil {
		t.Fatal(err)
	}
	c.want("FAILED", c.do(gribitest.Prefix("blue", "192.0.2.0/24", 1, "default"))...)
	if err := b.rib.CreateVRF("blue"); err != nil {
		t.Fatal(err)
	}
	if n := len(b.get("blue", spb.AFTType_ALL)); n != 0 {
		t.Errorf("%d entries survived their instance", n)
	}
	if n := len(b.get("default", spb.AFTType_ALL)); n != 0 {
		t.Errorf("%d entries are left that only the instance that has gone used", n)
	}
	c.want("FIB_PROGRAMMED", c.do(gribitest.HopTo(1, "10.0.1.9"), gribitest.Group("default", 1, 0, 1, 1), gribitest.Prefix("blue", "192.0.2.0/24", 1, "default"))...)
	b.wantGoes("blue", "192.0.2.1", "10.0.1.9*1")
}

// TestFIBAck: acknowledgements are those of the data plane.
func TestFIBAck(t *testing.T) {
	b := newBench(t, Options{})
	c := b.client(fibAck, 1)
	c.want("FIB_PROGRAMMED", c.do(gribitest.HopTo(1, "10.0.1.9"), gribitest.Group("default", 1, 0, 1, 1), gribitest.HopTo(2, "10.0.7.7"), gribitest.Group("default", 2, 0, 2, 1))...)
	thaw := b.plane.freeze()
	id := c.do(gribitest.Prefix("default", "192.0.2.0/24", 1, ""))[0]
	c.want("RIB_PROGRAMMED", id)
	if b.plane.has("default", "192.0.2.0/24") {
		t.Fatal("the data plane is not frozen")
	}
	thaw()
	c.want("FIB_PROGRAMMED", id)
	// Refused.
	b.plane.mu.Lock()
	b.plane.refuse[netip.MustParsePrefix("192.0.3.0/24")] = true
	b.plane.mu.Unlock()
	bad := c.do(gribitest.Prefix("default", "192.0.3.0/24", 1, ""))[0]
	c.want("FIB_FAILED", bad)
	if why := c.reason(bad); !strings.Contains(why, "TABLE_FULL") {
		t.Error(why)
	}
	for _, e := range b.get("default", spb.AFTType_IPV4) {
		want := spb.AFTEntry_PROGRAMMED
		if e.GetIpv4().GetPrefix() == "192.0.3.0/24" {
			want = spb.AFTEntry_NOT_PROGRAMMED
		}
		if e.GetFibStatus() != want || e.GetRibStatus() != spb.AFTEntry_PROGRAMMED {
			t.Errorf("%v", e)
		}
	}
	// Not in the FIB while its next hop does not resolve, and then.
	late := c.do(gribitest.Prefix("default", "192.0.4.0/24", 2, ""))[0]
	c.want("RIB_PROGRAMMED", late)
	b.rib.Apply([]rib.Change{{Route: rib.Route{
		Prefix: netip.MustParsePrefix("10.0.7.0/24"), Source: rib.SourceStatic, NextHops: []rib.NextHop{{Addr: netip.MustParseAddr("10.0.2.3")}},
	}}})
	c.want("FIB_PROGRAMMED", late)
	// Another source's route is preferred: in the RIB, and no more.
	b.rib.Apply([]rib.Change{{Route: rib.Route{
		Prefix: netip.MustParsePrefix("192.0.5.0/24"), Source: rib.SourceStatic, NextHops: []rib.NextHop{{Addr: netip.MustParseAddr("10.0.2.3")}},
	}}})
	second := c.do(gribitest.Prefix("default", "192.0.5.0/24", 1, ""))[0]
	c.want("FIB_PROGRAMMED", c.do(gribitest.Prefix("default", "192.0.6.0/24", 1, ""))...)
	c.want("RIB_PROGRAMMED", second)
	b.wantGoes("", "192.0.5.1", "10.0.2.3*1")
}

// TestConfigured: what the configuration says holds for what is there, too.
func TestConfigured(t *testing.T) {
	b := newBench(t, Options{})
	c := b.client(single, 1)
	c.ok(gribitest.HopTo(1, "10.0.1.9"), gribitest.Group("default", 1, 0, 1, 1), gribitest.Prefix("default", "192.0.2.0/24", 1, ""))
	b.rib.Apply([]rib.Change{{Route: rib.Route{
		Prefix: netip.MustParsePrefix("192.0.2.0/24"), Source: rib.SourceBGP, NextHops: []rib.NextHop{{Addr: netip.MustParseAddr("10.0.2.3")}},
	}}})
	for _, x := range []struct {
		distance uint8
		want     string
	}{{5, "10.0.1.9*1"}, {30, "10.0.2.3*1"}, {19, "10.0.1.9*1"}, {21, "10.0.2.3*1"}, {0, "10.0.1.9*1"}} {
		b.srv.SetDistance(x.distance)
		b.wantGoes("", "192.0.2.1", x.want)
	}
	wait := c.do(gribitest.Prefix("default", "192.0.3.0/24", 2, ""))[0]
	c.ok(gribitest.HopTo(2, "10.0.1.8")) // the one before has been read
	b.srv.SetForwardReferences(false)
	c.want("FAILED", c.do(gribitest.Prefix("default", "192.0.4.0/24", 2, ""))...)
	c.ok(gribitest.Group("default", 2, 0, 1, 1))
	c.want("RIB_PROGRAMMED", wait)
}
