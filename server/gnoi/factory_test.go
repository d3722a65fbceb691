package gnoiserver

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/openconfig/gnoi/factory_reset"
	"github.com/openconfig/gnoi/system"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// notedMachine notes what is done to it.
type notedMachine struct {
	mu   sync.Mutex
	done chan string
	err  error
}

func (m *notedMachine) do(what string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done <- what
	return m.err
}

func (m *notedMachine) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *notedMachine) Reboot(_ context.Context, reason string) error {
	return m.do("reboot: " + reason)
}
func (m *notedMachine) FactoryReset(context.Context) error { return m.do("reset") }

func TestFactoryReset(t *testing.T) {
	m := &notedMachine{done: make(chan string, 10)}
	b := newBed(t, func(o *Options) { o.Machine = m })
	c := factory_reset.NewFactoryResetClient(b.conn())
	for _, r := range []struct {
		word string
		req  *factory_reset.StartRequest
		want *factory_reset.ResetError
	}{
		{"factory_os: ", &factory_reset.StartRequest{FactoryOs: true}, &factory_reset.ResetError{FactoryOsUnsupported: true}},
		{"zero_fill: ", &factory_reset.StartRequest{ZeroFill: true}, &factory_reset.ResetError{ZeroFillUnsupported: true}},
		{"retain_certs: ", &factory_reset.StartRequest{RetainCerts: true}, &factory_reset.ResetError{Other: true}},
	} {
		_, err := c.Start(b.ctx(), r.req)
		refused(t, r.req.String(), err, codes.InvalidArgument, r.word)
		details := status.Convert(err).Details()
		if len(details) != 1 {
			t.Fatalf("%s: details %v", r.req, details)
		}
		got, ok := details[0].(*factory_reset.ResetError)
		if !ok {
			t.Fatalf("%s: details %v", r.req, details)
		}
		r.want.Detail = got.GetDetail()
		if !proto.Equal(got, r.want) {
			t.Errorf("%s: %s", r.req, got)
		}
	}
	if len(m.done) != 0 {
		t.Error("something was done")
	}
	res, err := c.Start(b.ctx(), &factory_reset.StartRequest{})
	if err != nil || res.GetResetSuccess() == nil || <-m.done != "reset" {
		t.Errorf("%v, %v", res, err)
	}
	m.fail(errors.New("the unit is not there"))
	_, err = c.Start(b.ctx(), &factory_reset.StartRequest{})
	refused(t, "a reset that does not begin", err, codes.Internal, "the unit is not there")

	_, err = factory_reset.NewFactoryResetClient(newBed(t).conn()).Start(t.Context(), &factory_reset.StartRequest{})
	refused(t, "where there is no machine", err, codes.FailedPrecondition, "state directory")
}

// A cold reboot is one of the machine, where there is one.
func TestRebootOfMachine(t *testing.T) {
	m := &notedMachine{done: make(chan string, 10), err: errors.New("not now")}
	b := newBed(t, func(o *Options) { o.Machine = m })
	c := system.NewSystemClient(b.conn())
	cold := &system.RebootRequest{Method: system.RebootMethod_COLD, Message: "new kernel"}
	if _, err := c.Reboot(b.ctx(), cold); err != nil {
		t.Fatal(err)
	}
	if got := <-m.done; got != "reboot: gNOI Reboot COLD: new kernel" {
		t.Error(got)
	}
	for {
		st, err := c.RebootStatus(b.ctx(), &system.RebootStatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if s := st.GetStatus(); s.GetStatus() == system.RebootStatus_STATUS_FAILURE {
			if s.GetMessage() != "the machine: not now" {
				t.Error(s.GetMessage())
			}
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	m.fail(nil)
	if _, err := c.Reboot(b.ctx(), cold); err != nil {
		t.Fatal(err)
	}
	<-m.done
	_, err := c.Reboot(b.ctx(), cold)
	refused(t, "another while it happens", err, codes.FailedPrecondition, "under way")
	if b.sent() != "" || len(b.exits) != 0 {
		t.Errorf("signals %q", b.sent())
	}
	// WARM is still vnf alone.
	b = newBed(t, func(o *Options) { o.Machine = m })
	if _, err := system.NewSystemClient(b.conn()).Reboot(b.ctx(), &system.RebootRequest{Method: system.RebootMethod_WARM}); err != nil {
		t.Fatal(err)
	}
	b.ends()
	if len(m.done) != 0 {
		t.Error(<-m.done)
	}
}
