package gnmiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"millrace/server/telemetry"
	"millrace/yang/tree"
)

// What subscriptions are bounded by.
const (
	// minInterval is the shortest sample and heartbeat interval, and what a sample interval of 0 stands for.
	minInterval = 100 * time.Millisecond
	// targetInterval is how often counters and the like are sampled for TARGET_DEFINED; all else is told on change.
	targetInterval   = 10 * time.Second
	maxSubscriptions = 1024
	// maxSubscribed patterns are watched for one call.
	maxSubscribed = 8192
)

// subscription of a call, as the patterns of its path.
type subscription struct {
	patterns  []tree.Pattern
	mode      gpb.SubscriptionMode
	interval  time.Duration
	heartbeat time.Duration
	suppress  bool
}

// Subscribe sends what a list of paths takes: once, whenever the client polls, or from now on (specification section 3.5).
func (s *Server) Subscribe(stream gpb.GNMI_SubscribeServer) error {
	req, err := stream.Recv()
	switch {
	case errors.Is(err, io.EOF):
		return status.Error(codes.InvalidArgument, "subscribe: the call ended without a subscription")
	case err != nil:
		return err
	}
	c, err := s.newSubscriber(stream, req)
	if err != nil {
		return err
	}
	switch mode := req.GetSubscribe().GetMode(); mode {
	case gpb.SubscriptionList_ONCE:
		return c.readAll()
	case gpb.SubscriptionList_POLL:
		return c.poll()
	default:
		return c.follow()
	}
}

// newSubscriber reads the first request of a call.
func (s *Server) newSubscriber(stream gpb.GNMI_SubscribeServer, req *gpb.SubscribeRequest) (*subscriber, error) {
	list := req.GetSubscribe()
	switch {
	case len(req.ProtoReflect().GetUnknown()) > 0:
		return nil, status.Error(codes.Unimplemented, "aliases, or another field that is not in gNMI "+Version+", are not supported")
	case req.GetPoll() != nil:
		return nil, status.Error(codes.InvalidArgument, "poll: there is no subscription yet")
	case list == nil:
		return nil, status.Error(codes.InvalidArgument, "subscribe: is missing")
	case len(list.ProtoReflect().GetUnknown()) > 0:
		return nil, status.Error(codes.Unimplemented, "subscribe: use_aliases, or another field that is not in gNMI "+Version+", is not supported")
	}
	if _, ok := gpb.SubscriptionList_Mode_name[int32(list.GetMode())]; !ok {
		return nil, status.Errorf(codes.InvalidArgument, "subscribe.mode: there is no mode %d", list.GetMode())
	}
	if err := checkEncoding(list.GetEncoding()); err != nil {
		return nil, err
	}
	if list.GetQos().GetMarking() != 0 {
		return nil, status.Error(codes.Unimplemented, "subscribe.qos: marking is not supported")
	}
	ext, err := readExtensions(req.GetExtension(), "Subscribe", extDepth)
	if err != nil {
		return nil, err
	}
	use, err := s.readModels(list.GetUseModels())
	if err != nil {
		return nil, err
	}
	if err := checkPrefix(list.GetPrefix()); err != nil {
		return nil, err
	}
	if n := len(list.GetSubscription()); n == 0 || n > maxSubscriptions {
		return nil, status.Errorf(codes.InvalidArgument, "subscribe.subscription: %d subscriptions, 1 to %d are allowed", n, maxSubscriptions)
	}
	c := &subscriber{
		s: s, stream: stream, ctx: stream.Context(), updatesOnly: list.GetUpdatesOnly(),
		as: form{encoding: list.GetEncoding(), target: list.GetPrefix().GetTarget(), origin: list.GetPrefix().GetOrigin()},
	}
	total := 0
	for i, sub := range list.GetSubscription() {
		one, err := s.readSubscription(list, sub, fmt.Sprintf("subscribe.subscription[%d]", i))
		if err != nil {
			return nil, err
		}
		if c.as.origin == "" {
			c.as.origin = sub.GetPath().GetOrigin()
		}
		if total += len(one.patterns); total > maxSubscribed {
			return nil, status.Errorf(codes.InvalidArgument, "subscribe.subscription: all together take more than %d places of the schema", maxSubscribed)
		}
		c.subs = append(c.subs, one)
	}
	c.sieve = newSieve(s, c.ctx, use, int(ext.depth), c.subs)
	return c, c.sieve.refresh(time.Now())
}

// readSubscription reads one subscription of a list. field names it in errors.
func (s *Server) readSubscription(list *gpb.SubscriptionList, sub *gpb.Subscription, field string) (subscription, error) {
	at, err := fromPath(list.GetPrefix(), sub.GetPath(), field+".path")
	if err != nil {
		return subscription{}, err
	}
	out := subscription{mode: sub.GetMode(), suppress: sub.GetSuppressRedundant()}
	if out.patterns, err = expand(s.schema, at); err != nil {
		return subscription{}, s.notSupported(err)
	}
	if _, ok := gpb.SubscriptionMode_name[int32(out.mode)]; !ok {
		return subscription{}, status.Errorf(codes.InvalidArgument, "%s.mode: there is no mode %d", field, out.mode)
	}
	if list.GetMode() != gpb.SubscriptionList_STREAM {
		return out, nil // what follows is about streams
	}
	if out.heartbeat, err = interval(sub.GetHeartbeatInterval(), 0, field+".heartbeat_interval"); err != nil {
		return subscription{}, err
	}
	if out.mode == gpb.SubscriptionMode_SAMPLE {
		if out.interval, err = interval(sub.GetSampleInterval(), minInterval, field+".sample_interval"); err != nil {
			return subscription{}, err
		}
	}
	return out, nil
}

