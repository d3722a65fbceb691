package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) listenerCommand() *cobra.Command {
	return group("listener", "Services on addresses and ports", []string{"listeners"},
		a.listenerList(), a.listenerShow(), a.listenerAdd(), a.listenerSet(), a.listenerDelete())
}

// eachListener walks all pages.
func (a *app) eachListener(ctx context.Context, req *vnfv1.ListTcpListenersRequest, f func(*vnfv1.TcpListener) error) error {
	client, err := a.termination()
	if err != nil {
		return err
	}
	for {
		ctx, cancel := a.call(ctx)
		resp, err := client.ListTcpListeners(ctx, req)
		cancel()
		if err != nil {
			return err
		}
		for _, l := range resp.GetListeners() {
			if err := f(l); err != nil {
				return err
			}
		}
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
			return nil
		}
	}
}

func listenerWord(l *vnfv1.TcpListener) string {
	c, s := l.GetConfig(), l.GetState()
	switch {
	case s.GetDraining():
		return "draining"
	case c.Enabled != nil && !c.GetEnabled():
		return "disabled"
	case !s.GetPresent():
		return "not-present"
	case s.GetHealthy():
		return "healthy"
	}
	return "unhealthy"
}

// serviceWord is the service, and where it leads.
func serviceWord(c *vnfv1.TcpListenerConfig) string {
	s := short(c.GetService())
	if p := c.GetProxy(); p != nil {
		s += " " + p.GetPool()
		if p.GetBackupPool() != "" {
			s += "|" + p.GetBackupPool()
		}
	}
	return s
}

func refused(s *vnfv1.TcpListenerState) uint64 {
	return s.GetRefusedLimit() + s.GetRefusedRate() + s.GetRefusedSource() + s.GetRefusedAcl() + s.GetRefusedMemory() + s.GetRefusedService()
}

func (a *app) listenerList() *cobra.Command {
	var instance, pool string
	c := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List listeners with what they do", Args: cobra.NoArgs,
		Example: "  vnfctl tcp listener list\n  vnfctl tcp listener list --pool app --watch",
		RunE: func(c *cobra.Command, _ []string) error {
			l := a.newList("NAME", "INSTANCE", "ADDRESS", "SERVICE", "STATUS", "ACTIVE", "ACCEPTED", "REFUSED", "IN", "OUT")
			err := a.eachListener(c.Context(), &vnfv1.ListTcpListenersRequest{NetworkInstance: instance, Pool: pool}, func(x *vnfv1.TcpListener) error {
				k, s := x.GetConfig(), x.GetState()
				return l.add(x, k.GetName(), k.GetNetworkInstance(), hostPort(k.GetAddress(), k.GetPort()), serviceWord(k), listenerWord(x),
					fmt.Sprint(s.GetActive()), fmt.Sprint(s.GetAccepted()), fmt.Sprint(refused(s)), size(s.GetBytesIn()), size(s.GetBytesOut()))
			})
			if err != nil {
				return err
			}
			return l.end()
		},
	}
	a.instanceFlag(c, &instance, "all")
	c.Flags().StringVar(&pool, "pool", "", "only proxies to this pool")
	noError(c.RegisterFlagCompletionFunc("pool", a.complete(-1, a.poolNames)))
	return a.watchable(c)
}

func (a *app) listenerShow() *cobra.Command {
	c := &cobra.Command{
		Use: "show NAME", Short: "Show all about one listener", Args: cobra.ExactArgs(1), ValidArgsFunction: a.complete(0, a.listenerNames),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.termination()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			l, err := client.GetTcpListener(ctx, &vnfv1.GetTcpListenerRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return a.show(l, func(w io.Writer) error { describeListener(w, l); return nil })
		},
	}
	return a.watchable(c)
}

