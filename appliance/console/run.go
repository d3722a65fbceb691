package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// DefaultFile is what agetty shows before its prompt.
const DefaultFile = "/run/issue.d/millrace.issue"

// Options of Run.
type Options struct {
	Sources
	// File to be kept; empty: DefaultFile.
	File string
	// Period between two looks; 0: 5 s.
	Period time.Duration
	// Redraw has the consoles show the file anew; nil: agetty --reload.
	Redraw func(ctx context.Context) error
	Logger *slog.Logger
}

// Run keeps the file until ctx ends, and has the consoles redrawn whenever it has changed.
func Run(ctx context.Context, o Options) error {
	if o.File == "" {
		o.File = DefaultFile
	}
	if o.Period <= 0 {
		o.Period = 5 * time.Second
	}
	if o.Redraw == nil {
		o.Redraw = redraw
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(filepath.Dir(o.File), 0o755); err != nil {
		return err
	}
	tick := time.NewTicker(o.Period)
	defer tick.Stop()
	shown := ""
	for {
		text := Render(Collect(ctx, o.Sources))
		if ctx.Err() != nil {
			return nil
		}
		if text != shown {
			if err := replace(o.File, text); err != nil {
				return fmt.Errorf("console: %w", err)
			}
			shown = text
			if err := o.Redraw(ctx); err != nil && ctx.Err() == nil {
				o.Logger.Warn("the consoles do not show what has changed", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func redraw(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "agetty", "--reload").CombinedOutput()
	if err != nil {
		return fmt.Errorf("agetty --reload: %w: %s", err, out)
	}
	return nil
}

// replace writes a file whole or not at all.
func replace(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".millrace-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
