package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) poolCommand() *cobra.Command {
	return group("pool", "Pools of backends for proxies", []string{"pools"},
		a.poolList(), a.poolShow(), a.poolAdd(), a.poolSet(), a.poolDelete())
}

// eachPool walks all pages.
func (a *app) eachPool(ctx context.Context, f func(*vnfv1.TcpPool) error) error {
	client, err := a.termination()
	if err != nil {
		return err
	}
	for req := (&vnfv1.ListTcpPoolsRequest{}); ; {
		ctx, cancel := a.call(ctx)
		resp, err := client.ListTcpPools(ctx, req)
		cancel()
		if err != nil {
			return err
		}
		for _, p := range resp.GetPools() {
			if err := f(p); err != nil {
				return err
			}
		}
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
			return nil
		}
	}
}

func poolWord(p *vnfv1.TcpPool) string {
	switch s := p.GetState(); {
	case !s.GetPresent():
		return "not-present"
	case s.GetHealthy():
		return "healthy"
	}
	return "unhealthy"
}

func backendWord(b *vnfv1.TcpBackend) string {
	c, s := b.GetConfig(), b.GetState()
	switch {
	case s.GetDraining():
		return "draining"
	case c.GetAdmin() == vnfv1.TcpBackendAdmin_TCP_BACKEND_ADMIN_DISABLED:
		return "disabled"
	case s.GetHealth() == vnfv1.TcpHealth_TCP_HEALTH_UNSPECIFIED:
		return "not-present"
	case c.GetAdmin() == vnfv1.TcpBackendAdmin_TCP_BACKEND_ADMIN_DRAIN:
		return short(s.GetHealth()) + ",drain"
	}
	return short(s.GetHealth())
}

func (a *app) poolList() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List pools with their health", Args: cobra.NoArgs,
		Example: "  vnfctl tcp pool list --watch",
		RunE: func(c *cobra.Command, _ []string) error {
			l := a.newList("NAME", "ALGORITHM", "STATUS", "UP", "ACTIVE", "CONNECTIONS", "FAILED", "RETRIES", "IN", "OUT", "LISTENERS")
			if err := a.eachPool(c.Context(), func(p *vnfv1.TcpPool) error {
				s := p.GetState()
				return l.add(p, p.GetConfig().GetName(), short(p.GetConfig().GetAlgorithm()), poolWord(p),
					fmt.Sprintf("%d/%d", s.GetBackendsHealthy(), s.GetBackends()), fmt.Sprint(s.GetActive()), fmt.Sprint(s.GetConnections()),
					fmt.Sprint(s.GetNoBackend()+s.GetFull()+s.GetExhausted()), fmt.Sprint(s.GetRetries()), size(s.GetBytesIn()),
					size(s.GetBytesOut()), strings.Join(s.GetListeners(), " "))
			}); err != nil {
				return err
			}
			return l.end()
		},
	}
	return a.watchable(c)
}

func (a *app) poolShow() *cobra.Command {
	c := &cobra.Command{
		Use: "show NAME", Short: "Show a pool with its backends", Args: cobra.ExactArgs(1), ValidArgsFunction: a.complete(0, a.poolNames),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.termination()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			p, err := client.GetTcpPool(ctx, &vnfv1.GetTcpPoolRequest{Name: args[0]})
			if err != nil {
				return err
			}
			if err := a.show(p, func(w io.Writer) error { describePool(w, p, time.Now()); return nil }); err != nil || a.format != "table" {
				return err
			}
			fmt.Fprintln(a.out)
			l := a.newList("BACKEND", "ADDRESS", "WEIGHT", "STATUS", "SINCE", "ACTIVE", "CONNECTIONS", "FAILED", "IN", "OUT", "CHECK", "REASON")
			for _, b := range p.GetBackends() {
				k, s := b.GetConfig(), b.GetState()
				where := hostPort(k.GetAddress(), k.GetPort())
				if n := k.GetNetworkInstance(); n != "default" {
					where += "@" + n
				}
				if err := l.add(b, k.GetName(), where, weightWord(b), backendWord(b), since(s.GetLastChange(), time.Now()), fmt.Sprint(s.GetActive()),
					fmt.Sprint(s.GetConnections()), fmt.Sprint(s.GetConnectFailed()), size(s.GetBytesIn()), size(s.GetBytesOut()),
					checkWord(s), s.GetReason()); err != nil {
					return err
				}
			}
			return l.end()
		},
	}
	return a.watchable(c)
}

// weightWord is the weight, and in slow start that in force before it.
func weightWord(b *vnfv1.TcpBackend) string {
	w := max(1, b.GetConfig().GetWeight())
	if now := b.GetState().GetEffectiveWeight(); now != 0 && now != 1000*w {
		return fmt.Sprintf("%.1f/%d", float64(now)/1000, w)
	}
	return fmt.Sprint(w)
}

