package cloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Key is the name in cloud-config of what is for the appliance.
const Key = "millrace"

// Day0 is what user data say to the appliance.
type Day0 struct {
	// Config is the configuration: JSON or YAML; nil: none is given.
	Config []byte
	TLS    TLS
	// ManagementNIC is a tag, a MAC or a network device; empty: as the platform says.
	ManagementNIC string
	Ports         []Port
}

// TLS are certificates, PEM each.
type TLS struct {
	// CA are those whose certificates are accepted.
	CA string
	// Certificate is the server's own, followed by those between it and the CA; Key is its key.
	Certificate, Key string
}

// Empty says that no certificate is given.
func (t TLS) Empty() bool { return t == TLS{} }

// Port gives a card its name where the platform has no tags.
type Port struct{ Name, MAC string }

// maxPorts bounds the list of ports.
const maxPorts = 256

// Day0 reads the user data. What is wrong is told and left out; the rest holds.
func (in *Instance) Day0() (Day0, []Problem) {
	docs, err := cloudConfigs(in.UserData)
	var problems []Problem
	if err != nil {
		problems = append(problems, Problem{"user-data", err.Error()})
	}
	d, found, more := day0(docs)
	problems = append(problems, more...)
	if found || len(in.Merged) == 0 {
		return d, problems
	}
	// What is included from elsewhere, or made of a template, is only in what cloud-init made of it.
	d, found, more = day0([][]byte{in.Merged})
	if found {
		problems = more
	}
	return d, problems
}

// day0 reads documents of cloud-config. The parts of millrace may be in several, each in one.
func day0(docs [][]byte) (d Day0, found bool, problems []Problem) {
	given := map[string]bool{}
	for i, doc := range docs {
		raw, err := section(doc)
		if err != nil {
			problems = append(problems, Problem{"user-data", fmt.Sprintf("cloud-config %d: %v", i+1, err)})
			continue
		}
		if raw == nil {
			continue
		}
		found = true
		var parts map[string]json.RawMessage
		if err := json.Unmarshal(raw, &parts); err != nil || parts == nil {
			problems = append(problems, Problem{Key, "is not an object with config, tls, management and ports"})
			continue
		}
		for _, name := range sorted(parts) {
			at := Key + "." + name
			if given[name] {
				problems = append(problems, Problem{at, "is given by two parts of the user data; the first holds"})
				continue
			}
			given[name] = true
			problems = append(problems, d.part(name, at, parts[name])...)
		}
	}
	return d, found, problems
}

// section is the value of the key in a document, as JSON; nil: there is none.
func section(doc []byte) ([]byte, error) {
	j, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		// cloud-init takes what says a thing twice; that concerns us only where it is ours.
		lax, lerr := yaml.YAMLToJSON(doc)
		var top map[string]json.RawMessage
		if lerr == nil && json.Unmarshal(lax, &top) == nil && top[Key] == nil {
			return nil, nil
		}
		return nil, errors.New("not YAML: " + firstLine(strings.TrimPrefix(err.Error(), "yaml: ")))
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(j, &top); err != nil {
		return nil, nil // a document that is no object; cloud-init says so
	}
	return top[Key], nil
}

func firstLine(s string) string {
	line, rest, more := strings.Cut(strings.TrimSpace(s), "\n")
	if more && strings.HasSuffix(line, ":") {
		line += " " + firstLine(rest)
	}
	return line
}

func (d *Day0) part(name, at string, raw json.RawMessage) []Problem {
	if string(raw) == "null" {
		return nil
	}
	switch name {
	case "config":
		return d.config(at, raw)
	case "tls":
		return d.tls(at, raw)
	case "management":
		return d.management(at, raw)
	case "ports":
		return d.ports(at, raw)
	}
	return []Problem{{at, "is not known; there are config, tls, management and ports"}}
}

func (d *Day0) config(at string, raw json.RawMessage) []Problem {
	switch raw[0] {
	case '{':
		d.Config = raw
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return []Problem{{at, err.Error()}}
		}
		if strings.TrimSpace(s) != "" {
			d.Config = []byte(s)
		}
	default:
		return []Problem{{at, "is neither an object nor a text"}}
	}
	return nil
}

// texts reads an object whose members are texts.
func texts(at string, raw json.RawMessage, into map[string]*string) (problems []Problem) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return []Problem{{at, "is not an object"}}
	}
	for _, name := range sorted(members) {
		to := into[name]
		switch {
		case to == nil:
			problems = append(problems, Problem{at + "." + name, "is not known; there are " + strings.Join(sorted(into), ", ")})
		case string(members[name]) == "null":
		case json.Unmarshal(members[name], to) != nil:
			problems = append(problems, Problem{at + "." + name, "is not a text; put it in quotes"})
		}
	}
	return problems
}

func (d *Day0) tls(at string, raw json.RawMessage) []Problem {
	var t TLS
	problems := texts(at, raw, map[string]*string{"ca": &t.CA, "certificate": &t.Certificate, "key": &t.Key})
	switch {
	case len(problems) > 0: // half of it would be another thing than what was asked for
		return problems
	case (t.Certificate == "") != (t.Key == ""):
		return []Problem{{at, "certificate and key belong together, and one is missing"}}
	}
	d.TLS = t
	return nil
}

func (d *Day0) management(at string, raw json.RawMessage) []Problem {
	var nic string
	if problems := texts(at, raw, map[string]*string{"nic": &nic}); len(problems) > 0 {
		return problems
	}
	if why := plainWord(nic); why != "" {
		return []Problem{{at + ".nic", why}}
	}
	d.ManagementNIC = nic
	return nil
}

func (d *Day0) ports(at string, raw json.RawMessage) (problems []Problem) {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return []Problem{{at, "is not a list"}}
	}
	if len(list) > maxPorts {
		return []Problem{{at, fmt.Sprintf("%d ports, at most %d are allowed", len(list), maxPorts)}}
	}
	for i, raw := range list {
		at := fmt.Sprintf("%s[%d]", at, i)
		var p Port
		if more := texts(at, raw, map[string]*string{"name": &p.Name, "mac": &p.MAC}); len(more) > 0 {
			problems = append(problems, more...)
			continue
		}
		mac, err := net.ParseMAC(p.MAC)
		switch {
		case p.Name == "":
			problems = append(problems, Problem{at + ".name", "is missing"})
		case err != nil || len(mac) != 6:
			problems = append(problems, Problem{at + ".mac", fmt.Sprintf("%.40q is not a MAC such as \"fa:16:3e:00:00:01\"", p.MAC)})
		default:
			p.MAC = mac.String()
			d.Ports = append(d.Ports, p)
		}
	}
	return problems
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
