// Package leaftest finds values to try for each leaf of the management tree's configuration. Tests hold what becomes of them against what
// a leaf promises.
package leaftest

import (
	_ "embed"
	"slices"
	"strings"

	"millrace/yang/schema"
	"millrace/yang/tree"
)

// Document is a configuration (server/config's YAML) with an entry of every list.
//
//go:embed coverage.yaml
var Document []byte

// Base is a tree whose places are tried.
type Base struct {
	Schema *schema.Schema
	Tree   *tree.Tree
}

// Leaves are those of configuration, without keys and the leaves of `config` that keys refer to: they come with their entry.
func (b Base) Leaves() []*schema.Node {
	var out []*schema.Node
	b.Schema.Root.Walk(func(n *schema.Node) {
		if n.Config && n.IsLeaf() && !isKeyOrTwin(n) {
			out = append(out, n)
		}
	})
	return out
}

func isKeyOrTwin(n *schema.Node) bool {
	if n.IsKey() {
		return true
	}
	list := n.Parent.Parent
	return list != nil && list.Kind == schema.List && n.Parent.Name == "config" && slices.Contains(list.Keys, n.Name)
}

// Places are the paths at which a node of the schema is or could be; those where it is set first, then those where another leaf of its
// container is: there a value is most likely to make sense.
func (b Base) Places(n *schema.Node) []tree.Path {
	var chain []*schema.Node
	for up := n; up.Parent != nil; up = up.Parent {
		chain = append(chain, up)
	}
	slices.Reverse(chain)
	type place struct {
		at   tree.Path
		node *tree.Node
	}
	now := []place{{node: b.Tree.Root()}}
	for _, c := range chain {
		var next []place
		for _, p := range now {
			child := p.node.Child(c.Name)
			if c.Kind != schema.List {
				next = append(next, place{p.at.Name(c.Name), child})
				continue
			}
			for x := range child.Entries() {
				next = append(next, place{p.at.With(x.Elem()), x})
			}
		}
		now = next
	}
	paths := make([]tree.Path, len(now))
	for i, p := range now {
		paths[i] = p.at
	}
	if n.IsLeaf() {
		slices.SortStableFunc(paths, func(x, y tree.Path) int { return b.setAt(y) - b.setAt(x) })
	}
	return paths
}

// setAt is 2 where a leaf is set, 1 where another one of its container is.
func (b Base) setAt(at tree.Path) int {
	switch {
	case b.Tree.Get(at) != nil:
		return 2
	case b.Tree.Get(at[:len(at)-1]) != nil:
		return 1
	}
	return 0
}

// texts are values for strings: names that Document has, and something of every form that leaves ask for.
var texts = strings.Fields(`lab eth1 eth1.10 eth2 lo0 red default in out all x 192.0.2.77 2001:db8::77 192.0.2.0/24 198.51.100.0/24 2001:db8:77::/48
	02:00:00:00:00:77 02:00:00:00:00:78 65000:77 65000:1:77 192.0.2.77:8080 [2001:db8::77]:8080 127.0.0.1:9339 :9000 127.0.0.1 0.0.0.0 :: none /pki
	/var/lib/pki 10s 1m 24..28 exact ^65001 _65001_ www.example.org *.example.org / /x HTTP GET net_pcap0,iface=v77 0000:00:07.0 192.0.2.1
	a@b secret77 77 /interfaces`)

// numbers are values for numbers.
var numbers = strings.Fields(`1 0 2 3 5 7 8 10 16 20 30 32 50 60 64 77 90 100 120 128 150 179 200 250 300 500 512 600 1000 1024 1280 1400 1500 1700 2000
	2048 3000 4000 4096 5000 8080 8192 9000 9339 10000 16384 20000 32768 50000 60000 64512 65000 65001 65536 100000 131072 262144 1000000 1048576
	-1 0.5 1.5 10.5 0,1`)

// Candidates are values to try for a leaf, as text (of a leaf-list: with commas between the elements): some will be refused.
func (b Base) Candidates(n *schema.Node) []string { return b.ofType(n.Type) }

func (b Base) ofType(t *schema.Type) []string {
	switch t.Base {
	case schema.Boolean:
		return []string{"true", "false"}
	case schema.Enumeration, schema.Identityref, schema.Bits:
		return t.Values
	case schema.Leafref:
		var out []string
		for _, at := range b.Places(t.Target()) {
			if s := b.Tree.Get(at).Value().Text(); s != "" && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
		return out
	case schema.Union:
		var out []string
		for _, m := range t.Members {
			out = append(out, b.ofType(m)...)
		}
		return out
	case schema.String:
		return texts
	case schema.Binary:
		return []string{"AQIDBA=="}
	case schema.Empty:
		return []string{""}
	}
	return numbers
}

// Set gives a leaf a candidate's value.
func Set(e *tree.Edit, at tree.Path, n *schema.Node, text string) error {
	if n.Kind == schema.LeafList {
		return e.Set(at, strings.Split(text, ","))
	}
	return e.SetText(at, text)
}
