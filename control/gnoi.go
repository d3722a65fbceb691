package control

import (
	"context"
	"os"
	"path/filepath"

	"millrace/server/auth"
	gnoiserver "millrace/server/gnoi"
)

// newGNOI makes gNOI's services.
func (d *daemon) newGNOI(pki *auth.PKI) (*gnoiserver.Server, error) {
	return gnoiserver.New(gnoiserver.Options{
		Logger: d.o.Logger, Version: d.o.Version, Dataplane: d.c.dp, Alarms: d.c, Config: d.c.Config, PKI: pki,
		FileDir:   filepath.Join(d.o.StateDir, "files"),
		Processes: d.processes,
		Signal:    d.signal,
		Machine:   d.machine(),
		Exit: func(reason string) {
			d.o.Logger.Info("ending to be started again", "reason", reason)
			d.exit(context.Canceled)
		},
		Reload: func() {
			select {
			case d.again <- struct{}{}:
			default: // it is about to be read anyway
			}
		},
	})
}

// processes are those of the appliance, this one first.
func (d *daemon) processes() ([]gnoiserver.Process, error) {
	all := []gnoiserver.Process{{Name: "vnf", PID: os.Getpid()}}
	if s, up := d.c.dp.Session(); up && s.PID != 0 {
		all = append(all, gnoiserver.Process{Name: "vnf-dataplane", PID: s.PID})
	}
	return all, nil
}
