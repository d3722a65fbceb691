package grpcserver

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"

	"google.golang.org/protobuf/proto"
)

const (
	defaultPage = 512
	maxPage     = 4096
)

// paged is a request for a page of a list.
type paged interface {
	proto.Message
	GetPageSize() uint32
	GetPageToken() string
}

// page is where a list goes on, and how many items are asked for.
type page struct {
	size   int
	cursor []byte
	filter uint32
}

// pageOf reads the paging fields of a request. The token carries a checksum of the other fields, since it means nothing with others.
func pageOf(req paged) (page, error) {
	p := page{size: int(req.GetPageSize()), filter: filterSum(req)}
	if req.GetPageSize() > maxPage {
		return p, invalid("page_size", "%d is more than %d", req.GetPageSize(), maxPage)
	}
	if p.size == 0 {
		p.size = defaultPage
	}
	if req.GetPageToken() == "" {
		return p, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(req.GetPageToken())
	if err != nil || len(b) < 5 {
		return p, invalid("page_token", "is not a token of an earlier answer")
	}
	if binary.BigEndian.Uint32(b) != p.filter {
		return p, invalid("page_token", "belongs to a list with other filters")
	}
	p.cursor = b[4:]
	return p, nil
}

// token is for the page that begins after cursor; empty if there is none.
func (p page) token(cursor []byte) string {
	if len(cursor) == 0 {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, p.filter), cursor...))
}

func filterSum(req paged) uint32 {
	m := proto.Clone(req)
	r := m.ProtoReflect()
	for _, name := range []string{"page_size", "page_token"} {
		r.Clear(r.Descriptor().Fields().ByName(protoName(name)))
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return 0
	}
	h := fnv.New32a()
	h.Write([]byte(r.Descriptor().FullName()))
	h.Write(b)
	return h.Sum32()
}

// pageByName cuts one page out of a list that is in the order of its names.
func pageByName[T any](p page, all []T, name func(T) string) (items []T, token string) {
	start := 0
	if len(p.cursor) > 0 {
		for start < len(all) && name(all[start]) <= string(p.cursor) {
			start++
		}
	}
	end := min(start+p.size, len(all))
	if end < len(all) {
		token = p.token([]byte(name(all[end-1])))
	}
	return all[start:end], token
}
