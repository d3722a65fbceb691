#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# test.sh PACKAGES CACHE: installs, runs, upgrades, removes and purges the packages of the folder PACKAGES on a Debian 12 of its own, which is booted in a
# namespace container, with two hosts that ping through it.
#   CACHE  folder where that Debian is kept for the next time
# Needs root. Everything is in namespaces made here, or on a tmpfs of them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
packages=$(cd "$1" && pwd)
mkdir -p "$2"
cache=$(cd "$2" && pwd)
[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 1; }
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive PATH=$PATH:/usr/sbin:/sbin

# --- a Debian with what the packages depend on, and nothing of ours ---
depends=$(for deb in "$packages"/millrace-*.deb; do dpkg-deb -f "$deb" Depends; done | tr ',' '\n' | sed -e 's/([^)]*)//' -e 's/ //g' -e '/^millrace-/d' -e '/^$/d' | sort -u | paste -sd,)
include=$depends,systemd-sysv,dbus,init-system-helpers,iputils-ping
base=$cache/base-$(sha256sum <<<"$include" | cut -c1-16).tar
if [ ! -f "$base" ]; then
    sources=$(mktemp)
    [ -n "$(apt-get indextargets 'Created-By: Packages')" ] || apt-get -qq update
    # shellcheck disable=SC2016
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' | sort -u >"$sources"
    nice mmdebstrap --quiet --mode=root --format=tar --variant=minbase --include="$include" --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        --dpkgopt='path-exclude=/usr/share/man/*' --aptopt='Apt::Install-Recommends "false"' '' "$base.new" "$sources" >"$cache/mmdebstrap.log" 2>&1 ||
        { sed -E 's#(https?://)[^/ ]+#\1…#g' "$cache/mmdebstrap.log" >&2; exit 1; }
    rm "$sources"
    mv "$base.new" "$base"
fi

# --- a mount namespace of our own takes everything away with it ---
if [ -z "${MILLRACE_TEST_WORK:-}" ]; then
    MILLRACE_TEST_WORK=$(mktemp -d)
    export MILLRACE_TEST_WORK
    status=0
    # shellcheck disable=SC2016
    unshare --mount --propagation private bash -c 'mount -t tmpfs -o mode=755 millrace-test "$MILLRACE_TEST_WORK" && exec "$@"' bash "$0" "$packages" "$cache" || status=$?
    rmdir "$MILLRACE_TEST_WORK"
    exit $status
fi
work=$MILLRACE_TEST_WORK
root=$work/root
spawn=
left=mrp$$-left right=mrp$$-right outside=mrp$$-out
passed=0 failed=0

finish() {
    set +e
    if [ -n "$spawn" ]; then
        kill "$spawn" 2>/dev/null
        for _ in $(seq 100); do kill -0 "$spawn" 2>/dev/null || break; sleep 0.2; done
        kill -KILL "$spawn" 2>/dev/null
        wait "$spawn" 2>/dev/null
    fi
    for ns in $left $right $outside; do ip netns del "$ns" 2>/dev/null; done
    cd /
}
trap finish EXIT

