package grpcserver

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client"
	"millrace/server/config"
	"millrace/server/store"
	"millrace/yang/tree"
)

// fail makes an error that names a field; empty: none.
func fail(code codes.Code, field, format string, args ...any) error {
	reason := fmt.Sprintf(format, args...)
	if field == "" {
		return status.Error(code, reason)
	}
	return withFields(code, []*errdetails.BadRequest_FieldViolation{{Field: field, Description: reason}})
}

func invalid(field, format string, args ...any) error {
	return fail(codes.InvalidArgument, field, format, args...)
}

func notFound(field, format string, args ...any) error {
	return fail(codes.NotFound, field, format, args...)
}

func withFields(code codes.Code, v []*errdetails.BadRequest_FieldViolation) error {
	words := make([]string, len(v))
	for i, one := range v {
		words[i] = one.GetDescription()
		if one.GetField() != "" {
			words[i] = one.GetField() + ": " + words[i]
		}
	}
	s := status.New(code, strings.Join(words, "; "))
	if d, err := s.WithDetails(&errdetails.BadRequest{FieldViolations: v}); err == nil {
		s = d
	}
	return s.Err()
}

// checks gathers the faults of a request, so that a caller sees all of them at once.
type checks struct {
	v []*errdetails.BadRequest_FieldViolation
}

func (c *checks) addf(field, format string, args ...any) {
	c.v = append(c.v, &errdetails.BadRequest_FieldViolation{Field: field, Description: fmt.Sprintf(format, args...)})
}

func (c *checks) err() error {
	if len(c.v) == 0 {
		return nil
	}
	return withFields(codes.InvalidArgument, c.v)
}

// rangeOf faults a number outside of its range. Zero is let pass where it stands for a default.
func rangeOf[N uint32 | uint64](c *checks, field string, n, least, most N, zero bool) {
	if zero && n == 0 {
		return
	}
	if n < least || n > most {
		c.addf(field, "%d is not %d to %d", n, least, most)
	}
}

var dataplaneCodes = map[client.Code]codes.Code{
	dpb.Code_CODE_MALFORMED:       codes.Internal,
	dpb.Code_CODE_INVALID:         codes.InvalidArgument,
	dpb.Code_CODE_NOT_FOUND:       codes.NotFound,
	dpb.Code_CODE_TABLE_FULL:      codes.ResourceExhausted,
	dpb.Code_CODE_IN_USE:          codes.FailedPrecondition,
	dpb.Code_CODE_UNSUPPORTED:     codes.Unimplemented,
	dpb.Code_CODE_DEVICE:          codes.FailedPrecondition,
	dpb.Code_CODE_NO_MEMORY:       codes.ResourceExhausted,
	dpb.Code_CODE_UNKNOWN_REQUEST: codes.Unimplemented,
	dpb.Code_CODE_STALE_EPOCH:     codes.Unavailable,
	dpb.Code_CODE_PERMISSION:      codes.FailedPrecondition,
}

// dataplaneError turns what the data plane client said into a canonical error. The seam's field paths begin with the operation
// ("ping.ttl"); ours don't.
func dataplaneError(err error) error {
	var de *client.Error
	switch {
	case err == nil:
		return nil
	case isStatus(err):
		return statusOf(err)
	case errors.As(err, &de):
		code, ok := dataplaneCodes[de.Code]
		if !ok {
			code = codes.Unknown
		}
		_, field, found := strings.Cut(de.Field, ".")
		if !found {
			field = de.Field
		}
		return fail(code, field, "%s", de.Message)
	case errors.Is(err, client.ErrDisconnected), errors.Is(err, client.ErrStalled):
		return status.Error(codes.Unavailable, err.Error())
	}
	return contextOr(err, codes.Internal)
}

// contextOr gives the codes of an ended context, or another.
func contextOr(err error, code codes.Code) error {
	switch {
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	return status.Error(code, err.Error())
}

type grpcStatus interface{ GRPCStatus() *status.Status }

func isStatus(err error) bool {
	var s grpcStatus
	return errors.As(err, &s)
}

// statusOf takes a status out of the errors that wrap it.
func statusOf(err error) error {
	var s grpcStatus
	if errors.As(err, &s) {
		return s.GRPCStatus().Err()
	}
	return err
}

// scope says which part of the configuration a request wrote: an error at a path below path is one of the request's field.
type scope struct {
	path, field string
	// rename gives the request's name for a field whose name in the configuration differs.
	rename map[string]string
	// document: the request is the configuration itself, and paths are told as they are.
	document bool
}

// fieldOf translates a path of the configuration, and says whether it lies in the scope.
func (s scope) fieldOf(path string) (string, bool) {
	if s.document {
		return path, true
	}
	rest, ok := strings.CutPrefix(path, s.path)
	if !ok || rest != "" && rest[0] != '.' && rest[0] != '[' {
		return "", false
	}
	out := s.field
	for rest != "" {
		if rest[0] == '[' { // a key, which may hold dots
			end := strings.IndexByte(rest, ']') + 1
			if end == 0 {
				end = len(rest)
			}
			out, rest = out+rest[:end], rest[end:]
			continue
		}
		rest = strings.TrimPrefix(rest, ".")
		end := strings.IndexAny(rest, ".[")
		if end < 0 {
			end = len(rest)
		}
		word := rest[:end]
		rest = rest[end:]
		if n, ok := s.rename[word]; ok {
			word = n
		} else {
			word = strings.ReplaceAll(word, "-", "_")
		}
		if out != "" {
			out += "."
		}
		out += word
	}
	return out, true
}

// configError turns an error of store.Store.Edit into a canonical one. A fault outside of all scopes is in another part of the
// configuration that does not go with the change.
func configError(err error, scopes ...scope) error {
	var faults config.Errors
	var places tree.Errors
	switch {
	case err == nil:
		return nil
	case isStatus(err):
		return statusOf(err)
	case errors.As(err, &places): // a rule that only the tree has
		return treeError(codes.InvalidArgument, places)
	case errors.Is(err, store.ErrPending):
		return status.Error(codes.FailedPrecondition, err.Error())
	case !errors.As(err, &faults):
		return contextOr(err, codes.Internal)
	}
	code := codes.FailedPrecondition
	v := make([]*errdetails.BadRequest_FieldViolation, len(faults))
	for i, f := range faults {
		v[i] = &errdetails.BadRequest_FieldViolation{Field: f.Path, Description: f.Reason}
		for _, s := range scopes {
			if field, ok := s.fieldOf(f.Path); ok {
				v[i].Field, code = field, codes.InvalidArgument
				break
			}
		}
	}
	return withFields(code, v)
}
