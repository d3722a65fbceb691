package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
)

const clearScreen = "\x1b[H\x1b[2J"

// isTerminal tells whether a screen is at the other end.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	if err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(st, null)
}

// watchable gives a command the flag --watch, which runs it again and again.
func (a *app) watchable(c *cobra.Command) *cobra.Command {
	run := c.RunE
	var every time.Duration
	c.Flags().DurationVar(&every, "watch", 0, "show again every `interval`, 2s if none is given")
	c.Flags().Lookup("watch").NoOptDefVal = "2s"
	c.RunE = func(c *cobra.Command, args []string) error {
		if !c.Flags().Changed("watch") {
			return run(c, args)
		}
		if every < 100*time.Millisecond {
			return usagef("--watch: %v is less than 100ms", every)
		}
		return a.again(c.Context(), every, func() error { return run(c, args) })
	}
	return c
}

// again runs a function until the context ends or it fails.
func (a *app) again(ctx context.Context, every time.Duration, f func() error) error {
	t := time.NewTicker(every)
	defer t.Stop()
	screen := isTerminal(a.out)
	for first := true; ; first = false {
		switch {
		case screen:
			fmt.Fprint(a.out, clearScreen)
		case !first && a.format == "table":
			fmt.Fprintln(a.out)
		case !first && a.format == "yaml":
			fmt.Fprintln(a.out, "---")
		}
		if err := f(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// receive hands over what a stream yields until it ends.
func receive[T any](stream grpc.ServerStreamingClient[T], f func(*T) error) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(m); err != nil {
			return err
		}
	}
}
