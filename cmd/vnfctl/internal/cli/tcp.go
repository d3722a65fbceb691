package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"sigs.k8s.io/yaml"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) tcpCommand() *cobra.Command {
	return group("tcp", "TCP termination: listeners, pools, virtual addresses, connections", nil,
		a.listenerCommand(), a.poolCommand(), a.backendCommand(), a.vipCommand(), a.tcpConnections(), a.tcpKill(), a.tcpStatistics(),
		a.tcpWorkers(), a.tcpHealth())
}

func (a *app) termination() (vnfv1.TerminationServiceClient, error) {
	c, err := a.dial()
	return vnfv1.NewTerminationServiceClient(c), err
}

func (a *app) listenerNames(ctx context.Context) ([]string, error) {
	var names []string
	err := a.eachListener(ctx, &vnfv1.ListTcpListenersRequest{PageSize: 4096}, func(l *vnfv1.TcpListener) error {
		if !l.GetState().GetDraining() {
			names = append(names, l.GetConfig().GetName())
		}
		return nil
	})
	return names, err
}

func (a *app) poolNames(ctx context.Context) ([]string, error) {
	var names []string
	err := a.eachPool(ctx, func(p *vnfv1.TcpPool) error {
		names = append(names, p.GetConfig().GetName())
		return nil
	})
	return names, err
}

func (a *app) vipNames(ctx context.Context) ([]string, error) {
	var names []string
	err := a.eachVip(ctx, func(v *vnfv1.TcpVip) error {
		names = append(names, v.GetConfig().GetName())
		return nil
	})
	return names, err
}

// completeBackend completes POOL BACKEND.
func (a *app) completeBackend(c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return a.complete(0, a.poolNames)(c, args, word)
	}
	return a.complete(1, func(ctx context.Context) ([]string, error) {
		client, err := a.termination()
		if err != nil {
			return nil, err
		}
		p, err := client.GetTcpPool(ctx, &vnfv1.GetTcpPoolRequest{Name: args[0]})
		var names []string
		for _, b := range p.GetConfig().GetBackends() {
			names = append(names, b.GetName())
		}
		return names, err
	})(c, args, word)
}

// fromFile reads a message in protobuf's JSON form, as JSON or YAML.
func (a *app) fromFile(path string, m proto.Message) error {
	b, err := a.readFile(path)
	if err != nil {
		return usagef("--file: %v", err)
	}
	j, err := yaml.YAMLToJSONStrict(b)
	if err == nil {
		err = protojson.Unmarshal(j, m)
	}
	if err != nil {
		return usagef("--file: %s: %v", path, err)
	}
	return nil
}

func (a *app) readFile(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(a.env.Stdin)
	}
	return os.ReadFile(path)
}

// hostPort writes an address with its port; no address is all of them.
func hostPort(address string, port uint32) string {
	if address == "" {
		address = "*"
	}
	return net.JoinHostPort(address, strconv.FormatUint(uint64(port), 10))
}

// splitHostPort reads ADDRESS:PORT or [ADDRESS]:PORT.
func splitHostPort(what, s string) (string, uint32, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, usagef("%s: %q is not ADDRESS:PORT or [ADDRESS]:PORT", what, s)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", 0, usagef("%s: port %q is not from 1 to 65535", what, port)
	}
	if host == "*" {
		host = ""
	}
	return host, uint32(n), nil
}

// tcpOptionFlags are those of listeners and pools alike.
func tcpOptionFlags(c *cobra.Command, o *vnfv1.TcpOptions, listener bool) {
	f := fields{c, "options."}
	word(f, "congestion-control", "congestion_control", &o.CongestionControl, "congestion control")
	for _, s := range []struct {
		flag, field, usage string
		to                 **bool
	}{
		{"sack", "sack", "selective acknowledgements (RFC 2018)", &o.Sack},
		{"timestamps", "timestamps", "timestamps (RFC 7323)", &o.Timestamps},
		{"window-scale", "window_scale", "window scaling (RFC 7323)", &o.WindowScale},
		{"ecn", "ecn", "explicit congestion notification (RFC 3168)", &o.Ecn},
		{"delayed-ack", "delayed_ack", "delayed acknowledgements", &o.DelayedAck},
		{"nagle", "nagle", "Nagle's algorithm", &o.Nagle},
		{"mtu-probing", "mtu_probing", "probe for a larger path MTU (RFC 4821)", &o.MtuProbing},
	} {
		f.switched(s.flag, s.field, s.to, s.usage+"; default on")
	}
	f.flag("pacing", "pacing", &o.Pacing, "pace also where the congestion control does not ask for it")
	f.number("ttl", "ttl", &o.Ttl, "1 to 255; 0: 64")
	f.number("dscp", "dscp", &o.Dscp, "0 to 63")
	f.number("mss", "mss", &o.Mss, "largest segment in `bytes`, 88 to 65495; 0: what the MTU allows")
	f.span("keepalive-idle", "keepalive_idle", &o.KeepaliveIdle, "silence before the first probe; none: no keepalive")
	f.span("keepalive-interval", "keepalive_interval", &o.KeepaliveInterval, "between probes; none: 75s")
	f.number("keepalive-count", "keepalive_count", &o.KeepaliveCount, "probes without an answer that end a connection; 0: 9")
	f.span("user-timeout", "user_timeout", &o.UserTimeout, "without acknowledgement; none: 15m")
	f.span("fin-wait2-timeout", "fin_wait2_timeout", &o.FinWait2Timeout, "in FIN-WAIT-2; none: 1m")
	f.number("receive-buffer", "receive_buffer", &o.ReceiveBuffer, "most `bytes`; 0: 6 MiB")
	f.number("send-buffer", "send_buffer", &o.SendBuffer, "most `bytes`; 0: 4 MiB")
	if listener {
		f.flag("fast-open", "fast_open", &o.FastOpen, "take data in the SYN (RFC 7413)")
		f.flag("syn-cookies-always", "syn_cookies_always", &o.SynCookiesAlways, "not only when the backlog is full")
		f.number("synack-retries", "synack_retries", &o.SynackRetries, "up to 15; 0: 5")
	}
}

// optionWords says which options are not the default.
func optionWords(o *vnfv1.TcpOptions) string {
	var out []string
	if o == nil {
		return ""
	}
	o.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		text := v.String()
		if f.Enum() != nil {
			text = short(o.GetCongestionControl())
		} else if f.Message() != nil {
			if d, ok := v.Message().Interface().(*durationpb.Duration); ok {
				text = d.AsDuration().String()
			}
		}
		out = append(out, fmt.Sprintf("%s=%s", strings.ReplaceAll(string(f.Name()), "_", "-"), text))
		return true
	})
	slices.Sort(out)
	return strings.Join(out, " ")
}

// span is a duration for people; empty if it is not set.
func span(d *durationpb.Duration) string {
	if d == nil {
		return ""
	}
	return d.AsDuration().String()
}
