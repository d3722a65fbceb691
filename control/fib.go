package control

import (
	"context"
	"fmt"
	"time"

	"millrace/dataplane/client"
	"millrace/routing/fib"
	grpcserver "millrace/server/grpc"
)

// fibRunner joins the FIB programmer to the sessions with the data plane.
type fibRunner struct {
	p *fib.Programmer
}

func newFIBRunner(c *Controller) *fibRunner {
	return &fibRunner{fib.New(c.rib, c.dp.FIB(), fib.Options{
		HoldSweep: true, Logger: c.log, OnAlarm: c.fibAlarm,
	})}
}

func (f *fibRunner) run(ctx context.Context) { _ = f.p.Run(ctx) }

// connected has all routes written in the epoch of a session. What is of an earlier one is swept afterwards.
func (f *fibRunner) connected(s client.Session) { f.p.Replay(uint32(s.Epoch)) }

// converged lets the sweep go ahead.
func (f *fibRunner) converged() { f.p.Converged() }

func (c *Controller) fibAlarm(a fib.Alarm) {
	id := a.Kind.String()
	switch {
	case !a.Active:
		c.alarms.clear(id)
	case a.Kind == fib.AlarmDisconnected: // told by the connection itself
	default:
		c.alarms.raise(id, grpcserver.Critical, "fib", fmt.Sprintf("routes are not in the data plane, which refuses them: %s", a.Detail))
	}
}

// waitFIB returns when the data plane has answered all changes of the RIB up to now.
func (c *Controller) waitFIB(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return c.fib.p.WaitSynced(ctx)
}

// FIB returns the programmer of the data plane's routes.
func (c *Controller) FIB() *fib.Programmer { return c.fib.p }
