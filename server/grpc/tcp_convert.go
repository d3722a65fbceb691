package grpcserver

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/server/config"
)

// choice is a type of the configuration of which only certain words are allowed. They are in the order of the API's numbers.
type choice interface {
	~string
	Values() []string
}

// wordNumber is the number of a word; that of the first for none.
func wordNumber[C choice](word C) int32 {
	return int32(max(0, slices.Index(word.Values(), string(word))))
}

// wordOf is the word of an enum's value, less first; empty for a default. Others are faults.
func wordOf[C choice](c *checks, field string, e protoreflect.Enum, first int32) C {
	var none C
	enumField(c, field, e)
	n := int(e.Number()) - int(first)
	if words := none.Values(); n >= 0 && n < len(words) && (n > 0 || first > 0) {
		return C(words[n])
	}
	return none
}

// spanOut is a duration of the configuration; absent if it is not set.
func spanOut(d config.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(time.Duration(d))
}

// spanIn reads a duration. Its bounds are the configuration's to check.
func spanIn(c *checks, field string, d *durationpb.Duration) config.Duration {
	switch {
	case d == nil:
		return 0
	case d.CheckValid() != nil || d.AsDuration() < 0:
		c.addf(field, "is not a duration from 0 on")
		return 0
	case d.AsDuration()%time.Millisecond != 0:
		c.addf(field, "%v is not a number of milliseconds", d.AsDuration())
		return 0
	}
	return config.Duration(d.AsDuration())
}

// number reads what is stored in fewer bits.
func number[T uint8 | uint16](c *checks, field string, n uint32) T {
	if uint32(T(n)) != n {
		c.addf(field, "%d is not from 0 to %d", n, uint32(^T(0)))
		return 0
	}
	return T(n)
}

func tcpOptionsOut(o *config.TCPOptions) *vnfv1.TcpOptions {
	m := &vnfv1.TcpOptions{
		CongestionControl: vnfv1.TcpCongestionControl(wordNumber(o.CongestionControl)), Sack: o.SACK, Timestamps: o.Timestamps,
		WindowScale: o.WindowScale, Ecn: o.ECN, DelayedAck: o.DelayedACK, Nagle: o.Nagle, MtuProbing: o.MTUProbing, FastOpen: o.FastOpen,
		SynCookiesAlways: o.SYNCookiesAlways, Pacing: o.Pacing, Ttl: uint32(o.TTL), Dscp: uint32(o.DSCP), Mss: uint32(o.MSS),
		KeepaliveIdle: spanOut(o.KeepaliveIdle), KeepaliveInterval: spanOut(o.KeepaliveInterval), KeepaliveCount: uint32(o.KeepaliveCount),
		UserTimeout: spanOut(o.UserTimeout), FinWait2Timeout: spanOut(o.FinWait2Timeout), SynackRetries: uint32(o.SYNACKRetries),
		ReceiveBuffer: o.ReceiveBuffer, SendBuffer: o.SendBuffer,
	}
	if *o == (config.TCPOptions{}) {
		return nil
	}
	return m
}

func tcpOptionsIn(c *checks, field string, m *vnfv1.TcpOptions) config.TCPOptions {
	if m == nil {
		return config.TCPOptions{}
	}
	at := func(name string) string { return field + "." + name }
	return config.TCPOptions{
		CongestionControl: wordOf[config.CongestionControl](c, at("congestion_control"), m.GetCongestionControl(), 0),
		SACK:              m.Sack, Timestamps: m.Timestamps, WindowScale: m.WindowScale, ECN: m.Ecn, DelayedACK: m.DelayedAck, Nagle: m.Nagle,
		MTUProbing: m.MtuProbing, FastOpen: m.GetFastOpen(), SYNCookiesAlways: m.GetSynCookiesAlways(), Pacing: m.GetPacing(),
		TTL: number[uint8](c, at("ttl"), m.GetTtl()), DSCP: number[uint8](c, at("dscp"), m.GetDscp()),
		MSS: number[uint16](c, at("mss"), m.GetMss()), KeepaliveIdle: spanIn(c, at("keepalive_idle"), m.GetKeepaliveIdle()),
		KeepaliveInterval: spanIn(c, at("keepalive_interval"), m.GetKeepaliveInterval()),
		KeepaliveCount:    number[uint8](c, at("keepalive_count"), m.GetKeepaliveCount()),
		UserTimeout:       spanIn(c, at("user_timeout"), m.GetUserTimeout()),
		FinWait2Timeout:   spanIn(c, at("fin_wait2_timeout"), m.GetFinWait2Timeout()),
		SYNACKRetries:     number[uint8](c, at("synack_retries"), m.GetSynackRetries()),
		ReceiveBuffer:     m.GetReceiveBuffer(), SendBuffer: m.GetSendBuffer(),
	}
}

