package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client/clienttest"
	"millrace/server/config"
)

const base = `
interfaces:
  - {name: eth1, type: port, iface: a, addresses: [192.0.2.1/24]}
  - {name: eth2, type: port, iface: b, addresses: [198.51.100.1/24]}
network-instances:
  - name: default
    static-routes:
      - {prefix: 10.0.0.0/8, next-hops: [{address: 192.0.2.9}]}
`

// patience is how long is waited for what has to come: much longer than it takes.
const patience = 90 * time.Second

type bench struct {
	t      *testing.T
	s      *clienttest.Server
	c      *Controller
	sock   string
	epochs *atomic.Uint64
	stop   func()
	save   func() error
}

// start runs a controller against a data plane without packets.
func start(t *testing.T, text string, edit func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, sock: filepath.Join(t.TempDir(), "s"), epochs: new(atomic.Uint64)}
	s, err := clienttest.Listen(b.sock, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	b.s = s
	b.run(text, edit)
	return b
}

func (b *bench) run(text string, edit func(*Options)) {
	b.t.Helper()
	o := Options{
		Config: mustParse(b.t, text), Socket: b.sock, Logger: slog.New(slog.NewTextHandler(b.t.Output(), nil)),
		Epoch: func() (uint64, error) { return b.epochs.Add(1), nil },
	}
	if edit != nil {
		edit(&o)
	}
	c, err := New(o)
	if err != nil {
		b.t.Fatal(err)
	}
	b.c = c
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = c.Run(ctx) }()
	stopped := false
	b.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case <-done:
		case <-time.After(patience):
			b.t.Error("Run did not end with its context")
		}
	}
	b.t.Cleanup(b.stop)
}

func (b *bench) eventually(what string, ok func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s: not within %s; the data plane has %q, alarms %v", what, patience, b.s.Keys(), b.c.Alarms())
		}
	}
}

func (b *bench) has(key string) bool { return slices.Contains(b.s.Keys(), key) }

func (b *bench) apply(text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return b.c.Apply(ctx, mustParse(b.t, text), b.save)
}

// edit changes the configuration in force.
func (b *bench) edit(ctx context.Context, change func(*config.Config)) error {
	next := b.c.Config().Clone()
	change(next)
	if err := next.Validate(); err != nil {
		return err
	}
	return b.c.Apply(ctx, next, b.save)
}

const route10 = "route default 10.0.0.0/8"

func TestStartWritesEverything(t *testing.T) {
	b := start(t, base, nil)
	b.eventually("the route", func() bool { return b.has(route10) })
	for _, k := range []string{"settings", "interface eth1", "address eth2 198.51.100.1"} {
		if !b.has(k) {
			t.Errorf("%s is missing in %q", k, b.s.Keys())
		}
	}
	if a := b.c.Alarms(); len(a) != 0 {
		t.Errorf("alarms: %v", a)
	}
}

func TestApply(t *testing.T) {
	saved := 0
	b := start(t, base, nil)
	b.save = func() error { saved++; return nil }
	b.eventually("the route", func() bool { return b.has(route10) })
	b.s.TakeLog()
	if err := b.apply(base); err != nil || saved != 1 {
		t.Error(err, saved)
	}
	if l := b.s.TakeLog(); len(l) != 0 {
		t.Errorf("the same configuration was written: %q", l)
	}
	// eth2 goes away, and the static route moves to another next hop.
	next := strings.Replace(base, "  - {name: eth2, type: port, iface: b, addresses: [198.51.100.1/24]}\n", "", 1)
	next = strings.ReplaceAll(next, "192.0.2.9", "192.0.2.8")
	if err := b.apply(next); err != nil || saved != 2 {
		t.Fatal(err, saved)
	}
	if b.has("interface eth2") {
		t.Errorf("eth2 is still there: %q", b.s.Keys())
	}
	b.eventually("the new next hop", func() bool {
		for _, o := range b.s.Objects() {
			if n := o.Op.GetNextHop(); n != nil && n.GetGateway()[3] == 8 {
				return b.has(route10)
			}
		}
		return false
	})
	if err := b.apply("interfaces: []"); err != nil {
		t.Fatal(err)
	}
	b.eventually("nothing", func() bool { k := b.s.Keys(); return len(k) == 1 && k[0] == "settings" })
}