func checkWord(s *vnfv1.TcpBackendState) string {
	if s.GetCheckTime().AsDuration() == 0 {
		return ""
	}
	return fmt.Sprintf("%.1fms", float64(s.GetCheckTime().AsDuration())/float64(time.Millisecond))
}

func describePool(w io.Writer, p *vnfv1.TcpPool, now time.Time) {
	c, s := p.GetConfig(), p.GetState()
	field(w, "Name", c.GetName())
	field(w, "Description", c.GetDescription())
	status := poolWord(p)
	if s.GetLastChange() != nil {
		status += " for " + since(s.GetLastChange(), now)
	}
	field(w, "Status", fmt.Sprintf("%s, %d of %d backends are up, %d are needed", status, s.GetBackendsHealthy(), s.GetBackends(), max(1, c.GetMinHealthy())))
	field(w, "Reason", s.GetReason())
	field(w, "Listeners", strings.Join(s.GetListeners(), " "))
	algorithm := short(c.GetAlgorithm())
	if c.GetAlgorithm() == vnfv1.TcpAlgorithm_TCP_ALGORITHM_MAGLEV {
		algorithm += " by " + short(c.GetHashKey())
	}
	field(w, "Algorithm", algorithm)
	if h := c.GetHealthCheck(); h.GetKind() != vnfv1.TcpHealthCheckKind_TCP_HEALTH_CHECK_KIND_NONE {
		text := fmt.Sprintf("%s every %s, timeout %s", short(h.GetKind()), orWord(span(h.GetInterval()), "5s"), orWord(span(h.GetTimeout()), "2s"))
		if h.GetPort() != 0 {
			text += fmt.Sprintf(", port %d", h.GetPort())
		}
		if h.GetPath() != "" {
			text += ", " + h.GetPath()
		}
		field(w, "Health check", text)
	}
	field(w, "Slow start", span(c.GetSlowStart()))
	source := short(c.GetSourceMode())
	if len(c.GetSourceAddresses()) > 0 {
		source = strings.Join(c.GetSourceAddresses(), " ")
	}
	field(w, "Source", source)
	field(w, "Options", optionWords(c.GetOptions()))
	field(w, "Connections", fmt.Sprintf("%d, %d in all; %d attempts failed, %d retries", s.GetActive(), s.GetConnections(), s.GetConnectFailed(), s.GetRetries()))
	field(w, "Lost", fmt.Sprintf("%d had no backend, %d found all full, %d had no attempt left, %d were drained", s.GetNoBackend(), s.GetFull(),
		s.GetExhausted(), s.GetDrainAborts()))
	field(w, "Octets", fmt.Sprintf("%d from backends, %d to them", s.GetBytesIn(), s.GetBytesOut()))
}

// poolFlags are what add and set have in common.
type poolFlags struct {
	config   vnfv1.TcpPoolConfig
	check    vnfv1.TcpHealthCheck
	passive  vnfv1.TcpPassiveCheck
	options  vnfv1.TcpOptions
	backends []string
	file     string
}

func (p *poolFlags) register(c *cobra.Command) {
	v := &p.config
	f := fields{c: c}
	f.text("description", "description", &v.Description, "for people")
	c.Flags().StringArrayVarP(&p.backends, "backend", "b", nil,
		"`NAME=ADDRESS:PORT[,weight=N][,in=INSTANCE][,max-connections=N]`; may be given several times")
	f.note("backend", "backends")
	word(f, "algorithm", "algorithm", &v.Algorithm, "how a backend is chosen")
	word(f, "hash-key", "hash_key", &v.HashKey, "maglev: what the hash is over")
	f.number("maglev-size", "maglev_size", &v.MaglevSize, "maglev: entries of the table, a prime; 0: 65537")
	f.large("hash-seed", "hash_seed", &v.HashSeed, "maglev: the same on boxes that are to choose alike")
	f.span("slow-start", "slow_start", &v.SlowStart, "time in which a backend that came up gets to its whole share")
	f.number("max-connections", "max_connections", &v.MaxConnections, "to all backends; 0: no limit")
	f.number("min-healthy", "min_healthy", &v.MinHealthy, "backends that have to be up for the pool to be healthy; 0: 1")
	word(f, "source-mode", "source_mode", &v.SourceMode, "addresses that connections come from")
	f.list("source-address", "source_addresses", &v.SourceAddresses, "source mode pool: `addresses` of the box")
	h := fields{c, "health_check."}
	word(h, "check", "kind", &p.check.Kind, "health check")
	h.span("check-interval", "interval", &p.check.Interval, "none: 5s")
	h.span("check-timeout", "timeout", &p.check.Timeout, "none: 2s")
	h.number("check-rise", "rise", &p.check.Rise, "good checks that bring a backend up; 0: 2")
	h.number("check-fall", "fall", &p.check.Fall, "bad checks that take it down; 0: 3")
	h.number("check-port", "port", &p.check.Port, "0: the backend's")
	h.text("check-method", "method", &p.check.Method, "http: GET or HEAD")
	h.text("check-path", "path", &p.check.Path, "http: target of the request; none: /")
	h.text("check-host", "host", &p.check.Host, "http: value of Host; none: address and port")
	h.number("check-status-min", "status_min", &p.check.StatusMin, "http: least good status; 0: 200")
	h.number("check-status-max", "status_max", &p.check.StatusMax, "http: greatest good status; 0: 399")
	word(h, "check-proxy-protocol", "proxy_protocol", &p.check.ProxyProtocol, "header that checks begin with")
	s := fields{c, "passive_check."}
	s.switched("passive", "enabled", &p.passive.Enabled, "take a backend out whose connections fail; default on")
	s.number("passive-fall", "fall", &p.passive.Fall, "failed connections in a row; 0: 5")
	s.span("passive-time", "time", &p.passive.Time, "how long it is out; none: 10s")
	tcpOptionFlags(c, &p.options, false)
	c.Flags().StringVarP(&p.file, "file", "f", "", "take the whole from a `file`, the .config that show -o yaml prints; - is standard input")
}

