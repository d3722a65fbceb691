package grpcserver

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/server/auth"
	"millrace/server/config"
	"millrace/server/store"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// Limits of what is taken and told of a configuration.
const (
	maxDocument = 4 << 20
	maxComment  = 255
	maxChanges  = 1000
	maxDiff     = 10000
)

// roleOf is the role of who calls; vnf itself may do everything.
func roleOf(ctx context.Context) auth.Role {
	if id, ok := auth.FromContext(ctx); ok {
		return id.Role
	}
	return auth.AdminRole()
}

// blind says that who calls does not see users and roles.
func blind(ctx context.Context) bool { return roleOf(ctx).At(atAAA) < auth.Read }

func (y *systemService) store() *store.Store { return y.s.opt.Config }

func (y *systemService) GetConfig(ctx context.Context, req *vnfv1.GetConfigRequest) (*vnfv1.ConfigDocument, error) {
	var c checks
	enumField(&c, "format", req.GetFormat())
	if err := c.err(); err != nil {
		return nil, err
	}
	if role := roleOf(ctx); req.GetWithSecrets() && !role.Secrets() {
		return nil, status.Errorf(codes.PermissionDenied, "with_secrets: the role %s may not see secrets", role.Name)
	}
	entry, t, err := y.store().Get(req.GetCommit())
	if err != nil {
		return nil, storeError(err, "commit")
	}
	o := &vnfv1.ConfigDocument{Format: req.GetFormat(), Revision: entry.Revision(), Commit: entry.ID}
	if o.Format == vnfv1.ConfigFormat_CONFIG_FORMAT_RFC7951 {
		o.Document, err = y.treeDocument(ctx, t, req.GetWithSecrets())
	} else {
		if o.Format == vnfv1.ConfigFormat_CONFIG_FORMAT_UNSPECIFIED {
			o.Format = vnfv1.ConfigFormat_CONFIG_FORMAT_YAML
		}
		o.Document, err = y.configDocument(ctx, t, o.Format, req.GetWithSecrets())
	}
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return o, nil
}

func (y *systemService) treeDocument(ctx context.Context, t *tree.Tree, secrets bool) ([]byte, error) {
	f := tree.Format{IETF: true, Omit: func(n *schema.Node) bool {
		return !secrets && y.store().Secret(n) || n.Path() == atAAA && blind(ctx)
	}}
	var b bytes.Buffer
	if err := json.Indent(&b, t.Root().AppendJSON(nil, f), "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

func (y *systemService) configDocument(ctx context.Context, t *tree.Tree, format vnfv1.ConfigFormat, secrets bool) ([]byte, error) {
	cfg, err := y.store().ConfigOf(t)
	if err != nil {
		return nil, err
	}
	if !secrets {
		cfg = cfg.WithoutSecrets()
	}
	if blind(ctx) {
		shown := *cfg
		shown.AAA = config.AAA{}
		cfg = &shown
	}
	if format == vnfv1.ConfigFormat_CONFIG_FORMAT_JSON {
		return cfg.JSON()
	}
	return cfg.YAML()
}

func (y *systemService) ApplyConfig(ctx context.Context, req *vnfv1.ApplyConfigRequest) (*vnfv1.ApplyConfigResponse, error) {
	if len(req.GetDocument()) > maxDocument {
		return nil, invalid("document", "%d bytes, at most %d are allowed", len(req.GetDocument()), maxDocument)
	}
	r, err := commitRequest(req.GetDryRun(), req.GetComment(), req.GetConfirm())
	if err != nil {
		return nil, err
	}
	if err := mayTry(ctx, req.GetDryRun()); err != nil {
		return nil, err
	}
	if want := req.GetExpectedRevision(); want != "" {
		entry, _, _ := y.store().Current()
		if have := entry.Revision(); have != want {
			return nil, fail(codes.Aborted, "expected_revision", "%s is not in force, but %s is", want, have)
		}
		r.Expect = entry.ID
	}
	if blind(ctx) {
		r.Keep = []tree.Path{tree.MustPath(atAAA)} // GetConfig leaves it out
	}
	res, err := y.store().Load(ctx, r, req.GetDocument(), req.GetMerge())
	if err != nil {
		return nil, documentError(err)
	}
	return y.applied(ctx, res), nil
}

// mayTry refuses a dry run to who would learn from it what is there and not to be seen.
func mayTry(ctx context.Context, dry bool) error {
	if role := roleOf(ctx); dry && role.Below("/", atAAA) < auth.Read {
		return status.Errorf(codes.PermissionDenied, "dry_run: the role %s may not see what would change", role.Name)
	}
	return nil
}

// applied answers with what came of a commit.
func (y *systemService) applied(ctx context.Context, res store.Result) *vnfv1.ApplyConfigResponse {
	entry, _, _ := y.store().Current()
	o := &vnfv1.ApplyConfigResponse{Revision: entry.Revision(), Commit: entry.ID, ChangeCount: uint32(len(res.Changes))}
	o.Changes = visible(ctx, y.store().Lines(res.Changes, maxChanges))
	if entry.ID == res.ID && entry.Confirm != nil && entry.Confirm.Confirmed.IsZero() {
		o.Confirmation = confirmationOut(entry.Confirm)
	}
	return o
}

// visible are the lines about what who calls may see.
func visible(ctx context.Context, lines []string) []string {
	if !blind(ctx) {
		return lines
	}
	var out []string
	for _, l := range lines {
		if !strings.HasPrefix(l, atAAA+"/") {
			out = append(out, l)
		}
	}
	return out
}