func TestRefusedIsTakenBack(t *testing.T) {
	b := start(t, base, nil)
	b.eventually("the route", func() bool { return b.has(route10) })
	before := b.s.Keys()
	b.s.SetRefuse(func(op *pb.Op) *pb.Error {
		if op.GetInterface().GetName() == "eth3" {
			return &pb.Error{Code: pb.Code_CODE_DEVICE, Field: "batch.ops[1].interface.device", Message: "no such device"}
		}
		if op.GetAddress().GetInterface() == "eth3" {
			return &pb.Error{Code: pb.Code_CODE_NOT_FOUND, Message: "no interface eth3"}
		}
		return nil
	})
	next := strings.Replace(base, "network-instances:", "  - {name: eth3, type: port, iface: c, addresses: [203.0.113.1/24]}\nnetwork-instances:", 1)
	next = strings.Replace(next, "198.51.100.1/24", "198.51.100.2/24", 1)
	next = strings.ReplaceAll(next, "10.0.0.0/8", "11.0.0.0/8")
	err := b.apply(next)
	var es config.Errors
	if !errors.As(err, &es) || es.Error() != "interfaces[eth3]: no such device" {
		t.Fatalf("%T %v", err, err)
	}
	b.eventually("the old state", func() bool {
		return slices.Equal(kinds(b.s.Keys()), kinds(before)) && b.has(route10) && b.has("address eth2 198.51.100.1")
	})
	if a := b.c.Config().Interfaces; len(a) != 2 {
		t.Errorf("in force: %v", a)
	}
	if a := b.c.Alarms(); len(a) != 0 {
		t.Errorf("alarms: %v", a)
	}
	b.s.SetRefuse(nil)
	if err := b.apply(next); err != nil {
		t.Error(err)
	}
}

// kinds leaves out next hops and groups, whose numbers change.
func kinds(keys []string) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(k string) bool {
		return strings.HasPrefix(k, "next-hop ") || strings.HasPrefix(k, "group ")
	})
}

func TestSaveFailureIsTakenBack(t *testing.T) {
	b := start(t, base, nil)
	b.save = func() error { return errors.New("disk full") }
	b.eventually("the route", func() bool { return b.has(route10) })
	if err := b.apply(strings.Replace(base, "192.0.2.1/24", "192.0.2.2/24", 1)); err == nil || err.Error() != "disk full" {
		t.Error(err)
	}
	if !b.has("address eth1 192.0.2.1") || b.has("address eth1 192.0.2.2") {
		t.Errorf("%q", b.s.Keys())
	}
}

func TestDataplaneRestartIsReplayed(t *testing.T) {
	b := start(t, base, nil)
	b.eventually("the route", func() bool { return b.has(route10) })
	b.s.Reboot(2)
	b.eventually("replay", func() bool { return b.has(route10) && b.has("address eth1 192.0.2.1") })
	before := b.epochs.Load()
	b.s.Disconnect() // the same data plane again
	b.eventually("reconnect", func() bool {
		s, up := b.c.dp.Session()
		return up && s.Epoch > before && len(b.c.Alarms()) == 0
	})
	for k, o := range b.s.Objects() {
		b.eventually(fmt.Sprintf("%s in the new epoch, it has %d", k, o.Epoch), func() bool {
			now, ok := b.s.Objects()[k]
			return !ok || now.Epoch == b.epochs.Load()
		})
	}
}

func TestVnfRestartSweepsWhatIsOld(t *testing.T) {
	b := start(t, base, nil)
	b.eventually("the route", func() bool { return b.has(route10) })
	b.stop()
	if !b.has(route10) {
		t.Fatal("the FIB went away with vnf")
	}
	b.s.TakeLog()
	b.run(strings.ReplaceAll(base, "10.0.0.0/8", "11.0.0.0/8"), nil)
	b.eventually("sweep", func() bool { return b.has("route default 11.0.0.0/8") && !b.has(route10) })
	for _, l := range b.s.TakeLog() {
		if strings.HasPrefix(l, "-interface") || strings.HasPrefix(l, "-address") {
			t.Errorf("%s: what stays was deleted", l)
		}
	}
}

