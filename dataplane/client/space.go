package client

import (
	pb "millrace/api/proto/dataplane/v1"
	"millrace/routing/fib"
)

// Routes come by the million, so the messages for their operations are used again.
const (
	spaceChunk = 512 // routes
	maxSpaces  = 4   // kept for use again; FIB programmers have few batches on their way
)

// routeSpace is what an operation on a route is encoded from.
type routeSpace struct {
	add    pb.Op
	addOp  pb.Op_Route
	route  pb.Route
	del    pb.Op
	delOp  pb.Op_RouteDelete
	key    pb.RouteKey
	prefix [16]byte
}

// opSpace holds the operations of one call.
type opSpace struct {
	ops    []*pb.Op
	chunks [][]routeSpace
	used   int
}

func (c *Client) opSpace() *opSpace {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.spaces); n > 0 {
		s := c.spaces[n-1]
		c.spaces = c.spaces[:n-1]
		return s
	}
	return new(opSpace)
}

// giveBack may be called when all is encoded, whether or not it was answered.
func (c *Client) giveBack(s *opSpace) {
	clear(s.ops)
	s.ops, s.used = s.ops[:0], 0
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.spaces) < maxSpaces {
		c.spaces = append(c.spaces, s)
	}
}

func (s *opSpace) next() *routeSpace {
	chunk, i := s.used/spaceChunk, s.used%spaceChunk
	s.used++
	if chunk < len(s.chunks) {
		return &s.chunks[chunk][i]
	}
	list := make([]routeSpace, spaceChunk)
	for i := range list {
		r := &list[i]
		r.add.Op, r.addOp.Route = &r.addOp, &r.route
		r.del.Op, r.delOp.RouteDelete = &r.delOp, &r.key
	}
	s.chunks = append(s.chunks, list)
	return &list[i]
}

// route makes the operation on a route; nil if o is none.
func (s *opSpace) route(o *fib.Op) *pb.Op {
	if o.Type != fib.RouteUpsert && o.Type != fib.RouteDelete {
		return nil
	}
	r := s.next()
	p := r.prefix[:]
	if a := o.Prefix.Addr(); a.Is4() {
		b := a.As4()
		p = p[:copy(p, b[:])]
	} else {
		r.prefix = a.As16()
	}
	if o.Type == fib.RouteDelete {
		r.key.Vrf, r.key.Prefix, r.key.PrefixLen = o.VRF, p, uint32(o.Prefix.Bits())
		return &r.del
	}
	r.route.Vrf, r.route.Prefix, r.route.PrefixLen, r.route.GroupId = o.VRF, p, uint32(o.Prefix.Bits()), o.ID
	return &r.add
}
