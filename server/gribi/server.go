package gribi

import (
	"context"
	"log/slog"
	"sync"
	"time"

	spb "github.com/openconfig/gribi/v1/proto/service"
	"google.golang.org/grpc"

	"millrace/routing/rib"
)

// FIB tells when the data plane has answered; *fib.Programmer is one.
type FIB interface {
	// WaitSynced waits until the data plane has answered all changes that the
	// RIB settled before the call.
	WaitSynced(ctx context.Context) error
}

// Limits bound what clients may make the server hold. A zero field takes the default.
type Limits struct {
	Sessions  int // Modify streams at a time; default 32
	Gets      int // Get calls at a time; default 8
	NextHops  int // default 65,536
	Groups    int // default 65,536
	Prefixes  int // default 2,097,152
	Pending   int // operations that wait for what they refer to; default 65,536
	Unsettled int // operations of a session whose answers are under way; default 16,384
}

func (l *Limits) defaults() {
	for _, d := range []struct {
		v *int
		n int
	}{
		{&l.Sessions, 32}, {&l.Gets, 8}, {&l.NextHops, 1 << 16}, {&l.Groups, 1 << 16},
		{&l.Prefixes, 1 << 21}, {&l.Pending, 1 << 16}, {&l.Unsettled, 1 << 14},
	} {
		if *d.v <= 0 {
			*d.v = d.n
		}
	}
}

// Options of the service. RIB and FIB have to be given.
type Options struct {
	RIB    RIB
	FIB    FIB
	Logger *slog.Logger
	// Distance is the administrative distance of the routes, 1 to 255; 0 means
	// rib.DistanceGRIBI. See SetDistance.
	Distance uint8
	// NoForwardReferences has operations fail that refer to next hops or groups
	// that do not exist; else they wait for them.
	NoForwardReferences bool
	Limits              Limits
}

// Server is the gRIBI service.
type Server struct {
	spb.UnimplementedGRIBIServer

	opt  Options
	log  *slog.Logger
	gets chan struct{}

	mu       sync.Mutex
	table    *table
	sessions map[*session]struct{}
	// mode is what the clients agreed on, and stays when they have gone; nil
	// before the first. highest is the greatest election ID ever learnt.
	mode    *params
	highest electionID
	primary *session
}

// New makes the service.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Distance == 0 {
		o.Distance = rib.DistanceGRIBI
	}
	o.Limits.defaults()
	return &Server{
		opt: o, log: o.Logger, gets: make(chan struct{}, o.Limits.Gets), table: newTable(o.RIB, &o), sessions: make(map[*session]struct{}),
	}
}

// Register serves gRIBI on a gRPC server.
func Register(r grpc.ServiceRegistrar, o Options) { New(o).Register(r) }

// Register serves s on a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) { spb.RegisterGRIBIServer(r, s) }

// SetForwardReferences changes what becomes of operations that refer to what does
// not exist. Those that wait go on waiting.
func (s *Server) SetForwardReferences(wait bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.forward = wait
}

// SetDistance changes the administrative distance of all routes, 1 to 255; 0
// means rib.DistanceGRIBI.
func (s *Server) SetDistance(d uint8) {
	if d == 0 {
		d = rib.DistanceGRIBI
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.table.distance == d {
		return
	}
	s.table.distance = d
	var changes []rib.Change
	for _, in := range s.table.instances {
		for p, e := range in.prefixes {
			changes = append(changes, s.table.announcement(in.name, p, e.to))
		}
	}
	s.opt.RIB.Apply(changes)
}

func now() int64 { return time.Now().UnixNano() }
