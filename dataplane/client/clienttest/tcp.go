package clienttest

import (
	"cmp"

	pb "millrace/api/proto/dataplane/v1"
)

// SetHealth says what the health of a pool (backend is empty) or backend is, and tells the subscribers.
func (s *Server) SetHealth(pool, backend string, h pb.TcpHealth, reason string) {
	s.mu.Lock()
	key := pool
	if backend != "" {
		key += "/" + backend
	}
	s.health[key] = h
	s.mu.Unlock()
	s.Push(&pb.Event{Event: &pb.Event_TcpHealth{TcpHealth: &pb.TcpHealthEvent{
		Pool: pool, Backend: backend, Health: h, Reason: reason,
	}}})
}

func (s *Server) poolHealth(key string) pb.TcpHealth {
	return cmp.Or(s.health[key], pb.TcpHealth_TCP_HEALTH_UP)
}

// tcpRow adds the rows that an object has in a table of TCP, and says whether it has any.
func tcpRow(l *pb.List, o *pb.Op, res *pb.ListResult, health func(string) pb.TcpHealth) bool {
	up := func(key string) bool { return health(key) == pb.TcpHealth_TCP_HEALTH_UP }
	p, n := o.GetTcpPool(), o.GetTcpListener()
	if name := cmp.Or(p.GetName(), n.GetName()); l.GetName() != "" && l.GetName() != name {
		return false
	}
	switch {
	case l.GetTable() == pb.Table_TABLE_TCP_LISTENERS && n != nil:
		res.TcpListeners = append(res.TcpListeners, &pb.TcpListenerState{
			Config: n, Healthy: n.GetProxy() == nil || up(n.GetProxy().GetPool()) || n.GetProxy().GetBackupPool() != "" && up(n.GetProxy().GetBackupPool()),
		})
	case l.GetTable() == pb.Table_TABLE_TCP_POOLS && p != nil:
		res.TcpPools = append(res.TcpPools, &pb.TcpPoolState{
			Config: &pb.TcpPool{Name: p.GetName(), Algorithm: p.GetAlgorithm()}, Healthy: up(p.GetName()), Backends: uint32(len(p.GetBackends())),
		})
	case l.GetTable() == pb.Table_TABLE_TCP_BACKENDS && p != nil:
		for _, b := range p.GetBackends() {
			res.TcpBackends = append(res.TcpBackends, &pb.TcpBackendState{
				Pool: p.GetName(), Config: b, Health: health(p.GetName() + "/" + b.GetName()),
			})
		}
	default:
		return false
	}
	return true
}
