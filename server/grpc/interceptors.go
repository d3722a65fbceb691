package grpcserver

import (
	"context"
	"log/slog"
	"path"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"millrace/server/auth"
)

// logCall notes a call. One that was refused is the audit log's, which does not let strangers fill the log.
func (s *Server) logCall(ctx context.Context, method string, began time.Time, refused bool, err error) {
	level := slog.LevelDebug
	code := status.Code(err)
	switch {
	case refused && s.opt.Audit != nil:
	case code == codes.Internal || code == codes.Unknown:
		level = slog.LevelError
	case changes(method), code == codes.PermissionDenied, code == codes.Unauthenticated:
		level = slog.LevelInfo
	}
	if !s.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("method", method), slog.String("code", code.String()), slog.Duration("took", time.Since(began))}
	if id, ok := auth.FromContext(ctx); ok {
		attrs = append(attrs, slog.String("client", id.Name))
	}
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		attrs = append(attrs, slog.String("peer", p.Addr.String()))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", status.Convert(err).Message()))
	}
	s.log.LogAttrs(ctx, level, "gRPC call", attrs...)
}

func (s *Server) unaryLog(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
	began := time.Now()
	ctx, err := s.identify(ctx, info.FullMethod)
	var resp any
	refused := err != nil
	if !refused {
		resp, err = h(ctx, req)
	}
	s.audit(ctx, info.FullMethod, refused, err)
	s.logCall(ctx, info.FullMethod, began, refused, err)
	return resp, err
}

func (s *Server) unaryRecover(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = s.panicked(info.FullMethod, r)
		}
	}()
	return h(ctx, req)
}

func (s *Server) panicked(method string, r any) error {
	s.log.Error("a gRPC call panicked", "method", method, "panic", r, "stack", string(debug.Stack()))
	return status.Errorf(codes.Internal, "fault in %s; the log of vnf has more", path.Base(method))
}

// callStream is a stream whose context carries the identity and ends with the server. It goes on only while who began it may.
type callStream struct {
	grpc.ServerStream
	ctx     context.Context
	method  string
	checked atomic.Int64 // when the role was looked at last, in seconds
}

func (c *callStream) Context() context.Context { return c.ctx }

func (c *callStream) still() error {
	now := time.Now().Unix()
	if c.checked.Swap(now) == now {
		return nil
	}
	return revoked(c.ctx, c.method)
}

func (c *callStream) SendMsg(m any) error {
	if err := c.still(); err != nil {
		return err
	}
	return c.ServerStream.SendMsg(m)
}

func (c *callStream) RecvMsg(m any) error {
	if err := c.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return c.still()
}

func (s *Server) streamLog(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) error {
	began := time.Now()
	who, err := s.identify(ss.Context(), info.FullMethod)
	ctx, cancel := context.WithCancelCause(who)
	defer cancel(nil)
	defer context.AfterFunc(s.life, func() { cancel(errStopping) })()
	refused := err != nil
	if !refused {
		err = h(srv, &callStream{ServerStream: ss, ctx: ctx, method: info.FullMethod})
	}
	s.audit(ctx, info.FullMethod, refused, err)
	if context.Cause(ctx) == errStopping {
		err = errStopping
	}
	s.logCall(ctx, info.FullMethod, began, refused, err)
	return err
}

var errStopping = status.Error(codes.Unavailable, "vnf is stopping")

func (s *Server) streamLimit(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) error {
	count, most := &s.streams, s.opt.MaxStreams
	if strings.HasPrefix(info.FullMethod, "/gnmi.") || strings.HasPrefix(info.FullMethod, "/gribi.") {
		count, most = &s.sessions, s.opt.MaxSessions
	}
	defer count.Add(-1)
	if n := count.Add(1); n > int64(most) {
		return status.Errorf(codes.ResourceExhausted, "%d streams are open, more are not allowed", most)
	}
	return h(srv, ss)
}

func (s *Server) streamRecover(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = s.panicked(info.FullMethod, r)
		}
	}()
	return h(srv, ss)
}
