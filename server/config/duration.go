package config

import "time"

// Duration is a span of time, written as "30s", "1m30s" or "500ms". Zero is not set.
type Duration time.Duration

func (d Duration) String() string { return time.Duration(d).String() }

// Milliseconds rounds down.
func (d Duration) Milliseconds() uint32 { return uint32(time.Duration(d).Milliseconds()) }

// Seconds rounds down.
func (d Duration) Seconds() uint32 { return uint32(time.Duration(d) / time.Second) }

// ParseDuration reads a span of time. Less than a millisecond is nothing that timers here know.
func ParseDuration(s string) (Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, errText("is not a time such as 30s, 1m30s or 500ms")
	case d < 0 || d%time.Millisecond != 0:
		return 0, errText("is not a number of milliseconds from 0 on")
	}
	return Duration(d), nil
}

const (
	ms     = Duration(time.Millisecond)
	second = Duration(time.Second)
	minute = Duration(time.Minute)
	hour   = Duration(time.Hour)
)

// span reports a duration outside lo..hi; 0 is not set and never wrong.
func (v *validator) span(path string, d, lo, hi Duration) {
	if d != 0 && (d < lo || d > hi) {
		v.errs.addf(path, "%s is not from %s to %s", d, lo, hi)
	}
}

// wholeSeconds is span for what counts in seconds.
func (v *validator) wholeSeconds(path string, d, lo, hi Duration) {
	v.span(path, d, lo, hi)
	if d%second != 0 {
		v.errs.addf(path, "%s is not a whole number of seconds", d)
	}
}
