// Package control is the daemon `vnf control`: it holds the configuration in force and brings everything else to it.
//
//	config ─▶ desired objects ─▶ differences ─▶ data plane        (desired.go, plan.go, apply.go)
//	       ─▶ connected and static routes    ─▶ RIB ─▶ FIB ─▶ data plane  (routes.go)
//	       ─▶ speakers of BGP               ◀─▶ RIB               (bgp.go, redistribute.go)
//
// A change is whole or nothing: it is validated, applied, and taken back if the data plane or BGP refuses a part of it. What the
// data plane cannot do at a start, because a device is not there, say, is an alarm and is tried again; the rest runs.
//
// When the data plane is another process than before, everything is written to it again. When vnf is another process than
// before, it writes with a new epoch, and what is still of the old one is swept once the configuration is in, BGP has converged
// and the FIB has acknowledged it all. Forwarding goes on meanwhile.
package control
