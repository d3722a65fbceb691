package grpcserver

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/dataplane/client"
)

// How long a list of connections looks for more that match, before it answers with those it has.
const connectionPatience = 2 * time.Second

// addrOrPrefix reads an address or a prefix; empty: none.
func addrOrPrefix(c *checks, field, s string) *dpb.TcpPrefix {
	if s == "" {
		return nil
	}
	var p netip.Prefix
	if strings.Contains(s, "/") {
		p = prefixField(c, field, s)
	} else if a := addrField(c, field, s); a.IsValid() {
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if !p.IsValid() {
		return nil
	}
	return &dpb.TcpPrefix{Prefix: p.Addr().AsSlice(), PrefixLen: uint32(p.Bits())}
}

func tcpFilterIn(c *checks, field string, m *vnfv1.TcpConnectionFilter) *dpb.TcpFilter {
	at := func(name string) string { return field + "." + name }
	f := &dpb.TcpFilter{
		Vrf: m.GetNetworkInstance(), Local: addrOrPrefix(c, at("local"), m.GetLocal()), Remote: addrOrPrefix(c, at("remote"), m.GetRemote()),
		LocalPort: m.GetLocalPort(), RemotePort: m.GetRemotePort(), Listener: m.GetListener(), Pool: m.GetPool(), Backend: m.GetBackend(),
		MinAge: uint64(spanIn(c, at("min_age"), m.GetMinAge()).Milliseconds()), Outgoing: m.GetOutgoing(),
		MinIdle: uint64(spanIn(c, at("min_idle"), m.GetMinIdle()).Milliseconds()),
	}
	rangeOf(c, at("local_port"), m.GetLocalPort(), 1, 65535, true)
	rangeOf(c, at("remote_port"), m.GetRemotePort(), 1, 65535, true)
	for _, s := range m.GetStates() {
		enumField(c, at("states"), s)
		f.States = append(f.States, dpb.TcpState(s))
	}
	enumField(c, at("family"), m.GetFamily())
	switch m.GetFamily() {
	case vnfv1.AddressFamily_ADDRESS_FAMILY_IPV4:
		f.Family = 4
	case vnfv1.AddressFamily_ADDRESS_FAMILY_IPV6:
		f.Family = 6
	}
	if m.GetBackend() != "" && m.GetPool() == "" {
		c.addf(at("pool"), "is needed with a backend")
	}
	return f
}

func (t *terminationService) ListTcpConnections(ctx context.Context, req *vnfv1.ListTcpConnectionsRequest) (
	*vnfv1.ListTcpConnectionsResponse, error) {
	p, err := pageOf(req)
	if err != nil {
		return nil, err
	}
	var c checks
	f := tcpFilterIn(&c, "filter", req.GetFilter())
	if err := c.err(); err != nil {
		return nil, err
	}
	resp := &vnfv1.ListTcpConnectionsResponse{}
	cursor := p.cursor
	for began := time.Now(); len(resp.Connections) < p.size && time.Since(began) < connectionPatience; {
		list, err := t.s.opt.Dataplane.Page(ctx, &dpb.List{
			Table: dpb.Table_TABLE_TCP_CONNECTIONS, Limit: uint32(p.size - len(resp.Connections)), Cursor: cursor, Tcp: f,
		})
		if err != nil {
			return nil, filterError(err)
		}
		for _, one := range list.GetTcpConnections() {
			resp.Connections = append(resp.Connections, tcpConnectionOut(one))
		}
		if cursor = list.GetNextCursor(); len(cursor) == 0 {
			return resp, nil
		}
	}
	resp.NextPageToken = p.token(cursor)
	return resp, nil
}

// filterError gives a field of the seam's filter the name that it has here.
func filterError(err error) error {
	var de *client.Error
	if errors.As(err, &de) {
		for _, prefix := range []string{"list.tcp.", "tcp_kill.filter."} {
			if name, ok := strings.CutPrefix(de.Field, prefix); ok {
				if name == "vrf" {
					name = "network_instance"
				}
				renamed := *de
				renamed.Field = "request.filter." + name // dataplaneError leaves the first word out
				return dataplaneError(&renamed)
			}
		}
	}
	return dataplaneError(err)
}

func (t *terminationService) KillTcpConnections(ctx context.Context, req *vnfv1.KillTcpConnectionsRequest) (
	*vnfv1.KillTcpConnectionsResponse, error) {
	var c checks
	f := tcpFilterIn(&c, "filter", req.GetFilter())
	if !req.GetAll() && proto.Size(f) == 0 {
		c.addf("filter", "matches all connections; set `all` if that is meant")
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	n, err := t.s.opt.Dataplane.KillTCP(ctx, f, req.GetAll())
	if err != nil {
		return nil, filterError(err)
	}
	return &vnfv1.KillTcpConnectionsResponse{Killed: n}, nil
}

func (t *terminationService) GetTcpStatistics(ctx context.Context, _ *vnfv1.GetTcpStatisticsRequest) (*vnfv1.TcpStatistics, error) {
	o := &vnfv1.TcpStatistics{}
	for n, err := range t.s.opt.Dataplane.TCPCounters(ctx) {
		if err != nil {
			return nil, dataplaneError(err)
		}
		o.Counters = append(o.Counters, tcpCountersOut([]*dpb.TcpCounter{n})...)
	}
	for w, err := range t.s.opt.Dataplane.TCPWorkers(ctx) {
		if err != nil {
			return nil, dataplaneError(err)
		}
		o.Workers = append(o.Workers, tcpWorkerOut(w))
	}
	return o, nil
}
