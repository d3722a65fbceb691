//go:build race

package gnmiserver

// raceEnabled makes tests of many values smaller.
const raceEnabled = true
