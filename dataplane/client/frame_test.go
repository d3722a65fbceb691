package client

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/proto"

	pb "millrace/api/proto/dataplane/v1"
)

func TestFrameRoundTrip(t *testing.T) {
	in := &pb.Response{Id: 7, Error: &pb.Error{Code: pb.Code_CODE_INVALID, Field: "batch.ops[0]", Message: "no"}}
	b, err := AppendFrame(nil, in)
	if err != nil {
		t.Fatal(err)
	}
	b, err = AppendFrame(b, &pb.Response{})
	if err != nil {
		t.Fatal(err)
	}
	r := iotest.OneByteReader(bytes.NewReader(b))
	got, err := ReadFrame(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	out := new(pb.Response)
	if err := proto.Unmarshal(got, out); err != nil || !proto.Equal(in, out) {
		t.Errorf("%v %v", out, err)
	}
	if got, err = ReadFrame(r, got); err != nil || len(got) != 0 {
		t.Errorf("empty message: %v %v", got, err)
	}
	if _, err = ReadFrame(r, nil); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestFrameFaults(t *testing.T) {
	big := append([]byte{0, 0x20, 0, 0}, make([]byte, 100000)...)
	for name, b := range map[string][]byte{
		"length cut short": {0, 0, 1}, "no body": {0, 0, 0, 5}, "body cut short": {0, 0, 0, 5, 1, 2},
		"too long": {0xff, 0xff, 0xff, 0xff, 1}, "one too long": {0, 0x40, 0, 1}, "large and cut short": big,
	} {
		if _, err := ReadFrame(bytes.NewReader(b), nil); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := AppendFrame(nil, &pb.Response{Error: &pb.Error{Message: string(make([]byte, MaxFrame))}}); err == nil {
		t.Error("a frame that is too long was made")
	}
}

func FuzzReadFrame(f *testing.F) {
	good, err := AppendFrame(nil, &pb.Request{Id: 1, Op: &pb.Request_List{List: &pb.List{Table: pb.Table_TABLE_ROUTES}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, false)
	f.Add(good[:len(good)-1], true)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, false)
	f.Fuzz(func(t *testing.T, b []byte, reuse bool) {
		r := bytes.NewReader(b)
		var buf []byte
		for {
			frame, err := ReadFrame(r, buf)
			if err != nil {
				if err != io.EOF && !errors.Is(err, ErrProtocol) {
					t.Fatal(err)
				}
				return
			}
			if len(frame) > len(b) {
				t.Fatalf("%d bytes out of %d", len(frame), len(b))
			}
			m := new(pb.Request)
			_ = proto.Unmarshal(frame, m)
			if reuse {
				buf = frame
			}
		}
	})
}
