package gnmiserver

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"millrace/yang/tree"
)

// Paths that follow each other are what each is by itself, whatever steps they share.
func TestPathWriter(t *testing.T) {
	var w pathWriter
	for _, s := range []string{
		"/interfaces/interface[name=eth1]/state/mtu", "/interfaces/interface[name=eth1]/state/enabled", "/interfaces",
		"/interfaces/interface[name=eth2]/state/enabled", "/system/interface[name=eth2]/config/enabled",
		"/network-instances/network-instance[name=red]/protocols/protocol[identifier=STATIC][name=x]",
		"/network-instances/network-instance[name=red]/protocols/protocol[identifier=BGP][name=x]",
	} {
		p := tree.MustPath(s)
		if got, want := w.path(p), toPath(p); !proto.Equal(got, want) {
			t.Errorf("%s became %v, want %v", s, got, want)
		}
	}
}
