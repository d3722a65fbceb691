package config

import (
	"context"
	"time"
)

type drainKey struct{}

// WithDrain says, for one change of the configuration, how long the connections of listeners that it deletes may go on; else it is
// their own drain-timeout.
func WithDrain(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, drainKey{}, d)
}

// DrainOf returns what WithDrain said.
func DrainOf(ctx context.Context) (time.Duration, bool) {
	d, ok := ctx.Value(drainKey{}).(time.Duration)
	return d, ok
}
