// Package clienttest is the other end of the seam for tests: it speaks the real framing on a unix socket and keeps what is written
// to it in maps. It forwards nothing and checks little: what the data plane refuses is tested against the data plane.
package clienttest

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	pb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client"
)

// Object is what an owner wrote.
type Object struct {
	Op    *pb.Op
	Epoch uint64
}

// Server is a data plane without packets.
type Server struct {
	l  net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	subs  map[*session]map[uint64]bool
	state
	// Refuse, if set, is asked for each operation; a non-nil result refuses it.
	refuse func(op *pb.Op) *pb.Error
	handle func(req *pb.Request) []*pb.Response
}

type state struct {
	bootID  uint64
	epochs  map[string]uint64
	objects map[string]Object
	order   []string // keys in the order of their creation
	log     []string
	// health of pools and backends, by "POOL" and "POOL/BACKEND"; what is not in it is up.
	health map[string]pb.TcpHealth
}

// Listen starts a server on a unix socket.
func Listen(path string, bootID uint64) (*Server, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	s := &Server{l: l, conns: map[net.Conn]bool{}, subs: map[*session]map[uint64]bool{}}
	s.state = newState(bootID)
	s.wg.Go(s.accept)
	return s, nil
}

func newState(bootID uint64) state {
	return state{bootID: bootID, epochs: map[string]uint64{}, objects: map[string]Object{}, health: map[string]pb.TcpHealth{}}
}

// Close ends it.
func (s *Server) Close() {
	_ = s.l.Close()
	s.Disconnect()
	s.wg.Wait()
}

// Disconnect breaks all connections.
func (s *Server) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

// Reboot forgets everything and breaks all connections, as a data plane that was killed and started again.
func (s *Server) Reboot(bootID uint64) {
	s.mu.Lock()
	s.state = newState(bootID)
	s.mu.Unlock()
	s.Disconnect()
}

// SetRefuse has each operation judged; a non-nil result refuses it.
func (s *Server) SetRefuse(f func(op *pb.Op) *pb.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = f
}

// SetHandle has requests answered by f; where it returns nil the server does what it always does.
func (s *Server) SetHandle(f func(req *pb.Request) []*pb.Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = f
}

// Objects returns what is written, by key such as "route default 10.0.0.0/8".
func (s *Server) Objects() map[string]Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := make(map[string]Object, len(s.objects))
	for k, v := range s.objects {
		m[k] = v
	}
	return m
}

// Keys returns the keys of what is written, sorted.
func (s *Server) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(func(yield func(string) bool) {
		for k := range s.objects {
			if !yield(k) {
				return
			}
		}
	})
}

// TakeLog returns the operations carried out since the last call, in their order: "+key" or "-key".
func (s *Server) TakeLog() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.log
	s.log = nil
	return l
}

// Push sends an event to all subscribers.
func (s *Server) Push(e *pb.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ses, ids := range s.subs {
		for id := range ids {
			ses.send(&pb.Response{Id: id, Result: &pb.Response_Event{Event: e}})
		}
	}
}

type session struct {
	nc    net.Conn
	mu    sync.Mutex
	owner string
	epoch uint64
}

func (c *session) send(m *pb.Response) {
	b, err := client.AppendFrame(nil, m)
	if err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = c.nc.Write(b)
}

func (s *Server) accept() {
	for {
		nc, err := s.l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[nc] = true
		s.mu.Unlock()
		s.wg.Go(func() { s.serve(&session{nc: nc}) })
	}
}

func (s *Server) serve(c *session) {
	defer func() {
		s.mu.Lock()
		delete(s.conns, c.nc)
		delete(s.subs, c)
		s.mu.Unlock()
		_ = c.nc.Close()
	}()
	r := bufio.NewReader(c.nc)
	for {
		b, err := client.ReadFrame(r, nil)
		if err != nil {
			return
		}
		q := new(pb.Request)
		if err := proto.Unmarshal(b, q); err != nil {
			c.send(&pb.Response{Error: &pb.Error{Code: pb.Code_CODE_MALFORMED, Message: err.Error()}})
			return
		}
		s.mu.Lock()
		handle := s.handle
		s.mu.Unlock()
		if handle != nil {
			if answers := handle(q); answers != nil {
				for _, a := range answers {
					c.send(a)
				}
				continue
			}
		}
		a := s.answer(c, q)
		a.Id = q.GetId()
		c.send(a)
	}
}

func refusal(code pb.Code, field, format string, args ...any) *pb.Response {
	return &pb.Response{Error: &pb.Error{Code: code, Field: field, Message: fmt.Sprintf(format, args...)}}
}

