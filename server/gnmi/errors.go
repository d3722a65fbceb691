package gnmiserver

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"millrace/yang/tree"
)

// Bounds of the list of faults in an error: more help nobody, and clients take no more than 8 KiB in the trailer of a call.
const (
	maxViolations = 16
	maxFaultBytes = 2048
)

// fault makes an error about a node, or a field of the request.
func fault(code codes.Code, path, format string, args ...any) error {
	return faults(code, tree.Errors{{Path: path, Reason: fmt.Sprintf(format, args...)}})
}

// faults names each place in the message and in a google.rpc.BadRequest.
func faults(code codes.Code, errs tree.Errors) error {
	var words []string
	bad := &errdetails.BadRequest{}
	size := 0
	for i, e := range errs {
		one := short(e.Error())
		if size += len(one); i > 0 && (size > maxFaultBytes || i == maxViolations) {
			words = append(words, fmt.Sprintf("and %d more", len(errs)-i))
			break
		}
		words = append(words, one)
		bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: short(e.Path), Description: short(e.Reason),
		})
	}
	text := strings.Join(words, "; ")
	s := status.New(code, text)
	if d, err := s.WithDetails(bad); err == nil {
		s = d
	}
	return s.Err()
}

// short keeps what clients sent from filling an answer, and from being no UTF-8.
func short(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:297], "") + "..."
	}
	return s
}

// treeErrors takes the faults of the tree out of an error.
func treeErrors(err error) (tree.Errors, bool) {
	var all tree.Errors
	if errors.As(err, &all) {
		return all, true
	}
	var one tree.Error
	if errors.As(err, &one) {
		return tree.Errors{one}, true
	}
	return nil, false
}

// invalid is an error of a request's path or value.
func invalid(err error) error {
	if isStatus(err) {
		return err
	}
	if all, ok := treeErrors(err); ok {
		return faults(codes.InvalidArgument, all)
	}
	return status.Error(codes.InvalidArgument, short(err.Error()))
}

func isStatus(err error) bool {
	var s interface{ GRPCStatus() *status.Status }
	return errors.As(err, &s)
}

// contextError gives the codes of an ended context, or another.
func contextError(err error, code codes.Code) error {
	switch {
	case isStatus(err):
		return err
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	}
	return status.Error(code, short(err.Error()))
}
