package state

import (
	"context"
	"strconv"
	"strings"
	"time"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/server/telemetry"
)

// tcpPressure is the word of the schema by the data plane's number.
func tcpPressure(n uint32) string {
	words := [...]string{"NONE", "GROWTH_STOPPED", "SHRINKING"}
	return words[min(int(n), len(words)-1)]
}

func (t *TCP) workers(ctx context.Context, k *tcpSink) error {
	var sum dpb.TcpWorkerState
	var connections, limit, timeWait, halfOpen uint64
	id := k.only("worker", "id")
	now := time.Now()
	found := false
	_, err := tcpEach(t.o.Dataplane.TCPWorkers(ctx), func(w *dpb.TcpWorkerState) error {
		found = true
		connections += uint64(w.GetConnections())
		limit += uint64(w.GetConnectionsMax())
		timeWait += uint64(w.GetTimeWait())
		halfOpen += uint64(w.GetHalfOpen())
		sum.Memory += w.GetMemory()
		sum.MemoryLimit += w.GetMemoryLimit()
		sum.Pressure = max(sum.Pressure, w.GetPressure())
		name := strconv.FormatUint(uint64(w.GetWorker()), 10)
		if id != "" && id != name {
			return nil
		}
		return k.tell(k.object(tcpEntry(tcpRoot(), "workers/worker", "id", name)).
			Set("id", w.GetWorker()).
			Set("state/id", w.GetWorker()).
			Set("state/connections", w.GetConnections()).
			Set("state/connections-limit", w.GetConnectionsMax()).
			Set("state/half-open-connections", w.GetHalfOpen()).
			Set("state/time-wait-connections", w.GetTimeWait()).
			Set("state/time-wait-limit", w.GetTimeWaitMax()).
			Set("state/segments", w.GetSegments()).
			Set("state/memory-used", w.GetMemory()).
			Set("state/memory-available", w.GetMemoryLimit()).
			Set("state/memory-pressure", tcpPressure(w.GetPressure())).
			Set("state/connection-size", w.GetConnectionBytes()), now)
	})
	if err != nil || !found {
		return err
	}
	return k.tell(k.object(tcpRoot()).
		Set("state/connections", connections).
		Set("state/connections-limit", limit).
		Set("state/half-open-connections", halfOpen).
		Set("state/time-wait-connections", timeWait).
		Set("state/memory-used", sum.Memory).
		Set("state/memory-available", sum.MemoryLimit).
		Set("state/memory-pressure", tcpPressure(sum.Pressure)), now)
}

// tcpName is the name of a counter as operators see it.
func tcpName(name string) string { return strings.ReplaceAll(name, "_", "-") }

func setTCPCounter(o *telemetry.Object, n *dpb.TcpCounter) *telemetry.Object {
	return o.Set("name", tcpName(n.GetName())).
		Set("state/name", tcpName(n.GetName())).
		Set("state/value", n.GetValue()).
		Set("state/description", n.GetDescription()).
		Set("state/gauge", n.GetGauge())
}

func (t *TCP) counters(ctx context.Context, k *tcpSink) error {
	only := k.only("counter", "name")
	now := time.Now()
	_, err := tcpEach(t.o.Dataplane.TCPCounters(ctx), func(n *dpb.TcpCounter) error {
		name := tcpName(n.GetName())
		if only != "" && only != name {
			return nil
		}
		return k.tell(setTCPCounter(k.object(tcpEntry(tcpRoot(), "counters/counter", "name", name)), n), now)
	})
	return err
}

// tcpSummary counts connections. Of a million that takes a while, so that what was counted serves all who ask soon after.
type tcpSummary struct {
	turn  chan struct{} // holds one token
	at    time.Time
	took  time.Duration
	known bool
	count map[dpb.TcpState]uint64
}

func newTCPSummary() tcpSummary {
	s := tcpSummary{turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

// The counting takes at most one in so many parts of the time, and is done at most once in so long.
const (
	summaryShare = 10
	summaryPause = time.Second
)

// counted is how many connections are in which state, and when that was.
func (t *TCP) counted(ctx context.Context) (map[dpb.TcpState]uint64, time.Time, error) {
	s := &t.summary
	select {
	case <-s.turn:
	case <-ctx.Done():
		return nil, time.Time{}, context.Cause(ctx)
	}
	defer func() { s.turn <- struct{}{} }()
	if s.known && time.Since(s.at) < max(summaryPause, summaryShare*s.took) {
		return s.count, s.at, nil
	}
	began := time.Now()
	count := map[dpb.TcpState]uint64{}
	lost, err := tcpEach(t.o.Dataplane.TCPConnections(ctx, nil), func(c *dpb.TcpConnection) error {
		count[c.GetState()]++
		return nil
	})
	if err != nil || lost != "" {
		return nil, time.Time{}, err
	}
	s.count, s.known, s.at, s.took = count, true, time.Now(), time.Since(began)
	return count, s.at, nil
}

func (t *TCP) connections(ctx context.Context, k *tcpSink) error {
	count, at, err := t.counted(ctx)
	if err != nil || count == nil {
		return err
	}
	only := k.only("connection", "connection-state")
	for n := dpb.TcpState_TCP_STATE_SYN_SENT; n <= dpb.TcpState_TCP_STATE_TIME_WAIT; n++ {
		name := strings.TrimPrefix(n.String(), "TCP_STATE_")
		if only != "" && only != name {
			continue
		}
		if err := k.tell(k.object(tcpEntry(tcpRoot(), "connections/connection", "connection-state", name)).
			Set("connection-state", name).
			Set("state/connection-state", name).
			Set("state/count", count[n]), at); err != nil {
			return err
		}
	}
	return nil
}
