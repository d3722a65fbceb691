package grpcserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/server/bundle"
	"millrace/server/store"
)

// Limits of the server.
const (
	// Ten thousand routes in one Set of gNMI, leaf by leaf, have about 8 MiB.
	maxReceive = 16 << 20
	// A page of 4,096 routes with 64 next hops each is the largest answer.
	maxSend            = 64 << 20
	streamsPerClient   = 64
	defaultMaxStreams  = 256
	defaultMaxSessions = 1024
	stopGrace          = 2 * time.Second
	healthInterval     = time.Second
)

// HealthDataplane is the name under which grpc.health.v1 tells whether the data plane is there; the empty name stands for vnf itself.
const HealthDataplane = "millrace.dataplane"

// Options of a Server. Config and Dataplane have to be given; calls on what else is missing answer UNIMPLEMENTED.
type Options struct {
	Logger *slog.Logger
	// Credentials of the listeners, from auth.NewCredentials; nil: none, for tests on a connection in memory only.
	Credentials credentials.TransportCredentials
	// Auth finds out who calls; nil: everyone may do everything, for tests.
	Auth Authenticator
	// Config holds the intended state.
	Config    *store.Store
	Dataplane Dataplane
	RIB       RIB
	FIB       FIB
	// BGP returns the speaker of a network instance, and whether there is one.
	BGP    func(instance string) (Speaker, bool)
	Alarms Alarms
	// VIPs may be missing: then none counts as announced.
	VIPs VIPs
	// LogLevel is what SetLogLevel changes; nil: it can't be changed.
	LogLevel *slog.LevelVar
	// Version of this program.
	Version string
	// Hostname; empty: the kernel's.
	Hostname string
	// Started is when this program began; zero: now.
	Started time.Time
	// MaxStreams bounds the streams at one time, without those of gNMI and gRIBI; 0: 256.
	MaxStreams int
	// MaxSessions bounds those of gNMI and gRIBI; 0: 1024.
	MaxSessions int
	// Audit notes calls that change something beside the configuration, and refused ones; nil: nothing is noted.
	Audit func(AuditCall)
	// SupportParts are further parts of a support bundle, with so many lines of logs; nil: none.
	SupportParts func(lines int) []bundle.Part
	// Register adds services of others to the server: they have the same listeners, credentials and interceptors.
	Register []func(grpc.ServiceRegistrar)
}

// Server is the northbound API.
type Server struct {
	opt     Options
	log     *slog.Logger
	grpc    *grpc.Server
	health  *health.Server
	streams atomic.Int64
	// sessions are streams of gNMI and gRIBI.
	sessions atomic.Int64
	refused  refusals
	// bundling: a support bundle is being made.
	bundling atomic.Bool
	// life ends when the server stops, and with it the streaming calls, which else would go on as long as their clients like.
	life     context.Context
	end      context.CancelFunc
	stopOnce sync.Once
}

// New makes a server that does not listen yet.
func New(o Options) (*Server, error) {
	if o.Config == nil || o.Dataplane == nil {
		return nil, errors.New("gRPC server: a configuration store and a data plane are needed")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Hostname == "" {
		if h, err := os.Hostname(); err == nil {
			o.Hostname = h
		}
	}
	if o.Started.IsZero() {
		o.Started = time.Now()
	}
	if o.MaxStreams <= 0 {
		o.MaxStreams = defaultMaxStreams
	}
	if o.MaxSessions <= 0 {
		o.MaxSessions = defaultMaxSessions
	}
	s := &Server{opt: o, log: o.Logger, health: health.NewServer()}
	s.life, s.end = context.WithCancel(context.Background())
	opts := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxReceive), grpc.MaxSendMsgSize(maxSend), grpc.MaxConcurrentStreams(streamsPerClient),
		grpc.ConnectionTimeout(10 * time.Second), grpc.MaxHeaderListSize(16 << 10),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.ChainUnaryInterceptor(s.unaryLog, s.unaryRecover),
		grpc.ChainStreamInterceptor(s.streamLog, s.streamLimit, s.streamRecover),
	}
	if o.Credentials != nil {
		opts = append(opts, grpc.Creds(o.Credentials))
	}
	s.grpc = grpc.NewServer(opts...)
	healthpb.RegisterHealthServer(s.grpc, s.health)
	s.health.SetServingStatus(HealthDataplane, s.dataplaneHealth())
	vnfv1.RegisterInterfaceServiceServer(s.grpc, &interfaceService{s: s})
	vnfv1.RegisterRouteServiceServer(s.grpc, &routeService{s: s})
	vnfv1.RegisterNeighborServiceServer(s.grpc, &neighborService{s: s})
	vnfv1.RegisterBgpServiceServer(s.grpc, &bgpService{s: s})
	vnfv1.RegisterSystemServiceServer(s.grpc, &systemService{s: s})
	vnfv1.RegisterTerminationServiceServer(s.grpc, &terminationService{s: s})
	for _, register := range o.Register {
		register(s.grpc)
	}
	registerReflection(s.grpc)
	return s, nil
}

// Serve answers calls on a listener until ctx ends; then it ends all streams, lets running calls finish for two seconds and returns
// nil. It may be called for several listeners at the same time; the first whose context ends stops all.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { s.watchHealth(ctx) })
	wg.Go(func() {
		<-ctx.Done()
		s.stop()
	})
	s.log.Info("gRPC server listens", "address", l.Addr().String())
	err := s.grpc.Serve(l)
	if err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("gRPC server on %s: %w", l.Addr(), err)
	}
	return nil
}

func (s *Server) stop() {
	s.stopOnce.Do(func() {
		s.health.Shutdown()
		s.end()
		t := time.AfterFunc(stopGrace, s.grpc.Stop)
		defer t.Stop()
		s.grpc.GracefulStop()
	})
}

// watchHealth keeps the health service up to date.
func (s *Server) watchHealth(ctx context.Context) {
	t := time.NewTicker(healthInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			s.health.SetServingStatus(HealthDataplane, s.dataplaneHealth())
		}
	}
}

func (s *Server) dataplaneHealth() healthpb.HealthCheckResponse_ServingStatus {
	if s.opt.Dataplane.Connected() {
		return healthpb.HealthCheckResponse_SERVING
	}
	return healthpb.HealthCheckResponse_NOT_SERVING
}
