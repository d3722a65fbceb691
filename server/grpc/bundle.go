package grpcserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/server/auth"
	"millrace/server/bundle"
	"millrace/server/config"
	"millrace/yang/tree"
)

// Limits of a support bundle.
const (
	defaultLogLines = 5000
	maxLogLines     = 20000
	bundleChunk     = 256 << 10
	// bundlePages bounds how many pages of a list are in it, bundlePage is the size of one.
	bundlePages = 8
	bundlePage  = 512
)

// GetSupportBundle collects with the eyes of the role read-only, whoever asks: there are no users, roles and secrets in a bundle.
func (y *systemService) GetSupportBundle(req *vnfv1.GetSupportBundleRequest, out grpc.ServerStreamingServer[vnfv1.SupportBundleChunk]) error {
	var c checks
	rangeOf(&c, "log_lines", req.GetLogLines(), 1, maxLogLines, true)
	if err := c.err(); err != nil {
		return err
	}
	ctx := out.Context()
	// It tells of everything; that its rule is the right to write /system is because of the logs, which tell who did what.
	if role := roleOf(ctx); role.Below("/", atAAA) < auth.Read {
		return status.Errorf(codes.PermissionDenied, "the role %s may not read /, all of which is in a support bundle", role.Name)
	}
	if !y.s.bundling.CompareAndSwap(false, true) {
		return status.Error(codes.ResourceExhausted, "another support bundle is being made")
	}
	defer y.s.bundling.Store(false)
	now := time.Now()
	w := &chunkWriter{out: out}
	if err := out.Send(&vnfv1.SupportBundleChunk{FileName: bundle.FileName(y.s.opt.Hostname, now)}); err != nil {
		return err
	}
	by := ""
	if id, ok := auth.FromContext(ctx); ok {
		by = id.Name
	}
	reader, _ := auth.RoleOf(&config.AAA{}, config.RoleReadOnly)
	asReader := auth.WithIdentity(ctx, auth.Identity{Name: "support-bundle", Role: reader})
	m, err := bundle.Write(asReader, w, bundle.Options{
		Version: y.s.opt.Version, Hostname: y.s.opt.Hostname, By: by, Source: "vnf", Parts: y.bundleParts(int(orDefault(req.GetLogLines(), defaultLogLines))),
		Secrets: y.secretValues(), Now: func() time.Time { return now },
	})
	if err != nil {
		return streamError(ctx, err)
	}
	last := &vnfv1.SupportBundleChunk{}
	for _, p := range m.Failed() {
		last.Problems = append(last.Problems, p.Name+": "+p.Error)
	}
	return w.end(last)
}

// chunkWriter sends what is written in chunks.
type chunkWriter struct {
	out grpc.ServerStreamingServer[vnfv1.SupportBundleChunk]
	buf []byte
}

func (w *chunkWriter) Write(p []byte) (int, error) {
	w.buf = append(w.buf, p...)
	for len(w.buf) >= bundleChunk {
		if err := w.out.Send(&vnfv1.SupportBundleChunk{Data: w.buf[:bundleChunk]}); err != nil {
			return 0, err
		}
		w.buf = append([]byte(nil), w.buf[bundleChunk:]...)
	}
	return len(p), nil
}

func (w *chunkWriter) end(last *vnfv1.SupportBundleChunk) error {
	last.Data = w.buf
	return w.out.Send(last)
}

// secretValues are those of the configuration in force.
func (y *systemService) secretValues() []string {
	var out []string
	_, t, err := y.store().Get(0)
	if err != nil {
		return nil
	}
	t.Root().Walk(nil, func(_ tree.Path, n *tree.Node) bool {
		if s := n.Schema(); s.IsLeaf() && y.store().Secret(s) {
			out = append(out, n.Value().Text())
		}
		return true
	})
	return out
}

