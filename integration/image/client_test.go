package image

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	systempb "github.com/openconfig/gnoi/system"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"millrace/internal/lab"
	"millrace/yang/tree"
)

// client is an orchestrator's connection to a guest, from the management network.
type client struct {
	conn *grpc.ClientConn
	gnmi gpb.GNMIClient
	gnoi systempb.SystemClient
}

func newClient(ns *lab.NS, address string, config *tls.Config) (*client, error) {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return dialIn(ctx, ns, address) }))
	if err != nil {
		return nil, err
	}
	return &client{conn, gpb.NewGNMIClient(conn), systempb.NewSystemClient(conn)}, nil
}

func gnmiPath(s string) (*gpb.Path, error) {
	p, err := tree.ParsePath(s)
	if err != nil {
		return nil, err
	}
	out := &gpb.Path{}
	for _, e := range p {
		el := &gpb.PathElem{Name: e.Name}
		for _, k := range e.Keys {
			if el.Key == nil {
				el.Key = map[string]string{}
			}
			el.Key[k.Name] = k.Value
		}
		out.Elem = append(out.Elem, el)
	}
	return out, nil
}

const callTimeout = 30 * time.Second

func (c *client) capabilities() error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	_, err := c.gnmi.Capabilities(ctx, &gpb.CapabilityRequest{})
	return err
}

// get is the JSON of a node; a string is returned without its quotes.
func (c *client) get(path string, kind gpb.GetRequest_DataType) (string, error) {
	p, err := gnmiPath(path)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	r, err := c.gnmi.Get(ctx, &gpb.GetRequest{Path: []*gpb.Path{p}, Type: kind, Encoding: gpb.Encoding_JSON_IETF})
	if err != nil {
		return "", fmt.Errorf("get %s: %w", path, err)
	}
	for _, n := range r.GetNotification() {
		if len(n.GetUpdate()) == 0 {
			continue
		}
		doc := n.GetUpdate()[0].GetVal().GetJsonIetfVal()
		var v any
		if err := json.Unmarshal(doc, &v); err != nil {
			return "", fmt.Errorf("get %s: %w", path, err)
		}
		if s, ok := v.(string); ok {
			return s, nil
		}
		return string(doc), nil
	}
	return "", fmt.Errorf("get %s: %w", path, errNoValue)
}

var errNoValue = errors.New("no value")

func (c *client) update(path string, doc any) error {
	p, err := gnmiPath(path)
	if err != nil {
		return err
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	_, err = c.gnmi.Set(ctx, &gpb.SetRequest{Update: []*gpb.Update{{
		Path: p, Val: &gpb.TypedValue{Value: &gpb.TypedValue_JsonIetfVal{JsonIetfVal: b}}}}})
	return err
}

// reboot asks for a cold reboot.
func (c *client) reboot() error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	_, err := c.gnoi.Reboot(ctx, &systempb.RebootRequest{Method: systempb.RebootMethod_COLD, Message: "test"})
	return err
}
