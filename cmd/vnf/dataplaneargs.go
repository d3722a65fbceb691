package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"millrace/appliance/nic"
	"millrace/appliance/sizing"
	"millrace/control"
	"millrace/server/config"
)

// The unit millrace-netns makes this namespace, and vnf.service is started in it.
const unitNetns = "millrace"

// dataplaneEnv is the variable with the arguments in the file that `vnf dataplane-args` writes.
const dataplaneEnv = "VNF_DATAPLANE_ARGS"

func newDataplaneArgs() *cobra.Command {
	var c common
	var output, sizingFile string
	cmd := &cobra.Command{
		Use:   "dataplane-args",
		Short: "Tell the arguments of vnf-dataplane, for the systemd unit that starts it",
		Long: "Make the arguments of vnf-dataplane of what the configuration says, and where it says nothing of how the machine was sized at\n" +
			"boot. With --output they go into a file in the manner of systemd (EnvironmentFile=), as the variable " + dataplaneEnv + ". A\n" +
			"configuration or a sizing that cannot be read is told of and left out: the data plane is to start all the same.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, _, err := c.logger(os.Stderr)
			if err != nil {
				return err
			}
			args := unitArgs(log, c, sizingFile)
			if output == "" {
				fmt.Fprintln(cmd.OutOrStdout(), joinArgs(args))
				return nil
			}
			return writeEnv(output, dataplaneEnv, joinArgs(args))
		},
	}
	c.add(cmd)
	f := cmd.Flags()
	f.Lookup("config").DefValue = "/etc/millrace/startup.yaml"
	c.config = "/etc/millrace/startup.yaml"
	f.StringVar(&output, "output", "", "file to write (default: standard output)")
	f.StringVar(&sizingFile, "sizing", sizing.Path, "file that says how the machine was sized")
	return cmd
}

// unitArgs is the command line of vnf-dataplane as a unit, without its socket.
func unitArgs(log *slog.Logger, c common, sizingFile string) []string {
	cfg := new(config.Config)
	if _, err := os.Stat(c.config); errors.Is(err, fs.ErrNotExist) {
		c.config = ""
	}
	if got, err := control.PreviewConfig(c.config, c.stateDir); err != nil {
		log.Error("the configuration cannot be read: the data plane starts without it", "error", err)
	} else {
		cfg = got
	}
	s, err := sizing.Load(sizingFile)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			log.Error("the machine's sizing is left out", "error", err)
		}
		s = new(sizing.Sizing)
	}
	system := cfg.System
	system.Dataplane = sized(system.Dataplane, s)
	if nics, err := nic.Load(c.runtimeDir); err != nil {
		log.Error("how the NICs are bound is left out", "error", err)
	} else {
		system.Dataplane = addressed(system.Dataplane, nics.IOVAMode)
	}
	if n := system.Netns(); n != unitNetns && n != "none" {
		log.Warn("the units are made for one network namespace: the configured one is not used", "configured", n, "used", unitNetns)
		system.Dataplane.ExceptionNetns = ""
	}
	return append([]string{"--file-prefix", filePrefix(c.runtimeDir)}, dataplaneArgs(&system, c.logLevel)...)
}

// sized fills in what the configuration leaves open.
func sized(d config.Dataplane, s *sizing.Sizing) config.Dataplane {
	def := func(v *uint32, of uint32) {
		if *v == 0 {
			*v = of
		}
	}
	if len(d.CPUs) > 0 {
		def(&d.Workers, uint32(len(d.CPUs)-1))
	}
	def(&d.Workers, uint32(s.Workers))
	// CPUs for fewer workers than there are no use.
	if want := int(max(1, d.Workers)) + 1; len(d.CPUs) == 0 && len(s.CPUs) >= want {
		for _, c := range s.CPUs[:want] {
			d.CPUs = append(d.CPUs, uint32(c))
		}
	}
	if d.Hugepages == nil && s.VCPUs > 0 {
		huge := s.Hugepages2M > 0
		d.Hugepages = &huge
	}
	def(&d.Memory, uint32(s.DataplaneMemoryMiB))
	def(&d.Mbufs, s.Mbufs)
	def(&d.MbufSize, s.MbufSize)
	def(&d.IPv4Routes, s.IPv4Routes)
	def(&d.IPv6Routes, s.IPv6Routes)
	def(&d.IPv4TBL8, s.IPv4TBL8)
	def(&d.IPv6TBL8, s.IPv6TBL8)
	def(&d.NextHops, s.NextHops)
	def(&d.Groups, s.Groups)
	return d
}

// addressed has DPDK address memory as the NICs want it, unless the configuration says how.
func addressed(d config.Dataplane, mode string) config.Dataplane {
	if mode != "" && useHugepages(&d) && !strings.Contains(d.EAL, "--iova-mode") {
		d.EAL = strings.TrimSpace(d.EAL + " --iova-mode=" + mode)
	}
	return d
}

// joinArgs makes one text of arguments, which systemd takes apart again at blanks and quotes (systemd.service(5), "Command lines").
func joinArgs(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		if words[i] = a; a == "" || strings.ContainsAny(a, " \t\r'\"\\") {
			words[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a) + `"`
		}
	}
	return strings.Join(words, " ")
}

// writeEnv writes a file of one variable (systemd.exec(5), EnvironmentFile=), whole or not at all.
func writeEnv(path, name, value string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(value)
	_, err = fmt.Fprintf(f, "# Made by vnf dataplane-args at each start of the data plane.\n%s=\"%s\"\n", name, quoted)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	return nil
}

// dataplaneArgs is what the configuration says of the command line of vnf-dataplane. A level of the log that is not empty takes precedence.
func dataplaneArgs(system *config.System, level string) []string {
	d := &system.Dataplane
	var args []string
	num := func(name string, v uint32) {
		if v != 0 {
			args = append(args, "--"+name, strconv.FormatUint(uint64(v), 10))
		}
	}
	num("workers", d.Workers)
	if len(d.CPUs) > 0 {
		list := make([]string, len(d.CPUs))
		for i, c := range d.CPUs {
			list[i] = strconv.FormatUint(uint64(c), 10)
		}
		args = append(args, "--cpus", strings.Join(list, ","))
	}
	if !useHugepages(d) {
		args = append(args, "--no-huge")
	}
	num("memory", d.Memory)
	num("mbufs", d.Mbufs)
	num("mbuf-size", d.MbufSize)
	num("ip4-routes", d.IPv4Routes)
	num("ip6-routes", d.IPv6Routes)
	num("ip4-tbl8", d.IPv4TBL8)
	num("ip6-tbl8", d.IPv6TBL8)
	num("next-hops", d.NextHops)
	num("groups", d.Groups)
	if n := system.Netns(); n == "none" {
		args = append(args, "--no-exception")
	} else {
		args = append(args, "--exception-netns", n)
	}
	if level == "" {
		level = string(system.LogLevel)
	}
	if level != "" {
		args = append(args, "--log-level", level)
	}
	if d.Poll {
		args = append(args, "--poll")
	}
	if d.EAL != "" {
		args = append(args, "--eal", d.EAL)
	}
	return args
}
