#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mmdebstrap's hook before the kernel is installed: how its initramfs is made.
set -e
mkdir -p "$1/etc/initramfs-tools" "$1/usr/share/initramfs-tools"
cp -R --no-preserve=mode,ownership "$MILLRACE_HERE/root/etc/initramfs-tools/." "$1/etc/initramfs-tools/"
cp -R --no-preserve=mode,ownership "$MILLRACE_HERE/root/usr/share/initramfs-tools/." "$1/usr/share/initramfs-tools/"
