#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Puts the kernel module igb_uio into the root filesystem of the image: igb-uio.sh ROOT. Called by mmdebstrap's hook, with its configuration of apt.
# Debian has the module as a source only (dpdk-kmods-dkms), to be compiled on each machine: that would bring a compiler into the image. Here it is compiled by this
# machine's compiler, against the headers of the kernel that ROOT holds, none of which get into the image.
set -euo pipefail
root=$1
work=$MILLRACE_WORK/igb-uio
kernel=$(basename "$(ls -d "$root"/lib/modules/*)")
version=$(dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${Version}' "linux-image-$kernel")
series=$(cut -d. -f1,2 <<<"$kernel")
# 6.1.0-56-amd64 and 6.1.0-56-cloud-amd64 have the same common headers, of 6.1.0-56.
common=$(cut -d- -f1,2 <<<"$kernel")

mkdir -p "$work/debs" "$work/tree"
(cd "$work/debs" && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -qq -o APT::Sandbox::User=root download \
    "linux-headers-$kernel=$version" "linux-headers-$common-common=$version" "linux-kbuild-$series=$version" \
    "linux-compiler-gcc-12-x86=$version" dpdk-kmods-dkms)
for deb in "$work"/debs/*.deb; do
    dpkg-deb -x "$deb" "$work/tree"
done
# The headers' makefile includes that of the common ones by its installed path, which is elsewhere here.
headers=$work/tree/usr/src/linux-headers-$kernel
echo "include $work/tree/usr/src/linux-headers-$common-common/Makefile" >"$headers/Makefile"
cp -r "$work"/tree/usr/src/dpdk-kmods-* "$work/module"
# The folder that this is built in must not get into it, nor into its build id.
make -s -C "$headers" M="$work/module" MODULE_CFLAGS=-fno-PIE KCFLAGS="-ffile-prefix-map=$work=." modules
strip --strip-debug "$work/module/igb_uio.ko"
install -D -m 644 "$work/module/igb_uio.ko" "$root/lib/modules/$kernel/updates/dkms/igb_uio.ko"
install -D -m 644 "$work/tree/usr/share/doc/dpdk-kmods-dkms/copyright" "$root/usr/share/doc/dpdk-kmods-dkms/copyright"
chroot "$root" depmod "$kernel"
dpkg-deb -f "$work"/debs/dpdk-kmods-dkms_*.deb Version >"$MILLRACE_WORK/igb_uio.version"
