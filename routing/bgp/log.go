package bgp

import (
	"context"
	"fmt"
	"log/slog"
	"sort"

	golog "github.com/osrg/gobgp/v3/pkg/log"
)

// logger carries GoBGP's log to slog. GoBGP tells the reason why a session ended only in its log, so it is also
// where the last error of a neighbour comes from.
type logger struct {
	log    *slog.Logger
	onPeer func(key, msg string, f golog.Fields)
}

func (l *logger) emit(level slog.Level, msg string, f golog.Fields) {
	if key, ok := f["Key"].(string); ok && l.onPeer != nil && level >= slog.LevelInfo {
		l.onPeer(key, msg, f)
	}
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	keys := make([]string, 0, len(f))
	for k := range f {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	attrs := make([]slog.Attr, 0, len(keys))
	for _, k := range keys {
		attrs = append(attrs, slog.String(k, fmt.Sprint(f[k])))
	}
	l.log.LogAttrs(context.Background(), level, msg, attrs...)
}

func (l *logger) Panic(msg string, f golog.Fields) { l.emit(slog.LevelError, msg, f) }
func (l *logger) Fatal(msg string, f golog.Fields) { l.emit(slog.LevelError, msg, f) }
func (l *logger) Error(msg string, f golog.Fields) { l.emit(slog.LevelError, msg, f) }
func (l *logger) Warn(msg string, f golog.Fields)  { l.emit(slog.LevelWarn, msg, f) }
func (l *logger) Info(msg string, f golog.Fields)  { l.emit(slog.LevelInfo, msg, f) }
func (l *logger) Debug(msg string, f golog.Fields) { l.emit(slog.LevelDebug, msg, f) }
func (l *logger) SetLevel(golog.LogLevel)          {}

// GetLevel is never Debug: GoBGP then formats every route it handles.
func (l *logger) GetLevel() golog.LogLevel { return golog.InfoLevel }
