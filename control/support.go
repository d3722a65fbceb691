package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"millrace/appliance/agent"
	"millrace/server/bundle"
	gnmiserver "millrace/server/gnmi"
	"millrace/yang/schema"
)

// unbundled are the parts of the state that may be too large for a support bundle: what the routes and connections are is told there in
// short.
var unbundled = map[string]bool{
	"/network-instances/network-instance/afts": true, "/tcp-termination/connections": true, "/system/aaa": true,
}

// journalPatience is how long the journal may take: on a slow machine that is the most of a bundle.
const journalPatience = 50 * time.Second

// supportParts are those of a support bundle that the gRPC server does not know of.
func (d *daemon) supportParts(gnmi *gnmiserver.Server, lines int) []bundle.Part {
	parts := []bundle.Part{
		{Name: "metrics.txt", Max: 8 << 20, Collect: d.metricsText},
		{Name: "goroutines.txt", Collect: func(_ context.Context, w io.Writer) error { return pprof.Lookup("goroutine").WriteTo(w, 1) }},
		{Name: "logs/journal.txt", Max: 16 << 20, Patience: journalPatience, Collect: func(ctx context.Context, w io.Writer) error {
			if d.agent == nil {
				return fmt.Errorf("the journal is read by the agent: %w; what vnf logs is where its supervisor puts it", agent.ErrNone)
			}
			text, err := d.agent.Journal(ctx, lines)
			if err == nil {
				_, err = io.WriteString(w, text)
			}
			return err
		}},
	}
	for _, n := range statePaths(d.st.Schema().Root, stateNode{}) {
		parts = append(parts, bundle.Part{
			Name: "state/" + n.name + ".json", Max: 8 << 20,
			Collect: func(ctx context.Context, w io.Writer) error { return stateOf(ctx, gnmi, n.path, w) },
		})
	}
	return append(parts, bundle.Machine(bundle.MachineOptions{RuntimeDir: d.o.RuntimeDir, StateDir: d.o.StateDir})...)
}

// stateNode is a part of the tree that is a file of its own.
type stateNode struct {
	name string
	path []*gpb.PathElem
}

// statePaths are the top of the tree, and what is below where something in there is left out.
func statePaths(n *schema.Node, at stateNode) []stateNode {
	var out []stateNode
	for _, c := range n.Children() {
		if unbundled[c.Path()] || c.IsLeaf() {
			continue
		}
		x := stateNode{at.name, append(at.path[:len(at.path):len(at.path)], &gpb.PathElem{Name: c.Name})}
		if c.Kind != schema.List { // all entries of a list are in one file
			x.name = strings.TrimPrefix(x.name+"-"+c.Name, "-")
		}
		split := false
		for p := range unbundled {
			split = split || strings.HasPrefix(p, c.Path()+"/")
		}
		if split {
			out = append(out, statePaths(c, x)...)
		} else {
			out = append(out, x)
		}
	}
	return out
}

// stateOf writes state as RFC 7951 has it: a line with the path and the value for each node that the path takes.
func stateOf(ctx context.Context, gnmi *gnmiserver.Server, path []*gpb.PathElem, w io.Writer) error {
	resp, err := gnmi.Get(ctx, &gpb.GetRequest{
		Path: []*gpb.Path{{Elem: path}}, Type: gpb.GetRequest_STATE, Encoding: gpb.Encoding_JSON_IETF,
	})
	if status.Code(err) == codes.NotFound {
		return nil // there is none
	}
	if err != nil {
		return err
	}
	for _, n := range resp.GetNotification() {
		for _, u := range n.GetUpdate() {
			if _, err := fmt.Fprintf(w, "{\"path\":%q,\"value\":%s}\n", pathText(u.GetPath()), u.GetVal().GetJsonIetfVal()); err != nil {
				return err
			}
		}
	}
	return nil
}

// metricsText is what a scrape of /metrics answers.
func (d *daemon) metricsText(ctx context.Context, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return err
	}
	answer := &writerResponse{w: w, header: http.Header{}, code: http.StatusOK}
	promhttp.HandlerFor(NewRegistry(d.c), promhttp.HandlerOpts{Timeout: 2 * scrapePatience, ErrorHandling: promhttp.ContinueOnError}).ServeHTTP(answer, req)
	if answer.code != http.StatusOK {
		return errors.New(http.StatusText(answer.code))
	}
	return nil
}

// writerResponse is an answer of HTTP that goes to a writer.
type writerResponse struct {
	w      io.Writer
	header http.Header
	code   int
}

func (r *writerResponse) Header() http.Header         { return r.header }
func (r *writerResponse) Write(p []byte) (int, error) { return r.w.Write(p) }
func (r *writerResponse) WriteHeader(code int)        { r.code = code }

func pathText(p *gpb.Path) string {
	var b strings.Builder
	for _, e := range p.GetElem() {
		b.WriteString("/" + e.GetName())
		for _, k := range slices.Sorted(maps.Keys(e.GetKey())) {
			b.WriteString("[" + k + "=" + e.GetKey()[k] + "]")
		}
	}
	return b.String()
}
