package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"millrace/internal/lab"
	"millrace/internal/leaftest"
	"millrace/server/config"
	"millrace/server/model"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// leafBench is a box with an entry of every list, and each leaf's tries on it.
type leafBench struct {
	*treeClient
	leaftest.Base
	m *model.Model
	// config is what the base configuration says.
	config *config.Config
	// values are further ones to try, of this box.
	values map[string][]string
}

// leafDocument is the document of all lists, with devices and files that the box has.
func leafDocument(dir string) string {
	doc := string(leaftest.Document)
	doc = doc[strings.Index(doc, "\ninterfaces:\n"):]
	return strings.NewReplacer(
		"iface: ens5", "iface: port1",
		`device: "0000:00:06.0"`, "iface: port2",
		`device: "0000:00:07.0"`, "device: net_null0, rx-queues: 1",
		"mtu: 9000", "mtu: 1600", "    rx-queues: 2\n", "", "memory-limit: 64", "memory-limit: 16",
		"/srv/blob", filepath.Join(dir, "blob"),
	).Replace(doc)
}

func newLeafBench(t *testing.T) *leafBench {
	l := newLab(t, "leaves")
	r := &router{t: t, lab: l, a: l.NS("a"), ns: l.NS("r")}
	for i := range 3 {
		l.Veth(r.a, fmt.Sprintf("eth%d", i+1), r.ns, fmt.Sprintf("port%d", i+1))
	}
	must(t, os.WriteFile(filepath.Join(l.Dir, "blob"), []byte("blob"), 0o644))
	box, err := l.Box(r.ns, lab.BoxOptions{Config: leafDocument(l.Dir), Dataplane: "ipv4-routes: 65536\nipv6-routes: 16384\nmbufs: 16384\nhugepages: false\n"})
	r.box = box
	t.Cleanup(func() {
		if t.Failed() && box != nil {
			t.Logf("the box says:\n%s", tail(box.Proc.Output(), 6000))
		}
	})
	must(t, err)
	s, err := schema.Load()
	must(t, err)
	// By the socket that only root can reach: what is tried on the other ways in may lock them.
	conn, err := grpc.NewClient("unix://"+filepath.Join(filepath.Dir(box.Socket()), "vnf.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	b := &leafBench{treeClient: &treeClient{r, gpb.NewGNMIClient(conn)}, m: model.New(s)}
	b.Schema = s
	b.Tree = b.tree()
	b.config, err = b.m.ToConfig(b.Tree)
	must(t, err)
	blob := filepath.Join(l.Dir, "other")
	must(t, os.WriteFile(blob, []byte("other"), 0o644))
	rt := []string{"route-target:65000:77"}
	b.values = map[string][]string{
		"/system/grpc-servers/grpc-server/config/listen-addresses":                                                       {"127.0.0.2"},
		"/interfaces/interface/port/config/devargs":                                                                      {"net_null1"},
		"/interfaces/interface/port/config/iface":                                                                        {"port3"},
		"/interfaces/interface/port/config/rx-queues":                                                                    {"2"},
		"/routing-policy/defined-sets/bgp-defined-sets/ext-community-sets/ext-community-set/config/ext-community-member": rt,
		statementActions + "set-ext-community/inline/config/communities":                                                 rt,
		"/system/aaa/authentication/users/user/config/password-hashed":                                                   {leafHash},
		"/tcp-termination/listeners/listener/http/response/config/body-file":                                             {blob},
		"/tcp-termination/listeners/listener/http/routes/route/response/config/body-file":                                {blob},
	}
	return b
}

// leafHash is of "secret77".
const leafHash = "$2a$10$abcdefghijklmnopqrstuuKqy5mH1dQXrW0r1eWlsj7hwEwIVYQ7b"

// tree is the configuration as gNMI tells it.
func (b *leafBench) tree() *tree.Tree {
	b.r.t.Helper()
	m, err := b.stub.Get(b.r.t.Context(), &gpb.GetRequest{Path: []*gpb.Path{{}}, Type: gpb.GetRequest_CONFIG, Encoding: gpb.Encoding_JSON_IETF})
	must(b.r.t, err)
	t, err := tree.Parse(b.Schema, m.GetNotification()[0].GetUpdate()[0].GetVal().GetJsonIetfVal())
	must(b.r.t, err)
	return t
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// try is a value for a leaf at a place.
type try struct {
	at   tree.Path
	text string
	want schema.Value
}

// tries are changes of a leaf to something else that are valid and mean something else.
func (b *leafBench) tries(n *schema.Node) iter.Seq[try] {
	return func(yield func(try) bool) {
		for _, at := range b.Places(n) {
			for _, text := range slices.Concat(b.values[n.Path()], b.Candidates(n)) {
				c, v := b.means(func(e *tree.Edit) error { return leaftest.Set(e, at, n, text) }, at)
				if c == nil || reflect.DeepEqual(c, b.config) {
					continue
				}
				if !yield(try{at, text, v}) {
					return
				}
			}
		}
	}
}

// means is what an edit of the base would mean, and the value of a leaf then; nil if it is not valid.
func (b *leafBench) means(change func(*tree.Edit) error, at tree.Path) (*config.Config, schema.Value) {
	e := b.Tree.Edit()
	if change(e) != nil {
		return nil, schema.Value{}
	}
	next, err := e.Commit()
	if err != nil {
		return nil, schema.Value{}
	}
	c, err := b.m.ToConfig(next)
	if err != nil || c.Validate() != nil {
		return nil, schema.Value{}
	}
	return c, next.Get(at).Value()
}

// leafTries bounds how many values of a leaf are tried: the box may refuse what is valid by itself, such as a device that it has not.
const leafTries = 12

// value reads a leaf; the zero value if there is none.
func (b *leafBench) value(at tree.Path, n *schema.Node) (schema.Value, error) {
	m, err := b.stub.Get(b.r.t.Context(), &gpb.GetRequest{Path: []*gpb.Path{b.path(at.String())}, Encoding: gpb.Encoding_JSON_IETF})
	if status.Code(err) == codes.NotFound {
		return schema.Value{}, nil
	} else if err != nil {
		return schema.Value{}, err
	}
	var x any
	d := json.NewDecoder(strings.NewReader(string(m.GetNotification()[0].GetUpdate()[0].GetVal().GetJsonIetfVal())))
	d.UseNumber()
	if err := d.Decode(&x); err != nil {
		return schema.Value{}, err
	}
	return n.FromJSON(x)
}

// reads waits until a leaf has a value (the zero one: is not there), or, if it is not wanted, another.
func (b *leafBench) reads(at tree.Path, n *schema.Node, v schema.Value, wanted bool) error {
	return lab.Eventually(leafWait, func() error {
		got, err := b.value(at, n)
		if same := got.IsZero() && v.IsZero() || !got.IsZero() && !v.IsZero() && got.Equal(v); err == nil && same != wanted {
			err = fmt.Errorf("%s is %q, with %q set or gone", at, got.Text(), v.Text())
		}
		return err
	})
}

const leafWait = 5 * time.Second

// stateOf is the leaf of state that is named as a leaf of configuration is.
func (b *leafBench) stateOf(at tree.Path) (tree.Path, *schema.Node) {
	i := len(at) - 2
	if i < 0 || at[i].Name != "config" {
		return nil, nil
	}
	out := slices.Clone(at)
	out[i].Name = "state"
	return out, b.Schema.Find(out.SchemaPath())
}

// put sets a leaf to a value; the zero one deletes it.
func (b *leafBench) put(at tree.Path, v schema.Value) error {
	if v.IsZero() {
		return b.set(&gpb.SetRequest{Delete: []*gpb.Path{b.path(at.String())}})
	}
	return b.set(&gpb.SetRequest{Replace: []*gpb.Update{b.update(at.String(), string(v.AppendJSON(nil, true)))}})
}

// leaf sets a leaf, sees it in force, deletes it, and puts back what was.
func (b *leafBench) leaf(n *schema.Node) error {
	var refusals []error
	for x := range b.tries(n) {
		if err := b.put(x.at, x.want); err != nil {
			if refusals = append(refusals, fmt.Errorf("%q: %w", x.text, err)); len(refusals) == leafTries {
				break
			}
			continue
		}
		err := b.inForce(n, x)
		if back := b.put(x.at, b.Tree.Get(x.at).Value()); back != nil {
			b.r.t.Fatalf("%s: what was is not taken back: %v", x.at, back)
		}
		return err
	}
	if len(refusals) > 0 {
		return fmt.Errorf("is always refused: %w", errors.Join(refusals...))
	}
	return errNoValue
}

var errNoValue = errors.New("has no other value to try")

func (b *leafBench) inForce(n *schema.Node, x try) error {
	if err := b.reads(x.at, n, x.want, true); err != nil {
		return err
	}
	state, twin := b.stateOf(x.at)
	if _, other := otherState[n.Path()]; other {
		twin = nil
	}
	if twin != nil {
		if err := b.reads(state, twin, x.want, true); err != nil {
			return fmt.Errorf("its state: %w", err)
		}
	}
	if f := leafEffects[n.Path()]; f != nil {
		if err := f(b, x); err != nil {
			return fmt.Errorf("what comes of it: %w", err)
		}
	}
	if err := b.put(x.at, schema.Value{}); err != nil {
		if !strings.HasPrefix(status.Convert(err).Message(), "/"+x.at[0].Name) {
			return fmt.Errorf("that it cannot go is told without a path: %w", err)
		}
		return nil
	}
	if err := b.reads(x.at, n, schema.Value{}, true); err != nil || twin == nil || !resets[n.Path()] {
		return err
	}
	if err := b.reads(state, twin, x.want, false); err != nil {
		return fmt.Errorf("its state: %w", err)
	}
	return nil
}

// resets are leaves whose value comes from the device when they are gone.
var resets = map[string]bool{
	"/interfaces/interface/config/mtu":                  true,
	"/interfaces/interface/ethernet/config/mac-address": true,
	"/interfaces/interface/config/description":          true,
	"/system/config/hostname":                           true,
}

// oneValue are leaves that can have no other value where the rest stays as it is.
var oneValue = map[string]string{
	"/interfaces/interface/config/type":                                           "has to fit what the interface is made of",
	"/interfaces/interface/subinterfaces/subinterface/ipv4/config/enabled":        "true: the family is there when it has addresses",
	"/interfaces/interface/subinterfaces/subinterface/ipv6/config/enabled":        "true: the family is there when it has addresses",
	"/network-instances/network-instance/config/type":                             "which its name says",
	"/network-instances/network-instance/protocols/protocol/bgp/global/config/as": "iBGP peers have to be of the same",
	"/routing-policy/defined-sets/prefix-sets/prefix-set/config/mode":             "that of the prefixes",
	statementActions + "set-community/config/method":                              "has to fit which of inline and reference is there",
	statementActions + "set-ext-community/config/method":                          "has to fit which of inline and reference is there",
	"/system/aaa/authentication/users/user/config/password":                       "is hashed before it is committed",
}

const statementActions = "/routing-policy/policy-definitions/policy-definition/statements/statement/actions/bgp-actions/"

// otherState are leaves whose state is another, and why.
var otherState = map[string]string{
	"/network-instances/network-instance/protocols/protocol/bgp/neighbors/neighbor/afi-safis/afi-safi/config/enabled":                 "a family that is off has no state",
	"/network-instances/network-instance/protocols/protocol/bgp/neighbors/neighbor/config/auth-password":                              "is not told where the state is the session's",
	"/network-instances/network-instance/protocols/protocol/bgp/neighbors/neighbor/route-reflector/config/route-reflector-cluster-id": "is told as an address when it was set as a number",
}

// leafEffects look at what the system does once a leaf has a value.
var leafEffects = map[string]func(b *leafBench, x try) error{
	"/interfaces/interface/config/enabled": func(b *leafBench, x try) error {
		return b.comes(x, "admin-status", map[string]string{"true": "UP", "false": "DOWN"})
	},
	"/interfaces/interface/subinterfaces/subinterface/config/enabled": func(b *leafBench, x try) error {
		return b.comes(x, "oper-status", map[string]string{"true": "UP", "false": "DOWN"})
	},
	"/tcp-termination/listeners/listener/config/enabled": func(b *leafBench, x try) error {
		return b.comes(x, "oper-status", map[string]string{"true": "UP", "false": "DOWN"})
	},
	"/network-instances/network-instance/protocols/protocol/bgp/neighbors/neighbor/config/enabled": func(b *leafBench, x try) error {
		return b.comes(x, "session-state", map[string]string{"true": "ACTIVE", "false": "IDLE"})
	},
}

// comes waits for a leaf of state beside that of the leaf which was set.
func (b *leafBench) comes(x try, name string, values map[string]string) error {
	at, _ := b.stateOf(x.at)
	at[len(at)-1].Name = name
	return lab.Eventually(leafWait, func() error {
		got, err := b.get(at.String())
		if err == nil && got != values[x.text] {
			err = fmt.Errorf("%s is %s with %q", at, got, x.text)
		}
		return err
	})
}

// TestGNMIEveryLeaf: each leaf of configuration that the schema has is set, read, seen as state, deleted and put back on a running box.
func TestGNMIEveryLeaf(t *testing.T) {
	b := newLeafBench(t)
	took := map[string]time.Duration{}
	tried := 0
	for _, n := range b.Leaves() {
		if strings.HasPrefix(n.Path(), "/dataplane/config/") { // when it starts: TestGNMIStartLeaves
			continue
		}
		tried++
		began := time.Now()
		err := b.leaf(n)
		_, one := oneValue[n.Path()]
		switch {
		case err == errNoValue && one:
		case err != nil:
			t.Errorf("%s %v", n.Path(), err)
		case one:
			t.Errorf("%s is listed as having one value, and has another", n.Path())
		}
		took[n.Path()] = time.Since(began)
	}
	paths := slices.SortedFunc(maps.Keys(took), func(x, y string) int { return int(took[y] - took[x]) })
	for _, p := range paths[:5] {
		t.Logf("%v for %s", took[p], p)
	}
	t.Logf("%d leaves", tried)
	if now := b.tree(); string(now.JSON()) != string(b.Tree.JSON()) {
		tree.Diff(b.Tree, now, func(c tree.Change) { t.Errorf("left: %s", c) })
	}
}

// startLeaves are values for the leaves that the data plane goes by when it starts.
var startLeaves = map[string]string{
	"cpus": "[0,1]", "eal": `"--log-level=6"`, "exception-netns": "", "hugepages": "false", "ipv4-routes": "32768", "ipv4-tbl8": "2048",
	"ipv6-routes": "8192", "ipv6-tbl8": "8192", "mbuf-size": "2432", "mbufs": "24576", "memory": "900", "next-hop-groups": "2048",
	"next-hops": "4096", "poll": "true", "workers": "1",
}

// TestGNMIStartLeaves: the leaves that the data plane goes by when it starts are read at once, and are its state from then on.
func TestGNMIStartLeaves(t *testing.T) {
	b := newLeafBench(t)
	const config = "/dataplane/config/"
	startLeaves := maps.Clone(startLeaves)
	startLeaves["exception-netns"] = fmt.Sprintf("%q", b.r.box.Inner.Name+"2")
	b.r.lab.Adopt("start", b.r.box.Inner.Name+"2")
	req := &gpb.SetRequest{}
	for name, v := range startLeaves {
		req.Replace = append(req.Replace, b.update(config+name, v))
	}
	must(t, b.set(req))
	check := func(in string) {
		t.Helper()
		for _, n := range b.Schema.Find("/dataplane/config").Children() {
			v, there := startLeaves[n.Name]
			if !there {
				t.Errorf("%s%s is not tried", config, n.Name)
				continue
			}
			got, err := b.get(in + n.Name)
			if err != nil || got != strings.Trim(v, `"`) {
				t.Errorf("%s%s is %q, %v, and not %s", in, n.Name, got, err, v)
			}
		}
	}
	check(config)
	b.r.box.Proc.Stop()
	must(t, b.r.box.Start())
	must(t, b.r.box.WaitInterfaces("eth1"))
	check(config)
	check("/dataplane/state/")
}
