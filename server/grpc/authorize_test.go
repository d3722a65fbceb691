package grpcserver

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/openconfig/gnoi/file"
	"github.com/openconfig/gnoi/healthz"
	"github.com/openconfig/gnoi/system"
	"github.com/openconfig/gnsi/certz"
	gribi "github.com/openconfig/gribi/v1/proto/service"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/server/auth"
	"millrace/server/config"
)

var testedServices = []grpc.ServiceDesc{
	vnfv1.InterfaceService_ServiceDesc, vnfv1.NeighborService_ServiceDesc, vnfv1.RouteService_ServiceDesc, vnfv1.BgpService_ServiceDesc,
	vnfv1.TerminationService_ServiceDesc, vnfv1.SystemService_ServiceDesc, gribi.GRIBI_ServiceDesc, system.System_ServiceDesc,
	file.File_ServiceDesc, healthz.Healthz_ServiceDesc, certz.Certz_ServiceDesc,
}

func methodsOf(d grpc.ServiceDesc) (all []string) {
	for _, m := range d.Methods {
		all = append(all, "/"+d.ServiceName+"/"+m.MethodName)
	}
	for _, m := range d.Streams {
		all = append(all, "/"+d.ServiceName+"/"+m.StreamName)
	}
	return all
}

// TestMethodRules holds every method against the built-in roles and some of an operator's own.
func TestMethodRules(t *testing.T) {
	aaa := &config.AAA{Roles: []config.Role{
		{Name: "lb", Rules: []config.RoleRule{{Path: "/tcp-termination", Access: config.AccessWrite}, {Path: "/interfaces", Access: config.AccessRead}}},
		{Name: "leaf", Rules: []config.RoleRule{
			{Path: "/system/config/hostname", Access: config.AccessWrite}, {Path: "/interfaces/interface/config", Access: config.AccessWrite},
			{Path: "/network-instances/network-instance/protocols", Access: config.AccessWrite},
		}},
		{Name: "nothing"},
	}}
	role := func(name string) auth.Role {
		r, ok := auth.RoleOf(aaa, name)
		if !ok {
			t.Fatal(name)
		}
		return r
	}
	// What read-only and lb may, of everything.
	readOnly := map[string]bool{}
	lb := map[string]bool{}
	for _, m := range strings.Fields(`InterfaceService/ListInterfaces InterfaceService/GetInterface InterfaceService/WatchInterfaces
		InterfaceService/GetInterfaceXstats NeighborService/ListNeighbors NeighborService/WatchNeighbors`) {
		readOnly["millrace.vnf.v1."+m], lb["millrace.vnf.v1."+m] = true, true
	}
	for _, m := range strings.Fields(`RouteService/ListRoutes RouteService/WatchRoutes RouteService/LookupRoute RouteService/ListFibFailures
		RouteService/GetRouteSummary BgpService/GetBgp BgpService/ListBgpNeighbors BgpService/GetBgpNeighbor BgpService/ListBgpRoutes
		BgpService/WatchBgpNeighbors SystemService/GetSystemInfo SystemService/ListWorkers SystemService/ListDrops SystemService/GetGraph
		SystemService/ListAlarms SystemService/GetLogLevel SystemService/GetConfig SystemService/ListCommits SystemService/GetCommit
		SystemService/DiffConfig SystemService/ListNetworkInstances
		TerminationService/ListTcpListeners TerminationService/GetTcpListener TerminationService/ListTcpPools TerminationService/GetTcpPool
		TerminationService/ListTcpVips TerminationService/ListTcpConnections TerminationService/GetTcpStatistics
		TerminationService/WatchTcpHealth`) {
		readOnly["millrace.vnf.v1."+m] = true
	}
	for _, m := range strings.Fields(`gribi.gRIBI/Get gnoi.system.System/Time gnoi.system.System/RebootStatus gnoi.file.File/Stat
		gnoi.healthz.Healthz/Get gnoi.healthz.Healthz/List gnoi.healthz.Healthz/Check gnoi.healthz.Healthz/Artifact
		gnsi.certz.v1.Certz/GetProfileList gnsi.certz.v1.Certz/CanGenerateCSR gnsi.certz.v1.Certz/GetIntegrityManifest`) {
		readOnly[m] = true
	}
	for _, m := range methodsOf(vnfv1.TerminationService_ServiceDesc) {
		lb[m[1:]] = true
	}
	edits := strings.Fields("ApplyConfig RollbackConfig")
	for _, m := range edits {
		lb["millrace.vnf.v1.SystemService/"+m] = true // as far as the store lets it
	}
	admins := map[string]bool{"gnsi.certz.v1.Certz/Rotate": true, "gnsi.certz.v1.Certz/AddProfile": true, "gnsi.certz.v1.Certz/DeleteProfile": true}
	// A role that may write some leaves gets at what the store judges, and at nothing else.
	leaf := map[string]bool{
		"millrace.vnf.v1.RouteService/AddRoutes": true, "millrace.vnf.v1.RouteService/DeleteRoutes": true,
	}
	for _, m := range edits {
		leaf["millrace.vnf.v1.SystemService/"+m] = true
	}
	for _, m := range methodsOf(vnfv1.InterfaceService_ServiceDesc) {
		leaf[m[1:]] = !readOnly[m[1:]] && !strings.Contains(m, "Clear")
	}
	for _, m := range methodsOf(vnfv1.BgpService_ServiceDesc) {
		leaf[m[1:]] = true
	}
	leaf["millrace.vnf.v1.NeighborService/AddNeighbor"], leaf["millrace.vnf.v1.NeighborService/DeleteNeighbor"] = true, true

	n := 0
	for _, d := range testedServices {
		for _, m := range methodsOf(d) {
			n++
			if _, ok := ruleOf(m); !ok {
				t.Errorf("%s has no rule", m)
			}
			for name, want := range map[string]bool{
				"admin": true, "operator": !admins[m[1:]], "read-only": readOnly[m[1:]], "lb": lb[m[1:]], "leaf": leaf[m[1:]], "nothing": false,
			} {
				err := allowed(role(name), m)
				if want != (err == nil) || err != nil && status.Code(err) != codes.PermissionDenied {
					t.Errorf("%s by %s: %v", m, name, err)
				}
			}
			if changes(m) == readOnly[m[1:]] {
				t.Errorf("%s is said to change something: %v", m, changes(m))
			}
		}
	}
	if n < 70 {
		t.Errorf("only %d methods were looked at", n)
	}
	for name, want := range map[string]bool{"admin": true, "operator": false, "nothing": false} {
		if err := allowed(role(name), "/of.Another/Get"); (err == nil) != want {
			t.Errorf("an unknown method by %s: %v", name, err)
		}
	}
	if err := allowed(role("nothing"), "/gnmi.gNMI/Get"); err != nil {
		t.Errorf("gNMI looks itself: %v", err)
	}
}

