package gnmiserver

import (
	"context"
	"time"

	"millrace/server/config"
	"millrace/server/store"
	"millrace/server/telemetry"
	"millrace/yang/tree"
)

// Store keeps the configuration; *store.Store is one.
type Store interface {
	// Tree is the configuration in force.
	Tree() *tree.Tree
	// Current is it with the commit that made it so.
	Current() (store.Entry, *tree.Tree, *config.Config)
	// Commit hands an edit of the tree in force to change, checks what it made of it, holds what it changes
	// against the rights of who asks, brings the system to it and stores it. One commit runs at a time. After an error nothing has
	// changed.
	Commit(ctx context.Context, req store.Request, change func(*tree.Edit) error) (store.Result, error)
	// Confirm lets the commit that waits for it stand, Cancel takes it back, SetDeadline lets it wait so long from now.
	Confirm(ctx context.Context, req store.Request, id string) error
	Cancel(ctx context.Context, req store.Request, id string) (store.Result, error)
	SetDeadline(ctx context.Context, req store.Request, id string, d time.Duration) error
}

// Hub reads the whole tree and tells what changes; *telemetry.Hub is one.
type Hub interface {
	// Read calls emit with all leaves that m takes or that lie below what it takes.
	Read(ctx context.Context, m tree.Pattern, what telemetry.What, emit func(telemetry.Batch) error) error
	// ReadEvents is Read in the form of what Watch tells.
	ReadEvents(ctx context.Context, m tree.Pattern, what telemetry.What, emit func(*telemetry.Event) error) error
	Watch() *telemetry.Watch
}
