package grpcserver

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/server/config"
	"millrace/server/store"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// How long a commit may wait to be confirmed.
const (
	minConfirm = time.Second
	maxConfirm = 24 * time.Hour
)

func commitRequest(dry bool, comment string, confirm *durationpb.Duration) (store.Request, error) {
	var c checks
	r := store.Request{DryRun: dry, Comment: comment}
	if confirm != nil {
		r.Confirm = durationField(&c, "confirm", confirm, 0, minConfirm, maxConfirm)
	}
	if len(comment) > maxComment {
		c.addf("comment", "is longer than %d bytes", maxComment)
	}
	if strings.ContainsFunc(comment, unicode.IsControl) {
		c.addf("comment", "has control characters")
	}
	return r, c.err()
}

// storeError turns what the store refuses, apart from faults of the configuration, into a canonical error.
func storeError(err error, field string) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return notFound(field, "%v", err)
	case errors.Is(err, store.ErrPending), errors.Is(err, store.ErrNotPending):
		return status.Error(codes.FailedPrecondition, err.Error())
	case errors.Is(err, store.ErrOtherCommit):
		return invalid(field, "%v", err)
	case errors.Is(err, store.ErrChanged):
		return fail(codes.Aborted, "expected_revision", "%v", err)
	}
	return configError(err)
}

// documentError is an error about a document: the fields named are those of the document.
func documentError(err error) error {
	var faults config.Errors
	var places tree.Errors
	var refused *store.ApplyError
	var place tree.Error
	switch {
	case isStatus(err):
		return statusOf(err)
	case errors.As(err, &faults):
		return configError(err, scope{document: true})
	case errors.As(err, &places):
		code := codes.InvalidArgument
		if errors.As(err, &refused) {
			code = codes.FailedPrecondition
		}
		return treeError(code, places)
	case errors.As(err, &place):
		return treeError(codes.InvalidArgument, tree.Errors{place})
	case errors.As(err, &refused), errors.Is(err, store.ErrPending), errors.Is(err, store.ErrChanged), errors.Is(err, context.Canceled),
		errors.Is(err, context.DeadlineExceeded):
		return storeError(err, "document")
	}
	return invalid("document", "%v", err)
}

// treeError names the places of the tree.
func treeError(code codes.Code, faults tree.Errors) error {
	v := make([]*errdetails.BadRequest_FieldViolation, len(faults))
	for i, f := range faults {
		v[i] = &errdetails.BadRequest_FieldViolation{Field: f.Path, Description: f.Reason}
	}
	return withFields(code, v)
}

func confirmationOut(c *store.Confirmation) *vnfv1.Confirmation {
	o := &vnfv1.Confirmation{Id: c.ID, Deadline: timestamppb.New(c.Deadline), Revert: c.Revert}
	if !c.Confirmed.IsZero() {
		o.Confirmed = timestamppb.New(c.Confirmed)
	}
	return o
}

func commitOut(e store.Entry, inForce bool) *vnfv1.Commit {
	o := &vnfv1.Commit{
		Id: e.ID, Time: timestamppb.New(e.Time), Who: e.Who, Api: e.API, Peer: e.Peer, Comment: e.Comment, Base: e.Base,
		ChangeCount: uint32(e.Changes), InForce: inForce,
	}
	if e.Confirm != nil {
		o.Confirmation = confirmationOut(e.Confirm)
	}
	return o
}

func (y *systemService) ListCommits(context.Context, *vnfv1.ListCommitsRequest) (*vnfv1.ListCommitsResponse, error) {
	now, _, _ := y.store().Current()
	o := new(vnfv1.ListCommitsResponse)
	for _, e := range y.store().History() {
		o.Commits = append(o.Commits, commitOut(e, e.ID == now.ID))
	}
	if p, ok := y.store().Pending(); ok {
		o.Pending = p.Commit
	}
	return o, nil
}

func (y *systemService) GetCommit(ctx context.Context, req *vnfv1.GetCommitRequest) (*vnfv1.Commit, error) {
	entry, _, err := y.store().Get(req.GetCommit())
	if err != nil {
		return nil, storeError(err, "commit")
	}
	now, _, _ := y.store().Current()
	o := commitOut(entry, entry.ID == now.ID)
	o.Changes, o.ChangesCut = visible(ctx, entry.Diff), entry.DiffCut
	return o, nil
}

func (y *systemService) DiffConfig(ctx context.Context, req *vnfv1.DiffConfigRequest) (*vnfv1.DiffConfigResponse, error) {
	if len(req.GetDocument()) > maxDocument {
		return nil, invalid("document", "%d bytes, at most %d are allowed", len(req.GetDocument()), maxDocument)
	}
	if len(req.GetDocument()) > 0 && req.GetTo() != 0 {
		return nil, invalid("to", "does not go with a document")
	}
	_, from, err := y.store().Get(req.GetFrom())
	if err != nil {
		return nil, storeError(err, "from")
	}
	var to *tree.Tree
	if len(req.GetDocument()) > 0 {
		if to, err = y.store().Loaded(from, req.GetDocument(), req.GetMerge()); err != nil {
			return nil, documentError(err)
		}
	} else if _, to, err = y.store().Get(req.GetTo()); err != nil {
		return nil, storeError(err, "to")
	}
	o := new(vnfv1.DiffConfigResponse)
	hide := blind(ctx)
	for _, c := range store.Changes(from, to) {
		path := c.Path.String()
		if hide && strings.HasPrefix(path, atAAA+"/") {
			continue
		}
		if o.ChangeCount++; o.ChangeCount > maxDiff {
			continue
		}
		one := &vnfv1.ConfigChange{Path: path, Secret: y.store().Secret(c.Schema), Reordered: c.Schema.Kind == schema.List}
		if !one.Secret {
			one.Old, one.New = c.Old.Text(), c.New.Text()
		}
		o.Changes = append(o.Changes, one)
	}
	return o, nil
}

func (y *systemService) RollbackConfig(ctx context.Context, req *vnfv1.RollbackConfigRequest) (*vnfv1.ApplyConfigResponse, error) {
	if req.GetCommit() == 0 {
		return nil, invalid("commit", "is missing")
	}
	r, err := commitRequest(req.GetDryRun(), req.GetComment(), req.GetConfirm())
	if err != nil {
		return nil, err
	}
	if err := mayTry(ctx, req.GetDryRun()); err != nil {
		return nil, err
	}
	res, err := y.store().Rollback(ctx, r, req.GetCommit())
	if err != nil {
		return nil, commitError(err, "commit")
	}
	return y.applied(ctx, res), nil
}

// commitError is an error of a commit whose content is no part of the request.
func commitError(err error, field string) error {
	var faults tree.Errors
	if errors.As(err, &faults) {
		return treeError(codes.FailedPrecondition, faults)
	}
	return storeError(err, field)
}

func (y *systemService) ConfirmCommit(ctx context.Context, req *vnfv1.ConfirmCommitRequest) (*vnfv1.ConfirmCommitResponse, error) {
	p, _ := y.store().Pending()
	if err := y.store().Confirm(ctx, store.Request{}, req.GetId()); err != nil {
		return nil, storeError(err, "id")
	}
	return &vnfv1.ConfirmCommitResponse{Commit: p.Commit}, nil
}

func (y *systemService) CancelCommit(ctx context.Context, req *vnfv1.CancelCommitRequest) (*vnfv1.ApplyConfigResponse, error) {
	res, err := y.store().Cancel(ctx, store.Request{}, req.GetId())
	if err != nil {
		return nil, commitError(err, "id")
	}
	return y.applied(ctx, res), nil
}
