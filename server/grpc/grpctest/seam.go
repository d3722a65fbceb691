// Package grpctest is a box for tests of the northbound API and of its clients: the real server over the real RIB, FIB programmer,
// BGP speaker and data plane client, on a configuration in memory and a data plane that answers from tables the test fills in.
package grpctest

import (
	"bufio"
	"cmp"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client"
)

// Seam is the data plane's end of the seam, at a unix socket. It serves what its fields hold and takes every write.
type Seam struct {
	Path string

	mu   sync.Mutex
	l    net.Listener
	away bool
	// What is read.
	tables *dpb.ListResult
	info   *dpb.Info
	// Ping and Lookup answer.
	ping   func(*dpb.Ping) (*dpb.PingResult, *dpb.Error)
	lookup func(*dpb.Lookup) *dpb.LookupResult
	// Events of the next trace or capture.
	events []*dpb.Event
	// Refuse is the answer to traces and captures, if it is set.
	refuse      *dpb.Error
	written     []*dpb.Op
	asked       []*dpb.Request
	subscribers map[*seamConn]uint64
	conns       map[*seamConn]bool
	wg          sync.WaitGroup
}

// NewSeam listens until the test ends.
func NewSeam(t testing.TB) *Seam {
	t.Helper()
	s := &Seam{
		Path: filepath.Join(t.TempDir(), "seam.sock"), tables: &dpb.ListResult{}, subscribers: map[*seamConn]uint64{},
		conns: map[*seamConn]bool{},
		info:  &dpb.Info{Version: "test", DpdkVersion: "DPDK test", BootId: 1, Pid: 42, Workers: 1, UptimeNs: 5e9, TscHz: 1e9},
	}
	s.Back(t)
	t.Cleanup(func() {
		s.Away()
		s.wg.Wait()
	})
	return s
}

// Set changes what is read.
func (s *Seam) Set(change func(tables *dpb.ListResult, info *dpb.Info)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.tables, s.info)
}

// OnPing and OnLookup set the answers; Events what the next traces and captures yield; Refuse their refusal.
func (s *Seam) OnPing(f func(*dpb.Ping) (*dpb.PingResult, *dpb.Error)) {
	s.locked(func() { s.ping = f })
}

// OnLookup sets the answer to Lookup.
func (s *Seam) OnLookup(f func(*dpb.Lookup) *dpb.LookupResult) { s.locked(func() { s.lookup = f }) }

// Events sets what the next traces and captures yield.
func (s *Seam) Events(events ...*dpb.Event) { s.locked(func() { s.events = events }) }

// Refuse sets the refusal of the next traces and captures.
func (s *Seam) Refuse(e *dpb.Error) { s.locked(func() { s.refuse = e }) }

func (s *Seam) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// Asked returns the requests of a kind so far.
func (s *Seam) Asked(match func(*dpb.Request) bool) []*dpb.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.asked), func(r *dpb.Request) bool { return !match(r) })
}

// Push sends an event to all subscribers.
func (s *Seam) Push(e *dpb.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, id := range s.subscribers {
		c.send(&dpb.Response{Id: id, Result: &dpb.Response_Event{Event: e}})
	}
}

// Drop breaks all connections; clients soon have new ones.
func (s *Seam) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
}

func (s *Seam) drop() {
	for c := range s.conns {
		c.Close()
	}
}

// Away has the data plane be gone, until Back.
func (s *Seam) Away() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.l.Close()
	s.away = true
	s.drop()
}

// Back has the data plane be there again.
func (s *Seam) Back(t testing.TB) {
	t.Helper()
	l, err := net.Listen("unix", s.Path)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.l, s.away = l, false
	s.wg.Go(func() { s.accept(l) })
}

type seamConn struct {
	net.Conn
	mu sync.Mutex
}

func (c *seamConn) send(r *dpb.Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b, err := client.AppendFrame(nil, r); err == nil {
		_, _ = c.Write(b)
	}
}

func (s *Seam) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		c := &seamConn{Conn: nc}
		s.locked(func() {
			if s.conns[c] = true; s.away { // it was accepted just before
				c.Close()
			}
		})
		s.wg.Go(func() { s.serve(c) })
	}
}

func (s *Seam) serve(c *seamConn) {
	defer s.locked(func() { delete(s.conns, c); delete(s.subscribers, c) })
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		b, err := client.ReadFrame(r, nil)
		if err != nil {
			return
		}
		req := &dpb.Request{}
		if err := proto.Unmarshal(b, req); err != nil {
			return
		}
		s.mu.Lock()
		s.asked = append(s.asked, req)
		// Under the lock: no event comes before the answer to its Subscribe, and Set changes nothing of what is being sent.
		for _, a := range s.answer(c, req) {
			a.Id = req.GetId()
			c.send(a)
		}
		s.mu.Unlock()
	}
}

func done(n uint64) *dpb.Response {
	return &dpb.Response{Result: &dpb.Response_Done{Done: &dpb.Done{Count: n}}}
}

