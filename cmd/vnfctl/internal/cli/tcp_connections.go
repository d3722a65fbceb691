package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	vnfv1 "millrace/api/proto/vnf/v1"
)

// connectionFlags choose connections.
type connectionFlags struct {
	filter vnfv1.TcpConnectionFilter
	states []string
	family string
}

func (f *connectionFlags) register(a *app, c *cobra.Command) {
	v := &f.filter
	a.instanceFlag(c, &v.NetworkInstance, "all")
	fl := c.Flags()
	fl.StringVar(&v.Local, "local", "", "`address or prefix` of this side")
	fl.StringVar(&v.Remote, "remote", "", "`address or prefix` of the other side")
	fl.Uint32Var(&v.LocalPort, "local-port", 0, "`port` of this side")
	fl.Uint32Var(&v.RemotePort, "remote-port", 0, "`port` of the other side")
	fl.StringSliceVar(&f.states, "state", nil, "only in these states, for example established, time-wait")
	fixed(c, "state", words(vnfv1.TcpState(0)))
	fl.StringVar(&f.family, "family", "", "ipv4 or ipv6")
	fixed(c, "family", words(vnfv1.AddressFamily(0)))
	fl.StringVar(&v.Listener, "listener", "", "of this listener")
	noError(c.RegisterFlagCompletionFunc("listener", a.complete(-1, a.listenerNames)))
	fl.StringVar(&v.Pool, "pool", "", "to backends of this pool")
	noError(c.RegisterFlagCompletionFunc("pool", a.complete(-1, a.poolNames)))
	fl.StringVar(&v.Backend, "backend", "", "with --pool: to this backend")
	fl.Var(durationFlag{&v.MinAge}, "min-age", "at least so old")
	fl.Var(durationFlag{&v.MinIdle}, "min-idle", "at least so long without a segment")
	fl.BoolVar(&v.Outgoing, "outgoing", false, "made from here")
}

func (f *connectionFlags) finish() error {
	for _, s := range f.states {
		e, err := parseEnum[vnfv1.TcpState]("state", s)
		if err != nil {
			return err
		}
		f.filter.States = append(f.filter.States, e)
	}
	family, err := parseEnum[vnfv1.AddressFamily]("family", f.family)
	f.filter.Family = family
	return err
}

func (a *app) tcpConnections() *cobra.Command {
	var f connectionFlags
	var brief bool
	var most uint32
	c := &cobra.Command{
		Use: "connections", Aliases: []string{"connection", "conns"}, Short: "List connections, as ss -ti does", Args: cobra.NoArgs,
		Long: `Lists connections in the manner of ss -ti: state, queues and addresses, and below what the stack knows of each.

Times are in milliseconds (rtt is the smoothed one and its variation), windows and MTUs in bytes, cwnd, ssthresh,
unacked, sacked, lost and retrans (now/in all) in segments.`,
		Example: `  vnfctl tcp connections
  vnfctl tcp connections --listener web --state established --brief
  vnfctl tcp connections --remote 198.51.100.0/24 --min-idle 5m -o json | jq length`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.finish(); err != nil {
				return err
			}
			client, err := a.termination()
			if err != nil {
				return err
			}
			l := newConnectionList(a, brief)
			left := most
			for req := (&vnfv1.ListTcpConnectionsRequest{PageSize: 512, Filter: &f.filter}); ; {
				ctx, cancel := a.call(c.Context())
				resp, err := client.ListTcpConnections(ctx, req)
				cancel()
				if err != nil {
					return err
				}
				page := resp.GetConnections()
				if most > 0 && uint32(len(page)) >= left {
					page, resp.NextPageToken = page[:left], ""
				}
				left -= uint32(len(page))
				if err := l.add(page); err != nil {
					return err
				}
				if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
					return l.end()
				}
			}
		},
	}
	f.register(a, c)
	c.Flags().BoolVarP(&brief, "brief", "b", false, "one line for each")
	c.Flags().Uint32Var(&most, "limit", 0, "show no more than this `number`; 0: all")
	return a.watchable(c)
}

