#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs packetdrill scripts against the TCP engine:
#   packetdrill.sh SHARED-OBJECT BINARY SCRIPTS [PATTERN...]
# SCRIPTS is the folder gtests/net/tcp of a checkout, PATTERN (all) selects by regular expression on
# folder/script. IP_VERSIONS (ipv4 ipv6 ipv4-mapped) selects the variants, JOBS (2) how many run at
# once, LIMIT (60) the seconds each may take. OUT (a temporary folder) keeps every script's output.
# One line per script, then a summary by folder. Fails if a script did.
set -eu -o pipefail

# Scripts change sysctls, interfaces and routes. Each runs in a network namespace of its own, where
# sysctls do no harm and the shared object reads them; there is no interface, so commands that would
# change one note what they were asked for.
stand_ins() {
	cat >"$1/sysctl" <<'EOF'
#!/bin/sh
/sbin/sysctl "$@" 2>/dev/null || :
EOF
	cat >"$1/ip" <<'EOF'
#!/bin/sh
case "$*" in
"route change "* | "route replace "* | "route add "* | "-6 route change "*)
	while [ $# -gt 0 ]; do
		case "$1" in
		mtu) [ "$2" = lock ] && shift; echo "mtu $2" >>"$MILLRACE_PACKETDRILL_WORLD" ;;
		advmss) echo "advmss $2" >>"$MILLRACE_PACKETDRILL_WORLD" ;;
		esac
		shift
	done ;;
esac
EOF
	cat >"$1/tc" <<'EOF'
#!/bin/sh
case "$*" in
*" root fq"*) echo "pacing 1" >>"$MILLRACE_PACKETDRILL_WORLD" ;;
*"limit 0"*) echo "blocked 1" >>"$MILLRACE_PACKETDRILL_WORLD" ;;
"qdisc "*) echo "blocked 0" >>"$MILLRACE_PACKETDRILL_WORLD" ;;
esac
EOF
	cat >"$1/ethtool" <<'EOF'
#!/bin/sh
case "$*" in
*"tso off"*) echo "tso 0" >>"$MILLRACE_PACKETDRILL_WORLD" ;;
esac
EOF
	cat >"$1/nstat" <<'EOF'
#!/bin/sh
cat "$MILLRACE_PACKETDRILL_WORLD.nstat" 2>/dev/null || :
EOF
	chmod +x "$1"/*
}

one() {
	local version=$1 script=$2 name work rc=0
	local -a args
	name=${script#"$SCRIPTS"/}
	name=${name%.pkt}
	work=$(mktemp -d "$TMP/run.XXXXXX")
	: >"$work/world"
	case $version in
	ipv6)
		args=(--ip_version=ipv6 --mtu=1520 --local_ip=fd3d:0a0b:17d6::1
			--gateway_ip=fd3d:0a0b:17d6:8888::1 --remote_ip=fd3d:fa7b:d17d::1
			-D CODE=admin_prohibited -D TFO_COOKIE=c1d1e9742a47a9bc -D CMSG_LEVEL_IP=SOL_IPV6
			-D CMSG_TYPE_RECVERR=IPV6_RECVERR --so_flags=mtu=1520)
		;;
	*)
		args=(--ip_version="${version/mapped/mapped-ipv6}" --local_ip=192.168.0.1
			--gateway_ip=192.168.0.1 --netmask_ip=255.255.0.0 --remote_ip=192.0.2.1
			-D TFO_COOKIE=3021b9d889017eeb -D CODE=host_prohibited
			-D CMSG_LEVEL_IP=SOL_IP -D CMSG_TYPE_RECVERR=IP_RECVERR)
		;;
	esac
	# Scripts that name addresses mean these: what the command line says would win.
	if grep -q '^--local_ip' "$script"; then
		local -a kept=()
		local arg
		for arg in "${args[@]}"; do
			case $arg in --local_ip=* | --remote_ip=*) ;; *) kept+=("$arg") ;; esac
		done
		args=("${kept[@]}")
	fi
	cd "$(dirname "$script")"
	MILLRACE_PACKETDRILL_WORLD="$work/world" PATH="$TMP/bin:$PATH" \
		timeout -k 2 "$LIMIT" unshare -n env LD_PRELOAD="$SHARED_OBJECT" \
		"$BINARY" --send_omit_free --so_filename="$SHARED_OBJECT" "${args[@]}" \
		"$(basename "$script")" >"$work/out" 2>&1 </dev/null || rc=$?
	mkdir -p "$OUT/$(dirname "$name")"
	cp "$work/out" "$OUT/$name.$version"
	case $rc in
	0) echo "PASS $version $name" ;;
	124 | 137) echo "TIME $version $name" ;;
	*) echo "FAIL $version $name: $(grep -v '^$' "$work/out" | head -n 1 | sed -E 's/^[^ ]*\.pkt:([0-9]+): /line \1: /' | cut -c1-160)" ;;
	esac
	rm -rf "$work"
}

if [ "$1" = --one ]; then
	one "$2" "$3"
	exit
fi

export SHARED_OBJECT BINARY SCRIPTS LIMIT OUT TMP
SHARED_OBJECT=$(realpath "$1")
BINARY=$(realpath "$2")
SCRIPTS=$(realpath "$3")
shift 3
PATTERN=$(IFS='|'; echo "${*:-.}")
LIMIT=${LIMIT:-60}
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
OUT=${OUT:-$TMP/out}
mkdir -p "$TMP/bin" "$OUT"
OUT=$(realpath "$OUT")
stand_ins "$TMP/bin"

# Names that end in v4 or v6 are for that version only, and so are scripts that name addresses.
list() {
	local script version own
	find "$SCRIPTS" -name '*.pkt' | sort | grep -E "$PATTERN" | while read -r script; do
		own=$(grep -m1 '^--local_ip' "$script" || :)
		for version in ${IP_VERSIONS:-ipv4 ipv6 ipv4-mapped}; do
			case $version:$own:$script in
			ipv6:*v4.pkt | ipv4*:*v6.pkt | ipv6:*=*.*:* | ipv4*:*=*::*:*) ;;
			*) printf '%s\0%s\0' "$version" "$script" ;;
			esac
		done
	done
}

list | xargs -0 -r -n 2 -P "${JOBS:-2}" "$0" --one | tee "$TMP/results"
echo
awk '{ n = split($3, part, "/"); sub(/\/[^\/]*$/, "", $3); all[$3]++; if ($1 == "PASS") ok[$3]++; else bad++; total++ }
	END { for (d in all) printf "%-24s %3d of %3d\n", d, ok[d], all[d] | "sort"; close("sort");
	printf "%-24s %3d of %3d\n", "all", total - bad, total; exit bad > 0 }' "$TMP/results"
