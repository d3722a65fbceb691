// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"millrace/internal/lab"
)

// prefixesPerUpdate is how many prefixes of the table have the same attributes, about as many as in the default-free zone.
const prefixesPerUpdate = 5

// feeder is BIRD with a table that it announces from 10.0.1.2, AS 65002, to 10.0.1.1, AS 65001.
type feeder struct {
	*lab.BIRD
	log string
}

func startFeeder(l *lab.Lab, ns *lab.NS, table []netip.Prefix) (*feeder, error) {
	f := &feeder{log: filepath.Join(l.Dir, "bird.log")}
	head := fmt.Sprintf("log %q all;\ntimeformat log iso long us;\nrouter id 10.0.1.2;\nprotocol device { }\n", f.log)
	var err error
	if f.BIRD, err = l.BIRD(ns, head); err != nil {
		return nil, err
	}
	// It reads the table while it runs: that takes longer than a start may.
	file, err := os.Create(filepath.Join(l.Dir, "table.conf"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	w := bufio.NewWriterSize(file, 1<<20)
	fmt.Fprint(w, head, "protocol static feed { ipv4;\n")
	for i, p := range table {
		group := i / prefixesPerUpdate
		fmt.Fprintf(w, "route %s blackhole { bgp_path.prepend(%d); bgp_path.prepend(%d); bgp_community.add((65002,%d)); };\n", p, 100+group%977,
			100000+group, group%500)
	}
	fmt.Fprint(w, "}\nprotocol bgp peer { debug { states, events }; disabled; local 10.0.1.2 as 65002; neighbor 10.0.1.1 as 65001;\n",
		"connect delay time 1; connect retry time 1; error wait time 1, 2; ipv4 { import none; export where proto = \"feed\"; next hop self; }; }\n")
	if err := errors.Join(w.Flush(), file.Close()); err != nil {
		return nil, err
	}
	if out, err := f.Ctl("configure", fmt.Sprintf("%q", file.Name())); err != nil || !strings.Contains(out, "Reconfigur") {
		return nil, fmt.Errorf("birdc configure: %w: %s", err, out)
	}
	return f, lab.Eventually(2*time.Minute, func() error {
		out, err := f.Ctl("show", "route", "count")
		if err == nil && !strings.Contains(out, fmt.Sprintf("%d of %d routes", len(table), len(table))) {
			err = errors.New(strings.TrimSpace(out))
		}
		return err
	})
}

// connect lets the session come up and returns the moment when it did.
func (f *feeder) connect() (time.Time, error) {
	if _, err := f.Ctl("enable", "peer"); err != nil {
		return time.Time{}, err
	}
	var at time.Time
	err := lab.Eventually(time.Minute, func() error {
		b, err := os.ReadFile(f.log)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, "BGP session established") {
				at, err = time.ParseInLocation("2006-01-02 15:04:05.000000", line[:26], time.Local)
				return err
			}
		}
		return errors.New("BIRD has no session")
	})
	return at, err
}

// withdraw lets BIRD take all routes back and returns the moment when it began to.
func (f *feeder) withdraw() (time.Time, error) {
	at := time.Now()
	_, err := f.Ctl("disable", "feed")
	return at, err
}
