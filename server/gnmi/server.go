package gnmiserver

import (
	"context"
	"errors"
	"log/slog"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/grpc"

	"millrace/yang/schema"
	"millrace/yang/tree"
)

// Version of gNMI that is spoken.
const Version = "0.10.0"

// Limits of a call.
const (
	defaultMaxAnswer = 16 << 20
	maxGetPaths      = 1024
	maxSetPaths      = 100_000
	// Answers that are put together at one time; more wait.
	maxGets = 8
	// Steps of a path, and bytes of the value of a key.
	maxElems    = 64
	maxKeyBytes = 4096
	// Nodes that wildcards of one path may open.
	maxPatterns = 4096
)

// Authorizer says who may read and write what. nil lets everybody do everything.
type Authorizer interface {
	// Check returns nil if the caller in the context may read, or write, the node at a path. What a Set changes is a matter of the
	// store; here all that is read is asked for, and who settles a commit that has to be confirmed.
	Check(ctx context.Context, path tree.Path, write bool) error
}

// Options of the service. Store and Hub have to be given.
type Options struct {
	Schema    *schema.Schema
	Store     Store
	Hub       Hub
	Authorize Authorizer
	Logger    *slog.Logger
	// MaxAnswer bounds what Get answers, in bytes; 0: 16 MiB.
	MaxAnswer int
}

// Server is the service.
type Server struct {
	gpb.UnimplementedGNMIServer
	opt         Options
	schema      *schema.Schema
	log         *slog.Logger
	arbitration *arbitration
	now         func() time.Time
	// gets has a place for each Get that is under way.
	gets chan struct{}
}

// New makes the service.
func New(o Options) (*Server, error) {
	if o.Schema == nil || o.Store == nil || o.Hub == nil {
		return nil, errors.New("gNMI: the schema, a store and a hub are needed")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxAnswer <= 0 {
		o.MaxAnswer = defaultMaxAnswer
	}
	return &Server{opt: o, schema: o.Schema, log: o.Logger, arbitration: newArbitration(), now: time.Now, gets: make(chan struct{}, maxGets)}, nil
}

// Register adds the service to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) { gpb.RegisterGNMIServer(r, s) }

// may is Check of the Authorizer, if there is one.
func (s *Server) may(ctx context.Context, p tree.Path, write bool) error {
	if s.opt.Authorize == nil {
		return nil
	}
	return s.opt.Authorize.Check(ctx, p, write)
}
