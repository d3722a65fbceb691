package fib

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"time"

	"millrace/routing/rib"
)

// Options tunes a Programmer. The zero value is good.
type Options struct {
	// BatchSize is the largest number of operations in one call of
	// Dataplane.Apply, 1 to 8,192. Default 4,096.
	BatchSize int
	// Outstanding is the largest number of batches without an answer, 1 to 16.
	// Default 4.
	Outstanding int
	// RetryMin and RetryMax bound the time between retries of what failed,
	// which doubles as long as nothing gets better. Default 1 s and 60 s.
	RetryMin, RetryMax time.Duration
	// HoldSweep keeps what an earlier epoch left in the data plane until
	// Converged is called: after a restart of the control plane, until the
	// peers have sent their routes again (graceful restart).
	HoldSweep bool
	// OnAlarm is told of each alarm raised and cleared, OnReplayed of the end
	// of each replay, after the sweep. Both are called by Run and must not
	// block.
	OnAlarm    func(Alarm)
	OnReplayed func(epoch uint32)
	Logger     *slog.Logger
}

func (o *Options) defaults() {
	if o.BatchSize <= 0 {
		o.BatchSize = 4096
	}
	o.BatchSize = min(o.BatchSize, 8192)
	if o.Outstanding <= 0 {
		o.Outstanding = 4
	}
	o.Outstanding = min(o.Outstanding, 16)
	if o.RetryMin <= 0 {
		o.RetryMin = time.Second
	}
	if o.RetryMax <= 0 {
		o.RetryMax = time.Minute
	}
	o.RetryMax = max(o.RetryMax, o.RetryMin)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// ErrStopped is returned when Run has ended.
var ErrStopped = errors.New("the FIB programmer has stopped")

// Programmer brings the data plane's tables to what the RIB wants.
type Programmer struct {
	feed *rib.Feed
	dp   Dataplane
	opt  Options

	kick    chan struct{}
	results chan result
	stopped chan struct{}

	mu        sync.Mutex
	replay    bool   // asked for
	minEpoch  uint32 // with it
	converged bool
	retryNow  bool
	waiters   []*barrier
	stats     Stats
	lastErr   [CodeOther + 1]string
	alarms    [numAlarms]Alarm

	// What follows belongs to Run.
	up          bool
	epoch       uint32
	ctx         context.Context
	cancel      context.CancelFunc
	seq         uint64 // of the last batch sent
	flying      map[uint64]*batch
	objects     bool // a batch with next hops or groups is under way
	sweeping    bool
	unswept     bool     // this epoch has not been swept yet
	sweep       *barrier // the sweep waits for it; nil: it is held back
	hops        hopTable
	retry       retryState
	freeBatches []*batch
}

// barrier is passed when all changes up to a mark have been answered.
type barrier struct {
	mark   rib.Mark
	passed bool   // all were handed out…
	seq    uint64 // …in batches up to this one
	done   chan struct{}
}

// result is what a sender or the sweep reports to Run.
type result struct {
	batch *batch // nil: the sweep
	errs  []error
	err   error
}

// New makes a programmer for the RIB, which must have no other. It does
// nothing before Run and the first Replay.
func New(r *rib.RIB, dp Dataplane, opt Options) *Programmer {
	opt.defaults()
	p := &Programmer{
		feed: r.Feed(), dp: dp, opt: opt,
		kick: make(chan struct{}, 1), results: make(chan result), stopped: make(chan struct{}),
		flying: make(map[uint64]*batch),
	}
	p.retry.reset(&p.opt)
	return p
}

func (p *Programmer) wake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// Replay sends everything anew under a new epoch, at least minEpoch and larger
// than the last, and then sweeps what is of another epoch. It returns at once;
// Options.OnReplayed is called when all is done. To be called on each
// connection to the data plane, with minEpoch greater than any epoch that it
// holds.
func (p *Programmer) Replay(minEpoch uint32) {
	p.mu.Lock()
	p.replay, p.minEpoch = true, max(p.minEpoch, minEpoch)
	p.mu.Unlock()
	p.wake()
}

// Converged allows the sweep that Options.HoldSweep holds back.
func (p *Programmer) Converged() {
	p.mu.Lock()
	p.converged = true
	p.mu.Unlock()
	p.wake()
}

// RetryNow tries again at once all that failed: to be called when the reason is
// known to have gone, for example a network instance made or a table enlarged.
func (p *Programmer) RetryNow() {
	p.mu.Lock()
	p.retryNow = true
	p.mu.Unlock()
	p.wake()
}

// WaitSynced waits until the data plane has answered all changes that the RIB
// settled before the call. Those that it refused are to be seen in Failures.
// While the data plane is away it waits for the replay.
func (p *Programmer) WaitSynced(ctx context.Context) error {
	b := &barrier{mark: p.feed.Mark(), done: make(chan struct{})}
	p.mu.Lock()
	p.waiters = append(p.waiters, b)
	p.mu.Unlock()
	p.wake()
	select {
	case <-b.done:
		return nil
	case <-p.stopped:
		return ErrStopped
	case <-ctx.Done():
		p.mu.Lock()
		for i, w := range p.waiters {
			if w == b {
				p.waiters = append(p.waiters[:i:i], p.waiters[i+1:]...)
				break
			}
		}
		p.mu.Unlock()
		return ctx.Err()
	}
}

// Run works until the context ends and returns its error. It may be called
// once.
func (p *Programmer) Run(ctx context.Context) error {
	defer close(p.stopped)
	p.ctx, p.cancel = context.WithCancel(ctx)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if ctx.Err() != nil {
			p.drain()
			p.cancel()
			return ctx.Err()
		}
		p.mu.Lock()
		replay, minEpoch := p.replay, p.minEpoch
		retryNow := p.retryNow
		p.replay, p.retryNow = false, false
		p.mu.Unlock()
		if replay {
			p.restart(ctx, minEpoch)
		} else if retryNow && p.up {
			p.feed.RetryFailed(math.MaxInt)
		}
		for p.up && !p.objects && len(p.flying) < p.opt.Outstanding && p.sendBatch() {
		}
		p.barriers()
		p.publish()
		timer.Reset(p.retry.wait(time.Now()))
		select {
		case <-ctx.Done():
		case <-p.kick:
		case <-p.feed.Ready():
		case res := <-p.results:
			p.answer(&res)
		case <-timer.C:
			p.retryFailed(time.Now())
		}
	}
}

