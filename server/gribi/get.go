package gribi

import (
	"cmp"
	"net/netip"
	"slices"

	spb "github.com/openconfig/gribi/v1/proto/service"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// entriesPerMessage bounds a GetResponse, and what is read in one hold of the lock.
const entriesPerMessage = 512

// Get implements gRIBI. Entries come by network instance, then next hops,
// groups and prefixes, each in their order. What changes meanwhile may be told
// as it was or as it is.
func (s *Server) Get(req *spb.GetRequest, stream grpc.ServerStreamingServer[spb.GetResponse]) error {
	var tables []aft
	v4, v6 := true, true
	switch req.GetAft() {
	case spb.AFTType_ALL:
		tables = []aft{aftNextHop, aftGroup, aftPrefix}
	case spb.AFTType_NEXTHOP:
		tables = []aft{aftNextHop}
	case spb.AFTType_NEXTHOP_GROUP:
		tables = []aft{aftGroup}
	case spb.AFTType_IPV4:
		tables, v6 = []aft{aftPrefix}, false
	case spb.AFTType_IPV6:
		tables, v4 = []aft{aftPrefix}, false
	case spb.AFTType_MPLS, spb.AFTType_MAC, spb.AFTType_POLICY_FORWARDING:
		return status.Errorf(codes.Unimplemented, "aft: %s is not among what this box forwards", req.GetAft())
	default:
		return status.Errorf(codes.InvalidArgument, "aft: %s is none to ask for", req.GetAft())
	}
	var names []string
	switch n := req.GetNetworkInstance().(type) {
	case *spb.GetRequest_All:
		s.mu.Lock()
		names = s.table.known()
		s.mu.Unlock()
	case *spb.GetRequest_Name:
		if n.Name == "" {
			return status.Error(codes.InvalidArgument, "name: is empty")
		}
		if _, ok := s.opt.RIB.VRFMade(n.Name); !ok {
			return status.Errorf(codes.InvalidArgument, "name: there is no network instance %q", n.Name)
		}
		names = []string{n.Name}
	default:
		return status.Error(codes.InvalidArgument, "network_instance: one of name and all is needed")
	}
	select {
	case s.gets <- struct{}{}:
		defer func() { <-s.gets }()
	default:
		return status.Errorf(codes.ResourceExhausted, "%d Get calls are under way, more are not allowed", cap(s.gets))
	}
	for _, name := range names {
		for _, t := range tables {
			if err := s.getTable(stream, name, t, v4, v6); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) getTable(stream grpc.ServerStreamingServer[spb.GetResponse], name string, t aft, v4, v6 bool) error {
	keys := s.keys(name, t, v4, v6)
	for len(keys) > 0 {
		n := min(len(keys), entriesPerMessage)
		list := s.show(keys[:n])
		keys = keys[n:]
		if len(list) == 0 {
			continue
		}
		m := &spb.GetResponse{Entry: make([]*spb.AFTEntry, len(list))}
		for i := range list {
			list[i].fib = s.fibStatus(list[i].key)
			m.Entry[i] = encodeEntry(&list[i])
		}
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// keys lists those of a table, in order.
func (s *Server) keys(name string, t aft, v4, v6 bool) []key {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.table.instance(name)
	if in == nil {
		return nil
	}
	var keys []key
	switch t {
	case aftNextHop:
		for id := range in.hops {
			keys = append(keys, key{instance: name, aft: t, id: id})
		}
	case aftGroup:
		for id := range in.groups {
			keys = append(keys, key{instance: name, aft: t, id: id})
		}
	case aftPrefix:
		for p := range in.prefixes {
			if p.Addr().Is4() && v4 || p.Addr().Is6() && v6 {
				keys = append(keys, key{instance: name, aft: t, prefix: p})
			}
		}
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.id, b.id), comparePrefix(a.prefix, b.prefix))
	})
	return keys
}

func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// show returns those of the entries that are still there.
func (s *Server) show(keys []key) []shown {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]shown, 0, len(keys))
	for _, k := range keys {
		in := s.table.instances[k.instance]
		if in == nil {
			continue
		}
		e := shown{key: k}
		switch k.aft {
		case aftNextHop:
			h := in.hops[k.id]
			if h == nil {
				continue
			}
			e.hop = h.nextHop
		case aftGroup:
			g := in.groups[k.id]
			if g == nil {
				continue
			}
			e.group = g.group
		case aftPrefix:
			p := in.prefixes[k.prefix]
			if p == nil {
				continue
			}
			e.prefix = p.prefix
		}
		out = append(out, e)
	}
	return out
}

func (s *Server) fibStatus(k key) fibStatus {
	if v, _ := s.judge(&ack{key: k}); v == verdictDone {
		return fibProgrammed
	}
	return fibNotProgrammed
}
