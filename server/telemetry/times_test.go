package telemetry

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestTimes has each leaf of the configuration, and of what mirrors it, have the time of the commit that changed it.
func TestTimes(t *testing.T) {
	h, st := newWatchHub(t)
	st.commitAt(t, time.Unix(100, 0), "/interfaces/interface[name=eth2]/config/mtu=1500", "/interfaces/interface[name=eth1]/config/enabled=false")
	st.commitAt(t, time.Unix(200, 0), "/interfaces/interface[name=eth2]/config/mtu=1600", "-/interfaces/interface[name=eth1]/config/enabled")
	var got []string
	for _, m := range patterns(t, h.Schema(), "/interfaces") {
		if err := h.Read(context.Background(), m, All, func(b Batch) error {
			for _, l := range b.Leaves {
				at := fmt.Sprint(b.Time.Unix())
				if b.Time.Unix() > 1000 {
					at = "start"
				}
				got = append(got, l.Path[1].Keys[0].Value+" "+l.Path[len(l.Path)-2].Name+"/"+l.Path[len(l.Path)-1].Name+" "+at)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(got)
	want := []string{
		"eth1 config/mtu start", "eth1 config/name start", "eth1 interface/name start", "eth1 state/enabled 200", "eth1 state/mtu start",
		"eth1 state/name start", "eth2 config/mtu 200", "eth2 config/name 100", "eth2 interface/name 100", "eth2 state/enabled 100",
		"eth2 state/mtu 200", "eth2 state/name 100",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestWithin(t *testing.T) {
	s := loadSchema(t)
	for _, c := range []struct{ pattern, gone, want string }{
		{"/interfaces/interface/state/mtu", "/interfaces/interface[name=a]", "/interfaces/interface[name=a]/state/mtu"},
		{"/interfaces/interface/subinterfaces/subinterface/state", "/interfaces/interface[name=a]", "/interfaces/interface[name=a]/subinterfaces"},
		{"/interfaces/interface", "/", "/interfaces"},
		{"/interfaces/interface[name=a]", "/", "/interfaces/interface[name=a]"},
		{"/interfaces", "/interfaces/interface[name=a]/state", "/interfaces/interface[name=a]/state"},
	} {
		p := patterns(t, s, c.gone)[0].Path
		if got := within(patterns(t, s, c.pattern)[0], p).String(); got != c.want {
			t.Errorf("%s of %s is %s, want %s", c.pattern, c.gone, got, c.want)
		}
	}
}
