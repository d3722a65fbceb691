// Package openstack has the templates of Heat and what uploads the image. It has no code but its tests.
package openstack

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/appliance/cloud"
	"millrace/server/config"
	"millrace/server/model"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// checkUserData reads user-data as the appliance does, holds the configuration in it against the schema, and what it means against the
// rules of a configuration.
func checkUserData(s *schema.Schema, doc []byte) (*config.Config, error) {
	d, problems := (&cloud.Instance{UserData: doc}).Day0()
	for _, p := range problems {
		return nil, p
	}
	if d.Config == nil {
		return nil, errors.New("no configuration in the user-data")
	}
	t, err := tree.Parse(s, d.Config)
	if err != nil {
		return nil, err
	}
	m := model.New(s)
	c, err := m.ToConfig(t)
	if err != nil {
		return nil, err
	}
	return c, m.Errors(c.Validate(), c, t)
}

// TestUserData takes what the Heat templates make of parameters (testdata, which tests/test_heat.py holds against the templates) as the
// first configuration of an appliance.
func TestUserData(t *testing.T) {
	s, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/*.user-data")
	if err != nil || len(files) == 0 {
		t.Fatalf("no user-data in testdata: %v", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			doc, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			c, err := checkUserData(s, doc)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(filepath.Base(f), "member") {
				return
			}
			bgp := c.NetworkInstances[0].BGP
			if bgp == nil || len(bgp.Neighbors) != 2 || len(c.TCP.VIPs) == 0 || len(c.TCP.Listeners) == 0 {
				t.Errorf("a member of a group without neighbours, virtual addresses or listeners: %+v", c)
			}
		})
	}

	// What is wrong is found, so that what is found right above is.
	doc, err := os.ReadFile("testdata/member.user-data")
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{`"port": 80`, `"port": "80"`}, {`"port": 80`, `"port": 80000`}, {`"interface": "lo0"`, `"interface": "lo1"`},
		{`["virtual-only"]`, `["virtual-onl"]`}, {`"pool": "backends"`, `"pool": "backend"`}, {`"openconfig-interfaces:interfaces"`, `"openconfig-interface:interfaces"`},
		{`"hold-time": 9`, `"hold-time": 1`}, {`"as": `, `"az": `},
		{"#cloud-config", "#cloud-confg"}, {"millrace:", "milrace:"}, {"tls: {}", "tls: 5"},
	} {
		broken := bytes.Replace(doc, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(broken, doc) {
			t.Errorf("there is no %s", change[0])
		} else if _, err := checkUserData(s, broken); err == nil {
			t.Errorf("%s was taken", change[1])
		}
	}
}