# check NAME COMMAND...: a test.
check() {
    local name=$1
    shift
    if "$@" >"$work/check.log" 2>&1; then
        echo "ok      $name"
        passed=$((passed + 1))
    else
        echo "FAILED  $name: $*"
        tail -n 40 "$work/check.log" | sed 's/^/        /'
        failed=$((failed + 1))
    fi
}
# fails COMMAND...: that it fails.
fails() { ! "$@"; }
# prints TEXT COMMAND...: that it prints it.
prints() {
    local text=$1 got
    shift
    got=$("$@" 2>&1) || true
    echo "$got"
    grep -qF -- "$text" <<<"$got"
}
# until_so SECONDS COMMAND...: that it is so in the end.
until_so() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || { "$@"; return; }
        sleep 0.2
    done
}
fresh() {
    rm -rf --one-file-system "$root"
    mkdir "$root"
    tar -C "$root" -xf "$base"
    : >"$root/etc/machine-id"
    rm -f "$root/etc/resolv.conf" "$root/etc/hostname"
    echo appliance >"$root/etc/hostname"
    mkdir "$root/debs"
    cp "$packages"/*.deb "$root/debs/"
}
# files: all that is in the root, but for what apt and dpkg themselves write.
files() {
    (cd "$root" && find . -xdev \( -path ./debs -o -path ./proc -o -path ./sys -o -path ./dev -o -path ./run -o -path ./tmp -o -path ./var/log -o -path ./var/cache \
        -o -path ./var/lib/apt -o -path ./var/lib/dpkg -o -path './etc/*-' -o -path ./var/lib/systemd/random-seed -o -path './var/lib/systemd/catalog*' \
        -o -path ./var/lib/systemd/timers -o -path ./var/lib/private -o -path './etc/.pwd.lock' -o -path ./root -o -path ./var/lib/systemd/deb-systemd-helper-enabled \
        -o -path ./var/lib/systemd/deb-systemd-helper-masked -o -path ./etc/machine-id -o -path ./var/tmp -o -path './var/lib/systemd/coredump' \
        -o -path ./etc/mtab \) -prune -o -printf '%p %y %m %u %g\n' | sort)
    sort "$root/etc/passwd" "$root/etc/group"
}
# inside COMMAND...: in the root, not booted.
# shellcheck disable=SC2016
inside() {
    unshare --mount --pid --fork --uts bash -c 'mount -t proc proc "$0/proc" && mount -t sysfs -o ro sys "$0/sys" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"' "$root" "$@"
}

# --- installed in a root that is not running, as an image is built ---
fresh
files >"$work/before"
check "install all four with apt" inside sh -c 'apt-get install -y /debs/*.deb'
content() { [ -z "$(inside dpkg --audit)" ]; }
check "dpkg is content" content
check "no dependency is missing" inside apt-get check
for program in vnf vnf-dataplane vnfctl; do
    check "$program is there and runs" inside "/usr/bin/$program" --help
done
check "vnf version" prints "vnf " inside vnf version
check "vnf-dataplane --version" prints "DPDK 22.11" inside vnf-dataplane --version
check "vnfctl version" inside vnfctl version
check "drivers of DPDK: virtio" inside sh -c 'ls /usr/lib/*/dpdk/pmds-*/librte_net_virtio.so*'
check "user millrace is locked, with its group" prints ":/var/lib/millrace:/usr/sbin/nologin" inside getent passwd millrace
owned() { [ "$(inside stat -c '%U:%G %a %F' "$1")" = "$2" ] || { inside stat -c '%U:%G %a %F' "$1"; return 1; }; }
check "/etc/millrace" owned /etc/millrace "root:millrace 750 directory"
check "startup.yaml" owned /etc/millrace/startup.yaml "root:millrace 640 regular file"
check "/var/lib/millrace" owned /var/lib/millrace "millrace:millrace 750 directory"
check "/run/millrace" owned /run/millrace "root:millrace 1770 directory"
check "programs belong to root" owned /usr/bin/vnf "root:root 755 regular file"
for unit in vnf.service vnf.socket vnf-agent.socket vnf-dataplane.service millrace-netns.service vnf-mgmt.service vnf-boot.service vnf-console.service; do
    check "$unit is enabled" prints enabled systemctl --root "$root" is-enabled "$unit"
done
mapfile -t units < <(cd "$root/usr/lib/systemd/system" && ls millrace* vnf*)
check "systemd-analyze verify" inside systemd-analyze verify "${units[@]}"
check "installing again changes nothing" inside sh -c 'cp -p /etc/millrace/startup.yaml /tmp/s && apt-get install -y --reinstall /debs/*.deb && cmp /tmp/s /etc/millrace/startup.yaml'
check "remove keeps configuration" inside sh -c 'apt-get remove -y "millrace-*" && test -e /etc/millrace/startup.yaml && test -d /var/lib/millrace && ! test -e /usr/bin/vnf'
check "purge" inside apt-get purge -y millrace-dataplane millrace-vnf millrace-vnfctl millrace-appliance
files >"$work/after"
check "purge leaves nothing" diff "$work/before" "$work/after"
check "purge leaves no state of units" fails sh -c "find $root/var/lib/systemd $root/etc/systemd | grep -e vnf -e millrace"

# --- installed in a running system ---
fresh
mkdir "$root/etc/millrace"
cat >"$root/etc/millrace/startup.yaml" <<'EOF'
system:
  dataplane: {ipv4-routes: 65536, ipv6-routes: 16384, hugepages: false}
interfaces:
  - {name: wan, type: port, iface: p1, addresses: [10.0.1.1/24]}
  - {name: lan, type: port, iface: p2, addresses: [10.0.2.1/24]}
EOF
systemd-nspawn --quiet --register=no --keep-unit --directory="$root" --private-network --capability=all --bind=/dev/net/tun --bind-ro=/sys/module \
    --system-call-filter='bpf keyctl add_key' --console=pipe --boot systemd.unified_cgroup_hierarchy=1 \
    </dev/null >"$work/boot.log" 2>&1 &
spawn=$!
until_so 60 pgrep -P "$spawn" -x systemd >/dev/null || { cat "$work/boot.log"; exit 1; }
leader=$(pgrep -P "$spawn" -x systemd)
# on COMMAND...: in the booted system.
on() { nsenter -t "$leader" --mount --uts --ipc --net --pid --cgroup --root --wd env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"; }
booted() { case $(on systemctl is-system-running 2>/dev/null) in running | degraded) ;; *) false ;; esac; }
until_so 120 booted || { cat "$work/boot.log"; exit 1; }

