package rib

import (
	"errors"
	"fmt"
	"testing"
)

func gribi(p, group string) Change {
	return Change{Route: Route{Prefix: pfx(p), Source: SourceGRIBI, Origin: "gribi", Group: group}}
}

func set(t *testing.T, r *RIB, name string, nhs ...NextHop) {
	t.Helper()
	if err := r.SetGroup(name, nhs); err != nil {
		t.Fatal(err)
	}
}

// pull acknowledges all that the feed has and counts it by operation.
func pull(f *Feed) map[DeltaOp]int {
	n := map[DeltaOp]int{}
	for more := true; more; {
		var ds []Delta
		ds, more = f.Pull(nil, 100)
		f.Ack(ds, make([]uint8, len(ds)))
		for _, d := range ds {
			n[d.Op]++
		}
		if len(ds) > 0 {
			more = true
		}
	}
	return n
}

func TestNamedGroup(t *testing.T) {
	r := lab()
	f := r.Feed()
	set(t, r, "g1", via("10.0.0.2", "10.0.1.2")...)
	for _, p := range []string{"198.51.100.0/24", "203.0.113.0/24", "2001:db8:99::/48"} {
		must(t, r, gribi(p, "g1"))
	}
	want(t, r, "198.51.100.1", "eth0/10.0.0.2 eth1/10.0.1.2")
	want(t, r, "2001:db8:99::1", "eth0/10.0.0.2 eth1/10.0.1.2") // an IPv4 gateway for IPv6
	if n := pull(f); n[GroupUpdate] != 1 || n[RouteUpdate] != 3 {
		t.Fatalf("%v", n)
	}
	if g, err := r.Group("g1"); err != nil || g.Routes != 3 || g.FIB != FIBInstalled {
		t.Fatalf("%+v, %v", g, err)
	}
	// Other next hops: one update of the group, none of its routes.
	set(t, r, "g1", NextHop{Addr: addr("10.0.1.2"), Weight: 3}, NextHop{Addr: addr("10.0.0.2")})
	want(t, r, "203.0.113.1", "eth0/10.0.0.2 eth1/10.0.1.2*3")
	if n := pull(f); n[GroupUpdate] != 1 || n[RouteUpdate] != 0 {
		t.Fatalf("%v", n)
	}
	set(t, r, "g1", NextHop{Addr: addr("10.0.0.2")}, NextHop{Addr: addr("10.0.1.2"), Weight: 3})
	if n := pull(f); len(n) != 0 {
		t.Fatalf("what is equal is not sent again: %v", n)
	}
	if err := r.DeleteGroup("g1"); !errors.Is(err, ErrInUse) {
		t.Fatalf("%v", err)
	}
	for _, p := range []string{"198.51.100.0/24", "203.0.113.0/24", "2001:db8:99::/48"} {
		must(t, r, del(gribi(p, "")))
	}
	if err := r.DeleteGroup("g1"); err != nil {
		t.Fatal(err)
	}
	if n := pull(f); n[RouteDelete] != 3 || n[GroupDelete] != 1 {
		t.Fatalf("%v", n)
	}
	if errs := r.Apply([]Change{gribi("198.51.100.0/24", "g1")}); errs == nil || !errors.Is(errs[0], ErrNotFound) {
		t.Fatalf("%v", errs)
	}
}

// TestNamedGroupRevived: a group deleted and made again while the FIB still has it.
func TestNamedGroupRevived(t *testing.T) {
	r := lab()
	f := r.Feed()
	set(t, r, "g", via("10.0.0.2")...)
	must(t, r, gribi("198.51.100.0/24", "g"))
	pull(f)
	must(t, r, del(gribi("198.51.100.0/24", "")))
	if err := r.DeleteGroup("g"); err != nil {
		t.Fatal(err)
	}
	set(t, r, "g", via("10.0.1.2")...)
	must(t, r, gribi("198.51.100.0/24", "g"))
	want(t, r, "198.51.100.1", "eth1/10.0.1.2")
	pull(f)
	if g, err := r.Group("g"); err != nil || g.FIB != FIBInstalled || members(g.Members) != "eth1/10.0.1.2" {
		t.Fatalf("%+v, %v", g, err)
	}
}

