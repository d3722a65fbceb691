// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"text/tabwriter"
)

// result is one line of the output. Spread is (largest-smallest)/median of the runs; Ratio is Value/PeerValue.
type result struct {
	Name      string   `json:"name"`
	Value     float64  `json:"value"`
	Unit      string   `json:"unit"`
	Peer      string   `json:"peer"`
	PeerValue *float64 `json:"peer_value"`
	Ratio     *float64 `json:"ratio"`
	Runs      int      `json:"runs"`
	Spread    float64  `json:"spread"`
}

type report struct {
	results []result
}

// add prints a result's JSON and keeps it for the table. peerValues may be empty.
func (r *report) add(name, unit string, values []float64, peer string, peerValues []float64) error {
	res := result{Name: name, Unit: unit, Peer: peer, Runs: len(values), Value: round(median(values)), Spread: round(spread(values))}
	if len(peerValues) > 0 {
		pv := round(median(peerValues))
		res.PeerValue = &pv
		if pv != 0 {
			ratio := round(res.Value / pv)
			res.Ratio = &ratio
		}
	}
	r.results = append(r.results, res)
	return printJSON(res)
}

func (r *report) summary(w io.Writer, m machine) {
	if len(r.results) == 0 {
		return
	}
	fmt.Fprintln(w)
	m.header(w)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "benchmark\tvalue\tunit\tpeer\tpeer's value\tratio\truns\tspread")
	for _, x := range r.results {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%.1f %%\n", x.Name, number(x.Value), x.Unit, orDash(x.Peer), optional(x.PeerValue),
			optional(x.Ratio), x.Runs, 100*x.Spread)
	}
	_ = t.Flush()
}

// renderMarkdown turns the JSON lines of a run into the table of docs/performance.md.
func renderMarkdown(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	fmt.Fprintln(w, "| Benchmark | Value | Unit | Peer | Peer's value | Ratio | Runs | Spread |")
	fmt.Fprintln(w, "| --- | ---: | --- | --- | ---: | ---: | ---: | ---: |")
	s := bufio.NewScanner(f)
	for n := 1; s.Scan(); n++ {
		if !bytes.HasPrefix(s.Bytes(), []byte("{")) {
			continue // what make prints when it installs or builds something first
		}
		var x result
		if err := json.Unmarshal(s.Bytes(), &x); err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
		fmt.Fprintf(w, "| `%s` | %s | %s | %s | %s | %s | %d | %.1f %% |\n", x.Name, number(x.Value), x.Unit, orDash(x.Peer),
			optional(x.PeerValue), optional(x.Ratio), x.Runs, 100*x.Spread)
	}
	return s.Err()
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func spread(v []float64) float64 {
	m := median(v)
	if m == 0 {
		return 0
	}
	return (slices.Max(v) - slices.Min(v)) / m
}

// round keeps four significant digits: more would be noise.
func round(v float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	if scale > 1 {
		return math.Round(v*scale) / scale
	}
	return math.Round(v/(1/scale)) * (1 / scale)
}

func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.4g", v)
}

func optional(v *float64) string {
	if v == nil {
		return "–"
	}
	return number(*v)
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
