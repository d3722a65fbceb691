// Package grpcserver is the northbound gRPC API (api/proto/vnf/v1): it checks what it is asked, edits the configuration, and shows
// the state that the data plane, the RIB, the FIB and BGP have.
//
// There is one file for each service. The services know the rest of the appliance by the narrow interfaces in deps.go. Addresses
// are strings at the edge and netip inside; errors are canonical codes whose details name the field.
package grpcserver
