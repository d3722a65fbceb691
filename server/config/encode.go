package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"

	yamlv2 "go.yaml.in/yaml/v2"
	"sigs.k8s.io/yaml"
)

// YAML writes the configuration as a file that Parse reads back to the same. What is not set is left out.
func (c *Config) YAML() ([]byte, error) {
	b, err := yamlv2.Marshal(encode(reflect.ValueOf(*c)))
	if err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	return b, nil
}

// JSON writes the configuration as JSON.
func (c *Config) JSON() ([]byte, error) {
	y, err := c.YAML()
	if err != nil {
		return nil, err
	}
	b, err := yaml.YAMLToJSON(y)
	if err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	var tree any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // numbers of 64 bits stay what they are
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	return json.MarshalIndent(tree, "", "  ")
}

// encode turns a value into what the YAML encoder knows, fields in their order.
func encode(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		return encode(v.Elem())
	case reflect.Struct:
		if !ours(v.Type()) {
			return fmt.Sprint(v.Interface())
		}
		m := yamlv2.MapSlice{}
		for _, l := range leaves(v.Type()) {
			f := v.FieldByIndex(l.index)
			if f.IsZero() || f.Kind() == reflect.Slice && f.Len() == 0 {
				continue
			}
			e := encode(f)
			if s, ok := e.(yamlv2.MapSlice); ok && len(s) == 0 && f.Kind() != reflect.Pointer {
				continue
			}
			m = append(m, yamlv2.MapItem{Key: l.name, Value: e})
		}
		return m
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = encode(v.Index(i))
		}
		return list
	case reflect.Array: // MAC
		return fmt.Sprint(v.Interface())
	case reflect.Int64: // Duration
		return fmt.Sprint(v.Interface())
	case reflect.String:
		return v.String()
	}
	return v.Interface()
}

// Load reads and validates a configuration file.
func Load(path string) (*Config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s:\n%w", path, err)
	}
	return c, nil
}

// Save writes the configuration to a file such that the file is never half written. It holds passwords: mode 0600.
func (c *Config) Save(path string) (err error) {
	b, err := c.YAML()
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".config-*")
	if err != nil {
		return fmt.Errorf("save configuration: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("save configuration: %w", err)
	}
	return nil
}