// bundleParts are what our services tell, and what else there is.
func (y *systemService) bundleParts(lines int) []bundle.Part {
	routes, ifaces := &routeService{s: y.s}, &interfaceService{s: y.s}
	neighbors, tcp := &neighborService{s: y.s}, &terminationService{s: y.s}
	document := func(f vnfv1.ConfigFormat) func(context.Context, io.Writer) error {
		return func(ctx context.Context, w io.Writer) error {
			d, err := y.GetConfig(ctx, &vnfv1.GetConfigRequest{Format: f})
			if err == nil {
				_, err = w.Write(d.GetDocument())
			}
			return err
		}
	}
	parts := []bundle.Part{
		{Name: "system.json", Collect: one(y.GetSystemInfo, &vnfv1.GetSystemInfoRequest{})},
		{Name: "alarms.json", Collect: one(y.ListAlarms, &vnfv1.ListAlarmsRequest{})},
		{Name: "config/tree.json", Max: 16 << 20, Collect: document(vnfv1.ConfigFormat_CONFIG_FORMAT_RFC7951)},
		{Name: "config/config.yaml", Max: 16 << 20, Collect: document(vnfv1.ConfigFormat_CONFIG_FORMAT_YAML)},
		{Name: "config/commits.json", Collect: one(y.ListCommits, &vnfv1.ListCommitsRequest{})},
		{Name: "config/last-commit.json", Collect: one(y.GetCommit, &vnfv1.GetCommitRequest{})},
		{Name: "dataplane/workers.json", Collect: one(y.ListWorkers, &vnfv1.ListWorkersRequest{})},
		{Name: "dataplane/drops.json", Collect: one(y.ListDrops, &vnfv1.ListDropsRequest{IncludeZero: true})},
		{Name: "dataplane/graph.json", Collect: one(y.GetGraph, &vnfv1.GetGraphRequest{})},
		{Name: "dataplane/network-instances.json", Collect: one(y.ListNetworkInstances, &vnfv1.ListNetworkInstancesRequest{})},
		{Name: "interfaces/interfaces.json", Max: 4 << 20, Collect: paging(ifaces.ListInterfaces, &vnfv1.ListInterfacesRequest{})},
		{Name: "interfaces/xstats.json", Max: 4 << 20, Collect: y.xstats(ifaces)},
		{Name: "interfaces/neighbors.json", Max: 4 << 20, Collect: paging(neighbors.ListNeighbors, &vnfv1.ListNeighborsRequest{})},
		{Name: "routes/summary.json", Collect: one(routes.GetRouteSummary, &vnfv1.GetRouteSummaryRequest{})},
		{Name: "routes/refused.json", Collect: paging(routes.ListFibFailures, &vnfv1.ListFibFailuresRequest{})},
		{Name: "tcp/listeners.json", Collect: paging(tcp.ListTcpListeners, &vnfv1.ListTcpListenersRequest{})},
		{Name: "tcp/pools.json", Collect: paging(tcp.ListTcpPools, &vnfv1.ListTcpPoolsRequest{})},
		{Name: "tcp/virtual-addresses.json", Collect: paging(tcp.ListTcpVips, &vnfv1.ListTcpVipsRequest{})},
		{Name: "tcp/statistics.json", Collect: one(tcp.GetTcpStatistics, &vnfv1.GetTcpStatisticsRequest{})},
		{Name: "tcp/connections-first.json", Collect: one(tcp.ListTcpConnections, &vnfv1.ListTcpConnectionsRequest{PageSize: bundlePage})},
	}
	bgp := &bgpService{s: y.s}
	for _, i := range y.store().Config().NetworkInstances {
		name := bundle.SafeName(i.Name)
		parts = append(parts, bundle.Part{
			Name:    "routes/first-" + name + ".json",
			Collect: one(routes.ListRoutes, &vnfv1.ListRoutesRequest{NetworkInstance: i.Name, PageSize: bundlePage, AllCandidates: true}),
		})
		if i.BGP != nil {
			parts = append(parts,
				bundle.Part{Name: "bgp/speaker-" + name + ".json", Collect: one(bgp.GetBgp, &vnfv1.GetBgpRequest{NetworkInstance: i.Name})},
				bundle.Part{
					Name: "bgp/neighbors-" + name + ".json", Max: 4 << 20,
					Collect: paging(bgp.ListBgpNeighbors, &vnfv1.ListBgpNeighborsRequest{NetworkInstance: i.Name}),
				})
		}
	}
	if y.s.opt.SupportParts != nil {
		parts = append(parts, y.s.opt.SupportParts(lines)...)
	}
	return parts
}

// xstats are the devices' own counters of each port.
func (y *systemService) xstats(ifaces *interfaceService) func(context.Context, io.Writer) error {
	return func(ctx context.Context, w io.Writer) error {
		for _, i := range y.store().Config().Interfaces {
			if i.Type != config.Port {
				continue
			}
			x, err := ifaces.GetInterfaceXstats(ctx, &vnfv1.GetInterfaceXstatsRequest{Name: i.Name})
			if err != nil {
				if status.Code(err) == codes.Unavailable {
					return err
				}
				if _, err := fmt.Fprintf(w, "%q: %q\n", i.Name, status.Convert(err).Message()); err != nil {
					return err
				}
				continue
			}
			if _, err := fmt.Fprintf(w, "%q:\n", i.Name); err != nil {
				return err
			}
			if err := writeProto(w, x); err != nil {
				return err
			}
		}
		return nil
	}
}

// one is a part that is the answer of a call.
func one[Q, R proto.Message](call func(context.Context, Q) (R, error), req Q) func(context.Context, io.Writer) error {
	return func(ctx context.Context, w io.Writer) error {
		resp, err := call(ctx, req)
		if err != nil {
			return err
		}
		return writeProto(w, resp)
	}
}

// paging is a part that has the first pages of a list, one after the other.
func paging[Q paged, R interface {
	proto.Message
	GetNextPageToken() string
}](call func(context.Context, Q) (R, error), req Q) func(context.Context, io.Writer) error {
	return func(ctx context.Context, w io.Writer) error {
		q := proto.Clone(req).(Q)
		m := q.ProtoReflect()
		field := func(name protoreflect.Name) protoreflect.FieldDescriptor { return m.Descriptor().Fields().ByName(name) }
		m.Set(field("page_size"), protoreflect.ValueOfUint32(bundlePage))
		for range bundlePages {
			resp, err := call(ctx, q)
			if err != nil {
				return err
			}
			if err := writeProto(w, resp); err != nil {
				return err
			}
			if resp.GetNextPageToken() == "" {
				break
			}
			m.Set(field("page_token"), protoreflect.ValueOfString(resp.GetNextPageToken()))
		}
		return nil
	}
}

func writeProto(w io.Writer, m proto.Message) error {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil { // protojson's own blanks change from build to build
		return err
	}
	b.WriteByte('\n')
	_, err = w.Write(b.Bytes())
	return err
}
