package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"millrace/internal/sdnotify"
)

// probe finds out that a part of the program is alive.
type probe struct {
	name string
	// try returns when the part has answered, or an error.
	try func(ctx context.Context) error
	// patience is how long the part may be without an answer.
	patience time.Duration
}

// watchdog tells the supervisor that the program is ready, and from then on that it is alive, as long as each probe was answered of late.
type watchdog struct {
	log    *slog.Logger
	tell   *sdnotify.Notifier
	probes []probe
	// period is the pause between two attempts of a probe.
	period time.Duration

	mu sync.Mutex
	// answered is when each probe was answered last.
	answered map[string]time.Time
}

const (
	// servingPatience is how long the gRPC server may be without answering a call.
	servingPatience = 40 * time.Second
	// changePatience is more than a change of the configuration takes with all its attempts, and the rollback after it.
	changePatience = 2*(applyPatience+rollbackPatience) + fibPatience
)

// newWatchdog watches over the daemon.
func (d *daemon) newWatchdog(tell *sdnotify.Notifier) *watchdog {
	return &watchdog{
		log: d.o.Logger, tell: tell, period: max(time.Second/2, min(10*time.Second, tell.Watchdog()/6)), answered: map[string]time.Time{},
		probes: []probe{
			{"gRPC server", d.askServer, servingPatience},
			{"controller", func(ctx context.Context) error {
				if err := d.c.acquire(ctx); err != nil {
					return err
				}
				d.c.release()
				return nil
			}, changePatience},
			{"configuration store", d.st.Idle, changePatience},
		},
	}
}

// askServer makes a call as any client would.
func (d *daemon) askServer(ctx context.Context) error {
	path := filepath.Join(d.o.RuntimeDir, GRPCSocket)
	c, err := grpc.NewClient("passthrough:///vnf", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = healthpb.NewHealthClient(c).Check(ctx, &healthpb.HealthCheckRequest{})
	return err
}

// run ends with ctx. It says first that the program is ready, when the first of the probes was answered.
func (w *watchdog) run(ctx context.Context) {
	if w.tell == nil {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	began := time.Now()
	for _, p := range w.probes {
		w.answered[p.name] = began
	}
	first := make(chan struct{})
	for i, p := range w.probes {
		answered := func() {}
		if i == 0 {
			answered = sync.OnceFunc(func() { close(first) })
		}
		wg.Go(func() { w.follow(ctx, p, answered) })
	}
	select {
	case <-first:
	case <-ctx.Done():
		return
	}
	w.say(sdnotify.Ready, sdnotify.Status("serving"))
	tick := time.NewTicker(w.period)
	defer tick.Stop()
	before := ""
	for {
		late := strings.Join(w.late(time.Now()), ", ")
		switch {
		case late == "":
			w.say(sdnotify.Alive)
		case late != before:
			w.log.Error("no answer", "from", late)
		}
		if late != before {
			w.say(statusOf(late))
			before = late
		}
		select {
		case <-ctx.Done():
			w.say(sdnotify.Stopping, sdnotify.Status("stopping"))
			return
		case <-tick.C:
		}
	}
}

func statusOf(late string) string {
	if late == "" {
		return sdnotify.Status("serving")
	}
	return sdnotify.Status("no answer from the %s", late)
}

func (w *watchdog) say(states ...string) {
	if err := w.tell.Send(states...); err != nil {
		w.log.Warn("the supervisor is not told", "error", err)
	}
}

// late are the probes that were not answered for longer than is in order.
func (w *watchdog) late(now time.Time) (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.probes {
		if now.Sub(w.answered[p.name]) > p.patience {
			names = append(names, p.name)
		}
	}
	return names
}

// follow tries a probe again and again until ctx ends, and tells of each answer.
func (w *watchdog) follow(ctx context.Context, p probe, answered func()) {
	for {
		err := w.once(ctx, p)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			w.log.Warn("the watchdog has no answer", "from", p.name, "error", err)
		default:
			w.mu.Lock()
			w.answered[p.name] = time.Now()
			w.mu.Unlock()
			answered()
		}
		wait(ctx, w.period)
	}
}

// once tries a probe. It gives up only when the answer would be too late anyway.
func (w *watchdog) once(ctx context.Context, p probe) error {
	pctx, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	if err := p.try(pctx); err != nil {
		return fmt.Errorf("%s: %w", p.name, errors.Join(err, context.Cause(pctx)))
	}
	return nil
}
