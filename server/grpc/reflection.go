package grpcserver

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// registerReflection lets clients ask for the services and their messages.
func registerReflection(s *grpc.Server) {
	o := reflection.ServerOptions{Services: s, DescriptorResolver: fileResolver{protoregistry.GlobalFiles}}
	reflectionv1.RegisterServerReflectionServer(s, reflection.NewServerV1(o))
	reflectionv1alpha.RegisterServerReflectionServer(s, reflection.NewServer(o))
}

// fileResolver also finds files under a longer path than that by which their Go registers them. The files of gRIBI import ygot's
// "github.com/openconfig/ygot/proto/ywrapper/ywrapper.proto", which calls itself "ywrapper.proto"; clients could not put them together.
type fileResolver struct{ *protoregistry.Files }

// FindFileByPath implements protodesc.Resolver.
func (r fileResolver) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	f, err := r.Files.FindFileByPath(path)
	if !errors.Is(err, protoregistry.NotFound) {
		return f, err
	}
	var found protoreflect.FileDescriptor
	r.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if strings.HasSuffix(path, "/"+f.Path()) && (found == nil || len(f.Path()) > len(found.Path())) {
			found = f
		}
		return true
	})
	if found == nil {
		return nil, err
	}
	p := protodesc.ToFileDescriptorProto(found)
	p.Name = &path
	f, err = protodesc.NewFile(p, r)
	if err != nil {
		return nil, fmt.Errorf("%s as %s: %w", found.Path(), path, err)
	}
	return f, nil
}