// connectionList prints connections page by page, the columns of each page aligned.
type connectionList struct {
	a     *app
	list  *list
	brief bool
	began bool
}

func newConnectionList(a *app, brief bool) *connectionList {
	l := &connectionList{a: a, brief: brief}
	if a.format != "table" {
		l.list = a.newList()
	}
	return l
}

func (l *connectionList) add(page []*vnfv1.TcpConnection) error {
	if l.list != nil {
		for _, t := range page {
			if err := l.list.add(t); err != nil {
				return err
			}
		}
		return nil
	}
	rows := [][]string{{"STATE", "RECV-Q", "SEND-Q", "LOCAL", "REMOTE", "SERVICE"}}
	for _, t := range page {
		rows = append(rows, connectionCells(t))
	}
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, cell := range r {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for i, r := range rows {
		if i == 0 && l.began {
			continue
		}
		var b strings.Builder
		for k, cell := range r {
			fmt.Fprintf(&b, "%-*s  ", widths[k], cell)
		}
		fmt.Fprintln(l.a.out, strings.TrimRight(b.String(), " "))
		if i > 0 && !l.brief {
			if s := connectionInfo(page[i-1]); s != "" {
				fmt.Fprintf(l.a.out, "\t%s\n", s)
			}
		}
	}
	l.began = true
	return nil
}

func (l *connectionList) end() error {
	if l.list != nil {
		return l.list.end()
	}
	return nil
}

func connectionCells(t *vnfv1.TcpConnection) []string {
	service := t.GetListener()
	if t.GetPool() != "" {
		service = strings.TrimPrefix(service+" > ", " > ") + t.GetPool() + "/" + t.GetBackend()
	}
	if n := t.GetNetworkInstance(); n != "default" && n != "" {
		service = strings.TrimSpace(service + " @" + n)
	}
	return []string{
		strings.ToUpper(short(t.GetState())), fmt.Sprint(t.GetRecvQueue()), fmt.Sprint(t.GetSendQueue()),
		hostPort(t.GetLocalAddress(), t.GetLocalPort()), hostPort(t.GetRemoteAddress(), t.GetRemotePort()), service,
	}
}

func milliseconds(d *durationpb.Duration) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.3f", float64(d.AsDuration())/float64(time.Millisecond)), "0"), ".")
}

// bits is a rate for people.
func bits(octets uint64) string { return count(8*float64(octets)) + "bps" }

