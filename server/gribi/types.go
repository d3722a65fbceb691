package gribi

import (
	"fmt"
	"net/netip"
	"strconv"
)

// electionID is an unsigned number of 128 bits. Zero stands for none.
type electionID struct{ high, low uint64 }

func (e electionID) less(o electionID) bool {
	return e.high < o.high || e.high == o.high && e.low < o.low
}

func (e electionID) String() string {
	if e.high == 0 {
		return strconv.FormatUint(e.low, 10)
	}
	return fmt.Sprintf("%d:%d", e.high, e.low)
}

// params are what a client asks for; the zero value is the specification's default.
type params struct {
	single   bool // SINGLE_PRIMARY, else ALL_PRIMARY
	preserve bool // entries outlive their client
	fibACK   bool
}

func (p params) String() string {
	s := "ALL_PRIMARY"
	if p.single {
		s = "SINGLE_PRIMARY"
	}
	if p.preserve {
		s += ", PRESERVE"
	} else {
		s += ", DELETE"
	}
	if p.fibACK {
		return s + ", RIB_AND_FIB_ACK"
	}
	return s + ", RIB_ACK"
}

// aft says which table an entry belongs to.
type aft uint8

const (
	aftNone aft = iota
	aftNextHop
	aftGroup
	aftPrefix
)

// key identifies an entry.
type key struct {
	instance string
	aft      aft
	id       uint64       // index of a next hop, id of a group
	prefix   netip.Prefix // of a prefix
}

func (k key) String() string {
	switch k.aft {
	case aftNextHop:
		return fmt.Sprintf("next hop %d of network instance %s", k.id, k.instance)
	case aftGroup:
		return fmt.Sprintf("next-hop group %d of network instance %s", k.id, k.instance)
	case aftPrefix:
		return fmt.Sprintf("%s of network instance %s", k.prefix, k.instance)
	}
	return "no entry"
}

// nextHop is the content of a next hop. At least one field is set.
type nextHop struct {
	address netip.Addr
	// The interface and, if it was given, the subinterface.
	iface  string
	sub    uint32
	hasSub bool
	// instance is where the address is resolved or, without an address and an
	// interface, where packets are looked up again. Empty: the next hop's own.
	instance string
}

// interfaceName is what the box calls the interface: subinterface 0 is the
// interface itself.
func (n *nextHop) interfaceName() string {
	if n.sub == 0 {
		return n.iface
	}
	return n.iface + "." + strconv.FormatUint(uint64(n.sub), 10)
}

// groupHop is a member of a group.
type groupHop struct {
	index     uint64
	weight    uint64 // not 0
	hasWeight bool   // false: it is 1 because none was given
}

// group is the content of a next-hop group.
type group struct {
	hops      []groupHop // at least one, each index once
	backup    uint64     // group that takes over when none of hops resolves
	hasBackup bool
}

// prefix is the content of an IPv4 or IPv6 entry.
type prefix struct {
	group         uint64
	groupInstance string // empty: the prefix's own
	metadata      []byte
}

// verb is what an operation does.
type verb uint8

const (
	verbAdd verb = iota
	verbReplace
	verbDelete
)

// operation is an AFTOperation.
type operation struct {
	id       uint64
	verb     verb
	election electionID
	key      key
	// The content for the key's table; for verbDelete nothing is read.
	hop    nextHop
	group  group
	prefix prefix
	// bad says what is wrong with it.
	bad error
}

// status of an operation's result.
type resultStatus uint8

const (
	statusFailed resultStatus = iota
	statusRIB
	statusFIB
	statusFIBFailed
)

type result struct {
	id     uint64
	status resultStatus
	why    string
	at     int64 // ns since 1970
}
