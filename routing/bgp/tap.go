package bgp

import (
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"unsafe"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"github.com/osrg/gobgp/v3/pkg/server"
)

// tap takes best paths from GoBGP where they arise. GoBGP's WatchEvent turns every path into protobuf messages, with all its attributes,
// also when it is withdrawn, and queues without bound while the reader is slower than its server: for a full table that costs more
// than GoBGP's own work on it, and gigabytes. But GoBGP asks a filter of the watcher, in its server's goroutine, whether an event is to be
// queued. Ours takes what is needed and says no.
//
// Neither the filter nor the types of events are exported, so they are found by reflection, by name and type. Where anything is not
// as it is known here, events are queued and come by WatchEvent as ever. GoBGP is pinned, and a test sees to it that the tap fits.
type tap struct {
	put func(p netip.Prefix, paths []tapped, stale bool)

	// What follows is learned from the first event, in the server's goroutine.
	learned       bool
	fits          error
	eventType     reflect.Type
	pathType      reflect.Type
	single, multi uintptr // the lists of an event
	withdrawn     uintptr // fields of a path
	parent, info  uintptr
	source        uintptr // field of what a path comes from
	asn           uintptr // fields of the neighbour it comes from
	id, address   uintptr

	sources map[unsafe.Pointer]tappedSource // of read
}

// tappedSource is what a neighbour is called; its router ID may be another one in the next session.
type tappedSource struct {
	from pathSource
	id   netip.Addr
}

const maxSources = 1 << 12

// tapped is a *table.Path of GoBGP's.
type tapped unsafe.Pointer

// tappedPath are the methods of it that are used.
type tappedPath interface {
	GetNlri() bgp.AddrPrefixInterface
	GetNexthop() net.IP
	GetMed() (uint32, error)
	GetLocalPref() (uint32, error)
	GetPathAttrs() []bgp.PathAttributeInterface
	IsStale() bool
}

// attach puts the tap on the server's watchers of best paths. The server must be idle: nothing is configured yet.
func (t *tap) attach(srv *server.BgpServer) error {
	if f, ok := reflect.TypeOf(srv).Elem().FieldByName("watcherMap"); !ok || f.Type.Kind() != reflect.Map ||
		f.Type.Key().Kind() != reflect.String || f.Type.Elem().Kind() != reflect.Slice || f.Type.Elem().Elem().Kind() != reflect.Pointer {
		return fmt.Errorf("GoBGP's server has no field watcherMap, or another one")
	}
	watchers := reflect.ValueOf(srv).Elem().FieldByName("watcherMap")
	kind := reflect.ValueOf("bestpath").Convert(watchers.Type().Key())
	list := watchers.MapIndex(kind)
	if !list.IsValid() || list.Len() == 0 {
		return fmt.Errorf("GoBGP's server has no watcher of %s", kind)
	}
	for i := range list.Len() {
		w := list.Index(i)
		f, ok := w.Type().Elem().FieldByName("filters")
		if !ok || f.Type.Kind() != reflect.Map || f.Type.Key() != kind.Type() || f.Type.Elem().String() != "func(server.watchEvent) bool" {
			return fmt.Errorf("GoBGP's watcher has no field filters, or another one")
		}
		filters := reflect.NewAt(f.Type, unsafe.Add(w.UnsafePointer(), f.Offset)).Elem()
		// A watchEvent is an empty interface: the functions' types are the same but for its name.
		filter := t.filter
		filters.SetMapIndex(kind, reflect.NewAt(f.Type.Elem(), unsafe.Pointer(&filter)).Elem())
	}
	return nil
}

// filter takes an event, and says whether GoBGP is to queue it.
func (t *tap) filter(event any) bool {
	if !t.learned {
		t.learned = true
		t.fits = t.learn(reflect.TypeOf(event))
	}
	if t.fits != nil || reflect.TypeOf(event) != t.eventType {
		return true
	}
	ev := reflect.ValueOf(event).UnsafePointer()
	multi := *(*[][]tapped)(unsafe.Add(ev, t.multi))
	if len(multi) == 0 {
		t.offer(*(*[]tapped)(unsafe.Add(ev, t.single)))
	}
	for _, paths := range multi {
		t.offer(paths)
	}
	return false
}

// offer passes on the paths of a prefix, the best one first. Whether that is stale is what still may change later.
func (t *tap) offer(paths []tapped) {
	if len(paths) == 0 {
		return
	}
	best := t.methods(paths[0])
	p, ok := tappedPrefix(best.GetNlri())
	if !ok {
		return
	}
	if *(*bool)(unsafe.Add(unsafe.Pointer(paths[0]), t.withdrawn)) {
		paths = nil
	}
	t.put(p, paths, best.IsStale())
}

