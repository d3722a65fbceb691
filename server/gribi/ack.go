package gribi

import (
	"context"
	"fmt"
	"time"

	"millrace/routing/fib"
	"millrace/routing/rib"
)

// lookAgain is how often operations whose next hops did not resolve are looked
// at again.
const lookAgain = time.Second

// maxUsers bounds the groups that are looked at for the answer to a next hop.
const maxUsers = 256

// ack is an operation that is in the RIB and waits for the FIB.
type ack struct {
	id   uint64
	verb verb
	key  key
}

// verdict is what the FIB says of an operation.
type verdict uint8

const (
	verdictDone   verdict = iota
	verdictFailed         // the data plane refused
	verdictWait           // changed again meanwhile
	verdictPark           // nothing to program until its next hops resolve
	verdictOther          // another source's route is preferred: no more answers
)

// acknowledge answers for the FIB until ctx ends.
func (ses *session) acknowledge(ctx context.Context) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		ses.mu.Lock()
		list, moved := ses.acks, ses.moved
		ses.acks = nil
		ses.mu.Unlock()
		if len(list) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-moved:
			case <-tick.C:
				ses.unpark()
			}
			continue
		}
		if ses.srv.opt.FIB.WaitSynced(ctx) != nil {
			return
		}
		ses.settle(list)
	}
}

// settle answers those of a list that the FIB has an answer for.
func (ses *session) settle(list []ack) {
	verdicts := make([]verdict, len(list))
	why := make([]string, len(list))
	for i := range list {
		verdicts[i], why[i] = ses.srv.judge(&list[i])
	}
	// Who is primary is looked at with the answers, so that none goes out for
	// an operation of a client that has been superseded.
	ses.srv.mu.Lock()
	defer ses.srv.mu.Unlock()
	gone := ses.params.single && ses.srv.primary != ses
	at := now()
	ses.mu.Lock()
	defer ses.mu.Unlock()
	for i, a := range list {
		ses.nAcks--
		if gone {
			continue
		}
		switch verdicts[i] {
		case verdictDone:
			ses.res = append(ses.res, result{id: a.id, status: statusFIB, at: at})
		case verdictFailed:
			ses.res = append(ses.res, result{id: a.id, status: statusFIBFailed, why: why[i], at: at})
		case verdictWait:
			ses.acks = append(ses.acks, a)
			ses.nAcks++
		case verdictPark:
			if len(ses.parked) < ses.srv.opt.Limits.Pending {
				ses.parked = append(ses.parked, a)
				break
			}
			ses.res = append(ses.res, result{
				id: a.id, status: statusFIBFailed, at: at,
				why: fmt.Sprintf("its next hops do not resolve, and %d operations wait for that already", len(ses.parked)),
			})
		}
	}
	ses.wake()
}

// unpark looks again at operations whose next hops did not resolve.
func (ses *session) unpark() {
	ses.mu.Lock()
	parked := ses.parked
	ses.mu.Unlock()
	any := false
	for i := range parked {
		if v, _ := ses.srv.judge(&parked[i]); v != verdictPark {
			any = true
			break
		}
	}
	if !any {
		return
	}
	ses.mu.Lock()
	ses.acks = append(ses.acks, ses.parked...)
	ses.nAcks += len(ses.parked)
	ses.parked = nil
	ses.mu.Unlock()
}

// judge asks what became of an operation after the FIB has answered all.
func (s *Server) judge(a *ack) (verdict, string) {
	switch a.key.aft {
	case aftPrefix:
		return s.judgePrefix(a)
	case aftGroup:
		return s.judgeGroup(fmt.Sprintf("%s/%d", a.key.instance, a.key.id))
	}
	// A next hop is in the FIB as part of its groups.
	s.mu.Lock()
	var names []string
	if in := s.table.instances[a.key.instance]; in != nil && in.hops[a.key.id] != nil {
		for g := range in.hops[a.key.id].users {
			if names = append(names, g.ribName); len(names) == maxUsers {
				break
			}
		}
	}
	s.mu.Unlock()
	for _, name := range names {
		if v, why := s.judgeGroup(name); v != verdictDone {
			return v, why
		}
	}
	return verdictDone, ""
}

// judgeGroup: a group that no route in use points to is not in the FIB, and has
// nothing to wait for there.
func (s *Server) judgeGroup(name string) (verdict, string) {
	g, err := s.opt.RIB.Group(name)
	switch {
	case err != nil:
		return verdictDone, ""
	case g.FIB == rib.FIBFailed:
		return verdictFailed, "the data plane refused the group"
	case g.FIB == rib.FIBPending:
		return verdictWait, ""
	}
	return verdictDone, ""
}

func (s *Server) judgePrefix(a *ack) (verdict, string) {
	p := s.opt.RIB.Placement(a.key.instance, a.key.prefix, rib.SourceGRIBI, origin)
	switch {
	case p.FIB == rib.FIBPending:
		return verdictWait, ""
	case a.verb == verbDelete || !p.Exists:
		// Deleted, by this operation or by a later one.
		if p.FIB == rib.FIBFailed && !p.Exists {
			return verdictFailed, refusal(p.FIBCode)
		}
		return verdictDone, ""
	case p.Best && p.FIB == rib.FIBFailed:
		return verdictFailed, refusal(p.FIBCode)
	case p.Best:
		return verdictDone, ""
	case p.Eligible:
		return verdictOther, ""
	}
	return verdictPark, ""
}

func refusal(code uint8) string {
	return "the data plane refused the route: " + fib.Code(code).String()
}