// interval reads a number of nanoseconds, of which 0 has a meaning of its own.
func interval(ns uint64, zero time.Duration, field string) (time.Duration, error) {
	switch {
	case ns == 0:
		return zero, nil
	case ns < uint64(minInterval):
		return 0, status.Errorf(codes.InvalidArgument, "%s: %d ns is less than the shortest interval, %d ns", field, ns, minInterval.Nanoseconds())
	case ns > math.MaxInt64:
		return 0, status.Errorf(codes.InvalidArgument, "%s: %d ns is more than %d ns", field, ns, int64(math.MaxInt64))
	}
	return time.Duration(ns), nil
}

// notSupported gives the error of a path that OpenConfig has and this appliance does not the code for that.
func (s *Server) notSupported(err error) error {
	st := status.Convert(err)
	for _, field := range violated(st) {
		p, perr := tree.ParsePath(field)
		if perr == nil && s.schema.Find(p.SchemaPath()) == nil && s.schema.Deviated(p.SchemaPath()) {
			return fault(codes.Unimplemented, field, "is not supported by this appliance (vnf-deviations)")
		}
	}
	return err
}

// subscriber is a call of Subscribe.
type subscriber struct {
	s           *Server
	stream      gpb.GNMI_SubscribeServer
	ctx         context.Context
	subs        []subscription
	as          form
	updatesOnly bool
	sieve       *sieve
}

// readAll sends all values there are and that this was all.
func (c *subscriber) readAll() error {
	if !c.updatesOnly {
		if err := c.initial(); err != nil {
			return err
		}
	}
	return c.stream.Send(&gpb.SubscribeResponse{Response: &gpb.SubscribeResponse_SyncResponse{SyncResponse: true}})
}

// initial sends all values there are.
func (c *subscriber) initial() error {
	var m merger
	m.emit = c.send
	for _, sub := range c.subs {
		for _, p := range sub.patterns {
			if err := c.s.opt.Hub.ReadEvents(c.ctx, p, telemetry.All, m.add); err != nil {
				return c.failed(err)
			}
		}
	}
	return c.failed(m.flush())
}

// poll sends all values at first, as the reference collector does, and whenever the client asks for them.
func (c *subscriber) poll() error {
	for {
		if err := c.readAll(); err != nil {
			return err
		}
		req, err := c.stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case req.GetPoll() == nil:
			return errSecond
		}
		if _, err := readExtensions(req.GetExtension(), "Poll"); err != nil {
			return err
		}
	}
}

var errSecond = status.Error(codes.InvalidArgument, "subscribe: a call has one subscription; only poll may follow it, in the mode POLL")

// follow sends all values and then, until the client leaves, what the modes of the subscriptions ask for.
func (c *subscriber) follow() error {
	ctx, cancel := context.WithCancelCause(c.ctx)
	defer cancel(nil)
	c.ctx = ctx
	go func() { // ends with the call
		for {
			switch _, err := c.stream.Recv(); {
			case errors.Is(err, io.EOF): // the client has nothing more to say, and listens
				return
			case err != nil:
				cancel(err)
				return
			}
			cancel(errSecond)
		}
	}()
	w := c.s.opt.Hub.Watch()
	defer w.Close()
	for _, sub := range c.subs {
		for _, m := range sub.patterns {
			sub.watch(w, m)
		}
	}
	if err := w.Wait(ctx); err != nil {
		return c.failed(err)
	}
	if err := c.readAll(); err != nil {
		return c.failed(err)
	}
	for {
		select {
		case <-ctx.Done():
			return c.failed(ctx.Err())
		case <-w.Ready():
		}
		if err := w.Drain(ctx, c.send); err != nil {
			return c.failed(err)
		}
	}
}

// watch adds a subscription to a stream to what is watched.
func (sub *subscription) watch(w *telemetry.Watch, m tree.Pattern) {
	switch sub.mode {
	case gpb.SubscriptionMode_SAMPLE:
		if !sub.suppress {
			w.Sample(m, sub.interval, false)
			return // a heartbeat changes nothing
		}
		w.Changed(m, sub.interval)
	case gpb.SubscriptionMode_ON_CHANGE:
		w.OnChange(m, true)
	default:
		w.OnChange(m, false)
		w.Sample(m, targetInterval, true)
	}
	if sub.heartbeat > 0 {
		w.Sample(m, sub.heartbeat, false)
	}
}

// failed gives an error its code.
func (c *subscriber) failed(err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(c.ctx); cause != nil && isStatus(cause) {
		return cause
	}
	if errors.Is(err, telemetry.ErrTooMany) {
		return status.Error(codes.ResourceExhausted, short(err.Error()))
	}
	return contextError(err, codes.Unavailable)
}

// send passes an event on to the client as far as it may see it.
func (c *subscriber) send(e *telemetry.Event) error {
	e, err := c.sieve.event(e)
	if e == nil || err != nil {
		return err
	}
	all := e.Cached(c.as, func() any { return c.as.responses(e) }).([]*gpb.SubscribeResponse)
	for _, r := range all {
		if err := c.stream.Send(r); err != nil {
			return err
		}
	}
	return nil
}