func tappedPrefix(n bgp.AddrPrefixInterface) (netip.Prefix, bool) {
	var ip net.IP
	var bits uint8
	switch n := n.(type) {
	case *bgp.IPAddrPrefix:
		ip, bits = n.Prefix.To4(), n.Length
	case *bgp.IPv6AddrPrefix:
		ip, bits = n.Prefix.To16(), n.Length
	}
	a, ok := netip.AddrFromSlice(ip)
	if !ok {
		return netip.Prefix{}, false
	}
	p, err := a.Prefix(int(bits))
	return p, err == nil
}

func (t *tap) methods(p tapped) tappedPath {
	return reflect.NewAt(t.pathType, unsafe.Pointer(p)).Interface().(tappedPath)
}

// read gives what a path set is made of. It is for one goroutine at a time.
func (t *tap) read(p tapped) candidate {
	m := t.methods(p)
	var c candidate
	c.nextHop, _ = netip.AddrFromSlice(m.GetNexthop())
	if !c.nextHop.IsValid() || c.nextHop.IsUnspecified() {
		for _, a := range m.GetPathAttrs() {
			if mp, ok := a.(*bgp.PathAttributeMpReachNLRI); ok {
				c.linkLocal, _ = netip.AddrFromSlice(mp.LinkLocalNexthop)
			}
		}
	}
	c.med, _ = m.GetMed() // 0 where there is none
	c.localPref, _ = m.GetLocalPref()
	root := unsafe.Pointer(p)
	for up := root; up != nil; up = *(*unsafe.Pointer)(unsafe.Add(root, t.parent)) {
		root = up
	}
	origin := *(*unsafe.Pointer)(unsafe.Add(root, t.info))
	peer := *(*unsafe.Pointer)(unsafe.Add(origin, t.source))
	c.asn = *(*uint32)(unsafe.Add(peer, t.asn))
	if ip := *(*net.IP)(unsafe.Add(peer, t.address)); ip != nil {
		c.from = t.sourceOf(peer, ip, *(*net.IP)(unsafe.Add(peer, t.id)))
	}
	return c
}

func (t *tap) sourceOf(peer unsafe.Pointer, address, id net.IP) pathSource {
	a, _ := netip.AddrFromSlice(id)
	if s, ok := t.sources[peer]; ok && s.id == a {
		return s.from
	}
	if len(t.sources) >= maxSources || t.sources == nil {
		t.sources = make(map[unsafe.Pointer]tappedSource)
	}
	s := tappedSource{pathSource{address.String(), id.String()}, a}
	t.sources[peer] = s
	return s.from
}

// learn looks at the types behind an event.
func (t *tap) learn(event reflect.Type) error {
	var err error
	// at is the offset and the type of a field, and notes if there is none of that type.
	at := func(s reflect.Type, name, want string) (uintptr, reflect.Type) {
		if err != nil {
			return 0, nil
		}
		f, ok := s.FieldByName(name)
		if !ok || len(f.Index) != 1 || f.Type.String() != want {
			err = fmt.Errorf("GoBGP's %s has no field %s %s", s, name, want)
			return 0, nil
		}
		return f.Offset, f.Type
	}
	if event.String() != "*server.watchEventBestPath" {
		return fmt.Errorf("GoBGP's event is a %s", event)
	}
	var list, info, peer reflect.Type
	t.eventType = event
	t.single, list = at(event.Elem(), "PathList", "[]*table.Path")
	t.multi, _ = at(event.Elem(), "MultiPathList", "[][]*table.Path")
	if err != nil {
		return err
	}
	path := list.Elem().Elem()
	if t.pathType = path; !reflect.PointerTo(path).Implements(reflect.TypeFor[tappedPath]()) {
		return fmt.Errorf("GoBGP's %s lacks methods", path)
	}
	t.withdrawn, _ = at(path, "IsWithdraw", "bool")
	t.parent, _ = at(path, "parent", "*table.Path")
	if t.info, info = at(path, "info", "*table.originInfo"); err != nil {
		return err
	}
	if t.source, peer = at(info.Elem(), "source", "*table.PeerInfo"); err != nil {
		return err
	}
	t.asn, _ = at(peer.Elem(), "AS", "uint32")
	t.id, _ = at(peer.Elem(), "ID", "net.IP")
	t.address, _ = at(peer.Elem(), "Address", "net.IP")
	return err
}
