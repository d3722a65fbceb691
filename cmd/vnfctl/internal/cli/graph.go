package cli

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/spf13/cobra"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func (a *app) graph(c *cobra.Command) (*vnfv1.Graph, error) {
	client, err := a.system()
	if err != nil {
		return nil, err
	}
	ctx, cancel := a.call(c.Context())
	defer cancel()
	return client.GetGraph(ctx, &vnfv1.GetGraphRequest{})
}

func (a *app) graphCommand() *cobra.Command {
	var dot, drops bool
	c := &cobra.Command{
		Use: "graph", Short: "Show the graph of packet processing, as it runs", Args: cobra.NoArgs,
		Long:    "Show the nodes that packets pass, with the nodes each can hand them to; --dot writes it for Graphviz.",
		Example: "  vnfctl graph\n  vnfctl graph --dot | dot -Tsvg > graph.svg",
		RunE: func(c *cobra.Command, _ []string) error {
			g, err := a.graph(c)
			if err != nil {
				return err
			}
			if !drops {
				g = withoutDrops(g)
			}
			if dot {
				return writeDot(a.out, g)
			}
			return a.show(g, func(w io.Writer) error {
				fmt.Fprintln(w, "NODE\tPACKETS\tTO")
				for _, n := range g.GetNodes() {
					fmt.Fprintf(w, "%s\t%d\t%s\n", n.GetName(), n.GetPackets(), strings.Join(n.GetEdges(), " "))
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&dot, "dot", false, "write the graph in the language of Graphviz")
	c.Flags().BoolVar(&drops, "drops", true, "with the nodes where packets are dropped")
	return c
}

// withoutDrops leaves the drop nodes and what leads to them away.
func withoutDrops(g *vnfv1.Graph) *vnfv1.Graph {
	dead := map[string]bool{}
	for _, n := range g.GetNodes() {
		dead[n.GetName()] = n.GetDrop()
	}
	out := &vnfv1.Graph{}
	for _, n := range g.GetNodes() {
		if n.GetDrop() {
			continue
		}
		var edges []string
		for _, e := range n.GetEdges() {
			if !dead[e] {
				edges = append(edges, e)
			}
		}
		n.Edges = edges
		out.Nodes = append(out.Nodes, n)
	}
	return out
}

// writeDot draws sources as houses, drop nodes in red, and nodes that moved packets with bold lines by their number.
func writeDot(w io.Writer, g *vnfv1.Graph) error {
	var b strings.Builder
	b.WriteString("digraph millrace {\n\trankdir=LR;\n\tnode [shape=box, style=filled, fillcolor=white, fontname=\"sans-serif\", fontsize=10];\n")
	b.WriteString("\tedge [color=gray50, arrowsize=0.6];\n")
	for _, n := range g.GetNodes() {
		style := "fillcolor=white"
		switch {
		case n.GetDrop():
			style = "fillcolor=mistyrose, color=firebrick"
		case n.GetSource():
			style = "shape=house, orientation=270, fillcolor=honeydew"
		case n.GetPackets() > 0:
			style = "fillcolor=aliceblue"
		}
		label := n.GetName()
		if n.GetPackets() > 0 {
			label += fmt.Sprintf(`\n%s packets, %s cycles each`, count(float64(n.GetPackets())), ratio(n.GetCycles(), n.GetPackets()))
			style += fmt.Sprintf(", penwidth=%.1f", 1+math.Log10(float64(n.GetPackets()))/3)
		}
		fmt.Fprintf(&b, "\t%s [label=%s, %s];\n", quote(n.GetName()), quote(label), style)
	}
	for _, n := range g.GetNodes() {
		for _, e := range n.GetEdges() {
			fmt.Fprintf(&b, "\t%s -> %s;\n", quote(n.GetName()), quote(e))
		}
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }
