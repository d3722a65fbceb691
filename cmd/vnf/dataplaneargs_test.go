package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace/appliance/sizing"
	"millrace/server/config"
)

func TestSized(t *testing.T) {
	s := &sizing.Sizing{
		VCPUs: 4, Hugepages2M: 512, Workers: 3, CPUs: []int{0, 1, 2, 3}, DataplaneMemoryMiB: 900, IPv4Routes: 200000, IPv6Routes: 50000, IPv4TBL8: 20000,
		IPv6TBL8: 60000, NextHops: 4096, Groups: 8192, Mbufs: 20000, MbufSize: 2176,
	}
	no := false
	for name, c := range map[string]struct {
		leaves config.Dataplane
		sizing *sizing.Sizing
		want   string
	}{
		"the sizing": {want: "--workers 3 --cpus 0,1,2,3 --memory 900 --mbufs 20000 --mbuf-size 2176 --ip4-routes 200000 --ip6-routes 50000 " +
			"--ip4-tbl8 20000 --ip6-tbl8 60000 --next-hops 4096 --groups 8192 --exception-netns millrace"},
		"leaves go first": {
			leaves: config.Dataplane{Workers: 1, Memory: 500, IPv4Routes: 1024, Hugepages: &no, Poll: true},
			want: "--workers 1 --cpus 0,1 --no-huge --memory 500 --mbufs 20000 --mbuf-size 2176 --ip4-routes 1024 --ip6-routes 50000 " +
				"--ip4-tbl8 20000 --ip6-tbl8 60000 --next-hops 4096 --groups 8192 --exception-netns millrace --poll",
		},
		"more workers than CPUs": {leaves: config.Dataplane{Workers: 4}, sizing: &sizing.Sizing{VCPUs: 4, CPUs: []int{0, 1}, Workers: 1}, want: "--workers 4 --no-huge --exception-netns millrace"},
		"CPUs without workers":   {leaves: config.Dataplane{CPUs: []uint32{5, 7}}, sizing: &sizing.Sizing{VCPUs: 4, CPUs: []int{0, 1, 2}, Workers: 2}, want: "--workers 1 --cpus 5,7 --no-huge --exception-netns millrace"},
		"no exception path":      {leaves: config.Dataplane{ExceptionNetns: "none"}, sizing: &sizing.Sizing{VCPUs: 1}, want: "--no-huge --no-exception"},
	} {
		if c.sizing == nil {
			c.sizing = s
		}
		if err := c.sizing.Validate(); err != nil {
			t.Fatal(err)
		}
		leaves := c.leaves.CPUs
		got := dataplaneArgs(&config.System{Dataplane: sized(c.leaves, c.sizing)}, "")
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, " "), c.want)
		}
		if !slices.Equal(leaves, c.leaves.CPUs) {
			t.Errorf("%s: the configuration is changed", name)
		}
	}
}

// split takes a text apart as systemd does with a variable that is a word of a command line by itself.
func split(text string) (words []string) {
	var word strings.Builder
	quote, in := rune(0), false
	escaped := false
	for _, c := range text {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\':
			escaped, in = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, in = c, true
		case quote == 0 && strings.ContainsRune(" \t\n\r", c):
			if in {
				words = append(words, word.String())
			}
			word.Reset()
			in = false
		default:
			word.WriteRune(c)
			in = true
		}
	}
	if in {
		words = append(words, word.String())
	}
	return words
}

func TestJoinArgs(t *testing.T) {
	args := []string{"--eal", `--vdev=net_x,a=b -d "it's" $HOME \x`, "", "--poll", "\t", "'"}
	if got := split(joinArgs(args)); !slices.Equal(got, args) {
		t.Errorf("%q came out as %q", args, got)
	}
}

func TestUnitArgs(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "vnf.yaml")
	const text = "system:\n  dataplane: {workers: 1, hugepages: false, exception-netns: other, eal: \"-d $x `a`\"}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := common{config: file, stateDir: filepath.Join(dir, "state"), runtimeDir: "/run/millrace"}
	log := slog.New(slog.DiscardHandler)
	got := strings.Join(unitArgs(log, c, filepath.Join(dir, "none")), " ")
	if want := "--file-prefix millrace --workers 1 --no-huge --exception-netns millrace --eal -d $x `a`"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	out := filepath.Join(dir, "dataplane.env")
	cmd := newDataplaneArgs()
	cmd.SetArgs([]string{"--config", file, "--state-dir", c.stateDir, "--sizing", filepath.Join(dir, "none"), "--output", out})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if want := "VNF_DATAPLANE_ARGS=\"--file-prefix millrace --workers 1 --no-huge --exception-netns millrace --eal \\\"-d \\$x \\`a\\`\\\"\"\n"; !strings.HasSuffix(string(b), want) {
		t.Errorf("%s\nwant\n%s", b, want)
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if len(left) != 0 {
		t.Errorf("left behind: %s", left)
	}
	if _, err := os.Stat(c.stateDir); err == nil {
		t.Error("the state directory was made")
	}
}

// What cannot be read keeps nothing from being started.
func TestUnitArgsOfBadFiles(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("system: {hostname: [}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := common{config: bad, stateDir: filepath.Join(dir, "state"), runtimeDir: "/run/millrace"}
	got := strings.Join(unitArgs(slog.New(slog.DiscardHandler), c, bad), " ")
	if !strings.HasSuffix(got, "--exception-netns millrace") || strings.Contains(got, "--workers") {
		t.Error(got)
	}
}

func TestAddressed(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		d          config.Dataplane
		mode, want string
	}{
		{config.Dataplane{Hugepages: &yes}, "pa", "--iova-mode=pa"},
		{config.Dataplane{Hugepages: &yes, EAL: "-n 4"}, "va", "-n 4 --iova-mode=va"},
		{config.Dataplane{Hugepages: &yes, EAL: "--iova-mode=va"}, "pa", "--iova-mode=va"},
		{config.Dataplane{Hugepages: &yes}, "", ""},
		{config.Dataplane{Hugepages: &no}, "pa", ""}, // there are only virtual addresses
	} {
		if got := addressed(c.d, c.mode).EAL; got != c.want {
			t.Errorf("%+v %s: %s, want %s", c.d, c.mode, got, c.want)
		}
	}
}
