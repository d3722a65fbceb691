package model

import (
	"strings"

	"millrace/server/config"
	"millrace/yang/tree"
)

// gribiSection is /gribi: how the routes of outside controllers are taken.
func gribiSection() section {
	return section{
		read: func(x *reader) {
			at, n := top("gribi/config"), x.Root.At("gribi/config")
			x.C.GRIBI.Distance = num[uint8](x, n, at, "distance")
			x.C.GRIBI.ForwardReferences = config.ForwardReferences(strings.ToLower(n.Text("forward-references")))
		},
		write: func(w *writer) {
			at := top("gribi/config")
			w.opt(at, "distance", w.C.GRIBI.Distance)
			w.opt(at, "forward-references", strings.ToUpper(string(w.C.GRIBI.ForwardReferences)))
		},
		names: []string{"gribi"},
		locate: func(_ *locator, steps []step) tree.Path {
			if s := stepAt(steps, 1); s.Name != "" {
				return top("gribi/config/" + s.Name)
			}
			return top("gribi")
		},
	}
}
