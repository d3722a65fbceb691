package gnmiserver

import (
	"strings"
	"testing"

	"github.com/openconfig/ygnmi/ygnmi"
	"github.com/openconfig/ygot/ygot"

	"millrace/yang/oc"
)

// ifEntry is an interface in the generated structs.
type ifEntry = oc.OpenconfigInterfaces_Interfaces_Interface

// ygnmi updates, replaces and deletes, one by one and in batches, with union_replace too, and reads what it has set.
func TestYgnmiSets(t *testing.T) {
	b := newBed(t, bedOptions{})
	c, err := ygnmi.NewClient(b.client, ygnmi.WithTarget("box"))
	if err != nil {
		t.Fatal(err)
	}
	schema := ygnmiSchema(t)
	loopback := func(name string) *ygnmi.ConfigQueryStruct[*ifEntry] {
		at := ygnmi.NewNodePath([]string{"interface"}, map[string]any{"name": name},
			ygnmi.NewNodePath([]string{"interfaces"}, nil, ygnmi.NewDeviceRootBase()))
		return ygnmi.NewConfigQuery[*ifEntry]("OpenconfigInterfaces_Interfaces_Interface", false, false, false, false, false, false, at, nil,
			func() ygot.ValidatedGoStruct { return new(ifEntry) }, schema, nil, nil)
	}
	description := func(name string) *ygnmi.ConfigQueryStruct[string] {
		at := ygnmi.NewNodePath([]string{"interface"}, map[string]any{"name": name},
			ygnmi.NewNodePath([]string{"interfaces"}, nil, ygnmi.NewDeviceRootBase()))
		return ygnmi.NewConfigQuery("OpenconfigInterfaces_Interfaces_Interface_Config", false, false, true, true, false, false,
			ygnmi.NewNodePath([]string{"config", "description"}, nil, at),
			func(s ygot.ValidatedGoStruct) (v string, ok bool) {
				if d := s.(*oc.OpenconfigInterfaces_Interfaces_Interface_Config).Description; d != nil {
					v, ok = *d, true
				}
				return v, ok
			},
			func() ygot.ValidatedGoStruct { return new(oc.OpenconfigInterfaces_Interfaces_Interface_Config) }, schema, nil, nil)
	}
	entry := func(name, text string) *ifEntry {
		i := &ifEntry{Name: ygot.String(name)}
		i.GetOrCreateConfig().Name = ygot.String(name)
		i.Config.Type = oc.IETFInterfaces_InterfaceType_softwareLoopback
		i.Config.Description = ygot.String(text)
		return i
	}
	if _, err := ygnmi.Replace(b.ctx, c, loopback("lo0"), entry("lo0", "first")); err != nil {
		t.Fatal(err)
	}
	if _, err := ygnmi.Update(b.ctx, c, description("lo0"), "second", ygnmi.WithSetPreferProtoEncoding()); err != nil {
		t.Fatal(err)
	}
	if got, err := ygnmi.Get(b.ctx, c, description("lo0"), ygnmi.WithUseGet()); err != nil || got != "second" {
		t.Errorf("description %q: %v", got, err)
	}
	if _, err := ygnmi.Update(b.ctx, c, description("lo9"), "of nothing"); err == nil || !strings.Contains(err.Error(), "lo9") {
		t.Errorf("an interface without a type: %v", err)
	}
	batch := &ygnmi.SetBatch{}
	ygnmi.BatchDelete(batch, loopback("lo0"))
	ygnmi.BatchReplace(batch, loopback("lo1"), entry("lo1", "of a batch"))
	ygnmi.BatchUpdate(batch, description("lo1"), "of the batch's update")
	if r, err := batch.Set(b.ctx, c); err != nil || r.RawResponse.GetPrefix().GetTarget() != "box" {
		t.Fatalf("%v: %v", r, err)
	}
	if d := b.document(); strings.Contains(d, "lo0") || !strings.Contains(d, "of the batch's update") {
		t.Errorf("after the batch: %s", d)
	}
	union := &ygnmi.SetBatch{}
	ygnmi.BatchUnionReplace(union, loopback("lo2"), entry("lo2", "of a union"))
	ygnmi.BatchUnionReplace(union, loopback("lo3"), entry("lo3", "of a union"))
	if _, err := union.Set(b.ctx, c); err != nil {
		t.Fatal(err)
	}
	if d := b.document(); strings.Contains(d, "lo1") || strings.Count(d, "of a union") != 2 {
		t.Errorf("after the union: %s", d)
	}
	before := b.document()
	ygnmi.BatchUnionReplaceCLI(union, "cli", "hostname x")
	if _, err := union.Set(b.ctx, c); err == nil || b.document() != before {
		t.Errorf("the origin cli: %v", err)
	}
	if _, err := ygnmi.Delete(b.ctx, c, loopback("lo2")); err != nil || strings.Contains(b.document(), "lo2") {
		t.Errorf("delete: %v", err)
	}
}
