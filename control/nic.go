package control

import (
	"fmt"
	"strings"

	"millrace/appliance/nic"
	"millrace/appliance/report"
	"millrace/server/config"
	grpcserver "millrace/server/grpc"
)

// desired lists what the data plane has to have by a configuration. Network cards that the configuration names are those that the machine
// has now: what is not there is refused, and tried again like all that is.
func (c *Controller) desired(cfg *config.Config) []object { return resolveNICs(desired(cfg), c.nics) }

// nics reads how the appliance's boot named the machine's network cards.
func (c *Controller) nics() (*nic.File, error) { return nic.Load(c.opt.RuntimeDir) }

// resolveNICs puts the devices of network cards in the place of their names.
func resolveNICs(objects []object, nics func() (*nic.File, error)) []object {
	var file *nic.File
	var err error
	for i := range objects {
		m := objects[i].add.GetInterface()
		name, ok := strings.CutPrefix(m.GetDevice(), config.NICDevice)
		if !ok {
			continue
		}
		if file == nil && err == nil {
			file, err = nics()
		}
		if err != nil {
			objects[i].fault = fmt.Errorf("how the NICs are named cannot be read: %w", err)
			continue
		}
		device, err := file.Device(name)
		if err != nil {
			objects[i].fault = err
			continue
		}
		m.Device = device
	}
	return objects
}

// bootAlarm begins the ids of alarms about the appliance's boot.
const bootAlarm = "boot "

// bootAlarms tells what was wrong when the appliance booted.
func (c *Controller) bootAlarms() {
	r, err := report.Load(c.opt.RuntimeDir)
	if err != nil {
		c.log.Warn("the report of the boot", "error", err)
		return
	}
	if r.CPU != "" {
		c.alarms.raise(bootAlarm+"cpu", grpcserver.Critical, "cpu", r.CPU+": the data plane cannot run")
	}
	for i, p := range r.Problems {
		c.alarms.raise(fmt.Sprintf("%s%d", bootAlarm, i), grpcserver.Warning, "boot", p.Error())
	}
}
