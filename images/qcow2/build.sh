#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the VM image: build.sh OUT [PACKAGES]
#   OUT        folder for millrace.qcow2, millrace.packages, millrace.cdx.json (SBOM) and millrace.SHA256SUMS
#   PACKAGES   folder with our four Debian packages (build/packages)
# Environment:
#   APT_SOURCES   a file in the format of sources.list in place of this machine's own Debian sources, to take the packages of a certain day
#   LOCKED=1      fails if a package has another version than in packages.lock; otherwise that is only said
# Needs root, for the file owners; neither loop devices nor containers. docs/image.md tells how and why.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
out=${1:?usage: build.sh OUT [PACKAGES]}
packages=${2:-$top/build/packages}

die() { echo "images/qcow2: $*" >&2; exit 1; }
say() { printf '%4ds %s\n' "$SECONDS" "$*" >&2; }

[ "$(id -u)" = 0 ] || die "needs root"
ls "$packages"/*.deb >/dev/null 2>&1 || die "no packages in $packages: make packages"

# All work is on a tmpfs of a mount namespace of our own: dpkg syncs thousands of files, which takes three times as long on a disk, and a tmpfs lists folders in the
# order of their making, so that files get the same places in the image again. The namespace takes it away with us, however we end.
if [ -z "${MILLRACE_IMAGE_WORK:-}" ]; then
    mkdir -p "$out"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    # shellcheck disable=SC2016
    MILLRACE_IMAGE_WORK=$work unshare --mount --propagation private bash -c '
        mount -t tmpfs -o mode=755,size=6g millrace-image "$MILLRACE_IMAGE_WORK" || echo "images/qcow2: no tmpfs, goes on on disk" >&2
        exec "$@"' bash "$0" "$out" "$packages"
    exit
fi
work=$MILLRACE_IMAGE_WORK
export TMPDIR=$work/tmp LC_ALL=C.UTF-8 TZ=UTC
mkdir -p "$TMPDIR"

# What would be random or the time of day is made of the commit.
commit=$(git -C "$top" rev-parse HEAD 2>/dev/null || echo unknown)
SOURCE_DATE_EPOCH=$(git -C "$top" log -1 --format=%ct 2>/dev/null || echo 1700000000)
export SOURCE_DATE_EPOCH
version=$(dpkg-deb -f "$(ls "$packages"/millrace-vnf_*.deb)" Version)
say "millrace $version, commit $commit"

# --- packages ---
if [ -n "${APT_SOURCES:-}" ]; then
    cp "$APT_SOURCES" "$work/sources.list"
else
    sources() {
        # shellcheck disable=SC2016
        apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 'Origin: Debian' | sort -u
    }
    # Without apt's lists, as in a fresh container, it knows no origins.
    [ -n "$(sources)" ] || apt-get update -qq
    sources >"$work/sources.list"
    [ -s "$work/sources.list" ] || die "apt has no sources of Debian here; or give APT_SOURCES"
fi
mkdir "$work/ours"
cp "$packages"/*.deb "$work/ours/"
(cd "$work/ours" && dpkg-scanpackages --multiversion . 2>/dev/null >Packages)
echo "deb [trusted=yes] copy:$work/ours ./" >>"$work/sources.list"

# Versions as in the lock where the mirror still has them.
awk '!/^#/ && NF == 2 { printf "Package: %s\nPin: version %s\nPin-Priority: 1001\n\n", $1, $2 }' "$here/packages.lock" >"$work/lock.pref"

include=$(sed 's/#.*//' "$here/packages" | xargs | tr ' ' ,)
include+=,millrace-appliance,millrace-dataplane,millrace-vnf,millrace-vnfctl

# What no virtual machine or server of ours has: two thirds of the kernel's modules. dpkg keeps to it at upgrades in the image too.
modules=()
for m in sound drivers/{bluetooth,comedi,gpu,hwmon,iio,infiniband/ulp,isdn,media,mmc,net/can,net/wireless,parport,platform,staging,thunderbolt,w1} net/{bluetooth,mac80211,nfc,wireless}; do
    modules+=("--dpkgopt=path-exclude=/lib/modules/*/kernel/$m/*")
done

export MILLRACE_HERE=$here MILLRACE_WORK=$work MILLRACE_VERSION=$version MILLRACE_COMMIT=$commit
say "rootfs"
mmdebstrap --quiet --mode=root --format=tar --variant=minbase --include="$include" \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/i18n/*' \
    "${modules[@]}" \
    --dpkgopt='path-exclude=/usr/share/lintian/*' --dpkgopt='path-exclude=/usr/share/bug/*' \
    --aptopt='Apt::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
    --hook-dir="$here/hooks" \
    '' "$work/root.tar" "$work/sources.list" >"$work/mmdebstrap.log" 2>&1 || { sed -E 's#(https?://)[^/ ]+#\1…#g' "$work/mmdebstrap.log" >&2; die "mmdebstrap failed"; }
mkdir "$work/root"
tar -C "$work/root" --numeric-owner --xattrs --xattrs-include='*' -xf "$work/root.tar"
rm "$work/root.tar"

# --- what is in it ---
say "list of packages, SBOM"
dpkg-query --admindir="$work/root/var/lib/dpkg" -W -f '${Package} ${Version}\n' | LC_ALL=C sort >"$work/millrace.packages"
if ! diff <(sed '/^#/d' "$here/packages.lock") <(grep -v '^millrace-' "$work/millrace.packages") >"$work/lock.diff"; then
    echo "images/qcow2: other packages than in packages.lock (make image-lock takes these):" >&2
    cat "$work/lock.diff" >&2
    [ -z "${LOCKED:-}" ] || exit 1
fi
python3 "$here/sbom.py" --root "$work/root" --version "$version" --commit "$commit" \
    --igb-uio "$(cat "$work/igb_uio.version")" --grub "$(dpkg-query -W -f '${Version}' grub-pc-bin)" --output "$work/millrace.cdx.json"

# --- disk ---
say "disk"
"$here/disk.sh" "$work/root" "$work/millrace.raw" "$commit"
say "qcow2"
# zlib, not zstd: Glance, Cinder and every qemu-img that a cloud may have read it.
qemu-img convert -f raw -O qcow2 -c -m 4 "$work/millrace.raw" "$work/millrace.qcow2"

# Beside the old ones first, then renamed: who boots the image meanwhile has the old one whole.
(cd "$work" && sha256sum millrace.qcow2 millrace.packages millrace.cdx.json >millrace.SHA256SUMS)
for f in millrace.packages millrace.cdx.json millrace.qcow2 millrace.SHA256SUMS; do
    cp "$work/$f" "$out/.$f.new"
    mv "$out/.$f.new" "$out/$f"
done
say "$out/millrace.qcow2: $(du -m "$out/millrace.qcow2" | cut -f1) MiB, $(wc -l <"$out/millrace.packages") packages"