for ns in $left $right $outside; do ip netns add "$ns"; ip -n "$ns" link set lo up; done
ip link add p1 netns "$leader" type veth peer name eth0 netns "$left"
ip link add p2 netns "$leader" type veth peer name eth0 netns "$right"
ip link add management netns "$leader" type veth peer name eth0 netns "$outside"
ip -n "$left" address add 10.0.1.2/24 dev eth0
ip -n "$right" address add 10.0.2.2/24 dev eth0
ip -n "$outside" address add 192.0.2.2/24 dev eth0
for ns in $left $right $outside; do ip -n "$ns" link set eth0 up; ip netns exec "$ns" ethtool -K eth0 tx off gro off >/dev/null; done
ip -n "$left" route add default via 10.0.1.1
ip -n "$right" route add default via 10.0.2.1
for port in p1 p2; do on ip link set $port up; nsenter -t "$leader" --net ethtool -K $port tx off gro off >/dev/null; done
on ip address add 192.0.2.1/24 dev management
on ip link set management up

pid() { on systemctl show --value -p MainPID "$1"; }
active() { on systemctl --quiet is-active "$1"; }
reaches() { ip netns exec "$left" ping -c 1 -W 1 10.0.2.2 >/dev/null; }
# vnf is done with what the configuration says when it has reported ready, and answers.
serves() { on vnfctl --address unix:/run/millrace/vnf.sock health; }
states() {
    on systemctl --no-pager --full status vnf-dataplane vnf vnf.socket millrace-netns || true
    on journalctl --no-pager -n 60 -u vnf-dataplane -u vnf -u vnf-agent || true
}

check "install in a running system" on sh -c 'apt-get install -y /debs/millrace-dataplane_*.deb /debs/millrace-vnf_*.deb /debs/millrace-vnfctl_*.deb'
for unit in millrace-netns.service vnf-dataplane.service vnf.socket vnf-agent.socket vnf.service; do
    check "$unit is running" until_so 60 active "$unit"
done
check "the configuration that was there is kept" on grep -q 'name: wan' /etc/millrace/startup.yaml
check "vnf serves" until_so 60 serves
check "packets pass" until_so 30 reaches
if [ "$failed" != 0 ]; then
    states
    echo "$passed passed, $failed failed"
    exit 1
fi
check "vnf is not root" prints millrace on ps -o user= -p "$(pid vnf)"
check "the exception path has its TAPs" on ip -n millrace link show wan
check "gRPC from outside, by the certificates of the first start" sh -c "cp -r $root/var/lib/millrace/pki $work/pki &&
    ip netns exec $outside $root/usr/bin/vnfctl --address 192.0.2.1:9339 --server-name appliance --tls-dir $work/pki interface list"
