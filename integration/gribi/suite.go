//go:build suite

// Package gribi pins gribigo's compliance suite, which mk/gribi.sh builds: the suite is the test of one of its packages.
package gribi

import (
	_ "github.com/golang/glog"
	_ "github.com/openconfig/gribigo/cmd/ccli"
	_ "github.com/openconfig/gribigo/compliance"
	_ "github.com/openconfig/testt"
)
