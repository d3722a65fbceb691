package grpcserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/server/auth"
	"millrace/server/config"
)

const maxDocument = 4 << 20

// roleOf is the role of who calls; vnf itself may do everything.
func roleOf(ctx context.Context) auth.Role {
	if id, ok := auth.FromContext(ctx); ok {
		return id.Role
	}
	return auth.AdminRole()
}

// revision names a configuration by its content.
func revision(c *config.Config) (string, error) {
	b, err := c.YAML()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6]), nil
}

// withoutSecrets leaves the passwords out of a copy.
func withoutSecrets(c *config.Config) *config.Config {
	c = c.Clone()
	for n := range c.NetworkInstances {
		b := c.NetworkInstances[n].BGP
		if b == nil {
			continue
		}
		for k := range b.Neighbors {
			b.Neighbors[k].Password = ""
		}
		for k := range b.PeerGroups {
			b.PeerGroups[k].Password = ""
		}
	}
	for k := range c.AAA.Users {
		c.AAA.Users[k].PasswordHash = ""
	}
	return c
}

func (y *systemService) GetConfig(ctx context.Context, req *vnfv1.GetConfigRequest) (*vnfv1.ConfigDocument, error) {
	var c checks
	enumField(&c, "format", req.GetFormat())
	if err := c.err(); err != nil {
		return nil, err
	}
	cfg := y.s.opt.Config.Config()
	rev, err := revision(cfg)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	role := roleOf(ctx)
	switch {
	case req.GetWithSecrets() && !role.Secrets():
		return nil, status.Errorf(codes.PermissionDenied, "with_secrets: the role %s may not see secrets", role.Name)
	case !req.GetWithSecrets():
		cfg = withoutSecrets(cfg)
		if role.At("/system/aaa") < auth.Read {
			cfg.AAA = config.AAA{}
		}
	}
	o := &vnfv1.ConfigDocument{Format: req.GetFormat(), Revision: rev}
	if o.Format == vnfv1.ConfigFormat_CONFIG_FORMAT_JSON {
		o.Document, err = cfg.JSON()
	} else {
		o.Format = vnfv1.ConfigFormat_CONFIG_FORMAT_YAML
		o.Document, err = cfg.YAML()
	}
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return o, nil
}

func (y *systemService) ApplyConfig(ctx context.Context, req *vnfv1.ApplyConfigRequest) (*vnfv1.ApplyConfigResponse, error) {
	if len(req.GetDocument()) > maxDocument {
		return nil, invalid("document", "%d bytes, at most %d are allowed", len(req.GetDocument()), maxDocument)
	}
	want, err := config.Parse(req.GetDocument())
	var faults config.Errors
	switch {
	case errors.As(err, &faults):
		// The fields named are those of the document.
		return nil, configError(err, scope{document: true})
	case err != nil:
		return nil, invalid("document", "%v", err)
	}
	resp := &vnfv1.ApplyConfigResponse{}
	blind := roleOf(ctx).At(atAAA) < auth.Read
	change := func(cfg *config.Config) error {
		rev, err := revision(cfg)
		if err != nil {
			return err
		}
		if blind && len(want.AAA.Users)+len(want.AAA.Roles) == 0 && want.AAA.CertificateRole == "" {
			want.AAA = cfg.AAA // GetConfig left it out
		}
		if e := req.GetExpectedRevision(); e != "" && e != rev {
			return fail(codes.Aborted, "expected_revision", "%s is not in force, but %s is", e, rev)
		}
		if resp.Changes, err = differences(cfg, want); err != nil {
			return err
		}
		resp.Revision = rev
		*cfg = *want
		return nil
	}
	if req.GetDryRun() {
		if role := roleOf(ctx); role.Below("/", atAAA) < auth.Read || blind && (len(want.AAA.Users)+len(want.AAA.Roles) > 0 || want.AAA.CertificateRole != "") {
			return nil, status.Errorf(codes.PermissionDenied, "dry_run: the role %s may not see what would change", role.Name)
		}
		if err := change(y.s.opt.Config.Config().Clone()); err != nil {
			return nil, configError(err)
		}
		return resp, nil
	}
	if err := y.s.opt.Config.Edit(ctx, change); err != nil {
		return nil, configError(err, scope{document: true})
	}
	if resp.Revision, err = revision(y.s.opt.Config.Config()); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return resp, nil
}

// differences lists what changes between two configurations, a line for each leaf, passwords hidden.
func differences(old, want *config.Config) ([]string, error) {
	a, err := leavesOf(old)
	if err != nil {
		return nil, err
	}
	b, err := leavesOf(want)
	if err != nil {
		return nil, err
	}
	var out []string
	for path, v := range a {
		if w, ok := b[path]; !ok {
			out = append(out, fmt.Sprintf("%s: %s -> not set", path, v))
		} else if w != v {
			out = append(out, fmt.Sprintf("%s: %s -> %s", path, v, w))
		}
	}
	for path, w := range b {
		if _, ok := a[path]; !ok {
			out = append(out, fmt.Sprintf("%s: not set -> %s", path, w))
		}
	}
	for i, line := range out {
		if path, _, _ := strings.Cut(line, ": "); strings.HasSuffix(path, ".password") || strings.HasSuffix(path, ".password-hash") {
			out[i] = path + ": changed"
		}
	}
	slices.Sort(out)
	return out, nil
}

func leavesOf(c *config.Config) (map[string]string, error) {
	j, err := c.JSON()
	if err != nil {
		return nil, err
	}
	var tree any
	if err := json.Unmarshal(j, &tree); err != nil {
		return nil, fmt.Errorf("compare configurations: %w", err)
	}
	out := map[string]string{}
	flatten(out, "", tree)
	return out, nil
}

// flatten writes the leaves of a tree under their paths; elements of lists go by what tells them apart.
func flatten(out map[string]string, path string, v any) {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			p := k
			if path != "" {
				p = path + "." + k
			}
			flatten(out, p, e)
		}
	case []any:
		used := map[string]bool{}
		for n, e := range x {
			key := fmt.Sprint(n)
			if m, ok := e.(map[string]any); ok {
				for _, name := range []string{"name", "prefix", "address", "source"} {
					if s, ok := m[name].(string); ok {
						key = s
						break
					}
				}
			}
			if used[key] { // next hops with one address on two links
				key = fmt.Sprintf("%s#%d", key, n)
			}
			used[key] = true
			flatten(out, fmt.Sprintf("%s[%s]", path, key), e)
		}
	case nil:
	default:
		out[path] = fmt.Sprint(x)
	}
}
