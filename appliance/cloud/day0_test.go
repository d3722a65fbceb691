package cloud

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const plain = `#cloud-config
hostname: edge1
millrace:
  config:
    openconfig-system:system: {config: {hostname: edge1}}
  management: {nic: mgmt}
  ports:
    - {name: wan, mac: "FA:16:3E:00:00:01"}
`

func zipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s))
	_ = z.Close()
	return b.String()
}

func mimed(encoding string, bodies ...string) string {
	s := "Content-Type: multipart/mixed; boundary=\"XX\"\nMIME-Version: 1.0\n\n"
	for _, b := range bodies {
		s += "--XX\nContent-Type: text/cloud-config\n"
		if encoding == "base64" {
			s += "Content-Transfer-Encoding: base64\n"
			b = base64.StdEncoding.EncodeToString([]byte(b))
		}
		s += "\n" + b + "\n"
	}
	return s + "--XX\nContent-Type: text/x-shellscript\n\n#!/bin/sh\ntrue\n--XX--\n"
}

func TestDay0Forms(t *testing.T) {
	archive := "#cloud-config-archive\n- type: text/cloud-config\n  content: |\n" + indent(plain) + "- |\n  #!/bin/sh\n"
	for name, data := range map[string]string{
		"plain": plain, "crlf": strings.ReplaceAll(plain, "\n", "\r\n"), "bom": "\xef\xbb\xbf" + plain, "gzip": zipped(plain),
		"base64": base64.StdEncoding.EncodeToString([]byte(plain)), "base64 of gzip": base64.StdEncoding.EncodeToString([]byte(zipped(plain))),
		"mime": mimed("", plain), "mime base64": mimed("base64", plain), "gzip of mime": zipped(mimed("", plain)),
		"mime of gzip": mimed("base64", zipped(plain)), "archive": archive, "jinja": "## template: jinja\n" + plain,
		"two parts": mimed("", "#cloud-config\nmillrace: {management: {nic: mgmt}}\n", strings.Replace(plain, "  management: {nic: mgmt}\n", "", 1)),
		// cloud-init takes this, and it is no business of ours.
		"dirty elsewhere": mimed("", plain, "#cloud-config\nruncmd: [a]\nruncmd: [b]\n"),
	} {
		d, problems := (&Instance{UserData: []byte(data)}).Day0()
		if len(problems) > 0 {
			t.Errorf("%s: %v", name, problems)
		}
		if d.ManagementNIC != "mgmt" || !reflect.DeepEqual(d.Ports, []Port{{"wan", "fa:16:3e:00:00:01"}}) ||
			string(d.Config) != `{"openconfig-system:system":{"config":{"hostname":"edge1"}}}` {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n    ") + "\n"
}

func TestDay0Merged(t *testing.T) {
	in := &Instance{UserData: []byte("#include\nhttp://config.example/edge1\n"), Merged: []byte(plain)}
	if d, problems := in.Day0(); len(problems) > 0 || d.ManagementNIC != "mgmt" {
		t.Errorf("%+v %v", d, problems)
	}
	in = &Instance{UserData: []byte("#cloud-config\nmillrace: {management: {nic: a}}"), Merged: []byte(plain)}
	if d, _ := in.Day0(); d.ManagementNIC != "a" {
		t.Errorf("%+v", d)
	}
}

func TestDay0Text(t *testing.T) {
	d, problems := (&Instance{UserData: []byte("#cloud-config\nmillrace:\n  config: |\n    interfaces: []\n")}).Day0()
	if len(problems) > 0 || string(d.Config) != "interfaces: []\n" {
		t.Errorf("%q %v", d.Config, problems)
	}
}

func TestDay0Wrong(t *testing.T) {
	for _, c := range []struct{ millrace, want string }{
		{"[]", "millrace: is not an object with config, tls, management and ports"},
		{"{configuration: {}}", "millrace.configuration: is not known; there are config, tls, management and ports"},
		{"{config: 5}", "millrace.config: is neither an object nor a text"},
		{"{tls: {cert: x}}", "millrace.tls.cert: is not known; there are ca, certificate, key"},
		{"{tls: {ca: x, certificate: c}}", "millrace.tls: certificate and key belong together, and one is missing"},
		{"{tls: {ca: 7}}", "millrace.tls.ca: is not a text; put it in quotes"},
		{"{management: eth0}", "millrace.management: is not an object"},
		{`{management: {nic: "a\nb"}}`, `millrace.management.nic: "a\nb" has control characters`},
		{"{ports: {}}", "millrace.ports: is not a list"},
		{"{ports: [{mac: \"02:00:00:00:00:01\"}]}", "millrace.ports[0].name: is missing"},
		{"{ports: [{name: wan, mac: x}]}", `millrace.ports[0].mac: "x" is not a MAC such as "fa:16:3e:00:00:01"`},
		{"{a: {", "user-data: cloud-config 1: not YAML: line 2: did not find expected node content"},
	} {
		// The rest holds all the same.
		_, problems := (&Instance{UserData: []byte("#cloud-config\nmillrace: " + c.millrace)}).Day0()
		if got := fmt.Sprint(problems); got != "["+c.want+"]" {
			t.Errorf("%s:\n got %s\nwant [%s]", c.millrace, got, c.want)
		}
	}
	d, problems := (&Instance{UserData: []byte("#cloud-config\nmillrace: {tls: {ca: 7}, management: {nic: a}, ports: [{name: b}, {name: c, mac: \"02:00:00:00:00:01\"}]}")}).Day0()
	if d.ManagementNIC != "a" || len(d.Ports) != 1 || !d.TLS.Empty() || len(problems) != 2 {
		t.Errorf("%+v %v", d, problems)
	}
}

func TestDay0Bounds(t *testing.T) {
	bomb := strings.Repeat("#cloud-config\n"+strings.Repeat("# nothing\n", 1<<20), 2)
	deep := plain
	for range 10 {
		deep = zipped(deep)
	}
	many := make([]string, 100)
	for name, data := range map[string]string{"bomb": zipped(bomb), "deep": deep, "many": mimed("", many...)} {
		if _, problems := (&Instance{UserData: []byte(data)}).Day0(); len(problems) != 1 {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

func FuzzDay0(f *testing.F) {
	for _, s := range []string{plain, zipped(plain), mimed("base64", plain), mimed("", plain, plain), "#cloud-config-archive\n- a\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, _ := (&Instance{UserData: b}).Day0()
		if (d.TLS.Certificate == "") != (d.TLS.Key == "") {
			t.Error("half a pair")
		}
	})
}
