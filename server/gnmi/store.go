package gnmiserver

import (
	"context"
	"time"

	"millrace/yang/tree"
)

// Store keeps the configuration.
type Store interface {
	// Tree is the configuration in force.
	Tree() *tree.Tree
	// Commit hands an edit of the tree in force to change, checks what it made of it, brings the system to it and stores it. One
	// commit runs at a time. After an error nothing has changed.
	Commit(ctx context.Context, c Commit, change func(*tree.Edit) error) (time.Time, error)
	// Confirm makes the commit that waits for it last. Cancel takes it back.
	Confirm(ctx context.Context, id string) (time.Time, error)
	Cancel(ctx context.Context, id string) (time.Time, error)
	// Postpone has the commit that waits for its confirmation be taken back after a time from now.
	Postpone(ctx context.Context, id string, d time.Duration) (time.Time, error)
}

// Commit is what is told of a commit besides its content.
type Commit struct {
	// ConfirmID is not empty if the commit is taken back unless it is confirmed within Rollback.
	ConfirmID string
	Rollback  time.Duration
}
