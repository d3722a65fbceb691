package client

import (
	"encoding/binary"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"
)

// MaxFrame is the largest number of bytes a frame may carry, its length prefix not counted.
const MaxFrame = 4 << 20

// MaxOps is the largest number of operations of one Batch.
const MaxOps = 8192

// A frame is never believed to be as long as it says until that many bytes came: the buffer grows by this much at a time.
const frameStep = 64 << 10

// ReadFrame reads one frame and returns its bytes, in buf if it is large enough. It returns io.EOF only if the stream ended
// between two frames.
func ReadFrame(r io.Reader, buf []byte) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if err == io.EOF {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("%w: length of a frame cut short: %w", ErrProtocol, err)
	}
	size := int(binary.BigEndian.Uint32(head[:]))
	if size > MaxFrame {
		return nil, fmt.Errorf("%w: frame of %d bytes, at most %d are allowed", ErrProtocol, size, MaxFrame)
	}
	if cap(buf) >= size {
		buf = buf[:size]
		if _, err := io.ReadFull(r, buf); err != nil {
			return nil, cutShort(size, err)
		}
		return buf, nil
	}
	buf = buf[:0]
	for len(buf) < size {
		step := min(size-len(buf), max(frameStep, len(buf)))
		at := len(buf)
		buf = append(buf, make([]byte, step)...)
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			return nil, cutShort(size, err)
		}
	}
	return buf, nil
}

func cutShort(size int, err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: frame of %d bytes cut short: %w", ErrProtocol, size, err)
}

// AppendFrame appends the message, with its length before it, to buf.
func AppendFrame(buf []byte, m proto.Message) ([]byte, error) {
	at := len(buf)
	buf = append(buf, 0, 0, 0, 0)
	buf, err := proto.MarshalOptions{}.MarshalAppend(buf, m)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	size := len(buf) - at - 4
	if size > MaxFrame {
		return nil, fmt.Errorf("%s of %d bytes is longer than a frame may be (%d)",
			m.ProtoReflect().Descriptor().Name(), size, MaxFrame)
	}
	binary.BigEndian.PutUint32(buf[at:], uint32(size))
	return buf, nil
}
