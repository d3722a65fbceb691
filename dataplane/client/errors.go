package client

import (
	"errors"
	"fmt"
	"strings"

	pb "millrace/api/proto/dataplane/v1"
)

// Code is the kind of a refusal.
type Code = pb.Code

// ErrDisconnected says that there is no connection to the data plane, or that it broke before the answer came. In the second
// case it is not known whether the request was carried out.
var ErrDisconnected = errors.New("not connected to the data plane")

// ErrStalled says that the data plane did not answer in time. The connection is given up.
var ErrStalled = errors.New("the data plane does not answer")

// ErrProtocol says that the other side of the socket does not speak the seam's protocol.
var ErrProtocol = errors.New("protocol error on the data plane socket")

// Error is a refusal by the data plane.
type Error struct {
	Code Code
	// Field is the path of the field at fault within the request; empty if there is none.
	Field string
	// Message is one sentence for people.
	Message string
}

func (e *Error) Error() string {
	name := CodeName(e.Code)
	switch {
	case e.Field != "" && e.Message != "":
		return fmt.Sprintf("data plane: %s: %s (%s)", e.Field, e.Message, name)
	case e.Message != "":
		return fmt.Sprintf("data plane: %s (%s)", e.Message, name)
	case e.Field != "":
		return fmt.Sprintf("data plane: %s (%s)", e.Field, name)
	}
	return "data plane: " + name
}

// Is lets errors.Is compare by code: errors.Is(err, &client.Error{Code: client.TableFull}).
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Field == "" && t.Message == ""
}

// CodeName is the name of a code as people read it, for example "table full".
func CodeName(c Code) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(c.String(), "CODE_")), "_", " ")
}

// CodeOf returns the code of a refusal, or CODE_UNSPECIFIED if err is none.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return pb.Code_CODE_UNSPECIFIED
}

func fromProto(e *pb.Error) *Error {
	if e == nil {
		return nil
	}
	return &Error{Code: e.GetCode(), Field: e.GetField(), Message: e.GetMessage()}
}
