package gribi

import (
	"context"
	"errors"
	"slices"
	"time"

	spb "github.com/openconfig/gribi/v1/proto/service"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// flushPatience is how long a Flush waits for the data plane.
const flushPatience = 20 * time.Second

func flushError(c codes.Code, r spb.FlushResponseError_Reason, format string, args ...any) error {
	st := status.Newf(c, format, args...)
	if d, err := st.WithDetails(&spb.FlushResponseError{Status: r}); err == nil {
		st = d
	}
	return st.Err()
}

// Flush implements gRIBI. It answers when the data plane has let go of the routes.
func (s *Server) Flush(ctx context.Context, req *spb.FlushRequest) (*spb.FlushResponse, error) {
	result, err := s.flush(req)
	if err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, flushPatience)
	defer cancel()
	if err := s.opt.FIB.WaitSynced(wait); err != nil {
		return nil, status.Errorf(codes.Internal, "the entries are removed, and the data plane has not acknowledged it: %v", err)
	}
	return &spb.FlushResponse{Timestamp: now(), Result: result}, nil
}

func (s *Server) flush(req *spb.FlushRequest) (spb.FlushResponse_Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	switch n := req.GetNetworkInstance().(type) {
	case *spb.FlushRequest_All:
		names = s.table.known()
	case *spb.FlushRequest_Name:
		if n.Name == "" {
			return 0, flushError(codes.InvalidArgument, spb.FlushResponseError_INVALID_NETWORK_INSTANCE, "name: is empty")
		}
		if _, ok := s.opt.RIB.VRFMade(n.Name); !ok {
			return 0, flushError(codes.InvalidArgument, spb.FlushResponseError_NO_SUCH_NETWORK_INSTANCE,
				"name: there is no network instance %q", n.Name)
		}
		names = []string{n.Name}
	default:
		return 0, flushError(codes.InvalidArgument, spb.FlushResponseError_UNSPECIFIED_NETWORK_INSTANCE,
			"network_instance: one of name and all is needed")
	}
	if err := s.mayFlush(req); err != nil {
		return 0, err
	}
	var done []applied
	for _, w := range s.table.dropWaiting(func(w *waiter) bool { return slices.Contains(names, w.op.key.instance) }) {
		done = append(done, applied{w.s, &w.op, errors.New("flushed while it waited for what it refers to")})
	}
	s.answer(done)
	s.log.Info("gRIBI: flush", "network_instances", names)
	if s.table.flush(names) {
		return spb.FlushResponse_NON_ZERO_REFERENCE_REMAIN, nil
	}
	return spb.FlushResponse_OK, nil
}

// mayFlush applies the rules of elections.
func (s *Server) mayFlush(req *spb.FlushRequest) error {
	single := s.mode != nil && s.mode.single
	switch e := req.GetElection().(type) {
	case *spb.FlushRequest_Id:
		id := decodeElection(e.Id)
		switch {
		case !single:
			return flushError(codes.FailedPrecondition, spb.FlushResponseError_ELECTION_ID_IN_ALL_PRIMARY,
				"id: there are no elections in ALL_PRIMARY")
		case id == (electionID{}):
			return flushError(codes.InvalidArgument, spb.FlushResponseError_INVALID_ELECTION_ID, "id: is 0")
		case id.less(s.highest):
			return flushError(codes.FailedPrecondition, spb.FlushResponseError_NOT_PRIMARY,
				"id: %s is not that of the primary client, %s", id, s.highest)
		}
	case *spb.FlushRequest_Override:
	default:
		if single {
			return flushError(codes.FailedPrecondition, spb.FlushResponseError_UNSPECIFIED_ELECTION_BEHAVIOR,
				"election: one of id and override is needed in SINGLE_PRIMARY")
		}
	}
	return nil
}
