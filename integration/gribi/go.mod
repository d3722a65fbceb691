// A module of its own, so that what gribigo needs does not come into ours.
module millrace/integration/gribi

go 1.26.0

require (
	github.com/golang/glog v1.2.5
	github.com/openconfig/gribigo v0.1.3
	github.com/openconfig/testt v0.0.0-20220311054427-efbb1a32ec07
)

require (
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/kylelemons/godebug v1.1.0 // indirect
	github.com/openconfig/gnmi v0.13.0 // indirect
	github.com/openconfig/goyang v1.6.0 // indirect
	github.com/openconfig/gribi v1.9.1 // indirect
	github.com/openconfig/ygot v0.32.0 // indirect
	go.uber.org/atomic v1.10.0 // indirect
	golang.org/x/exp v0.0.0-20250218142911-aa4b98e5adaa // indirect
	golang.org/x/net v0.38.0 // indirect
	golang.org/x/sys v0.31.0 // indirect
	golang.org/x/text v0.23.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20250218202821-56aae31c358a // indirect
	google.golang.org/grpc v1.70.0 // indirect
	google.golang.org/protobuf v1.36.5 // indirect
	lukechampine.com/uint128 v1.3.0 // indirect
)
