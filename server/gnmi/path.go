package gnmiserver

import (
	"fmt"
	"slices"
	"strings"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/grpc/codes"

	"millrace/yang/schema"
	"millrace/yang/tree"
)

// origin of all that there is.
const origin = "openconfig"

// fromPath turns a path of a request, with its prefix, into one of the tree. What it names need not be in the schema. field says in
// errors where in the request it stands.
func fromPath(prefix, p *gpb.Path, field string) (tree.Path, error) {
	if p.GetTarget() != "" {
		return nil, fault(codes.InvalidArgument, field, "a target may only stand in the prefix")
	}
	// The origin stands in one place or is the same in both.
	o := p.GetOrigin()
	if o == "" {
		o = prefix.GetOrigin()
	} else if po := prefix.GetOrigin(); po != "" && po != o {
		return nil, fault(codes.InvalidArgument, field, "the origin %q of the path is not that of the prefix, %q", o, po)
	}
	if o != "" && o != origin {
		return nil, fault(codes.InvalidArgument, field, "there is no origin %q here, only %q", o, origin)
	}
	all := slices.Concat(prefix.GetElem(), p.GetElem())
	// Clients of old habit fill both fields in, gnmi_cli among them: then elem counts.
	//lint:ignore SA1019 what is deprecated is refused by name instead of being taken for the root
	if len(prefix.GetElement()) > len(prefix.GetElem()) || len(p.GetElement()) > len(p.GetElem()) {
		return nil, fault(codes.InvalidArgument, field, "the field element is deprecated: use elem")
	}
	if len(all) > maxElems {
		return nil, fault(codes.InvalidArgument, field, "has %d steps, at most %d are allowed", len(all), maxElems)
	}
	out := make(tree.Path, 0, len(all))
	for i, e := range all {
		el := tree.Elem{Name: e.GetName()}
		if el.Name == "" {
			return nil, fault(codes.InvalidArgument, field, "step %d has no name", i)
		}
		for name, val := range e.GetKey() {
			if len(val) > maxKeyBytes {
				return nil, fault(codes.InvalidArgument, field, "key %s of step %d has more than %d bytes", name, i, maxKeyBytes)
			}
			el.Keys = append(el.Keys, tree.Key{Name: name, Value: val})
		}
		slices.SortFunc(el.Keys, func(a, b tree.Key) int { return strings.Compare(a.Name, b.Name) })
		out = append(out, el)
	}
	return out, nil
}

// toPath is a path of the tree as gNMI has it.
func toPath(p tree.Path) *gpb.Path { return new(pathWriter).path(p) }

// pathWriter turns paths that follow each other into gNMI's. They share the steps that they have in the same place: the keys of an entry
// are made once for all of its leaves.
type pathWriter struct {
	last  tree.Path
	elems []*gpb.PathElem
}

func (w *pathWriter) path(p tree.Path) *gpb.Path {
	out := &gpb.Path{Elem: make([]*gpb.PathElem, len(p))}
	for i, e := range p {
		if i < len(w.last) && same(w.last[i], e) {
			out.Elem[i] = w.elems[i]
			continue
		}
		el := &gpb.PathElem{Name: e.Name}
		if len(e.Keys) > 0 {
			el.Key = make(map[string]string, len(e.Keys))
			for _, k := range e.Keys {
				el.Key[k.Name] = k.Value
			}
		}
		out.Elem[i] = el
	}
	w.last, w.elems = p, out.Elem
	return out
}

// toPrefix is what goes before the paths of an answer: they are absolute, and the target and origin are those of the request.
func toPrefix(prefix *gpb.Path) *gpb.Path {
	if prefix.GetTarget() == "" && prefix.GetOrigin() == "" {
		return nil
	}
	return &gpb.Path{Target: prefix.GetTarget(), Origin: prefix.GetOrigin()}
}

// checkPrefix finds what is wrong with a prefix on its own, for requests without paths.
func checkPrefix(prefix *gpb.Path) error {
	_, err := fromPath(&gpb.Path{Origin: prefix.GetOrigin(), Elem: prefix.GetElem()}, nil, "prefix")
	return err
}

// expand turns a path of a client into patterns.
func expand(s *schema.Schema, p tree.Path) ([]tree.Pattern, error) {
	if n := wildcards(p); n > 8 {
		return nil, fault(codes.InvalidArgument, p.String(), "has %d wildcards in names, at most 8 are allowed", n)
	}
	pats, err := tree.Expand(s, p)
	if err != nil {
		return nil, invalid(err)
	}
	if len(pats) > maxPatterns {
		return nil, fault(codes.InvalidArgument, p.String(), "takes more than %d places of the schema", maxPatterns)
	}
	return pats, nil
}

func wildcards(p tree.Path) int {
	n := 0
	for _, e := range p {
		if e.Name == "*" || e.Name == "..." {
			n++
		}
	}
	return n
}

// wild says that a path is not the name of one node.
func wild(p tree.Path, pats []tree.Pattern) bool {
	return wildcards(p) > 0 || len(pats) != 1 || pats[0].Wild()
}

// known says that the names of a path are in the schema, and else which is not.
func known(s *schema.Schema, p tree.Path) error {
	n := s.Root
	for i, e := range p {
		c := n.Child(e.Name)
		if c == nil {
			at := append(slices.Clone(p[:i]), tree.Elem{Name: e.Name})
			reason := "is not in the schema"
			if s.Deviated(fmt.Sprintf("%s/%s", n.Path(), local(e.Name))) {
				reason = "is not supported by this appliance (vnf-deviations)"
			}
			return tree.Error{Path: at.String(), Reason: reason}
		}
		n = c
	}
	return nil
}

func local(name string) string {
	if _, l, ok := strings.Cut(name, ":"); ok {
		return l
	}
	return name
}