func TestRefusalsAreLimited(t *testing.T) {
	var got []AuditCall
	s := &Server{opt: Options{Audit: func(c AuditCall) { got = append(got, c) }}}
	denied := status.Error(codes.PermissionDenied, "no")
	begin := time.Now()
	for range 5000 {
		s.audit(t.Context(), "/gnoi.system.System/Reboot", true, denied)
	}
	if most := refusalsPerSecond * (2 + int(time.Since(begin)/time.Second)); len(got) > most || len(got) < refusalsPerSecond {
		t.Errorf("%d refusals are noted", len(got))
	}
	s.refused.second = 0
	s.audit(t.Context(), "/gnoi.system.System/Reboot", true, denied)
	last := got[len(got)-1]
	if !strings.Contains(last.Err.Error(), "more refusals before") || !errors.Is(last.Err, denied) || last.API != "gnoi" {
		t.Errorf("what was left out is not told: %v", last)
	}
	got = nil
	for _, m := range []string{"/gnoi.system.System/Time", "/millrace.vnf.v1.InterfaceService/UpdateInterface", "/gnmi.gNMI/Set"} {
		s.audit(t.Context(), m, false, nil)
	}
	if len(got) > 0 {
		t.Errorf("noted: %v", got)
	}
	s.audit(t.Context(), "/gribi.gRIBI/Modify", false, nil)
	if fmt.Sprint(len(got), got[0].Err) != "1 <nil>" {
		t.Errorf("noted: %v", got)
	}
}
