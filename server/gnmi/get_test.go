package gnmiserver

import (
	"testing"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
)

func TestThin(t *testing.T) {
	b := newBed(t, bedOptions{})
	b.replaceAll(routerDocument)
	t.Log(b.document())
	t.Log(b.one("/interfaces/interface[name=eth1]", gpb.GetRequest_ALL))
	t.Log(b.one("/", gpb.GetRequest_STATE))
}
