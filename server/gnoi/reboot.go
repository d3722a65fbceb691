package gnoiserver

import (
	"context"
	"math"
	"sync"
	"syscall"
	"time"

	"github.com/openconfig/gnoi/system"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// answerPause is how long after its answer a call takes effect that ends this process.
	answerPause = 200 * time.Millisecond
	maxDelay    = 30 * 24 * time.Hour
)

// reboot is the one that is planned, if any.
type reboot struct {
	opt Options

	mu     sync.Mutex
	timer  *time.Timer
	when   time.Time
	reason string
	method system.RebootMethod
	failed string // why the last one did not happen
	number int    // of the one that is planned
	fired  bool   // it is under way
	stops  []func() bool
}

func newReboot(o Options) *reboot { return &reboot{opt: o} }

// after has f called in a while, unless the server stops before.
func (r *reboot) after(d time.Duration, f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stops = append(r.stops, time.AfterFunc(d, f).Stop)
}

func (r *reboot) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
	}
	for _, s := range r.stops {
		s()
	}
}

// Reboot starts the service anew: COLD is the machine, where the appliance has one to itself, else the data plane and vnf; WARM and NSF are
// vnf alone, while forwarding goes on.
func (s *systemService) Reboot(_ context.Context, req *system.RebootRequest) (*system.RebootResponse, error) {
	switch req.GetMethod() {
	case system.RebootMethod_COLD, system.RebootMethod_WARM, system.RebootMethod_NSF:
	default:
		return nil, invalid("method", "%s is none of COLD, WARM and NSF", req.GetMethod())
	}
	if len(req.GetSubcomponents()) > 0 {
		return nil, invalid("subcomponents", "there are none that start on their own")
	}
	if req.GetDelay() > uint64(maxDelay) {
		return nil, invalid("delay", "%d ns is more than %s", req.GetDelay(), maxDelay)
	}
	r := s.reboot
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fired {
		return nil, status.Error(codes.FailedPrecondition, "a reboot is under way")
	}
	if r.timer != nil && !req.GetForce() {
		return nil, status.Errorf(codes.FailedPrecondition, "a reboot is planned for %s: cancel it first", r.when.UTC().Format(time.RFC3339))
	}
	if r.timer != nil {
		r.timer.Stop()
	}
	delay := time.Duration(req.GetDelay())
	r.when, r.reason, r.method, r.failed = s.opt.Now().Add(delay), req.GetMessage(), req.GetMethod(), ""
	r.number++
	number := r.number
	r.timer = time.AfterFunc(max(delay, answerPause), func() { r.fire(number, req.GetMethod()) })
	s.opt.Logger.Info("reboot planned", "audit", true, "method", req.GetMethod().String(), "delay", delay, "reason", req.GetMessage())
	return &system.RebootResponse{}, nil
}

func (r *reboot) fire(number int, method system.RebootMethod) {
	r.mu.Lock()
	if r.timer == nil || r.number != number {
		r.mu.Unlock()
		return // cancelled just now
	}
	r.fired = true
	reason := r.reason
	r.mu.Unlock()
	r.opt.Logger.Info("reboot", "audit", true, "method", method.String())
	switch {
	case method == system.RebootMethod_COLD && r.opt.Machine != nil:
		if err := r.opt.Machine.Reboot(context.Background(), "gNOI Reboot COLD: "+reason); err != nil {
			r.didNot("the machine", err)
		}
		return // we are ended as everything is
	case method == system.RebootMethod_COLD:
		all, err := r.opt.Processes()
		for _, p := range all[min(1, len(all)):] {
			if err == nil {
				err = r.opt.Signal(p.PID, int(syscall.SIGTERM))
			}
		}
		if err != nil {
			r.didNot("the data plane", err)
			return
		}
	}
	r.opt.Exit("gNOI Reboot " + method.String())
}

// didNot notes why a reboot did not happen.
func (r *reboot) didNot(what string, err error) {
	r.mu.Lock()
	r.timer, r.fired, r.failed = nil, false, what+": "+err.Error()
	r.mu.Unlock()
	r.opt.Logger.Error("reboot", "error", err)
}

func (s *systemService) RebootStatus(_ context.Context, req *system.RebootStatusRequest) (*system.RebootStatusResponse, error) {
	if len(req.GetSubcomponents()) > 0 {
		return nil, invalid("subcomponents", "there are none that start on their own")
	}
	r := s.reboot
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer == nil {
		st := &system.RebootStatus{Status: system.RebootStatus_STATUS_SUCCESS}
		if r.failed != "" {
			st.Status, st.Message = system.RebootStatus_STATUS_FAILURE, r.failed
		}
		return &system.RebootStatusResponse{Status: st}, nil
	}
	return &system.RebootStatusResponse{
		Active: true, Wait: uint64(max(0, r.when.Sub(s.opt.Now()))), When: uint64(max(0, min(r.when.UnixNano(), math.MaxInt64))),
		Reason: r.reason, Count: 1, Method: r.method,
	}, nil
}

func (s *systemService) CancelReboot(_ context.Context, req *system.CancelRebootRequest) (*system.CancelRebootResponse, error) {
	if len(req.GetSubcomponents()) > 0 {
		return nil, invalid("subcomponents", "there are none that start on their own")
	}
	r := s.reboot
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fired {
		return nil, status.Error(codes.FailedPrecondition, "the reboot is under way")
	}
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
		s.opt.Logger.Info("reboot cancelled", "audit", true, "reason", req.GetMessage())
	}
	return &system.CancelRebootResponse{}, nil
}