func describeListener(w io.Writer, l *vnfv1.TcpListener) {
	c, s := l.GetConfig(), l.GetState()
	field(w, "Name", c.GetName())
	field(w, "Description", c.GetDescription())
	field(w, "Status", listenerWord(l)+suffix(": ", s.GetReason()))
	field(w, "Network instance", c.GetNetworkInstance())
	field(w, "Address", hostPort(c.GetAddress(), c.GetPort()))
	field(w, "Service", serviceWord(c))
	if p := c.GetProxy(); p != nil {
		field(w, "PROXY protocol", fmt.Sprintf("in %s, out %s", short(p.GetProxyProtocolIn()), short(p.GetProxyProtocolOut())))
		field(w, "Trusted", strings.Join(p.GetProxyProtocolTrusted(), " "))
		field(w, "Without backend", short(p.GetNoBackend())+suffix(" ", span(p.GetWaitTimeout())))
		field(w, "Half-close timeout", span(p.GetHalfCloseTimeout()))
		field(w, "Backend connection", fmt.Sprintf("timeout %s, %d retries", orWord(span(p.GetConnectTimeout()), "5s"), p.GetRetries()))
	}
	if h := c.GetHttp(); h != nil {
		describeHTTP(w, h)
	}
	field(w, "Options", optionWords(c.GetOptions()))
	var limits []string
	for _, x := range []struct {
		name string
		n    uint32
	}{
		{"connections", c.GetMaxConnections()}, {"per source", c.GetMaxPerSource()}, {"per second", c.GetRate()}, {"burst", c.GetBurst()},
		{"backlog", c.GetBacklog()},
	} {
		if x.n != 0 {
			limits = append(limits, fmt.Sprintf("%s %d", x.name, x.n))
		}
	}
	field(w, "Limits", strings.Join(limits, ", "))
	field(w, "Allow", strings.Join(c.GetAllow(), " "))
	field(w, "Deny", strings.Join(c.GetDeny(), " "))
	var times []string
	for _, x := range []struct {
		name string
		d    *durationpb.Duration
	}{{"idle", c.GetIdleTimeout()}, {"total", c.GetTotalTimeout()}, {"header", c.GetHeaderTimeout()}, {"drain", c.GetDrainTimeout()}} {
		if x.d != nil {
			times = append(times, x.name+" "+span(x.d))
		}
	}
	field(w, "Timeouts", strings.Join(times, ", "))
	field(w, "Connections", fmt.Sprintf("%d, and %d half-open; %d accepted, %d closed", s.GetActive(), s.GetHalfOpen(), s.GetAccepted(), s.GetClosed()))
	field(w, "Refused", fmt.Sprintf("%d by limit, %d by rate, %d by source, %d by prefixes, %d for memory, %d by the service", s.GetRefusedLimit(),
		s.GetRefusedRate(), s.GetRefusedSource(), s.GetRefusedAcl(), s.GetRefusedMemory(), s.GetRefusedService()))
	field(w, "SYN cookies", fmt.Sprintf("%d sent, %d valid, %d invalid", s.GetCookiesSent(), s.GetCookiesValid(), s.GetCookiesInvalid()))
	if c.GetOptions().GetFastOpen() {
		field(w, "Fast Open", fmt.Sprintf("%d accepted, %d wrong cookies", s.GetFastOpenAccepted(), s.GetFastOpenCookieInvalid()))
	}
	field(w, "Octets", fmt.Sprintf("%d in, %d out", s.GetBytesIn(), s.GetBytesOut()))
	for _, n := range s.GetService() {
		if n.GetValue() != 0 {
			field(w, n.GetName(), fmt.Sprintf("%d (%s)", n.GetValue(), n.GetDescription()))
		}
	}
}

func describeHTTP(w io.Writer, h *vnfv1.TcpHttpConfig) {
	line := func(path string, r *vnfv1.TcpHttpResponse) string {
		status := r.GetStatus()
		if status == 0 {
			status = 200
		}
		body := fmt.Sprintf("%d bytes", len(r.GetBody()))
		if r.GetBodyFile() != "" {
			body = "file " + r.GetBodyFile()
		}
		return fmt.Sprintf("%s: %d, %s", path, status, body)
	}
	field(w, "HTTP", line("*", h.GetResponse()))
	for _, r := range h.GetRoutes() {
		path := r.GetPath()
		if r.GetPrefix() {
			path = strings.TrimSuffix(path, "/") + "/*"
		}
		fmt.Fprintf(w, "\t%s\n", line(path, r.GetResponse()))
	}
	field(w, "Methods", strings.Join(h.GetMethods(), " "))
}

