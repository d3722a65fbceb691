package control

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	grpcserver "millrace/server/grpc"
)

const (
	hostnameAlarm = "hostname"
	// hostnameRetry is the pause between two attempts to set the hostname, and how often is looked whether somebody else has.
	hostnameRetry = 30 * time.Second
)

// hostKeeper keeps the machine's hostname what the configuration says, where that says something.
type hostKeeper struct {
	log    *slog.Logger
	alarms *alarms
	// want is the configured one; empty: whatever it is.
	want func() string
	have func() (string, error)
	set  func(ctx context.Context, name string) error
	wake chan struct{}
}

// newHostKeeper makes the keeper of this machine's hostname; nil if there is no agent that can set it.
func (d *daemon) newHostKeeper() *hostKeeper {
	if d.agent == nil {
		return nil
	}
	return &hostKeeper{
		log: d.o.Logger, alarms: d.c.alarms, want: func() string { return d.c.Config().System.Hostname }, have: os.Hostname, set: d.agent.Hostname,
		wake: make(chan struct{}, 1),
	}
}

// poke has the keeper look now.
func (h *hostKeeper) poke() {
	if h == nil {
		return
	}
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// run ends with ctx.
func (h *hostKeeper) run(ctx context.Context) {
	if h == nil {
		return
	}
	for {
		h.look(ctx)
		t := time.NewTimer(hostnameRetry)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-h.wake:
		case <-t.C:
		}
		t.Stop()
	}
}

func (h *hostKeeper) look(ctx context.Context) {
	want := h.want()
	have, err := h.have()
	if want == "" || err == nil && want == have {
		h.alarms.clear(hostnameAlarm)
		return
	}
	if err := h.set(ctx, want); err != nil {
		if ctx.Err() == nil {
			h.alarms.raise(hostnameAlarm, grpcserver.Warning, "system", fmt.Sprintf("the machine's hostname is %s, not %s: %v", have, want, err))
		}
		return
	}
	h.alarms.clear(hostnameAlarm)
	h.log.Info("hostname set", "hostname", want, "before", have)
}
