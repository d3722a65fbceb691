package store

import (
	"context"
	"errors"
	"testing"

	"millrace/server/config"
	"millrace/server/model"
	"millrace/yang/tree"
)

func TestLoad(t *testing.T) {
	ctx := context.Background()
	b := open(t, func(o *Options) { o.Model = model.New(o.Schema) })
	load := func(doc string, merge bool) error {
		_, err := b.Load(ctx, Request{Who: "anna", API: "test"}, []byte(doc), merge)
		return err
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(load("system: {hostname: one}\ninterfaces: [{name: lo0, type: loopback}]", false))
	must(load(`{"openconfig-system:system":{"config":{"hostname":"two"}}}`, true))
	if c := b.Config(); c.System.Hostname != "two" || len(c.Interfaces) != 1 {
		t.Errorf("%s", b.text())
	}
	must(load("interfaces: [{name: lo0, description: x}, {name: lo1, type: loopback}]", true))
	if c := b.Config(); c.System.Hostname != "two" || len(c.Interfaces) != 2 || c.Interfaces[0].Description != "x" {
		t.Errorf("%s", b.text())
	}
	must(load(`{"openconfig-system:system":{"config":{"hostname":"three"}}}`, false))
	if c := b.Config(); c.System.Hostname != "three" || len(c.Interfaces) != 0 {
		t.Errorf("%s", b.text())
	}
	must(load("{}", false))
	b.want("{}")

	var places tree.Errors
	var faults config.Errors
	var refused *ApplyError
	if err := load(`{"openconfig-interfaces:interfaces":{"interface":[{"name":"lo0","config":{"name":"lo0","type":"iana-if-type:softwareLoopback","mtu":20}}]}}`, true); !errors.As(err, &places) ||
		places[0].Path != "/interfaces/interface[name=lo0]/config/mtu" {
		t.Errorf("%T %v", err, err)
	}
	if err := load("interfaces: [{name: lo0, type: loopback, mtu: 20}]", true); !errors.As(err, &faults) || faults[0].Path != "interfaces[lo0].mtu" {
		t.Errorf("%T %v", err, err)
	}
	// What the system refuses is told as the document has it.
	b.sys.fault = config.Errors{{Path: "interfaces[lo0]", Reason: "no"}}
	if err := load("interfaces: [{name: lo0, type: loopback}]", true); !errors.As(err, &faults) || !errors.As(err, &refused) {
		t.Errorf("%T %v", err, err)
	}
	if err := load(`{"openconfig-interfaces:interfaces":{"interface":[{"name":"lo0","config":{"name":"lo0","type":"iana-if-type:softwareLoopback"}}]}}`, true); !errors.As(err, &places) ||
		!errors.As(err, &refused) || places[0].Path != "/interfaces/interface[name=lo0]" {
		t.Errorf("%T %v", err, err)
	}
	b.sys.fault = nil
	b.want("{}")
	for _, doc := range []string{"a: [", `{"a:b"`, `{"openconfig-system:system":5}`, "system: 5", `{"nope:system":{}}`} {
		if err := load(doc, false); err == nil {
			t.Errorf("%q was taken", doc)
		}
	}
	b.want("{}")
}

func TestLoadKeeps(t *testing.T) {
	b := open(t, func(o *Options) { o.Model = model.New(o.Schema) })
	b.mustSet("/system/logging/console/selectors/selector[facility=ALL][severity=DEBUG]/config/severity", "DEBUG")
	req := Request{Keep: []tree.Path{tree.MustPath("/system/logging")}}
	for doc, level := range map[string]config.LogLevel{"system: {hostname: one}": "debug", "system: {log-level: error}": "error"} {
		r := req
		if level == "error" {
			r.Keep = append(r.Keep, tree.MustPath("/interfaces"))
		}
		r.DryRun = true
		res, err := b.Load(context.Background(), r, []byte(doc), false)
		if err != nil {
			t.Fatal(err)
		}
		c, err := b.ConfigOf(res.Tree)
		if err != nil || c.System.LogLevel != level {
			t.Errorf("%s: %v, %v", doc, c.System.LogLevel, err)
		}
	}
}

func TestRevisions(t *testing.T) {
	b := open(t)
	one, _, _ := b.Current()
	b.mustSet(hostname, "x")
	two, _, _ := b.Current()
	if one.Revision() == two.Revision() || b.again().History()[0].Revision() != two.Revision() {
		t.Errorf("%s %s", one.Revision(), two.Revision())
	}
}
