package config

import (
	"fmt"
	"strings"
)

func (v *validator) http(h *TCPHTTP, p string) {
	v.httpResponse(&h.Response, p+".response")
	size := h.Response.size()
	for i := range h.Routes {
		size += h.Routes[i].Response.size()
	}
	if size > maxHTTP {
		v.errs.addf(p, "responses of %d bytes together, at most %d are allowed; use body-file", size, maxHTTP)
	}
	if len(h.Routes) > maxRoutes {
		v.errs.addf(p+".routes", "%d routes, at most %d are allowed", len(h.Routes), maxRoutes)
		return
	}
	for i := range h.Routes {
		r := &h.Routes[i]
		at := fmt.Sprintf("%s.routes[%s]", p, r.Path)
		if r.Path == "" {
			at = fmt.Sprintf("%s.routes[%d]", p, i)
		} else if r.Path[0] != '/' || len(r.Path) > 255 || strings.ContainsFunc(r.Path, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '?' || c == '#' }) {
			v.errs.addf(at+".path", "%s is not a path from / on, of 1 to 255 characters, without query", show(r.Path))
		}
		v.httpResponse(&r.Response, at+".response")
	}
	for i, m := range h.Methods {
		if m == "" {
			v.errs.addf(fmt.Sprintf("%s.methods[%d]", p, i), "is empty")
		}
	}
	if !fieldValue(h.Server) {
		v.errs.addf(p+".server", "%s is not the value of a header field", show(h.Server))
	}
	v.span(p+".body-timeout", h.BodyTimeout, ms, hour)
	limit(v, p+".max-body", h.MaxBody, 1, 1<<40)
}

// size is what a response takes where the configuration is written to the data plane.
func (r *HTTPResponse) size() int {
	n := len(r.Body)
	for _, h := range r.Headers {
		n += len(h.Name) + len(h.Value)
	}
	return n
}

func (v *validator) httpResponse(r *HTTPResponse, p string) {
	limit(v, p+".status", r.Status, 200, 599)
	if len(r.Body) > maxBody {
		v.errs.addf(p+".body", "%d bytes, at most %d are allowed; use body-file", len(r.Body), maxBody)
	}
	v.absoluteFile(p+".body-file", r.BodyFile)
	if r.Body != "" && r.BodyFile != "" {
		v.errs.addf(p+".body-file", "excludes body")
	}
	if (r.Status == 204 || r.Status == 304) && (r.Body != "" || r.BodyFile != "") {
		v.errs.addf(p+".status", "an answer of status %d has no body (RFC 9110 section 6.4.1)", r.Status)
	}
	if len(r.Headers) > maxHeaders {
		v.errs.addf(p+".headers", "%d fields, at most %d are allowed", len(r.Headers), maxHeaders)
		return
	}
	for i, h := range r.Headers {
		at := fmt.Sprintf("%s.headers[%d]", p, i)
		switch strings.ToLower(h.Name) {
		case "":
			v.errs.addf(at+".name", "is missing")
		case "date", "content-length", "connection", "server", "transfer-encoding", "keep-alive", "trailer", "upgrade":
			v.errs.addf(at+".name", "%s is the responder's own", h.Name)
		default:
			if strings.ContainsFunc(h.Name, notTokenChar) {
				v.errs.addf(at+".name", "%s is not a name of a header field (RFC 9110 section 5.1)", show(h.Name))
			}
		}
		if !fieldValue(h.Value) {
			v.errs.addf(at+".value", "%s is not the value of a header field (RFC 9110 section 5.5)", show(h.Value))
		}
	}
}

// notTokenChar says that a character is no tchar of RFC 9110 section 5.6.2.
func notTokenChar(c rune) bool {
	return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c))
}

// fieldValue says whether a text can be sent as a field's value: nothing that ends the line, no blanks at the ends.
func fieldValue(s string) bool {
	return len(s) <= 1024 && s == strings.Trim(s, " \t") && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}
