package control

import (
	"google.golang.org/grpc"

	"millrace/server/config"
)

// registerGRIBI has controllers of outside program routes on the gRPC server.
func (d *daemon) registerGRIBI(r grpc.ServiceRegistrar) { d.c.gribi.Register(r) }

// applyGRIBI has the routes of controllers follow the configuration.
func (c *Controller) applyGRIBI(cfg *config.Config) {
	c.gribi.SetDistance(cfg.GRIBI.Distance)
	c.gribi.SetForwardReferences(cfg.GRIBI.ForwardReferences != config.RefuseForReference)
}