func TestRefusedAtStartIsAnAlarmAndTriedAgain(t *testing.T) {
	var refuse atomic.Bool
	refuse.Store(true)
	dir := t.TempDir()
	b := &bench{t: t, sock: filepath.Join(dir, "s"), epochs: new(atomic.Uint64)}
	s, err := clienttest.Listen(b.sock, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	b.s = s
	s.SetRefuse(func(op *pb.Op) *pb.Error {
		if refuse.Load() && (op.GetInterface().GetName() == "eth2" || op.GetAddress().GetInterface() == "eth2") {
			return &pb.Error{Code: pb.Code_CODE_DEVICE, Message: "no such device"}
		}
		return nil
	})
	b.run(base, nil)
	b.eventually("the alarm", func() bool {
		a := b.c.Alarms()
		return len(a) == 1 && a[0].Resource == "interface eth2" && a[0].Text == "interfaces[eth2]: no such device"
	})
	b.eventually("the rest", func() bool { return b.has(route10) })
	// Another change is not held up by it.
	if err := b.apply(strings.ReplaceAll(base, "10.0.0.0/8", "11.0.0.0/8")); err != nil {
		t.Error(err)
	}
	refuse.Store(false)
	b.eventually("the interface", func() bool { return b.has("address eth2 198.51.100.1") && len(b.c.Alarms()) == 0 })
}

func TestEventsBecomeStateAndAlarms(t *testing.T) {
	b := start(t, base, nil)
	b.eventually("the route", func() bool { return b.has(route10) })
	b.s.Push(&pb.Event{Event: &pb.Event_Link{Link: &pb.LinkEvent{Interface: "eth1", OperStatus: pb.OperStatus_OPER_STATUS_DOWN}}})
	b.eventually("the route goes with its link", func() bool { return !b.has(route10) })
	b.s.Push(&pb.Event{Event: &pb.Event_Link{Link: &pb.LinkEvent{Interface: "eth1", OperStatus: pb.OperStatus_OPER_STATUS_UP}}})
	b.eventually("and comes back with it", func() bool { return b.has(route10) })
	dup := &pb.AddressState{Interface: "eth1", Address: []byte{192, 0, 2, 1}, PrefixLen: 24, Dad: pb.DadState_DAD_STATE_DUPLICATE,
		ConflictMac: []byte{2, 0, 0, 0, 0, 7}}
	b.s.Push(&pb.Event{Event: &pb.Event_Address{Address: dup}})
	b.eventually("the alarm", func() bool {
		a := b.c.Alarms()
		return len(a) == 1 && a[0].Text == "192.0.2.1 is used by another host, 02:00:00:00:00:07"
	})
	b.s.Push(&pb.Event{Event: &pb.Event_Overflow{Overflow: &pb.Overflow{Dropped: 1}}})
	b.eventually("the state is read afresh", func() bool { return len(b.c.Alarms()) == 0 })
	// It can't be made again for the time being: it might be sooner than the alarm is looked for.
	b.s.SetRefuse(func(op *pb.Op) *pb.Error {
		if op.GetInterface().GetName() == "eth1" || op.GetAddress().GetInterface() == "eth1" {
			return &pb.Error{Code: pb.Code_CODE_DEVICE, Message: "no such device"}
		}
		return nil
	})
	b.s.Push(&pb.Event{Event: &pb.Event_InterfaceGone{InterfaceGone: &pb.InterfaceKey{Name: "eth1"}}})
	b.eventually("the interface is an alarm", func() bool { return len(b.c.Alarms()) == 1 && !b.has(route10) })
	b.s.SetRefuse(nil)
	b.eventually("and is made again", func() bool { return len(b.c.Alarms()) == 0 && b.has(route10) })
}