func orWord(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// listenerFlags are what add and set have in common.
type listenerFlags struct {
	config  vnfv1.TcpListenerConfig
	http    vnfv1.TcpHttpConfig
	answer  vnfv1.TcpHttpResponse
	proxy   vnfv1.TcpProxyConfig
	options vnfv1.TcpOptions
	headers []string
	file    string
}

func (l *listenerFlags) register(a *app, c *cobra.Command) {
	v := &l.config
	f := fields{c: c}
	f.text("description", "description", &v.Description, "for people")
	f.switched("enabled", "enabled", &v.Enabled, "switched on; default true")
	f.number("backlog", "backlog", &v.Backlog, "half-open connections of a worker before SYN cookies; 0: 1024")
	f.number("max-connections", "max_connections", &v.MaxConnections, "at one time; 0: no limit")
	f.number("rate", "rate", &v.Rate, "new connections a second; 0: no limit")
	f.number("burst", "burst", &v.Burst, "that may come at once; 0: as --rate")
	f.number("max-per-source", "max_per_source", &v.MaxPerSource, "connections of one source address and worker; 0: no limit")
	f.list("allow", "allow", &v.Allow, "`prefixes` that may connect; none: all may")
	f.list("deny", "deny", &v.Deny, "`prefixes` that may not connect")
	f.flag("reset-denied", "reset_denied", &v.ResetDenied, "answer those who may not by a reset")
	f.span("idle-timeout", "idle_timeout", &v.IdleTimeout, "without data; none: no limit, http 60s")
	f.span("total-timeout", "total_timeout", &v.TotalTimeout, "since it was accepted; none: no limit")
	f.span("header-timeout", "header_timeout", &v.HeaderTimeout, "for the head of a request, or the PROXY header")
	f.span("drain-timeout", "drain_timeout", &v.DrainTimeout, "for connections when the listener is deleted; none: they are reset")
	f.large("chargen-limit", "chargen_limit", &v.ChargenLimit, "chargen: `bytes` after which a connection is closed; 0: no limit")

	p := fields{c, "proxy."}
	p.text("pool", "pool", &l.proxy.Pool, "proxy: the pool of backends")
	p.text("backup-pool", "backup_pool", &l.proxy.BackupPool, "proxy: pool that is used while the other is not healthy")
	word(p, "proxy-protocol-in", "proxy_protocol_in", &l.proxy.ProxyProtocolIn, "proxy: header that clients begin with")
	word(p, "proxy-protocol-out", "proxy_protocol_out", &l.proxy.ProxyProtocolOut, "proxy: header sent to backends")
	p.span("connect-timeout", "connect_timeout", &l.proxy.ConnectTimeout, "proxy: for the connection to a backend; none: 5s")
	p.number("retries", "retries", &l.proxy.Retries, "proxy: other backends that are tried, up to 15")
	p.list("proxy-protocol-trusted", "proxy_protocol_trusted", &l.proxy.ProxyProtocolTrusted,
		"proxy: `prefixes` of clients that may begin with a header; none: all may")
	p.span("half-close-timeout", "half_close_timeout", &l.proxy.HalfCloseTimeout, "proxy: without data once one side closed; none: no limit")
	word(p, "no-backend", "no_backend", &l.proxy.NoBackend, "proxy: what becomes of clients that no backend can take")
	p.span("wait-timeout", "wait_timeout", &l.proxy.WaitTimeout, "proxy: how long --no-backend wait holds them; none: 5s")
	for _, name := range []string{"pool", "backup-pool"} {
		noError(c.RegisterFlagCompletionFunc(name, a.complete(-1, a.poolNames)))
	}

	h := fields{c, "http."}
	h.number("status", "response.status", &l.answer.Status, "http: of the answer, 200 to 599; 0: 200")
	h.text("body", "response.body", &l.answer.Body, "http: `text` of the answer")
	h.text("body-file", "response.body_file", &l.answer.BodyFile, "http: `file` on the appliance that is the answer")
	c.Flags().StringArrayVar(&l.headers, "header", nil, "http: `'Name: value'` of the answer; may be given several times")
	h.note("header", "response.headers")
	h.text("server", "server", &l.http.Server, "http: value of the Server field")
	h.list("methods", "methods", &l.http.Methods, "http: methods that are answered; none: all")
	h.number("max-requests", "max_requests", &l.http.MaxRequests, "http: after which a connection is closed; 0: no limit")
	tcpOptionFlags(c, &l.options, true)
	c.Flags().StringVarP(&l.file, "file", "f", "", "take the whole from a `file`, the .config that show -o yaml prints; - is standard input")
}

// finish puts the parts together that flags were given for.
func (l *listenerFlags) finish(c *cobra.Command) error {
	for _, s := range l.headers {
		name, value, ok := strings.Cut(s, ":")
		if !ok {
			return usagef("--header: %q is not 'Name: value'", s)
		}
		l.answer.Headers = append(l.answer.Headers, &vnfv1.TcpHttpHeader{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value)})
	}
	for _, path := range changed(c).Paths {
		switch part, rest, _ := strings.Cut(path, "."); part {
		case "http":
			l.config.Http = &l.http
			if strings.HasPrefix(rest, "response.") {
				l.http.Response = &l.answer
			}
		case "proxy":
			l.config.Proxy = &l.proxy
		case "options":
			l.config.Options = &l.options
		}
	}
	return nil
}