check "gRPC from outside without a certificate is refused" fails ip netns exec "$outside" "$root/usr/bin/vnfctl" --address 192.0.2.1:9339 --tls-dir /nonexistent interface list
check "a change, committed" on vnfctl --address unix:/run/millrace/vnf.sock route add 198.51.100.0/24 --via 10.0.2.2
routed() { on vnfctl --address unix:/run/millrace/vnf.sock route lookup 198.51.100.7 | grep -q 10.0.2.2; }
check "it is in force" until_so 20 routed

# --- upgraded, one after the other, with packets passing ---
version=$(dpkg-deb -f "$packages"/millrace-vnf_*.deb Version)
mkdir -p "$work/newer"
WORK=$packages/work NO_BUILD=1 VERSION=$version+1 PACKAGES="millrace-dataplane millrace-vnf millrace-vnfctl" "$here/build.sh" "$work/newer" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
cp "$work"/newer/*.deb "$root/debs/"
dataplane=$(pid vnf-dataplane) vnf=$(pid vnf)
# During the upgrade, 100 packets a second for 15 seconds; what is lost, is counted by fping. A packet is late, not lost, on a machine that has much to do.
ip netns exec "$left" fping --quiet --period=10 --timeout=5000 --count=1500 10.0.2.2 >"$work/fping" 2>&1 &
pinger=$!
check "upgrade millrace-vnf" on sh -c "dpkg -i /debs/millrace-vnf_$version+1_amd64.deb"
check "vnf serves again" until_so 60 serves
check "it took less than that" kill -0 $pinger
wait $pinger || true
grep xmt "$work/fping" | sed 's/^/        /'

check "no packet was lost meanwhile" grep -q '%loss = [0-9]*/[0-9]*/0%' "$work/fping"
check "it is another vnf" [ "$(pid vnf)" != "$vnf" ]
check "it is the same data plane" [ "$(pid vnf-dataplane)" = "$dataplane" ]
check "configuration is kept" on grep -q 'name: wan' /etc/millrace/startup.yaml
check "what was committed is kept" until_so 20 routed
vnf=$(pid vnf)
check "upgrade millrace-dataplane says what goes on" prints "goes on, as it was, until" on sh -c "dpkg -i /debs/millrace-dataplane_$version+1_amd64.deb"
check "the data plane is the same" [ "$(pid vnf-dataplane)" = "$dataplane" ]
check "only one data plane runs" [ "$(on pgrep -c -x vnf-dataplane)" = 1 ]
check "packets pass on" reaches
check "restart the data plane" on systemctl restart vnf-dataplane
check "it is another one" [ "$(pid vnf-dataplane)" != "$dataplane" ]
check "packets pass again" until_so 60 reaches
check "vnf is the same" [ "$(pid vnf)" = "$vnf" ]
check "what was committed is in force" until_so 20 routed
check "upgrade millrace-vnfctl" on sh -c "dpkg -i /debs/millrace-vnfctl_$version+1_amd64.deb"

# --- what the administrator decided stays so ---
check "disable and stop vnf, install again" on sh -c "systemctl disable --now vnf.service && dpkg -i /debs/millrace-vnf_${version}_amd64.deb"
check "vnf is still disabled" prints disabled on systemctl is-enabled vnf.service
check "and not running" fails active vnf.service
check "packets pass without vnf" reaches

# --- removed ---
check "remove" on apt-get remove -y millrace-vnf millrace-dataplane millrace-vnfctl
check "nothing of it runs" fails on pgrep -x 'vnf|vnf-dataplane'
check "configuration and state are kept" on sh -c 'test -s /etc/millrace/startup.yaml && test -d /var/lib/millrace/pki'
check "purge" on apt-get purge -y millrace-vnf millrace-dataplane millrace-vnfctl
check "nothing is left" on sh -c '! ls -d /etc/millrace /var/lib/millrace /run/millrace* /run/netns/millrace 2>/dev/null'
check "nor an account" fails on getent passwd millrace
check "nor a group" fails on getent group millrace

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