// connectionInfo is the second line, in the words of ss -ti where it has them.
func connectionInfo(t *vnfv1.TcpConnection) string {
	var w []string
	add := func(format string, args ...any) { w = append(w, fmt.Sprintf(format, args...)) }
	if t.GetTimer() != "" {
		add("timer:(%s,%sms)", t.GetTimer(), milliseconds(t.GetTimerLeft()))
	}
	if t.GetState() == vnfv1.TcpState_TCP_STATE_TIME_WAIT {
		return strings.Join(w, " ")
	}
	for _, o := range []struct {
		name string
		on   bool
	}{{"ts", t.GetTimestamps()}, {"sack", t.GetSack()}, {"ecn", t.GetEcn()}, {"fastopen", t.GetFastOpen()}} {
		if o.on {
			add("%s", o.name)
		}
	}
	add("%s", short(t.GetCongestionControl()))
	if s := t.GetCaState(); s != vnfv1.TcpCaState_TCP_CA_STATE_OPEN {
		add("ca_state:%s", short(s))
	}
	if t.GetWindowScale() {
		add("wscale:%d,%d", t.GetSndWscale(), t.GetRcvWscale())
	}
	add("rto:%s rtt:%s/%s", milliseconds(t.GetRto()), milliseconds(t.GetSrtt()), milliseconds(t.GetRttvar()))
	add("mss:%d pmtu:%d advmss:%d cwnd:%d", t.GetMss(), t.GetPmtu(), t.GetAdvmss(), t.GetCwnd())
	if t.Ssthresh != nil {
		add("ssthresh:%d", t.GetSsthresh())
	}
	for _, n := range []struct {
		name string
		n    uint64
	}{
		{"bytes_sent", t.GetBytesSent()}, {"bytes_retrans", t.GetBytesRetrans()}, {"bytes_acked", t.GetBytesAcked()},
		{"bytes_received", t.GetBytesReceived()}, {"segs_out", t.GetSegsOut()}, {"segs_in", t.GetSegsIn()},
	} {
		if n.n != 0 {
			add("%s:%d", n.name, n.n)
		}
	}
	if rtt := t.GetSrtt().AsDuration(); rtt > 0 && t.GetCwnd() > 0 {
		add("send %s", bits(uint64(float64(t.GetCwnd())*float64(t.GetMss())/rtt.Seconds())))
	}
	add("age:%s idle:%s", milliseconds(t.GetAge()), milliseconds(t.GetIdle()))
	if t.PacingRate != nil && t.GetPacingRate() != 0 {
		add("pacing_rate %s", bits(t.GetPacingRate()))
	}
	if t.GetDeliveryRate() != 0 {
		add("delivery_rate %s", bits(t.GetDeliveryRate()))
	}
	if t.GetUnacked() != 0 {
		add("unacked:%d", t.GetUnacked())
	}
	if t.GetRetrans() != 0 || t.GetTotalRetrans() != 0 {
		add("retrans:%d/%d", t.GetRetrans(), t.GetTotalRetrans())
	}
	reordering := t.GetReordering()
	if reordering == 3 {
		reordering = 0 // as it begins
	}
	for _, n := range []struct {
		name string
		n    uint32
	}{
		{"lost", t.GetLost()}, {"sacked", t.GetSacked()}, {"dsack_dups", t.GetDsackDups()}, {"rtos", t.GetRtoCount()},
		{"reordering", reordering}, {"snd_wnd", t.GetSndWnd()}, {"rcv_wnd", t.GetRcvWnd()}, {"rcvbuf", t.GetRcvbuf()},
		{"sndbuf", t.GetSndbuf()},
	} {
		if n.n != 0 {
			add("%s:%d", n.name, n.n)
		}
	}
	if t.GetMinRtt().AsDuration() > 0 {
		add("minrtt:%s", milliseconds(t.GetMinRtt()))
	}
	add("worker:%d", t.GetWorker())
	return strings.Join(w, " ")
}

func (a *app) tcpKill() *cobra.Command {
	var f connectionFlags
	var all bool
	c := &cobra.Command{
		Use: "kill [LOCAL:PORT REMOTE:PORT]", Short: "Reset one connection, or those that match", Args: cobra.MaximumNArgs(2),
		Example: `  vnfctl tcp kill 203.0.113.10:80 198.51.100.7:40312
  vnfctl tcp kill --listener web --min-idle 1h
  vnfctl tcp kill --all`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.finish(); err != nil {
				return err
			}
			if len(args) == 1 {
				return usagef("one connection is named by both sides: LOCAL:PORT REMOTE:PORT")
			}
			v := &f.filter
			if len(args) == 2 {
				var err error
				if v.Local, v.LocalPort, err = splitHostPort("LOCAL:PORT", args[0]); err != nil {
					return err
				}
				if v.Remote, v.RemotePort, err = splitHostPort("REMOTE:PORT", args[1]); err != nil {
					return err
				}
			}
			if !all && proto.Size(v) == 0 {
				return usagef("nothing says which: name one, give a filter, or --all")
			}
			client, err := a.termination()
			if err != nil {
				return err
			}
			ctx, cancel := a.call(c.Context())
			defer cancel()
			resp, err := client.KillTcpConnections(ctx, &vnfv1.KillTcpConnectionsRequest{Filter: v, All: all})
			if err != nil {
				return err
			}
			if err := a.done(resp, "%d reset", resp.GetKilled()); err != nil {
				return err
			}
			if len(args) == 2 && resp.GetKilled() == 0 {
				return &partialError{"there is no such connection"}
			}
			return nil
		},
	}
	f.register(a, c)
	c.Flags().BoolVar(&all, "all", false, "every connection")
	return c
}
