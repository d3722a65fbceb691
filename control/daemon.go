package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"millrace/appliance/agent"
	"millrace/dataplane/client"
	"millrace/internal/sdnotify"
	"millrace/routing/bgp"
	"millrace/server/auth"
	"millrace/server/bundle"
	"millrace/server/config"
	gnoiserver "millrace/server/gnoi"
	grpcserver "millrace/server/grpc"
	"millrace/server/store"
)

// DaemonOptions are what `vnf control` is started with.
type DaemonOptions struct {
	// ConfigFile is the operator's file; empty: what was in force last, or nothing.
	ConfigFile string
	RuntimeDir string
	StateDir   string
	// Socket of the data plane; empty: dataplane.sock in RuntimeDir.
	Socket string
	// Listeners are inherited ones by name; those that are missing are made.
	Listeners map[string]net.Listener
	Logger    *slog.Logger
	// Level is that of Logger; the configuration and the API change it. LevelFixed keeps the configuration from doing so.
	Level      *slog.LevelVar
	LevelFixed bool
	Version    string
	// Hosts are further names and addresses that clients reach us by, for a certificate of our own.
	Hosts []string
	// Supervisor is told how we are; nil: there is none.
	Supervisor *sdnotify.Notifier
	// Reload has the configuration file read again for each value; nil: never.
	Reload <-chan os.Signal
}

// GRPCSocket is the name, in the runtime directory, of the gRPC services' unix socket: who may open it may do everything.
const GRPCSocket = "vnf.sock"