func (s *Server) answer(c *session, q *pb.Request) *pb.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch op := q.GetOp().(type) {
	case *pb.Request_Hello:
		c.owner, c.epoch = op.Hello.GetOwner(), op.Hello.GetEpoch()
		old := s.epochs[c.owner]
		if c.epoch < old {
			return refusal(pb.Code_CODE_STALE_EPOCH, "hello.epoch", "%d is older than %d", c.epoch, old)
		}
		s.epochs[c.owner] = c.epoch
		return &pb.Response{Result: &pb.Response_Hello{Hello: &pb.HelloResult{
			Version: "test", BootId: s.bootID, PreviousEpoch: old, MaxFrame: client.MaxFrame, MaxOps: client.MaxOps,
		}}}
	case *pb.Request_Batch:
		if c.owner == "" {
			return refusal(pb.Code_CODE_STALE_EPOCH, "", "hello first")
		}
		return s.batch(c, op.Batch.GetOps())
	case *pb.Request_Sweep:
		n := &pb.SweepResult{}
		for _, key := range slices.Clone(s.order) {
			if o := s.objects[key]; o.Epoch < c.epoch {
				if o.Op.GetRoute() != nil {
					n.Routes++
				}
				s.remove(key)
			}
		}
		return &pb.Response{Result: &pb.Response_Sweep{Sweep: n}}
	case *pb.Request_GetInfo:
		return &pb.Response{Result: &pb.Response_Info{Info: &pb.Info{Version: "test", BootId: s.bootID, Workers: 1}}}
	case *pb.Request_List:
		return s.list(op.List)
	case *pb.Request_Subscribe:
		if s.subs[c] == nil {
			s.subs[c] = map[uint64]bool{}
		}
		s.subs[c][q.GetId()] = true
		return &pb.Response{Result: &pb.Response_Done{Done: &pb.Done{}}}
	case *pb.Request_Cancel:
		delete(s.subs[c], op.Cancel.GetRequestId())
		return &pb.Response{Result: &pb.Response_Done{Done: &pb.Done{}}}
	}
	return refusal(pb.Code_CODE_UNKNOWN_REQUEST, "", "%T is not known here", q.GetOp())
}

func (s *Server) batch(c *session, ops []*pb.Op) *pb.Response {
	res := &pb.BatchResult{}
	for i, op := range ops {
		var fault *pb.Error
		if s.refuse != nil {
			fault = s.refuse(op)
		}
		if fault == nil {
			if err := s.apply(c, op); err != nil {
				fault = &pb.Error{Code: pb.Code_CODE_NOT_FOUND, Field: fmt.Sprintf("batch.ops[%d]", i), Message: err.Error()}
			}
		}
		if fault != nil {
			res.Failed = append(res.Failed, &pb.OpError{Index: uint32(i), Error: fault})
		} else {
			res.Applied++
		}
	}
	return &pb.Response{Result: &pb.Response_Batch{Batch: res}}
}

func (s *Server) apply(c *session, op *pb.Op) error {
	key, del := Key(op)
	if key == "" {
		return errors.New("no operation")
	}
	if del {
		if _, ok := s.objects[key]; !ok {
			return fmt.Errorf("%s does not exist", key)
		}
		s.remove(key)
		return nil
	}
	if _, ok := s.objects[key]; !ok {
		s.order = append(s.order, key)
	}
	s.objects[key] = Object{Op: op, Epoch: c.epoch}
	s.log = append(s.log, "+"+key)
	return nil
}

func (s *Server) remove(key string) {
	// What is on an interface goes with it.
	if name, ok := strings.CutPrefix(key, "interface "); ok {
		for _, k := range slices.Clone(s.order) {
			f := strings.Fields(k)
			if f[0] == "ra" || f[0] == "address" || f[0] == "neighbor" {
				if f[1] == name {
					s.remove(k)
				}
			} else if s.objects[k].Op.GetInterface().GetParent() == name {
				s.remove(k)
			}
		}
	}
	delete(s.objects, key)
	s.order = slices.DeleteFunc(s.order, func(k string) bool { return k == key })
	s.log = append(s.log, "-"+key)
}

func vrfName(s string) string {
	if s == "" {
		return "default"
	}
	return s
}

func addr(b []byte) string {
	a, _ := netip.AddrFromSlice(b)
	return a.String()
}

