package config

// WithoutSecrets returns a copy without passwords and their hashes.
func (c *Config) WithoutSecrets() *Config {
	c = c.Clone()
	c.eachSecret(func(s *string) { *s = "" })
	return c
}

// Secrets are the passwords and hashes there are.
func (c *Config) Secrets() []string {
	var out []string
	c.eachSecret(func(s *string) {
		if *s != "" {
			out = append(out, *s)
		}
	})
	return out
}

func (c *Config) eachSecret(f func(*string)) {
	for n := range c.NetworkInstances {
		b := c.NetworkInstances[n].BGP
		if b == nil {
			continue
		}
		for k := range b.Neighbors {
			f(&b.Neighbors[k].Password)
		}
		for k := range b.PeerGroups {
			f(&b.PeerGroups[k].Password)
		}
	}
	for k := range c.AAA.Users {
		f(&c.AAA.Users[k].PasswordHash)
	}
}
