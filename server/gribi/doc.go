// Package gribi serves gRIBI v1 (github.com/openconfig/gribi): an outside
// controller programs next hops, next-hop groups and IPv4 and IPv6 prefixes,
// which take part in the RIB as source "gribi".
//
// Proto types stop at decode.go and encode.go. The table (table.go, apply.go,
// remove.go) holds the entries as the clients wrote them and keeps the RIB's
// named groups and routes in step with them. A session (session.go) is one Modify
// stream: it reads operations, applies them, and answers, for RIB_AND_FIB_ACK once
// the data plane has (ack.go). One mutex, the server's, guards the table and
// who is primary, so that no operation of a client that has been superseded gets
// through.
//
// All is bounded: sessions, Gets at a time, entries, operations that wait for
// what they refer to, answers under way. A client that does not read its answers
// is not read from any further, and disturbs nobody else.
package gribi