// Key names the object of an operation, and says whether it is deleted.
func Key(op *pb.Op) (key string, del bool) {
	switch o := op.GetOp().(type) {
	case *pb.Op_Vrf:
		return "vrf " + o.Vrf.GetName(), false
	case *pb.Op_VrfDelete:
		return "vrf " + o.VrfDelete.GetName(), true
	case *pb.Op_Interface:
		return "interface " + o.Interface.GetName(), false
	case *pb.Op_InterfaceDelete:
		return "interface " + o.InterfaceDelete.GetName(), true
	case *pb.Op_Address:
		return "address " + o.Address.GetInterface() + " " + addr(o.Address.GetAddress()), false
	case *pb.Op_AddressDelete:
		return "address " + o.AddressDelete.GetInterface() + " " + addr(o.AddressDelete.GetAddress()), true
	case *pb.Op_Neighbor:
		return "neighbor " + o.Neighbor.GetInterface() + " " + addr(o.Neighbor.GetAddress()), false
	case *pb.Op_NeighborDelete:
		return "neighbor " + o.NeighborDelete.GetInterface() + " " + addr(o.NeighborDelete.GetAddress()), true
	case *pb.Op_NextHop:
		return fmt.Sprintf("next-hop %d", o.NextHop.GetId()), false
	case *pb.Op_NextHopDelete:
		return fmt.Sprintf("next-hop %d", o.NextHopDelete), true
	case *pb.Op_Group:
		return fmt.Sprintf("group %d", o.Group.GetId()), false
	case *pb.Op_GroupDelete:
		return fmt.Sprintf("group %d", o.GroupDelete), true
	case *pb.Op_Route:
		return fmt.Sprintf("route %s %s/%d", vrfName(o.Route.GetVrf()), addr(o.Route.GetPrefix()), o.Route.GetPrefixLen()), false
	case *pb.Op_RouteDelete:
		r := o.RouteDelete
		return fmt.Sprintf("route %s %s/%d", vrfName(r.GetVrf()), addr(r.GetPrefix()), r.GetPrefixLen()), true
	case *pb.Op_RouterAdvertisement:
		return "ra " + o.RouterAdvertisement.GetInterface(), false
	case *pb.Op_RouterAdvertisementDelete:
		return "ra " + o.RouterAdvertisementDelete.GetName(), true
	case *pb.Op_Settings:
		return "settings", false
	case *pb.Op_TcpPool:
		return "tcp-pool " + o.TcpPool.GetName(), false
	case *pb.Op_TcpPoolDelete:
		return "tcp-pool " + o.TcpPoolDelete.GetName(), true
	case *pb.Op_TcpListener:
		return "tcp-listener " + o.TcpListener.GetName(), false
	case *pb.Op_TcpListenerDelete:
		return "tcp-listener " + o.TcpListenerDelete.GetName(), true
	}
	return "", false
}

// list answers in pages; the cursor is the last key of the page before.
func (s *Server) list(l *pb.List) *pb.Response {
	keys := make([]string, 0, len(s.objects))
	for k := range s.objects {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	limit, res := int(l.GetLimit()), &pb.ListResult{}
	if limit == 0 {
		limit = 512
	}
	n := 0
	for _, k := range keys {
		if k <= string(l.GetCursor()) {
			continue
		}
		o := s.objects[k].Op
		switch {
		case l.GetTable() == pb.Table_TABLE_INTERFACES && o.GetInterface() != nil:
			status := pb.OperStatus_OPER_STATUS_UP
			if !o.GetInterface().GetAdminUp() {
				status = pb.OperStatus_OPER_STATUS_LOWER_LAYER_DOWN
			}
			res.Interfaces = append(res.Interfaces, &pb.InterfaceState{Config: o.GetInterface(), OperStatus: status, Mtu: 1500})
		case l.GetTable() == pb.Table_TABLE_ADDRESSES && o.GetAddress() != nil:
			a := o.GetAddress()
			res.Addresses = append(res.Addresses, &pb.AddressState{
				Interface: a.GetInterface(), Address: a.GetAddress(), PrefixLen: a.GetPrefixLen(), Dad: pb.DadState_DAD_STATE_PREFERRED,
				Kind: a.GetKind(),
			})
		case l.GetTable() == pb.Table_TABLE_ROUTES && o.GetRoute() != nil && vrfName(o.GetRoute().GetVrf()) == vrfName(l.GetVrf()) &&
			(len(o.GetRoute().GetPrefix()) == 16) == l.GetIpv6():
			r := o.GetRoute()
			res.Routes = append(res.Routes, &pb.RouteState{Prefix: r.GetPrefix(), PrefixLen: r.GetPrefixLen(), GroupId: r.GetGroupId()})
		case tcpRow(l, o, res, s.poolHealth):
		case l.GetTable() == pb.Table_TABLE_VRFS && o.GetVrf() != nil:
			res.Vrfs = append(res.Vrfs, &pb.VrfState{Name: o.GetVrf().GetName()})
		default:
			continue
		}
		if n++; n == limit {
			res.NextCursor = []byte(k)
			break
		}
	}
	return &pb.Response{Result: &pb.Response_List{List: res}}
}