func (a *app) listenerAdd() *cobra.Command {
	var l listenerFlags
	c := &cobra.Command{
		Use: "add NAME [ADDRESS:]PORT SERVICE", Aliases: []string{"create"}, Short: "Make a listener", Args: cobra.RangeArgs(1, 3),
		Example: `  vnfctl tcp listener add echo 7 echo
  vnfctl tcp listener add status 192.0.2.1:8080 http --status 200 --body 'all is well'
  vnfctl tcp listener add web 203.0.113.10:80 proxy --pool app --proxy-protocol-out v2 --retries 2
  vnfctl tcp listener add -f web.yaml web`,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) == 2 {
				return words(vnfv1.TcpServiceKind(0)), cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := l.finish(c); err != nil {
				return err
			}
			if err := l.place(a, args); err != nil {
				return err
			}
			client, err := a.termination()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			x, err := client.CreateTcpListener(ctx, &vnfv1.CreateTcpListenerRequest{Config: &l.config})
			if err != nil {
				return err
			}
			return a.done(x, "%s made: %s%s", args[0], listenerWord(x), suffix(": ", x.GetState().GetReason()))
		},
	}
	l.register(a, c)
	a.instanceFlag(c, &l.config.NetworkInstance, "default")
	return c
}

// place reads the arguments of add.
func (l *listenerFlags) place(a *app, args []string) error {
	if l.file != "" {
		if len(args) > 1 {
			return usagef("--file has address, port and service")
		}
		if err := a.fromFile(l.file, &l.config); err != nil {
			return err
		}
		l.config.Name = args[0]
		return nil
	}
	if len(args) != 3 {
		return usagef("NAME, [ADDRESS:]PORT and SERVICE are needed, or --file")
	}
	where := args[1]
	if !strings.Contains(where, ":") {
		where = ":" + where
	}
	address, port, err := splitHostPort("PORT", where)
	if err != nil {
		return err
	}
	kind, err := parseEnum[vnfv1.TcpServiceKind]("service", args[2])
	if err != nil {
		return usagef("SERVICE: %q is none of %s", args[2], strings.Join(words(vnfv1.TcpServiceKind(0)), ", "))
	}
	l.config.Name, l.config.Address, l.config.Port, l.config.Service = args[0], address, port, kind
	return nil
}

func (a *app) listenerSet() *cobra.Command {
	var l listenerFlags
	c := &cobra.Command{
		Use: "set NAME", Aliases: []string{"update"}, Short: "Change what is given, leave the rest and the connections", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.complete(0, a.listenerNames),
		Example: `  vnfctl tcp listener set web --max-connections 10000 --idle-timeout 5m
  vnfctl tcp listener set web --congestion-control bbr --nagle=false
  vnfctl tcp listener set web --enabled=false`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := l.finish(c); err != nil {
				return err
			}
			mask := changed(c)
			if l.file != "" {
				if len(mask.Paths) > 0 {
					return usagef("--file is the whole: no other flags go with it")
				}
				if err := a.fromFile(l.file, &l.config); err != nil {
					return err
				}
			} else if len(mask.Paths) == 0 {
				return &usageError{c, fmt.Errorf("nothing to change is given")}
			}
			l.config.Name = args[0]
			client, err := a.termination()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			x, err := client.UpdateTcpListener(ctx, &vnfv1.UpdateTcpListenerRequest{Config: &l.config, UpdateMask: mask})
			if err != nil {
				return err
			}
			return a.done(x, "%s changed: %s%s", args[0], listenerWord(x), suffix(": ", x.GetState().GetReason()))
		},
	}
	l.register(a, c)
	return c
}

func (a *app) listenerDelete() *cobra.Command {
	var drain time.Duration
	c := &cobra.Command{
		Use: "delete NAME", Aliases: []string{"rm"}, Short: "Take no more connections, and let those there are end", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.complete(0, a.listenerNames),
		Example:           "  vnfctl tcp listener delete web --drain 30s\n  vnfctl tcp listener delete web --drain 0",
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.termination()
			if err != nil {
				return err
			}
			req := &vnfv1.DeleteTcpListenerRequest{Name: args[0]}
			if c.Flags().Changed("drain") {
				req.Drain = durationpb.New(drain)
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.DeleteTcpListener(ctx, req)
			if err != nil {
				return err
			}
			return a.done(resp, "%s deleted", args[0])
		},
	}
	c.Flags().DurationVar(&drain, "drain", 0, "`time` that connections may go on, 0: they are reset; none: the listener's drain timeout")
	return c
}
