package gnoiserver

import (
	"context"

	"github.com/openconfig/gnoi/factory_reset"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// resetService is gNOI's FactoryReset.
type resetService struct {
	factory_reset.UnimplementedFactoryResetServer
	opt Options
}

// Start has all forgotten that the appliance was told. The answer says that it begins; the machine starts anew at its end.
func (s *resetService) Start(ctx context.Context, req *factory_reset.StartRequest) (*factory_reset.StartResponse, error) {
	bad := &factory_reset.ResetError{FactoryOsUnsupported: req.GetFactoryOs(), ZeroFillUnsupported: req.GetZeroFill()}
	switch {
	case req.GetRetainCerts():
		bad.Other, bad.Detail = true, "retain_certs: certificates are part of what is forgotten"
		return nil, refuseReset(codes.InvalidArgument, bad)
	case req.GetFactoryOs():
		bad.Detail = "factory_os: the software stays: another comes as an image or a package"
		return nil, refuseReset(codes.InvalidArgument, bad)
	case req.GetZeroFill():
		bad.Detail = "zero_fill: what is forgotten is deleted, not overwritten"
		return nil, refuseReset(codes.InvalidArgument, bad)
	case s.opt.Machine == nil:
		bad.Other, bad.Detail = true, "this is no machine of the appliance's own: remove the state directory of vnf instead"
		return nil, refuseReset(codes.FailedPrecondition, bad)
	}
	s.opt.Logger.Warn("factory reset", "audit", true)
	if err := s.opt.Machine.FactoryReset(ctx); err != nil {
		bad.Other, bad.Detail = true, "nothing is done: "+err.Error()
		return nil, refuseReset(codes.Internal, bad)
	}
	return &factory_reset.StartResponse{Response: &factory_reset.StartResponse_ResetSuccess{ResetSuccess: &factory_reset.ResetSuccess{}}}, nil
}

// refuseReset is a status that carries the protocol's own error.
func refuseReset(code codes.Code, e *factory_reset.ResetError) error {
	s := status.New(code, e.Detail)
	if with, err := s.WithDetails(e); err == nil {
		s = with
	}
	return s.Err()
}
