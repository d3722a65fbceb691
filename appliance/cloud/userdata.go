package cloud

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"

	"sigs.k8s.io/yaml"
)

// Bounds of what user data can consist of.
const (
	maxParts = 64
	maxDepth = 4
)

// parts takes user data to pieces as cloud-init does: gzip, base64, MIME and archives of cloud-config, one within the other.
type parts struct {
	docs [][]byte // those that are cloud-config
	left int      // bytes that may still come out of it
	n    int
}

// cloudConfigs lists the documents of cloud-config in user data.
func cloudConfigs(data []byte) ([][]byte, error) {
	p := &parts{left: 4 * maxUserData}
	if err := p.add(data, "", 0); err != nil {
		return nil, err
	}
	return p.docs, nil
}

func (p *parts) add(data []byte, kind string, depth int) error {
	if p.n++; p.n > maxParts {
		return fmt.Errorf("has more than %d parts", maxParts)
	}
	if depth > maxDepth {
		return fmt.Errorf("has parts within parts more than %d deep", maxDepth)
	}
	if p.left -= len(data); p.left < 0 {
		return fmt.Errorf("is longer than %d bytes when it is unpacked", 4*maxUserData)
	}
	if len(data) > 2 && data[0] == 0x1f && data[1] == 0x8b {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return fmt.Errorf("is not gzip: %w", err)
		}
		plain, err := io.ReadAll(io.LimitReader(z, int64(p.left)+1))
		if err != nil {
			return fmt.Errorf("is not gzip: %w", err)
		}
		return p.add(plain, kind, depth+1)
	}
	text := bytes.TrimLeft(data, "\xef\xbb\xbf \t\r\n")
	head, rest, _ := bytes.Cut(text, []byte("\n"))
	first := strings.TrimSpace(strings.ToLower(string(head[:min(len(head), 128)])))
	if strings.HasPrefix(strings.ReplaceAll(first, " ", ""), "##template:jinja") {
		// Rendered it is in what cloud-init made of it; what needs no rendering can be read as it is.
		return p.add(rest, kind, depth+1)
	}
	switch {
	case strings.HasPrefix(first, "#cloud-config-archive"):
		return p.archive(text, depth)
	case strings.HasPrefix(first, "#cloud-config"):
		p.docs = append(p.docs, text)
		return nil
	case strings.HasPrefix(first, "content-type:"), strings.HasPrefix(first, "mime-version:"), strings.HasPrefix(first, "from "),
		strings.HasPrefix(first, "content-transfer-encoding:"):
		return p.mime(text, depth)
	case kind == "text/cloud-config":
		p.docs = append(p.docs, text)
		return nil
	case kind == "text/cloud-config-archive":
		return p.archive(text, depth)
	case kind == "" && depth == 0:
		// Some tools encode what the platform's API wants encoded once more.
		if plain, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(data), nil))); err == nil && len(plain) > 0 {
			return p.add(plain, kind, depth+1)
		}
	}
	return nil // a script, or something else that is not for us
}

func (p *parts) mime(text []byte, depth int) error {
	m, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("is not MIME: %w", err)
	}
	return p.entity(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body, depth)
}

func (p *parts) entity(contentType, encoding string, body io.Reader, depth int) error {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil && contentType != "" {
		return fmt.Errorf("is not MIME: Content-Type: %w", err)
	}
	if !strings.HasPrefix(kind, "multipart/") {
		switch strings.ToLower(strings.TrimSpace(encoding)) {
		case "base64":
			body = base64.NewDecoder(base64.StdEncoding, body)
		case "quoted-printable":
			body = quotedprintable.NewReader(body)
		}
		b, err := io.ReadAll(io.LimitReader(body, int64(p.left)+1))
		if err != nil {
			return fmt.Errorf("has a part of MIME that cannot be decoded: %w", err)
		}
		if kind == "" {
			kind = "text/plain"
		}
		return p.add(b, kind, depth+1)
	}
	if depth > maxDepth {
		return fmt.Errorf("has parts within parts more than %d deep", maxDepth)
	}
	r := multipart.NewReader(body, params["boundary"])
	for {
		part, err := r.NextRawPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("is not MIME: %w", err)
		}
		if p.n++; p.n > maxParts {
			return fmt.Errorf("has more than %d parts", maxParts)
		}
		err = p.entity(part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part, depth+1)
		if err != nil {
			return err
		}
	}
}

// archive is a list of parts, each a text or an object with its content.
func (p *parts) archive(text []byte, depth int) error {
	j, err := yaml.YAMLToJSON(text)
	if err != nil {
		return fmt.Errorf("has an archive that is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var list []json.RawMessage
	if json.Unmarshal(j, &list) != nil {
		return fmt.Errorf("has an archive that is not a list")
	}
	for _, raw := range list {
		var e struct{ Type, Content string }
		if json.Unmarshal(raw, &e.Content) != nil && json.Unmarshal(raw, &e) != nil {
			continue
		}
		kind := e.Type
		if kind == "" {
			kind = "text/plain"
		}
		if err := p.add([]byte(e.Content), kind, depth+1); err != nil {
			return err
		}
	}
	return nil
}