// restart begins a new epoch.
func (p *Programmer) restart(ctx context.Context, minEpoch uint32) {
	p.drain()
	p.cancel()
	p.ctx, p.cancel = context.WithCancel(ctx)
	p.epoch = max(p.epoch+1, minEpoch)
	p.hops = hopTable{}
	p.objects = false
	p.feed.Reset()
	p.retry.reset(&p.opt)
	p.up = true
	p.setAlarm(AlarmDisconnected, 0, "")
	mark := p.feed.Mark()
	p.unswept, p.sweep = true, nil
	p.mu.Lock()
	for _, w := range p.waiters {
		w.mark, w.passed = mark, false
	}
	p.stats.Replaying = true
	p.mu.Unlock()
	p.opt.Logger.Info("fib: replaying", "epoch", p.epoch, "routes", p.feed.Stats().Pending)
}

// drain ends the calls under way and forgets them: nothing is known of them.
func (p *Programmer) drain() {
	p.cancel()
	for len(p.flying) > 0 || p.sweeping {
		res := <-p.results
		if res.batch == nil {
			p.sweeping = false
			continue
		}
		delete(p.flying, res.batch.seq)
	}
}

// lost notes that the connection is gone.
func (p *Programmer) lost(err error) {
	if !p.up {
		return
	}
	p.up = false
	p.cancel()
	p.setAlarm(AlarmDisconnected, 1, err.Error())
	p.opt.Logger.Warn("fib: data plane lost", "epoch", p.epoch, "err", err)
}

// answer takes the answer to a batch or a sweep.
func (p *Programmer) answer(res *result) {
	if res.batch == nil {
		p.sweeping = false
		p.swept(res.err)
		return
	}
	b := res.batch
	delete(p.flying, b.seq)
	if b.objects {
		p.objects = false
	}
	if !p.up {
		return // lost with another batch; all is sent anew
	}
	if res.err != nil {
		p.lost(res.err)
		return
	}
	p.mu.Lock()
	p.stats.Batches++
	p.stats.Ops += uint64(len(b.ops))
	p.stats.ack(time.Since(b.sent))
	p.mu.Unlock()
	p.finish(b, res.errs)
	st := p.feed.Stats()
	p.failAlarms(&st)
	p.retry.note(time.Now(), &st, len(p.hops.stuck), b.freed, &p.opt)
	p.recycle(b)
}

// barriers closes those that are passed, and starts the sweep after its own.
func (p *Programmer) barriers() {
	if !p.up {
		return
	}
	p.mu.Lock()
	rest := p.waiters[:0]
	for _, w := range p.waiters {
		if p.reached(w) {
			close(w.done)
		} else {
			rest = append(rest, w)
		}
	}
	clear(p.waiters[len(rest):])
	p.waiters = rest
	may := p.converged || !p.opt.HoldSweep
	p.mu.Unlock()
	if !p.unswept || !may || p.sweeping {
		return
	}
	if p.sweep == nil {
		p.sweep = &barrier{mark: p.feed.Mark()}
	}
	if !p.reached(p.sweep) {
		return
	}
	p.sweeping = true
	ctx, epoch := p.ctx, p.epoch
	go func() {
		err := p.dp.Sweep(ctx, epoch)
		p.results <- result{err: err}
	}()
}

// reached says whether a barrier is passed.
func (p *Programmer) reached(b *barrier) bool {
	if !b.passed {
		if !p.feed.Passed(b.mark) {
			return false
		}
		b.passed, b.seq = true, p.seq
	}
	for seq := range p.flying {
		if seq <= b.seq {
			return false
		}
	}
	return true
}

func (p *Programmer) swept(err error) {
	if !p.up {
		return
	}
	var refused *Error
	if errors.As(err, &refused) {
		// Refused, not lost: what is stale stays, which harms less than to
		// replay without end.
		p.opt.Logger.Error("fib: sweep refused", "epoch", p.epoch, "err", err)
	} else if err != nil {
		p.lost(err)
		return
	}
	p.unswept, p.sweep = false, nil
	st := p.feed.Stats()
	p.retry.note(time.Now(), &st, len(p.hops.stuck), st.Failed, &p.opt)
	p.mu.Lock()
	p.stats.Replaying = false
	p.stats.Replays++
	p.mu.Unlock()
	p.opt.Logger.Info("fib: replayed", "epoch", p.epoch, "routes", st.Programmed, "failed", st.Failed)
	if p.opt.OnReplayed != nil {
		p.opt.OnReplayed(p.epoch)
	}
}
