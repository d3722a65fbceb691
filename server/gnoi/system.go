package gnoiserver

import (
	"context"
	"fmt"
	"syscall"

	"github.com/openconfig/gnoi/system"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// systemService is gNOI's System.
type systemService struct {
	system.UnimplementedSystemServer
	opt    Options
	reboot *reboot
}

func (s *systemService) Time(context.Context, *system.TimeRequest) (*system.TimeResponse, error) {
	return &system.TimeResponse{Time: uint64(s.opt.Now().UnixNano())}, nil
}

func (s *systemService) SetPackage(system.System_SetPackageServer) error {
	return status.Error(codes.Unimplemented, "software comes as an image or a package, not over gNOI")
}

func (s *systemService) SwitchControlProcessor(context.Context, *system.SwitchControlProcessorRequest) (*system.SwitchControlProcessorResponse, error) {
	return nil, status.Error(codes.Unimplemented, "there is one control processor")
}

var signals = map[system.KillProcessRequest_Signal]syscall.Signal{
	system.KillProcessRequest_SIGNAL_TERM: syscall.SIGTERM,
	system.KillProcessRequest_SIGNAL_KILL: syscall.SIGKILL,
	system.KillProcessRequest_SIGNAL_HUP:  syscall.SIGHUP,
	system.KillProcessRequest_SIGNAL_ABRT: syscall.SIGABRT,
}

// KillProcess ends one of the appliance's own processes, which its supervisor starts again.
func (s *systemService) KillProcess(_ context.Context, req *system.KillProcessRequest) (*system.KillProcessResponse, error) {
	sig, ok := signals[req.GetSignal()]
	if !ok {
		return nil, invalid("signal", "is none of TERM, KILL, HUP, ABRT")
	}
	hup := sig == syscall.SIGHUP
	if !hup && !req.GetRestart() {
		return nil, status.Error(codes.FailedPrecondition, "restart: has to be true: the appliance's processes are started again whenever they end")
	}
	if (req.GetPid() == 0) == (req.GetName() == "") {
		return nil, invalid("pid", "give either pid or name")
	}
	all, err := s.opt.Processes()
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	for i, p := range all {
		if p.PID != int(req.GetPid()) && p.Name != req.GetName() {
			continue
		}
		switch {
		case i == 0 && hup:
			s.opt.Reload()
		case i == 0 && sig == syscall.SIGTERM:
			// The answer goes out before.
			s.reboot.after(answerPause, func() { s.opt.Exit("gNOI KillProcess") })
		case hup:
			return nil, invalid("signal", "%s has no configuration of its own to read again", p.Name)
		case i == 0:
			s.reboot.after(answerPause, func() { _ = s.opt.Signal(p.PID, int(sig)) })
		default:
			if err := s.opt.Signal(p.PID, int(sig)); err != nil {
				return nil, status.Errorf(codes.Internal, "%s to %s, process %d: %v", sig, p.Name, p.PID, err)
			}
		}
		return &system.KillProcessResponse{}, nil
	}
	who := req.GetName()
	if who == "" {
		who = fmt.Sprint(req.GetPid())
	}
	return nil, status.Errorf(codes.NotFound, "%s is none of the appliance's processes, vnf and vnf-dataplane", who)
}