func TestBackup(t *testing.T) {
	r := lab()
	f := r.Feed()
	must(t, r, static("203.0.113.0/24", via("10.0.0.99")...))
	set(t, r, "g", NextHop{Addr: addr("10.0.0.2"), Backup: 0}, NextHop{Addr: addr("10.0.1.2"), Backup: 1},
		NextHop{Addr: addr("10.0.1.3"), Backup: 1})
	must(t, r, gribi("198.51.100.0/24", "g"))
	want(t, r, "198.51.100.1", "eth0/10.0.0.2")
	ds, _ := f.Pull(nil, 10)
	f.Ack(ds, make([]uint8, len(ds)))
	if len(ds) != 4 {
		t.Fatalf("%+v", ds)
	}
	for _, d := range ds { // the FIB has the backups, for neighbours that die
		if d.Op != GroupUpdate || len(d.Members) == 1 {
			continue
		}
		if s := fmt.Sprint(members(d.Members), d.Members[0].Backup, d.Members[1].Backup, d.Members[2].Backup); s != "eth0/10.0.0.2 eth1/10.0.1.2 eth1/10.0.1.30 1 1" {
			t.Error(s)
		}
	}
	set(t, r, "g", NextHop{Addr: addr("10.0.0.2"), Backup: 0}, NextHop{Addr: addr("10.0.0.2"), Backup: 1},
		NextHop{Addr: addr("10.0.1.3"), Backup: 2}) // each is there once
	if ds, _ := f.Pull(nil, 10); len(ds) != 1 || members(ds[0].Members) != "eth0/10.0.0.2 eth1/10.0.1.3" {
		t.Errorf("%+v", ds)
	} else {
		f.Ack(ds, []uint8{0})
	}
	set(t, r, "g", NextHop{Addr: addr("10.0.0.2"), Backup: 0}, NextHop{Addr: addr("10.0.1.2"), Backup: 1},
		NextHop{Addr: addr("10.0.1.3"), Backup: 1})
	pull(f)
	r.SetInterfaceState("eth0", false)
	want(t, r, "198.51.100.1", "eth1/10.0.1.2 eth1/10.0.1.3")
	if n := pull(f); n[GroupUpdate] != 1 {
		t.Fatalf("%v", n)
	}
	r.SetInterfaceState("eth0", true)
	want(t, r, "198.51.100.1", "eth0/10.0.0.2")
	r.SetInterfaceState("eth0", false)
	r.SetInterfaceState("eth1", false)
	want(t, r, "198.51.100.1", "")
	if err := r.SetGroup("g", []NextHop{{Addr: addr("10.0.0.2"), Backup: 16}}); err == nil {
		t.Error("a backup of number 16 was taken")
	}
}

func TestLookupHop(t *testing.T) {
	r := lab()
	if err := r.SetGroup("g", []NextHop{{Lookup: true, VRF: "blue"}}); err == nil {
		t.Fatal("an instance that does not exist was taken")
	}
	if err := r.CreateVRF("blue"); err != nil {
		t.Fatal(err)
	}
	made, ok := r.VRFMade("blue")
	if !ok || made != 1 {
		t.Fatal(made, ok)
	}
	set(t, r, "g", NextHop{Addr: addr("10.0.77.7")}, NextHop{Lookup: true, VRF: "blue", Backup: 1})
	must(t, r, gribi("198.51.100.0/24", "g"))
	want(t, r, "198.51.100.1", "lookup@blue")
	if err := r.DeleteVRF("blue"); err != nil {
		t.Fatal(err)
	}
	want(t, r, "198.51.100.1", "")
	if err := r.CreateVRF("blue"); err != nil {
		t.Fatal(err)
	}
	want(t, r, "198.51.100.1", "lookup@blue")
	if made, _ := r.VRFMade("blue"); made != 2 {
		t.Error(made)
	}
	for _, bad := range []NextHop{{Lookup: true}, {Lookup: true, VRF: "blue", Interface: "eth0"}} {
		if err := r.SetGroup("h", []NextHop{bad}); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if errs := r.Apply([]Change{{Route: Route{Prefix: pfx("192.0.2.0/24"), Source: SourceStatic, Kind: KindLookup}}}); errs == nil {
		t.Error("a route of kind lookup was taken")
	}
}
