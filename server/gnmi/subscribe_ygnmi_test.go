package gnmiserver

import (
	"errors"
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"github.com/openconfig/ygnmi/ygnmi"
	"github.com/openconfig/ygot/ygot"
	"github.com/openconfig/ygot/ytypes"

	"millrace/yang/oc"
)

// ifState is the state of an interface in the generated structs.
type ifState = oc.OpenconfigInterfaces_Interfaces_Interface_State

func ygnmiSchema(t *testing.T) func() *ytypes.Schema {
	s, err := oc.Schema()
	if err != nil {
		t.Fatal(err)
	}
	return func() *ytypes.Schema { return s }
}

// ifLeaf is ygnmi's query of a leaf of an interface's state; pointer says that the struct has it as a pointer.
func ifLeaf[T any](name, leaf string, pointer bool, schema func() *ytypes.Schema, value func(*ifState) (T, bool)) *ygnmi.SingletonQueryStruct[T] {
	top := ygnmi.NewNodePath([]string{"interfaces"}, nil, ygnmi.NewDeviceRootBase())
	at := ygnmi.NewNodePath([]string{"interface"}, map[string]any{"name": name}, top)
	return ygnmi.NewSingletonQuery("OpenconfigInterfaces_Interfaces_Interface_State", true, false, true, pointer, false, false,
		ygnmi.NewNodePath([]string{"state", leaf}, nil, at),
		func(s ygot.ValidatedGoStruct) (T, bool) { return value(s.(*ifState)) },
		func() ygot.ValidatedGoStruct { return new(ifState) }, schema, nil, nil)
}

// TestSubscribeYgnmi has ygnmi look values up and wait for changes, with the structs generated of the modules.
func TestSubscribeYgnmi(t *testing.T) {
	b := newSubBed(t, nil)
	c, err := ygnmi.NewClient(b.client, ygnmi.WithTarget("box"))
	if err != nil {
		t.Fatal(err)
	}
	schema := ygnmiSchema(t)
	mtu := ifLeaf("eth1", "mtu", true, schema, func(s *ifState) (v uint16, ok bool) {
		if s.Mtu != nil {
			v, ok = *s.Mtu, true
		}
		return v, ok
	})
	status := ifLeaf("eth2", "oper-status", false, schema, func(s *ifState) (oc.E_OpenconfigInterfaces_Interfaces_Interface_State_OperStatus, bool) {
		return s.OperStatus, s.OperStatus != 0
	})
	if v, err := ygnmi.Get(b.ctx, c, mtu); err != nil || v != 1500 {
		t.Errorf("mtu is %d: %v", v, err)
	}
	v, err := ygnmi.Lookup(b.ctx, c, mtu, ygnmi.WithEncoding(gpb.Encoding_JSON_IETF))
	if got, ok := v.Val(); err != nil || !ok || got != 1500 || !v.Timestamp.Equal(began) {
		t.Errorf("mtu in JSON_IETF is %v: %v", v, err)
	}
	if v, err := ygnmi.Get(b.ctx, c, status); err != nil || v != oc.OpenconfigInterfaces_Interfaces_Interface_State_OperStatus_DOWN {
		t.Errorf("oper-status is %v: %v", v, err)
	}
	at := time.Unix(55, 66)
	seen := 0
	w := ygnmi.Watch(b.ctx, c, status, func(v *ygnmi.Value[oc.E_OpenconfigInterfaces_Interfaces_Interface_State_OperStatus]) error {
		if v.ComplianceErrors != nil {
			return errors.New(v.ComplianceErrors.String())
		}
		got, _ := v.Val()
		if seen++; seen == 1 {
			b.ports.set("eth2", true, at)
		}
		if got == oc.OpenconfigInterfaces_Interfaces_Interface_State_OperStatus_UP && v.Timestamp.Equal(at) {
			return nil
		}
		return ygnmi.Continue
	}, ygnmi.WithSubscriptionMode(gpb.SubscriptionMode_ON_CHANGE))
	if _, err := w.Await(); err != nil {
		t.Errorf("waiting for oper-status: %v", err)
	}
	seen = 0
	gone := ygnmi.Watch(b.ctx, c, mtu, func(v *ygnmi.Value[uint16]) error {
		if v.ComplianceErrors != nil {
			return errors.New(v.ComplianceErrors.String())
		}
		switch _, ok := v.Val(); {
		case ok && seen == 0:
			seen++
			b.commit(time.Now(), "-"+port1)
		case !ok && seen == 1:
			return nil
		case !ok:
			return errors.New("there is no MTU at first")
		}
		return ygnmi.Continue
	})
	if _, err := gone.Await(); err != nil {
		t.Errorf("waiting for the MTU to go: %v", err)
	}
}
