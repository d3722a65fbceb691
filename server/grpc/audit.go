package grpcserver

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"millrace/server/auth"
)

// AuditCall is a call that changed something which is not part of the configuration, or that was refused to who made it. Changes of the
// configuration are noted by its store.
type AuditCall struct {
	// Who is empty where it is not known.
	Who, Peer string
	// API is "grpc" for our own services, else "gnmi", "gnoi", "gnsi", "gribi".
	API string
	// Method is the full name, "/service/method".
	Method string
	// Err is nil for a call that succeeded.
	Err error
}

// refusalsPerSecond bounds what strangers can have written to the audit log.
const refusalsPerSecond = 10

// maxUser bounds the names that clients come with, in bytes.
const maxUser = 64

// refusals counts those of one second.
type refusals struct {
	mu      sync.Mutex
	second  int64
	n       int
	omitted int
}

// admit says whether to note a refusal, and how many were not noted before.
func (r *refusals) admit(now time.Time) (omitted int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := now.Unix(); s != r.second {
		r.second, r.n = s, 0
	}
	if r.n++; r.n > refusalsPerSecond {
		r.omitted++
		return 0, false
	}
	omitted, r.omitted = r.omitted, 0
	return omitted, true
}

// changes tells whether a method changes anything, or is for who might: such calls are logged, others only for debugging.
func changes(method string) bool {
	r, known := ruleOf(method)
	return !known || r.access == auth.Write || method == "/gnmi.gNMI/Set"
}

// audit notes a call, if it is one to note. refused: it was not let in.
func (s *Server) audit(ctx context.Context, method string, refused bool, err error) {
	if s.opt.Audit == nil {
		return
	}
	if r, known := ruleOf(method); !refused && (known && (r.access < auth.Write || r.some)) {
		return
	}
	c := AuditCall{API: "grpc", Method: method, Err: err}
	if kind, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "."); kind != "millrace" {
		c.API = kind
	}
	if id, ok := auth.FromContext(ctx); ok {
		c.Who = id.Name
	} else if md, _ := metadata.FromIncomingContext(ctx); len(md.Get("username")) == 1 {
		c.Who = md.Get("username")[0] // as who it came
		c.Who = strings.ToValidUTF8(c.Who[:min(len(c.Who), maxUser)], "")
	}
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		c.Peer = p.Addr.String()
	}
	if !refused && status.Code(err) == codes.Canceled {
		c.Err = nil // the client has had enough of a stream
	}
	if refused {
		n, ok := s.refused.admit(time.Now())
		if !ok {
			return
		}
		if n > 0 {
			c.Err = fmt.Errorf("%w (%d more refusals before are not noted)", err, n)
		}
	}
	s.opt.Audit(c)
}

// revoked is an error if who began a stream may not go on with it: users and roles may have changed since.
func revoked(ctx context.Context, method string) error {
	id, ok := auth.FromContext(ctx)
	if !ok {
		return nil
	}
	if id.Role.Name == "" {
		return status.Errorf(codes.Unauthenticated, "%s is no user any more, or has another password", id.Name)
	}
	return allowed(id.Role, method)
}
