package grpctest

import dpb "millrace/api/proto/dataplane/v1"

// listTCP answers one page of a table of TCP. Connections are filtered by listener and port only.
func (s *Seam) listTCP(l *dpb.List, r *dpb.ListResult, begin, limit int) (more bool) {
	named := func(name string) bool { return l.GetName() == "" || l.GetName() == name }
	switch l.GetTable() {
	case dpb.Table_TABLE_TCP_LISTENERS:
		r.TcpListeners, more = rows(s.tables.GetTcpListeners(), begin, limit, func(x *dpb.TcpListenerState) bool {
			return named(x.GetConfig().GetName())
		})
	case dpb.Table_TABLE_TCP_POOLS:
		r.TcpPools, more = rows(s.tables.GetTcpPools(), begin, limit, func(x *dpb.TcpPoolState) bool { return named(x.GetConfig().GetName()) })
	case dpb.Table_TABLE_TCP_BACKENDS:
		r.TcpBackends, more = rows(s.tables.GetTcpBackends(), begin, limit, func(x *dpb.TcpBackendState) bool { return named(x.GetPool()) })
	case dpb.Table_TABLE_TCP_CONNECTIONS:
		f := l.GetTcp()
		r.TcpConnections, more = rows(s.tables.GetTcpConnections(), begin, limit, func(x *dpb.TcpConnection) bool {
			return (f.GetListener() == "" || f.GetListener() == x.GetListener()) && (f.GetLocalPort() == 0 || f.GetLocalPort() == x.GetLocalPort())
		})
	case dpb.Table_TABLE_TCP_COUNTERS:
		r.TcpCounters, more = rows(s.tables.GetTcpCounters(), begin, limit, nil)
	case dpb.Table_TABLE_TCP_WORKERS:
		r.TcpWorkers, more = rows(s.tables.GetTcpWorkers(), begin, limit, nil)
	}
	return more
}
