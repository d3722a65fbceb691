package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The exit codes, as rootLong tells them.
const (
	exitOK = iota
	exitFailed
	exitUsage
	exitUnreachable
	exitRefused
	exitNotFound
	exitCertificates
	exitPartial
)

// usageError is a command line that is not right.
type usageError struct {
	cmd *cobra.Command
	err error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{nil, fmt.Errorf(format, args...)} }

// certificateError is certificates that can't be used.
type certificateError struct{ err error }

func (e *certificateError) Error() string { return e.err.Error() }
func (e *certificateError) Unwrap() error { return e.err }

// partialError is something that was done in part; the output has told what.
type partialError struct{ text string }

func (e *partialError) Error() string { return e.text }

func exitCode(err error) int {
	var usage *usageError
	var cert *certificateError
	var partial *partialError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &cert):
		return exitCertificates
	case errors.As(err, &partial):
		return exitPartial
	}
	s, ok := status.FromError(err)
	switch {
	case !ok && strings.HasPrefix(err.Error(), "unknown command"):
		return exitUsage
	case !ok && errors.Is(err, context.DeadlineExceeded):
		return exitUnreachable
	case !ok:
		return exitFailed
	}
	switch s.Code() {
	case codes.Unavailable, codes.DeadlineExceeded:
		if certificateFault(s.Message()) != "" {
			return exitCertificates
		}
		return exitUnreachable
	case codes.InvalidArgument, codes.AlreadyExists, codes.FailedPrecondition, codes.ResourceExhausted, codes.Aborted, codes.OutOfRange,
		codes.Unimplemented:
		return exitRefused
	case codes.NotFound:
		return exitNotFound
	case codes.Unauthenticated, codes.PermissionDenied:
		return exitCertificates
	}
	return exitFailed
}

// certificateFault recognises what a handshake says when one side does not like the other's certificate, and says it for people.
func certificateFault(message string) string {
	for _, f := range []struct{ sign, text string }{
		{"tls: expired certificate", "the appliance says that our certificate has expired"},
		{"tls: certificate required", "the appliance asks for a client certificate"},
		{"tls: unknown certificate authority", "the appliance does not know the authority of our certificate"},
		{"tls: bad certificate", "the appliance does not accept our certificate"},
		{"tls: certificate unknown", "the appliance does not accept our certificate"},
		{"certificate signed by unknown authority", "the appliance's certificate is not from the authority in ca.pem: is this the appliance that made them?"},
		{"certificate has expired", "the appliance's certificate has expired, or a clock is wrong"},
		{"certificate is not valid for", "the appliance's certificate is for other names: use one of them in --address or --server-name"},
		{"certificate is valid for", "the appliance's certificate is for other names: use one of them in --address or --server-name"},
		{"first record does not look like a TLS handshake", "what listens there does not speak TLS"},
	} {
		if strings.Contains(message, f.sign) {
			return f.text
		}
	}
	return ""
}

// explain writes an error for people: the code's meaning, the field and the reason, and what may help.
func (a *app) explain(err error) {
	w := a.env.Stderr
	var usage *usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(w, "vnfctl: %v\n", err)
		if usage.cmd != nil {
			fmt.Fprintf(w, "usage: %s\nTry '%s --help'.\n", usage.cmd.UseLine(), usage.cmd.CommandPath())
		}
		return
	}
	var cert *certificateError
	if errors.As(err, &cert) {
		fmt.Fprintf(w, "vnfctl: %v\n", err)
		fmt.Fprintln(w, "The appliance makes ca.pem, client.pem and client-key.pem at its first start, in pki/ of its state directory, and says so in its log.")
		fmt.Fprintln(w, "Copy them to ~/.config/millrace, or name their directory with --tls-dir.")
		return
	}
	s, ok := status.FromError(err)
	if !ok {
		fmt.Fprintf(w, "vnfctl: %v\n", err)
		return
	}
	if s.Code() == codes.Unavailable || s.Code() == codes.DeadlineExceeded {
		a.explainUnreachable(s)
		return
	}
	var lines []string
	for _, d := range s.Details() {
		if br, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range br.GetFieldViolations() {
				if v.GetField() == "" {
					lines = append(lines, v.GetDescription())
				} else {
					lines = append(lines, v.GetField()+": "+v.GetDescription())
				}
			}
		}
	}
	switch len(lines) {
	case 0:
		fmt.Fprintf(w, "vnfctl: %s: %s\n", codeWords(s.Code()), s.Message())
	case 1:
		fmt.Fprintf(w, "vnfctl: %s: %s\n", codeWords(s.Code()), lines[0])
	default:
		fmt.Fprintf(w, "vnfctl: %s:\n  %s\n", codeWords(s.Code()), strings.Join(lines, "\n  "))
	}
}

func (a *app) explainUnreachable(s *status.Status) {
	w := a.env.Stderr
	if text := certificateFault(s.Message()); text != "" {
		fmt.Fprintf(w, "vnfctl: %s: %s\n(%s)\n", a.address, text, s.Message())
		return
	}
	message := s.Message()
	// The connection's own words; an appliance without its data plane speaks of dialling too.
	if i := strings.LastIndex(message, "dial "); i >= 0 && strings.Contains(message, "connection error: desc") {
		fmt.Fprintf(w, "vnfctl: %s can't be reached: %s\n", a.address, strings.Trim(message[i:], `"`))
		fmt.Fprintln(w, "Is vnf running, and is --address right?")
		return
	}
	fmt.Fprintf(w, "vnfctl: %s: %s\n", codeWords(s.Code()), message)
}

func codeWords(c codes.Code) string {
	switch c {
	case codes.InvalidArgument:
		return "not allowed"
	case codes.NotFound:
		return "not found"
	case codes.AlreadyExists:
		return "exists already"
	case codes.FailedPrecondition:
		return "refused"
	case codes.ResourceExhausted:
		return "full"
	case codes.Unavailable:
		return "not available now"
	case codes.Unimplemented:
		return "not supported"
	case codes.DeadlineExceeded:
		return "no answer in time"
	case codes.Aborted:
		return "not done"
	case codes.Unauthenticated, codes.PermissionDenied:
		return "not permitted"
	}
	return strings.ToLower(c.String())
}

func unreachablef(format string, args ...any) error {
	return status.Errorf(codes.Unavailable, format, args...)
}
