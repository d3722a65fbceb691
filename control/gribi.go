package control

import (
	"google.golang.org/grpc"

	"millrace/server/gribi"
)

// registerGRIBI has controllers of outside program routes on the gRPC server.
func (d *daemon) registerGRIBI(r grpc.ServiceRegistrar) {
	gribi.Register(r, gribi.Options{RIB: d.c.rib, FIB: d.c.fib.p, Logger: d.o.Logger})
}