// RunDaemon runs the control plane until ctx ends.
func RunDaemon(ctx context.Context, o DaemonOptions) error {
	for _, dir := range []string{o.RuntimeDir, o.StateDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	st, err := openStore(o)
	if err != nil {
		return err
	}
	cfg := st.Config()
	setLevel := func(c *config.Config) {
		if o.Level != nil && !o.LevelFixed {
			_ = o.Level.UnmarshalText([]byte(orDefault(string(c.System.LogLevel), "info")))
		}
	}
	setLevel(cfg)
	if o.Socket == "" {
		o.Socket = filepath.Join(o.RuntimeDir, "dataplane.sock")
	}
	epochFile := filepath.Join(o.StateDir, "epoch")
	c, err := New(Options{
		Config: cfg, Socket: o.Socket, RuntimeDir: o.RuntimeDir, Version: o.Version, Logger: o.Logger,
		Epoch: func() (uint64, error) { return client.NextEpoch(epochFile, time.Now()) },
	})
	if err != nil {
		return err
	}
	st.OnAlarm(c.storeAlarm)
	c.bootAlarms()
	defer st.Watch(func(e store.Event) { setLevel(e.Config) })()
	d := &daemon{o: o, c: c, st: st, again: make(chan struct{}, 1), started: time.Now(), agent: agent.Find(o.RuntimeDir)}
	d.host = d.newHostKeeper()
	defer st.Watch(func(store.Event) { d.host.poke() })()
	return d.run(ctx, cfg)
}

func orDefault(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

type daemon struct {
	o  DaemonOptions
	c  *Controller
	st *store.Store
	// exit ends the daemon; again has the operator's file read again.
	exit  context.CancelCauseFunc
	again chan struct{}
	gnoi  *gnoiserver.Server
	hub   *telemetryHub
	// grpc is the gRPC server's listener.
	grpc *movable
	// agent does what we may not; nil: there is none.
	agent *agent.Client
	host  *hostKeeper
	// started is when this program began.
	started time.Time
}

func (d *daemon) run(ctx context.Context, cfg *config.Config) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d.exit = cancel
	listeners, moving, err := d.listen(ctx, cfg)
	if err != nil {
		return err
	}
	d.grpc = moving[ListenGRPC]
	d.st.Bind(&withListeners{d.c, moving})
	defer func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}()
	server, err := d.newServer(cfg)
	if err != nil {
		return err
	}
	defer func() { _ = d.gnoi.Close() }()
	var wg sync.WaitGroup
	fail := func(err error) {
		if err != nil && ctx.Err() == nil {
			cancel(err)
		}
	}
	wg.Go(func() { fail(d.c.Run(ctx)) })
	wg.Go(func() { tuneCollector(ctx) })
	wg.Go(func() { d.reload(ctx) })
	wg.Go(func() { d.st.Run(ctx) })
	wg.Go(func() { d.hub.run(ctx) })
	wg.Go(func() { d.gnoi.Run(ctx) })
	wg.Go(func() { d.host.run(ctx) })
	wg.Go(func() { d.newWatchdog(d.o.Supervisor).run(ctx) })
	for name, l := range listeners {
		if name == ListenMetrics {
			wg.Go(func() { fail(d.serveMetrics(ctx, l)) })
		} else {
			wg.Go(func() { fail(server.Serve(ctx, l)) })
		}
	}
	<-ctx.Done()
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// listen opens the listeners: those of the configuration by name, which can be moved, and the unix socket of gRPC.
func (d *daemon) listen(ctx context.Context, cfg *config.Config) (map[string]net.Listener, map[string]*movable, error) {
	all, moving := map[string]net.Listener{}, map[string]*movable{}
	for _, name := range []string{ListenGRPC, ListenMetrics} {
		m, err := d.movable(ctx, cfg, name)
		if err != nil {
			return all, nil, err
		}
		all[name], moving[name] = m, m
	}
	l, err := unixListener(filepath.Join(d.o.RuntimeDir, GRPCSocket))
	if err != nil {
		return all, nil, fmt.Errorf("gRPC socket: %w", err)
	}
	all["unix"] = l
	return all, moving, nil
}

// movable is the inherited listener of that name, or a new one. An inherited one goes where the configuration says, if that says so.
func (d *daemon) movable(ctx context.Context, cfg *config.Config, name string) (*movable, error) {
	m, address := newMovable(name, d.o.Listeners[name], d.o.Logger), ListenAddress(cfg, name)
	m.agent = d.agent
	said := cfg.System.GRPCListen
	if name == ListenMetrics {
		said = cfg.System.MetricsListen
	}
	if m.l != nil && dead(m.l) {
		_ = m.l.Close()
		m.l = nil
	}
	if m.l != nil && (said == "" || address != "" && sameAddress(m.l, address)) || m.l == nil && address == "" {
		return m, nil
	}
	if err := m.move(ctx, address); err != nil {
		return nil, fmt.Errorf("system.%s-listen: %w", name, err)
	}
	return m, nil
}

func (d *daemon) newServer(cfg *config.Config) (*grpcserver.Server, error) {
	dir := orDefault(cfg.System.PKIDirectory, filepath.Join(d.o.StateDir, "pki"))
	hosts := slices.Clone(d.o.Hosts)
	if cfg.System.Hostname != "" {
		hosts = append(hosts, cfg.System.Hostname)
	}
	if host, _, err := net.SplitHostPort(ListenAddress(cfg, ListenGRPC)); err == nil && host != "" && !strings.HasPrefix(host, "::") && host != "0.0.0.0" {
		hosts = append(hosts, host)
	}
	who, err := auth.NewAuthenticator(func() *config.AAA { return &d.c.Config().AAA })
	if err != nil {
		return nil, err
	}
	pki, err := auth.Open(auth.Options{Dir: dir, Hosts: hosts, Logger: d.o.Logger, Passwords: who.TakesPasswords})
	if err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	if d.gnoi, err = d.newGNOI(pki); err != nil {
		return nil, fmt.Errorf("gNOI: %w", err)
	}
	gnmi, err := d.newGNMI()
	if err != nil {
		return nil, err
	}
	return grpcserver.New(grpcserver.Options{
		Logger: d.o.Logger, Auth: who, Credentials: auth.NewCredentials(pki), Config: d.st, Dataplane: d.c.dp, RIB: d.c.rib, FIB: d.c.FIB(),
		BGP: func(instance string) (grpcserver.Speaker, bool) {
			s, ok := d.c.Speaker(orDefault(instance, config.DefaultInstance))
			return speaker(s), ok
		},
		Audit: d.auditCall, Alarms: d.c, VIPs: d.c, LogLevel: d.o.Level, Version: d.o.Version, Hostname: cfg.System.Hostname, Started: d.started,
		SupportParts: func(lines int) []bundle.Part { return d.supportParts(gnmi, lines) },
		Register:     []func(grpc.ServiceRegistrar){d.registerGRIBI, d.gnoi.Register, gnmi.Register},
	})
}

// auditCall notes a call that is no change of the configuration, or was refused.
func (d *daemon) auditCall(c grpcserver.AuditCall) {
	r := store.AuditRecord{Who: c.Who, Peer: c.Peer, API: c.API, Action: c.Method}
	if c.Err != nil {
		r.Reason = status.Convert(c.Err).Message()
		if r.Reason == "" {
			r.Reason = c.Err.Error()
		}
	}
	d.st.Audit(r)
}

// speaker keeps a nil pointer from becoming an interface that is not nil.
func speaker(s *bgp.Speaker) grpcserver.Speaker {
	if s == nil {
		return nil
	}
	return s
}

// reload reads the operator's file again when asked to.
func (d *daemon) reload(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.o.Reload:
		case <-d.again:
		}
		if err := d.st.Reload(ctx); err != nil {
			d.o.Logger.Error("the configuration file is not taken", "error", err)
		}
	}
}

func (d *daemon) serveMetrics(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(NewRegistry(d.c), promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 2 * scrapePatience}))
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() {
		sctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if s.Shutdown(sctx) != nil {
			_ = s.Close()
		}
	})
	defer stop()
	d.o.Logger.Info("metrics", "address", l.Addr().String())
	if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("metrics listener: %w", err)
	}
	return nil
}
