// Package store holds the one intended configuration: a tree that is changed by commits, one after another.
//
// A commit is an edit of the tree. It is checked whole (by the tree's own rules, by the model, and by what config.Config demands), then
// the system is brought to it, then it is written to a file of its own that is on the disk before anybody is told. If any of these fails,
// nothing has changed. The last commits are kept, to look at and to go back to.
//
// A commit may have to be confirmed: unless it is in time, the configuration before it comes back, even if vnf has started anew since.
package store
