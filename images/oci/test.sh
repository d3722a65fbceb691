#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# test.sh ARCHIVE VNFCTL: runs the container of an OCI archive in a pod, that is a network namespace with two ports and a management interface, with hosts on
# each: by runc, with the capabilities and devices that docs/deploy-container.md names and no others, and no network of an engine's.
# Needs root.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
archive=$(realpath "$1")
vnfctl=$(realpath "$2")
[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 1; }
work=$(mktemp -d)
export TMPDIR=$work
pod=mro$$-pod left=mro$$-left right=mro$$-right outside=mro$$-out name=millrace$$
container=
passed=0 failed=0

finish() {
    set +e
    runc --root "$work/runc" delete --force "$name" >/dev/null 2>&1
    [ -z "$container" ] || wait "$container"
    for ns in $pod $left $right $outside; do ip netns del "$ns" 2>/dev/null; done
    rm -rf --one-file-system "$work"
}
trap finish EXIT

check() {
    local what=$1
    shift
    if "$@" >"$work/check" 2>&1; then
        echo "ok      $what"
        passed=$((passed + 1))
    else
        echo "FAILED  $what: $*"
        tail -n 30 "$work/check" | sed 's/^/        /'
        failed=$((failed + 1))
    fi
}
until_so() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || { "$@"; return; }
        sleep 0.3
    done
}
# same N COMMAND...: that it prints so many lines.
same() { [ "$("${@:2}" | wc -l)" = "$1" ]; }
fails() { ! "$@"; }

# --- the pod ---
for ns in $pod $left $right $outside; do ip netns add "$ns"; ip -n "$ns" link set lo up; done
ip link add net1 netns $pod type veth peer name eth0 netns $left
ip link add net2 netns $pod type veth peer name eth0 netns $right
ip link add eth0 netns $pod type veth peer name eth0 netns $outside
ip -n $left address add 10.0.1.2/24 dev eth0
ip -n $left address add 2001:db8:1::2/64 dev eth0 nodad
ip -n $right address add 10.0.2.2/24 dev eth0
ip -n $right address add 2001:db8:2::2/64 dev eth0 nodad
ip -n $outside address add 192.0.2.2/24 dev eth0
ip -n $pod address add 192.0.2.1/24 dev eth0
for ns in $left $right $outside $pod; do ip -n "$ns" link set eth0 up; done
for port in net1 net2; do ip -n $pod link set $port up; ip netns exec $pod ethtool -K $port tx off gro off >/dev/null; done
for ns in $left $right; do ip netns exec "$ns" ethtool -K eth0 tx off gro off >/dev/null; done
ip -n $left route add default via 10.0.1.1
ip -n $right route add default via 10.0.2.1
ip -n $left route add 2001:db8:2::/64 via 2001:db8:1::1
ip -n $right route add 2001:db8:1::/64 via 2001:db8:2::1

# --- the image ---
check "it is an image of OCI" skopeo copy --quiet "oci-archive:$archive" "oci:$work/layout:millrace"
check "it says what it is" sh -c "skopeo inspect --config 'oci:$work/layout:millrace' | grep -q '9339/tcp'"
check "it unpacks" umoci --log error unpack --image "$work/layout:millrace" "$work/bundle"
check "it has no systemd, apt or dpkg" sh -c "! ls $work/bundle/rootfs/usr/bin/apt $work/bundle/rootfs/usr/bin/dpkg $work/bundle/rootfs/lib/systemd/systemd 2>/dev/null"
check "nor says where its packages came from" fails grep -rIq -e '^deb ' -e '^URIs:' "$work/bundle/rootfs/etc"
mkdir "$work/state" "$work/configuration"
python3 "$here/bundle.py" "$work/bundle/config.json" "/run/netns/$pod" "$work/state" "$work/configuration"

start() {
    runc --root "$work/runc" run --bundle "$work/bundle" "$name" >"$work/log" 2>&1 &
    container=$!
    until_so 30 inside sh -c :
}
# stop, as an engine does: SIGTERM, and no more.
stop() {
    runc --root "$work/runc" kill "$name" TERM
    local status=0
    wait "$container" || status=$?
    container=
    runc --root "$work/runc" delete --force "$name" 2>/dev/null || true
    return $status
}
inside() { runc --root "$work/runc" exec "$name" "$@"; }
serves() { inside vnfctl health; }
pings() { ip netns exec $left ping -c 1 -W 1 "$1"; }
manages() { ip netns exec $outside "$vnfctl" --address 192.0.2.1:9339 --server-name router --tls-dir "$work/state/pki" "$@"; }
listens() { ip netns exec $right ss -Htln 'sport = :5001' | grep -q .; }
# transfer: 20 MB by TCP from left to right, whole.
transfer() {
    local got
    got=$(mktemp -p "$work")
    ip netns exec $right timeout 60 ncat --recv-only -l 10.0.2.2 5001 >"$got" &
    local server=$!
    until_so 10 listens
    ip netns exec $left timeout 60 ncat --send-only 10.0.2.2 5001 <"$work/data"
    wait $server
    cmp "$got" "$work/data"
}
head -c 20000000 /dev/urandom >"$work/data"

configure() {
    cat >"$work/configuration/startup.yaml" <<EOF
system:
  dataplane: {hugepages: false, ipv4-routes: 65536, ipv6-routes: 16384}
interfaces:
  - {name: wan, type: port, $1, addresses: [10.0.1.1/24, "2001:db8:1::1/64"]}
  - {name: lan, type: port, $2, addresses: [10.0.2.1/24, "2001:db8:2::1/64"]}
EOF
}

router() {
    check "$1: the container starts" start
    [ "$failed" != 0 ] || check "$1: vnf and its data plane serve" until_so 60 serves
    if [ "$failed" != 0 ]; then
        tail -n 40 "$work/log"
        echo "$passed passed, $failed failed"
        exit 1
    fi
    check "$1: IPv4 passes" until_so 20 pings 10.0.2.2
    check "$1: IPv6 passes" until_so 20 pings 2001:db8:2::2
    check "$1: 20 MB pass by TCP" transfer
    check "$1: gRPC from outside, by the certificates in the volume" manages interface list
    check "$1: and without a certificate, not" fails ip netns exec $outside "$vnfctl" --address 192.0.2.1:9339 --tls-dir "$work" interface list
}

configure "iface: net1" "iface: net2"
router af_packet
exception() { inside busybox nsenter --net=/run/netns/millrace ip address show wan | grep -e 10.0.1.1/24 -e 2001:db8:1::1/64; }
check "the exception path has its TAPs, with their addresses" until_so 10 same 2 exception
check "a change from outside" manages route add 198.51.100.0/24 --via 10.0.2.2
check "it ends when it is told to" stop
check "a new container on the same volume" start
check "serves" until_so 60 serves
check "packets pass again" until_so 20 pings 10.0.2.2
routed() { inside vnfctl route lookup 198.51.100.7 | grep -q 10.0.2.2; }
check "it has the change" until_so 20 routed
check "the certificates are the same" manages interface list
check "it ends again" stop

configure 'iface: net1, driver: af_xdp' 'iface: net2, driver: af_xdp'
router af_xdp

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
