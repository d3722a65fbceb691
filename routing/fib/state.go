package fib

import (
	"fmt"
	"net/netip"
	"time"

	"millrace/routing/rib"
)

// Stats is the state of the programming.
type Stats struct {
	Connected  bool
	Replaying  bool // until the sweep at the end
	Epoch      uint32
	Programmed int // routes acknowledged
	Pending    int // routes and groups with changes still to be sent
	InFlight   int // routes sent, not answered
	Failed     int // routes refused
	FailedBy   map[Code]int
	NextHops   int // in the data plane
	Groups     int
	Batches    uint64 // answered
	Ops        uint64 // in them
	Replays    uint64
	// From sending a batch to its answer.
	AckLast, AckMean, AckMax time.Duration
	ackSum                   time.Duration
}

func (s *Stats) ack(d time.Duration) {
	s.AckLast = d
	s.AckMax = max(s.AckMax, d)
	s.ackSum += d
	s.AckMean = s.ackSum / time.Duration(max(s.Batches, 1))
}

// Stats returns the present state.
func (p *Programmer) Stats() Stats {
	f := p.feed.Stats()
	p.mu.Lock()
	s := p.stats
	p.mu.Unlock()
	s.Programmed, s.Pending, s.InFlight, s.Failed = f.Programmed, f.Pending, f.InFlight, f.Failed
	s.FailedBy = make(map[Code]int)
	for c, n := range f.FailedBy {
		s.FailedBy[Code(c)] = n
	}
	return s
}

// publish copies what Run alone may read to where Stats may.
func (p *Programmer) publish() {
	p.mu.Lock()
	p.stats.Connected, p.stats.Epoch = p.up, p.epoch
	p.stats.NextHops, p.stats.Groups = len(p.hops.byKey), len(p.hops.groups)
	p.mu.Unlock()
}

// Failure is a route that the data plane refused.
type Failure struct {
	VRF    string
	Prefix netip.Prefix
	Code   Code
	// LastError is the text of the latest refusal with this code, which may
	// have been for another route.
	LastError string
}

// Failures lists up to limit failed routes. The cursor begins as 0; next is
// where to go on, 0 at the end.
func (p *Programmer) Failures(cursor uint32, limit int) (list []Failure, next uint32) {
	routes, next := p.feed.Failures(cursor, limit)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range routes {
		list = append(list, Failure{r.VRF, r.Prefix, Code(r.Code), p.lastErr[r.Code]})
	}
	return list, next
}

// AlarmKind is a condition that an operator has to know of.
type AlarmKind uint8

// The alarms.
const (
	AlarmDisconnected AlarmKind = iota // the data plane is away
	AlarmTableFull                     // routes do not fit into its tables
	AlarmFailed                        // routes are refused for other reasons
	numAlarms
)

var alarmNames = [...]string{"fib-disconnected", "fib-table-full", "fib-failed"}

func (k AlarmKind) String() string { return alarmNames[k] }

// Alarm is an alarm raised or cleared.
type Alarm struct {
	Kind   AlarmKind
	Active bool
	Since  time.Time // of the last change
	Count  int       // routes concerned, when it was raised
	Detail string
}

// Alarms lists those that are active.
func (p *Programmer) Alarms() []Alarm {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Alarm
	for _, a := range p.alarms {
		if a.Active {
			out = append(out, a)
		}
	}
	return out
}

func (p *Programmer) setAlarm(k AlarmKind, count int, detail string) {
	p.mu.Lock()
	a := &p.alarms[k]
	if a.Active == (count > 0) {
		p.mu.Unlock()
		return
	}
	*a = Alarm{Kind: k, Active: count > 0, Since: time.Now(), Count: count, Detail: detail}
	changed := *a
	p.mu.Unlock()
	if changed.Active {
		p.opt.Logger.Warn("fib: alarm raised", "alarm", k, "count", count, "detail", detail)
	} else {
		p.opt.Logger.Info("fib: alarm cleared", "alarm", k)
	}
	if p.opt.OnAlarm != nil {
		p.opt.OnAlarm(changed)
	}
}

func (p *Programmer) failAlarms(st *rib.FeedStats) {
	full := st.FailedBy[uint8(CodeTableFull)]
	other := st.Failed - full
	if full == 0 {
		other += st.FailedGroups
	}
	p.mu.Lock()
	fullText := p.lastErr[CodeTableFull]
	text := ""
	for c, n := range st.FailedBy {
		if Code(c) != CodeTableFull {
			text = fmt.Sprintf("%d routes: %s", n, p.lastErr[c])
		}
	}
	p.mu.Unlock()
	p.setAlarm(AlarmTableFull, full, fullText)
	p.setAlarm(AlarmFailed, other, text)
}

// retryState says when to try again what failed, and how much of it. It feels
// its way: few at first and rarely, more and sooner while that succeeds.
type retryState struct {
	at     time.Time // zero: nothing to retry
	delay  time.Duration
	quota  int
	freed  int // places that have become free since
	failed int // routes that were failed at the last retry
}

const (
	minQuota   = 64
	freedDelay = 20 * time.Millisecond
)

func (r *retryState) reset(o *Options) { *r = retryState{delay: o.RetryMin, quota: minQuota} }

func (r *retryState) wait(now time.Time) time.Duration {
	if r.at.IsZero() {
		return time.Hour
	}
	return max(r.at.Sub(now), 0)
}

// note takes account of an answer.
func (r *retryState) note(now time.Time, st *rib.FeedStats, stuck, freed int, o *Options) {
	if st.Failed+st.FailedGroups+stuck == 0 {
		r.reset(o)
		return
	}
	if r.at.IsZero() {
		r.at = now.Add(r.delay)
	}
	if freed > 0 {
		r.freed += freed
		if soon := now.Add(min(freedDelay, r.delay)); soon.Before(r.at) {
			r.at = soon
		}
	}
}

// retryFailed puts some of what failed into the queue again.
func (p *Programmer) retryFailed(now time.Time) {
	r := &p.retry
	if !p.up || r.at.IsZero() || now.Before(r.at) {
		return
	}
	st := p.feed.Stats()
	if st.Failed+st.FailedGroups+len(p.hops.stuck) == 0 {
		r.reset(&p.opt)
		return
	}
	if r.failed > 0 && st.Failed < r.failed {
		r.delay = p.opt.RetryMin
		r.quota = min(2*r.quota, p.opt.BatchSize*p.opt.Outstanding)
	} else if r.failed > 0 && r.freed == 0 {
		r.delay = min(2*r.delay, p.opt.RetryMax)
		r.quota = minQuota
	}
	p.feed.RetryFailed(max(r.quota, r.freed))
	r.failed, r.freed = st.Failed, 0
	r.at = now.Add(r.delay)
	p.hops.dying = append(p.hops.dying, p.hops.stuck...)
	p.hops.stuck = p.hops.stuck[:0]
}