func (s *Seam) answer(c *seamConn, req *dpb.Request) []*dpb.Response {
	switch op := req.GetOp().(type) {
	case *dpb.Request_Hello:
		return []*dpb.Response{{Result: &dpb.Response_Hello{Hello: &dpb.HelloResult{
			Version: s.info.GetVersion(), BootId: s.info.GetBootId(), MaxFrame: client.MaxFrame, MaxOps: client.MaxOps,
		}}}}
	case *dpb.Request_GetInfo:
		return []*dpb.Response{{Result: &dpb.Response_Info{Info: s.info}}}
	case *dpb.Request_Batch:
		s.written = append(s.written, op.Batch.GetOps()...)
		return []*dpb.Response{{Result: &dpb.Response_Batch{Batch: &dpb.BatchResult{Applied: uint32(len(op.Batch.GetOps()))}}}}
	case *dpb.Request_Sweep:
		return []*dpb.Response{{Result: &dpb.Response_Sweep{Sweep: &dpb.SweepResult{}}}}
	case *dpb.Request_List:
		return []*dpb.Response{{Result: &dpb.Response_List{List: s.list(op.List)}}}
	case *dpb.Request_Subscribe:
		s.subscribers[c] = req.GetId()
		return []*dpb.Response{done(0)}
	case *dpb.Request_Trace, *dpb.Request_Capture:
		if s.refuse != nil {
			return []*dpb.Response{{Error: s.refuse}}
		}
		out := []*dpb.Response{done(0)}
		for _, e := range s.events {
			out = append(out, &dpb.Response{Result: &dpb.Response_Event{Event: e}})
		}
		return out
	case *dpb.Request_Ping:
		if s.ping == nil {
			return []*dpb.Response{{Result: &dpb.Response_Ping{Ping: &dpb.PingResult{Outcome: dpb.PingOutcome_PING_OUTCOME_TIMEOUT}}}}
		}
		r, e := s.ping(op.Ping)
		if e != nil {
			return []*dpb.Response{{Error: e}}
		}
		return []*dpb.Response{{Result: &dpb.Response_Ping{Ping: r}}}
	case *dpb.Request_Lookup:
		r := &dpb.LookupResult{Action: "no route"}
		if s.lookup != nil {
			r = s.lookup(op.Lookup)
		}
		return []*dpb.Response{{Result: &dpb.Response_Lookup{Lookup: r}}}
	case *dpb.Request_NeighborFlush:
		return []*dpb.Response{done(uint64(len(s.tables.GetNeighbors())))}
	case *dpb.Request_TcpKill:
		return []*dpb.Response{done(uint64(len(s.tables.GetTcpConnections())))}
	}
	return []*dpb.Response{done(0)}
}

// list answers one page; the cursor is the number of rows given before.
func (s *Seam) list(l *dpb.List) *dpb.ListResult {
	r := &dpb.ListResult{}
	begin := 0
	if len(l.GetCursor()) == 1 {
		begin = int(l.GetCursor()[0])
	}
	limit := cmp.Or(int(l.GetLimit()), 512)
	more := false
	switch l.GetTable() {
	case dpb.Table_TABLE_INTERFACES:
		r.Interfaces, more = rows(s.tables.GetInterfaces(), begin, limit, func(i *dpb.InterfaceState) bool {
			return l.GetInterface() == "" || i.GetConfig().GetName() == l.GetInterface()
		})
	case dpb.Table_TABLE_ADDRESSES:
		r.Addresses, more = rows(s.tables.GetAddresses(), begin, limit, func(a *dpb.AddressState) bool {
			return l.GetInterface() == "" || a.GetInterface() == l.GetInterface()
		})
	case dpb.Table_TABLE_NEIGHBORS:
		r.Neighbors, more = rows(s.tables.GetNeighbors(), begin, limit, func(n *dpb.NeighborState) bool {
			return l.GetInterface() == "" || n.GetInterface() == l.GetInterface()
		})
	case dpb.Table_TABLE_VRFS:
		r.Vrfs, more = rows(s.tables.GetVrfs(), begin, limit, nil)
	case dpb.Table_TABLE_WORKERS:
		r.Workers, more = rows(s.tables.GetWorkers(), begin, limit, nil)
	case dpb.Table_TABLE_NODES:
		r.Nodes, more = rows(s.tables.GetNodes(), begin, limit, nil)
	case dpb.Table_TABLE_DROPS:
		r.Drops, more = rows(s.tables.GetDrops(), begin, limit, nil)
	case dpb.Table_TABLE_PORT_XSTATS:
		r.Xstats, more = rows(s.tables.GetXstats(), begin, limit, nil)
	default:
		more = s.listTCP(l, r, begin, limit)
	}
	if more {
		r.NextCursor = []byte{byte(begin + limit)}
	}
	return r
}

func rows[T any](all []T, begin, limit int, match func(T) bool) (page []T, more bool) {
	if match != nil {
		all = slices.DeleteFunc(slices.Clone(all), func(x T) bool { return !match(x) })
	}
	begin = min(begin, len(all))
	end := min(begin+limit, len(all))
	return slices.Clone(all[begin:end]), end < len(all)
}
