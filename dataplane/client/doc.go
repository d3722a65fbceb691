// Package client speaks the seam between vnf and vnf-dataplane (api/proto/dataplane/v1).
//
// A Client keeps one connection to the data plane's socket for as long as its Run runs: it dials, says Hello, and when the
// connection breaks dials again with growing pauses. Calls go to the connection that is up at that moment; they fail at once
// with ErrDisconnected when there is none, so that nobody waits for a data plane that is not there. Any number of goroutines
// may call at the same time: requests are pipelined and answered by id.
//
// What the data plane refuses is a *Error with the code, the field and the reason it gave.
package client
