package gnoiserver

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/openconfig/gnoi/factory_reset"
	"github.com/openconfig/gnoi/file"
	"github.com/openconfig/gnoi/healthz"
	"github.com/openconfig/gnoi/system"
	"github.com/openconfig/gnsi/certz"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"millrace/server/auth"
	"millrace/server/config"
)

// Process of the appliance.
type Process struct {
	// Name is vnf or vnf-dataplane.
	Name string
	PID  int
}

// Machine is one that the appliance has to itself.
type Machine interface {
	// Reboot has it start anew.
	Reboot(ctx context.Context, reason string) error
	// FactoryReset has it forget all that the appliance was told, and start anew.
	FactoryReset(ctx context.Context) error
}

// Options of the services. All but Logger, Now, Version and Machine have to be given.
type Options struct {
	Logger *slog.Logger
	// Now is the clock; nil: time.Now.
	Now       func() time.Time
	Dataplane Dataplane
	Alarms    Alarms
	// Config is the configuration in force.
	Config func() *config.Config
	// Version of this program.
	Version string
	// Processes are those that run; the first is this one.
	Processes func() ([]Process, error)
	// Signal sends a signal to a process; syscall.Kill.
	Signal func(pid int, sig int) error
	// Machine is what else can be done to it; nil: nothing, we are not alone on the machine.
	Machine Machine
	// Exit ends this process in order; whoever supervises it starts it again.
	Exit func(reason string)
	// Reload reads the operator's configuration file again, as SIGHUP does.
	Reload func()
	// FileDir is the folder of the File service. It is made if it is not there.
	FileDir string
	// PKI is the certificates of the management listener.
	PKI *auth.PKI
}

// Server is the services.
type Server struct {
	opt    Options
	log    *slog.Logger
	system *systemService
	file   *fileService
	certz  *certzService
	health *healthzService
}

// New makes the services.
func New(o Options) (*Server, error) {
	if o.Dataplane == nil || o.Alarms == nil || o.Config == nil || o.Processes == nil || o.Signal == nil || o.Exit == nil || o.Reload == nil || o.FileDir == "" || o.PKI == nil {
		return nil, errors.New("gNOI: an option is missing")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f, err := newFileService(o.FileDir)
	if err != nil {
		return nil, err
	}
	return &Server{
		opt: o, log: o.Logger, system: &systemService{opt: o, reboot: newReboot(o)}, file: f, certz: &certzService{opt: o}, health: newHealthz(o),
	}, nil
}

// Register adds the services to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	system.RegisterSystemServer(r, s.system)
	file.RegisterFileServer(r, s.file)
	certz.RegisterCertzServer(r, s.certz)
	healthz.RegisterHealthzServer(r, s.health)
	factory_reset.RegisterFactoryResetServer(r, &resetService{opt: s.opt})
}

// Run follows how the components are until ctx ends.
func (s *Server) Run(ctx context.Context) { s.health.run(ctx) }

// Close ends what the services have going.
func (s *Server) Close() error {
	s.system.reboot.stop()
	return s.file.root.Close()
}

func invalid(field, format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, field+": "+format, args...)
}
