package control

import (
	"log/slog"

	"millrace/server/auth"
	"millrace/server/config"
	grpcserver "millrace/server/grpc"
	"millrace/server/model"
	"millrace/server/store"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// storeOptions are those of the store of the configuration.
func storeOptions(o DaemonOptions) (store.Options, error) {
	s, err := schema.Load()
	if err != nil {
		return store.Options{}, err
	}
	return store.Options{
		Dir: o.StateDir, Startup: o.ConfigFile, Schema: s, Model: model.New(s), Secrets: model.Secrets(), Logger: o.Logger,
		Prepare:   func(e *tree.Edit) error { return model.HashPasswords(e, auth.HashPassword) },
		Authorize: auth.NewAuthorizer(model.Secrets()).Change,
	}, nil
}

func openStore(o DaemonOptions) (*store.Store, error) {
	so, err := storeOptions(o)
	if err != nil {
		return nil, err
	}
	return store.Open(so)
}

// PreviewConfig returns the configuration that RunDaemon would begin with, for who prepares what it needs.
func PreviewConfig(configFile, stateDir string) (*config.Config, error) {
	so, err := storeOptions(DaemonOptions{ConfigFile: configFile, StateDir: stateDir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	return store.Preview(so)
}

// storeAlarm makes what is wrong with the files of the configuration an alarm.
func (c *Controller) storeAlarm(a store.Alarm, on bool) {
	severity := grpcserver.Major
	if a.Waits() {
		severity = grpcserver.Warning
	}
	if on {
		c.alarms.raise(a.ID, severity, "configuration", a.Text)
	} else {
		c.alarms.clear(a.ID)
	}
}