func (p *poolFlags) finish(a *app, c *cobra.Command, name string) error {
	mask := changed(c)
	if p.file != "" {
		if len(mask.Paths) > 0 {
			return usagef("--file is the whole: no other flags go with it")
		}
		if err := a.fromFile(p.file, &p.config); err != nil {
			return err
		}
	}
	for _, s := range p.backends {
		b, err := parseBackend(s)
		if err != nil {
			return err
		}
		p.config.Backends = append(p.config.Backends, b)
	}
	for _, path := range mask.Paths {
		switch part, _, _ := strings.Cut(path, "."); part {
		case "health_check":
			p.config.HealthCheck = &p.check
		case "passive_check":
			p.config.PassiveCheck = &p.passive
		case "options":
			p.config.Options = &p.options
		}
	}
	p.config.Name = name
	return nil
}

func (a *app) poolAdd() *cobra.Command {
	var p poolFlags
	c := &cobra.Command{
		Use: "add NAME", Aliases: []string{"create"}, Short: "Make a pool", Args: cobra.ExactArgs(1),
		Example: `  vnfctl tcp pool add app -b a=192.0.2.201:8080 -b b=192.0.2.202:8080,weight=3 --check http --check-path /health
  vnfctl tcp pool add cache --algorithm maglev -b a=[2001:db8::1]:6379 --check connect --check-interval 500ms
  vnfctl tcp pool add -f app.yaml app`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := p.finish(a, c, args[0]); err != nil {
				return err
			}
			client, err := a.termination()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			x, err := client.CreateTcpPool(ctx, &vnfv1.CreateTcpPoolRequest{Config: &p.config})
			if err != nil {
				return err
			}
			return a.done(x, "%s made: %d backends", args[0], len(x.GetConfig().GetBackends()))
		},
	}
	p.register(c)
	return c
}

func (a *app) poolSet() *cobra.Command {
	var p poolFlags
	c := &cobra.Command{
		Use: "set NAME", Aliases: []string{"update"}, Short: "Change what is given, leave the rest and the connections", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.complete(0, a.poolNames),
		Example: `  vnfctl tcp pool set app --algorithm least-connections --slow-start 30s
  vnfctl tcp pool set app -b a=192.0.2.201:8080 -b c=192.0.2.203:8080   # replaces the whole list`,
		RunE: func(c *cobra.Command, args []string) error {
			mask := changed(c)
			if p.file == "" && len(mask.Paths) == 0 {
				return &usageError{c, fmt.Errorf("nothing to change is given")}
			}
			if err := p.finish(a, c, args[0]); err != nil {
				return err
			}
			client, err := a.termination()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			x, err := client.UpdateTcpPool(ctx, &vnfv1.UpdateTcpPoolRequest{Config: &p.config, UpdateMask: mask})
			if err != nil {
				return err
			}
			return a.done(x, "%s changed: %s", args[0], poolWord(x))
		},
	}
	p.register(c)
	return c
}

func (a *app) poolDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Aliases: []string{"rm"}, Short: "Delete a pool that no listener uses", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.complete(0, a.poolNames),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.termination()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.DeleteTcpPool(ctx, &vnfv1.DeleteTcpPoolRequest{Name: args[0]})
			if err != nil {
				return err
			}
			return a.done(resp, "%s deleted", args[0])
		},
	}
}
