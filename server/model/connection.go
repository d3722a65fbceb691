package model

import (
	"slices"

	"millrace/server/config"
	"millrace/yang/tree"
)

// Table connections are BGP's redistribution. OpenConfig has one for each family; two that are alike are one in Config.

var sources = map[string]config.RedistributeSource{
	protoConnected: config.RedistributeConnected, protoStatic: config.RedistributeStatic,
}

func sourceName(s config.RedistributeSource) string {
	if s == config.RedistributeStatic {
		return protoStatic
	}
	return protoConnected
}

var afis = map[string]config.AddressFamily{"IPV4": config.IPv4Unicast, "IPV6": config.IPv6Unicast}

func (x *reader) tableConnections(at tree.Path, n *tree.Node, c *config.NetworkInstance) {
	for t := range n.List("table-connections/table-connection") {
		tat := below(at, "table-connections").With(t.Elem())
		source, ok := sources[t.Key("src-protocol")]
		family, known := afis[t.Key("address-family")]
		switch {
		case !ok || t.Key("dst-protocol") != protoBGP:
			x.fail(tat, "the appliance connects tables of STATIC and DIRECTLY_CONNECTED to that of BGP")
			continue
		case !known:
			x.fail(tat, "the address families of the appliance are IPV4 and IPV6")
			continue
		case c.BGP == nil:
			x.fail(tat, "there is no BGP in network instance %s", c.Name)
			continue
		}
		for _, p := range []string{t.Key("src-protocol"), protoBGP} {
			if n.At("tables/table").Entry(p, t.Key("address-family")) == nil {
				x.fail(tat, "there is no table of %s for %s: add it to ../../tables", p, t.Key("address-family"))
			}
		}
		r := config.Redistribute{
			Source: source, Family: family, PrefixSet: t.Text("config/prefix-set"), Policies: t.Texts("config/import-policy"),
			Default: disposition(t, "config/default-import-policy", false),
		}
		i := slices.IndexFunc(c.BGP.Redistribute, func(o config.Redistribute) bool {
			return o.Source == r.Source && o.PrefixSet == r.PrefixSet && o.Default == r.Default && slices.Equal(o.Policies, r.Policies)
		})
		if i >= 0 {
			c.BGP.Redistribute[i].Family = ""
		} else {
			c.BGP.Redistribute = append(c.BGP.Redistribute, r)
		}
	}
}

func (w *writer) tableConnections(c *config.NetworkInstance) {
	hint := hinted(w.Hint, c.Name)
	at := instancePath(c.Name)
	for _, r := range c.BGP.Redistribute {
		src := sourceName(r.Source)
		w.protocol(protocolPath(hint, c.Name, src))
		for name, family := range afis {
			if r.Family != "" && r.Family != family {
				continue
			}
			for _, p := range []string{src, protoBGP} {
				t := entry(at, "tables/table", "protocol", p, "address-family", name)
				w.set(t, "config/protocol", p)
			}
			t := connectionPath(c.Name, r.Source, name)
			w.opt(t, "config/prefix-set", r.PrefixSet)
			w.opt(t, "config/import-policy", r.Policies)
			w.disposition(t, "config/default-import-policy", r.Default, false)
		}
	}
}

func connectionPath(instance string, s config.RedistributeSource, afi string) tree.Path {
	return entry(instancePath(instance), "table-connections/table-connection",
		"src-protocol", sourceName(s), "dst-protocol", protoBGP, "address-family", afi)
}

// redistribute finds the places of redistribute[INDEX]….
func (l *locator) redistribute(instance string, s []step) tree.Path {
	n := l.instance(instance)
	i := s[0].index()
	if n == nil || n.BGP == nil || i < 0 || i >= len(n.BGP.Redistribute) {
		return below(instancePath(instance), "table-connections")
	}
	r := &n.BGP.Redistribute[i]
	afi := "IPV4"
	if r.Family == config.IPv6Unicast {
		afi = "IPV6"
	}
	at := connectionPath(instance, r.Source, afi)
	leaves := map[string]string{"prefix-set": "prefix-set", "policies": "import-policy", "default": "default-import-policy"}
	if leaf, ok := leaves[stepAt(s, 1).Name]; ok {
		return below(at, "config/"+leaf)
	}
	return at
}
