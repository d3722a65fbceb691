#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build.sh PACKAGES OUTPUT: makes OUTPUT, an OCI archive of the packages in the folder PACKAGES and the libraries they need: no systemd, no apt, no compiler.
# Needs root, for the owners of files; neither a daemon nor a container.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
packages=$(cd "$1" && pwd)
mkdir -p "$(dirname "$2")"
output=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 1; }
export LC_ALL=C.UTF-8 TZ=UTC
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

deb() { ls "$packages/millrace-$1"_*.deb; }
version=$(dpkg-deb -f "$(deb vnf)" Version)

# What the data plane depends on, but for what is there for units; a shell and its tools, for who looks into a running container.
include=$(dpkg-deb -f "$(deb dataplane)" Depends | tr ',' '\n' | sed -e 's/([^)]*)//' -e 's/ //g' -e '/^systemd$/d' -e '/^iproute2$/d' | paste -sd,),base-files,busybox
[ -n "$(apt-get indextargets 'Created-By: Packages')" ] || apt-get -qq update
# shellcheck disable=SC2016
apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' | sort -u >"$work/sources"
# Packages are unpacked, and none of their scripts is run. Each is noted where scanners look for it.
cat >"$work/note" <<'EOF'
#!/bin/sh
set -eu
mkdir -p "$1/var/lib/dpkg/status.d"
for deb in "$1"/var/cache/apt/archives/*.deb; do
    name=$(dpkg-deb -f "$deb" Package)
    { dpkg-deb -f "$deb" | sed '1,/^Package:/s/^\(Package: .*\)/\1\nStatus: install ok installed/'; echo; } >"$1/var/lib/dpkg/status.d/$name"
done
EOF
chmod +x "$work/note"
nice mmdebstrap --quiet --mode=root --format=directory --variant=extract --include="$include" --aptopt='Apt::Install-Recommends "false"' \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --customize-hook="$work/note" \
    '' "$work/base" "$work/sources" >"$work/log" 2>&1 || { sed -E 's#(https?://)[^/ ]+#\1…#g' "$work/log" >&2; exit 1; }

base=$work/base
for tool in sh true false ls cat ps ip ping vi less grep sed tail head mkdir cp mv rm ln chmod kill env id wget hostname mount umount sleep df du top; do
    [ -e "$base/usr/bin/$tool" ] || ln -s busybox "$base/usr/bin/$tool"
done
ldconfig -r "$base" 2>/dev/null
echo 'root:x:0:0:root:/root:/bin/sh' >"$base/etc/passwd"
echo 'root:x:0:' >"$base/etc/group"
# What only packages' scripts, people at a desk and builders read, and what says where the packages came from.
rm -rf "$base"/etc/apt "$base"/etc/resolv.conf "$base"/etc/hostname "$base"/var/cache/* "$base"/var/log/* "$base"/var/lib/apt "${base:?}"/dev "$base"/usr/share/man \
    "$base"/usr/share/info "$base"/usr/share/locale "$base"/usr/share/lintian "$base"/usr/share/bug "$base"/etc/machine-id "$base"/var/lib/dpkg/available
find "$base/usr/share/doc" -type f ! -name copyright -delete
find "$base/usr/share/doc" -type l -delete
find "$base/usr/share/doc" -type d -empty -delete
mkdir -p "$base/dev" "$base/proc" "$base/sys" "$base/run" "$base/tmp" "$base/root"
chmod 1777 "$base/tmp"

ours=$work/ours
mkdir "$ours"
for part in dataplane vnf vnfctl; do
    dpkg-deb -x "$(deb $part)" "$ours"
done
rm -rf "$ours"/usr/lib/systemd "$ours"/usr/lib/sysusers.d "$ours"/usr/lib/tmpfiles.d "$ours"/usr/share/man "$ours"/usr/share/bash-completion "$ours"/usr/share/zsh \
    "$ours"/usr/share/fish "$ours"/usr/share/lintian "$ours"/usr/share/doc/*/changelog.gz
mkdir -p "$ours/etc/millrace" "$ours/var/lib/millrace" "$ours/run/millrace" "$ours/run/netns"
cp "$here/startup.yaml" "$ours/etc/millrace/startup.yaml"
for part in dataplane vnf vnfctl; do
    mkdir -p "$ours/var/lib/dpkg/status.d"
    { dpkg-deb -f "$(deb $part)" | sed '1s/$/\nStatus: install ok installed/'; echo; } >"$ours/var/lib/dpkg/status.d/millrace-$part"
done

python3 "$here/archive.py" --version "$version" --revision "$(git -C "$top" rev-parse HEAD)" --time "$SOURCE_DATE_EPOCH" --output "$output" "$base" "$ours"