func tcpCountersOut(list []*dpb.TcpCounter) []*vnfv1.TcpCounter {
	var out []*vnfv1.TcpCounter
	for _, n := range list {
		name := strings.ReplaceAll(n.GetName(), "_", "-")
		out = append(out, &vnfv1.TcpCounter{Name: name, Value: n.GetValue(), Description: n.GetDescription(), Gauge: n.GetGauge()})
	}
	return out
}

func micros(n uint32) *durationpb.Duration {
	return durationpb.New(time.Duration(n) * time.Microsecond)
}

func millis[T uint32 | uint64](n T) *durationpb.Duration {
	return durationpb.New(time.Duration(n) * time.Millisecond)
}

// What the data plane says where there is no bound.
const (
	infinite32 = 1<<32 - 1
	infinite64 = 1<<64 - 1
)

func tcpConnectionOut(t *dpb.TcpConnection) *vnfv1.TcpConnection {
	o := &vnfv1.TcpConnection{
		Worker: t.GetWorker(), NetworkInstance: instanceName(t.GetVrf()), LocalAddress: addrString(t.GetLocalAddress()),
		LocalPort: t.GetLocalPort(), RemoteAddress: addrString(t.GetRemoteAddress()), RemotePort: t.GetRemotePort(),
		State: vnfv1.TcpState(t.GetState()), Listener: t.GetListener(), Pool: t.GetPool(), Backend: t.GetBackend(), Passive: t.GetPassive(),
		TimerLeft: millis(t.GetTimer()), Timer: t.GetTimerName(),
	}
	if t.GetTimerName() == "" {
		o.TimerLeft = nil
	}
	if t.GetState() == dpb.TcpState_TCP_STATE_TIME_WAIT {
		return o
	}
	o.CongestionControl, o.CaState = vnfv1.TcpCongestionControl(t.GetCongestionControl()), vnfv1.TcpCaState(t.GetCaState())
	o.Sack, o.Timestamps, o.Ecn, o.FastOpen = t.GetSack(), t.GetTimestamps(), t.GetEcn(), t.GetFastOpen()
	o.WindowScale, o.SndWscale, o.RcvWscale = t.GetWindowScale(), t.GetSndWscale(), t.GetRcvWscale()
	o.Rto, o.Srtt, o.Rttvar, o.MinRtt = micros(t.GetRto()), micros(t.GetSrtt()), micros(t.GetRttvar()), micros(t.GetMinRtt())
	o.Cwnd, o.Mss, o.Advmss, o.Pmtu = t.GetCwnd(), t.GetMss(), t.GetAdvmss(), t.GetPmtu()
	o.SndWnd, o.RcvWnd, o.Rcvbuf, o.Sndbuf = t.GetSndWnd(), t.GetRcvWnd(), t.GetRcvbuf(), t.GetSndbuf()
	o.RecvQueue, o.SendQueue, o.Unacked, o.Sacked = t.GetRecvQueue(), t.GetSendQueue(), t.GetUnacked(), t.GetSacked()
	o.Lost, o.Retrans, o.Reordering = t.GetLost(), t.GetRetrans(), t.GetReordering()
	o.BytesSent, o.BytesAcked, o.BytesReceived = t.GetBytesSent(), t.GetBytesAcked(), t.GetBytesReceived()
	o.BytesRetrans, o.SegsOut, o.SegsIn = t.GetBytesRetrans(), t.GetSegsOut(), t.GetSegsIn()
	o.TotalRetrans, o.RtoCount, o.DsackDups = t.GetTotalRetrans(), t.GetRtoCount(), t.GetDsackDups()
	o.DeliveryRate, o.Age, o.Idle = t.GetDeliveryRate(), millis(t.GetAge()), millis(t.GetIdle())
	if n := t.GetSsthresh(); n != infinite32 {
		o.Ssthresh = &n
	}
	if n := t.GetPacingRate(); n != infinite64 {
		o.PacingRate = &n
	}
	return o
}

func tcpWorkerOut(w *dpb.TcpWorkerState) *vnfv1.TcpWorkerUsage {
	return &vnfv1.TcpWorkerUsage{
		Worker: w.GetWorker(), Connections: w.GetConnections(), ConnectionsMax: w.GetConnectionsMax(), TimeWait: w.GetTimeWait(),
		TimeWaitMax: w.GetTimeWaitMax(), HalfOpen: w.GetHalfOpen(), Segments: w.GetSegments(), Memory: w.GetMemory(),
		MemoryLimit: w.GetMemoryLimit(), Pressure: vnfv1.TcpMemoryPressure(w.GetPressure()), ConnectionBytes: w.GetConnectionBytes(),
	}
}
