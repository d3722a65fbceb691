package lab

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// UnitUser is the number of the user, and of the group, that the control plane runs as in a box of units. It need not exist.
const UnitUser = 65431

// unitsScript starts the three programs with the privileges that the units give them, and starts again what ends. It is in a UTS
// namespace of its own, and its systemctl only notes what it is asked for, and ends the data plane when that is to be ended.
const unitsScript = `set -u
trap 'kill $(jobs -p) 2>/dev/null; wait; exit 0' TERM INT
again() {
	while :; do
		"$@" & pid=$!
		trap 'kill $pid 2>/dev/null; wait $pid; exit 0' TERM
		wait $pid
		echo "ended: $?"
		sleep 0.3
	done
}
# systemd would make its socket: here the group lets it do that itself.
again setpriv --no-new-privs --bounding-set="$AGENT_CAPS" --groups "$ID" \
	"$VNF" agent --runtime-dir "$DIR/run" --user "$ID" --idle 0 --systemctl "$DIR/systemctl" --hostname-file "$DIR/hostname" &
while [ ! -S "$DIR/run/agent.sock" ]; do sleep 0.1; done
again env RUNTIME_DIRECTORY="$DIR/dpdk" setpriv --no-new-privs --bounding-set="$DATAPLANE_CAPS" --groups "$ID" \
	sh -c "$DATAPLANE_COMMAND" sh "$@" &
again nsenter --net="/run/netns/$INNER" setpriv --reuid "$ID" --regid "$ID" --clear-groups --no-new-privs \
	--bounding-set="$CONTROL_CAPS" --inh-caps="$CONTROL_AMBIENT" --ambient-caps="$CONTROL_AMBIENT" \
	"$VNF" control --config "$DIR/millrace.yaml" --runtime-dir "$DIR/run" --state-dir "$DIR/state" &
while :; do wait; done
`

// dataplaneCommand is the ExecStart of vnf-dataplane.service, with the arguments of the configuration.
const dataplaneCommand = `eval "set -- $("$VNF" dataplane-args --config "$DIR/millrace.yaml" --state-dir "$DIR/none" --sizing "$DIR/none" --runtime-dir "$DIR/run")" "$@"
echo "$*" >"$DIR/dataplane.args"
exec "$DATAPLANE" --socket "$DIR/run/dataplane.sock" --socket-group "$ID" "$@" --exception-netns "$INNER"`

const fakeSystemctl = `#!/bin/sh
echo "$@" >>DIR/systemctl.log
case "$*" in
"kill "*vnf-dataplane.service | "restart "*vnf-dataplane.service) kill "$(cat DIR/dataplane.pid)" ;;
esac
`

// unitCaps reads a set of capabilities from one of our units, as setpriv(1) takes it.
func unitCaps(unit, setting string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	f, err := os.Open(filepath.Join(root, "images", "systemd", unit))
	if err != nil {
		return "", err
	}
	defer f.Close()
	set, found := "-all", false
	s := bufio.NewScanner(f)
	for s.Scan() {
		if caps, ok := strings.CutPrefix(s.Text(), setting+"="); ok {
			found = true
			for _, c := range strings.Fields(caps) {
				set += ",+" + strings.ToLower(strings.TrimPrefix(c, "CAP_"))
			}
		}
	}
	if !found {
		err = fmt.Errorf("%s has no %s", unit, setting)
	}
	return set, errors.Join(err, s.Err())
}

// startUnits starts the appliance as its systemd units do: the control plane as a user without rights in the namespace of the exception
// path, the data plane with a few capabilities, and the agent between them.
func (b *Box) startUnits() (*Proc, error) {
	runDir, state := filepath.Join(b.dir, "run"), filepath.Join(b.dir, "state")
	for path, mode := range map[string]os.FileMode{b.lab.Dir: 0o755, b.dir: 0o755, runDir: 0o770, state: 0o750, filepath.Join(b.dir, "dpdk"): 0o700} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, err
		}
		if err := os.Chmod(path, mode); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(os.Chmod(runDir, 0o770|os.ModeSticky), os.Chown(runDir, 0, UnitUser), os.Chown(state, UnitUser, UnitUser), os.Chown(b.file, 0, UnitUser), os.Chmod(b.file, 0o640)); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"systemctl": strings.ReplaceAll(fakeSystemctl, "DIR", b.dir), "hostname": "\n"} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o755); err != nil {
			return nil, err
		}
	}
	env := []string{"DIR=" + b.dir, "INNER=" + b.Inner.Name, "VNF=" + b.lab.Bin("vnf"), "DATAPLANE=" + b.lab.Bin("vnf-dataplane"), fmt.Sprintf("ID=%d", UnitUser),
		"DATAPLANE_COMMAND=" + "echo $$ >\"$DIR/dataplane.pid\"\n" + dataplaneCommand}
	for name, of := range map[string][2]string{
		"AGENT_CAPS":      {"vnf-agent.service", "CapabilityBoundingSet"},
		"DATAPLANE_CAPS":  {"vnf-dataplane.service", "CapabilityBoundingSet"},
		"CONTROL_CAPS":    {"vnf.service", "CapabilityBoundingSet"},
		"CONTROL_AMBIENT": {"vnf.service", "AmbientCapabilities"},
	} {
		caps, err := unitCaps(of[0], of[1])
		if err != nil {
			return nil, err
		}
		env = append(env, name+"="+caps)
	}
	if _, err := os.Stat("/run/netns/" + b.Inner.Name); err != nil {
		if err := errors.Join(run("ip", "netns", "add", b.Inner.Name), run("ip", "-n", b.Inner.Name, "link", "set", "lo", "up")); err != nil {
			return nil, err
		}
	}
	args := append([]string{"-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, env...)
	args = append(args, "unshare", "--uts", "sh", "-c", unitsScript, "sh", "--file-prefix", b.Inner.Name)
	args = append(args, strings.Fields(b.opt.DataplaneArgs)...)
	return b.NS.Start("env", args...)
}
