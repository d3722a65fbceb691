#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Looks at a built image without booting it: test.sh FOLDER, where millrace.qcow2 and its companions are, and SCHEMAS, CycloneDX's.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(cd "$1" && pwd) schemas=$(cd "$2" && pwd)
image=$folder/millrace.qcow2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# check NAME COMMAND...: the command's output is shown where it fails.
check() {
    local name=$1
    shift
    if "$@" >"$work/output" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $name"
        tail -n 20 "$work/output"
    fi
}

raw=$work/raw fs="$work/raw?offset=$((18 * 1048576))"
file() { debugfs -R "cat $1" "$fs" 2>/dev/null; }
exists() { debugfs -R "stat $1" "$fs" 2>/dev/null | grep -q '^Inode:'; }
absent() { ! exists "$1"; }
size() { [ "$(stat -c %s "$image")" -lt $((250 * 1000 * 1000)) ]; }
zlib() { qemu-img info "$image" | tee /dev/stderr | grep -q 'compression type: zlib'; }
gpt() { sgdisk --verify "$raw" | tee /dev/stderr | grep -q 'No problems found'; }
esp() { mdir -i "$raw@@$((2 * 1048576))" ::EFI/BOOT/BOOTX64.EFI; }
no_keys() { ! debugfs -R 'ls /etc/ssh' "$fs" 2>/dev/null | grep -q ssh_host_; }
no_sources() { absent /etc/apt/sources.list && ! debugfs -R 'ls /etc/apt/sources.list.d' "$fs" 2>/dev/null | grep -qE '[.](list|sources)'; }
no_machine_id() { exists /etc/machine-id && [ -z "$(file /etc/machine-id)" ]; }
no_passwords() { ! file /etc/shadow | cut -d: -f2 | grep -qvE '^(\*|!.*)$'; }
igb_uio() { exists "/lib/modules/$(debugfs -R 'ls -p /usr/lib/modules' "$fs" 2>/dev/null | cut -d/ -f6 | grep '^[0-9]')/updates/dkms/igb_uio.ko"; }
kernel() { exists /vmlinuz && exists /initrd.img && exists /boot/grub/grub.cfg; }

check "checksums" bash -c "cd '$folder' && sha256sum --check --quiet millrace.SHA256SUMS"
check "the image is whole" qemu-img check -q "$image"
check "the image is smaller than 250 MB" size
check "the image is compressed in the way that all read" zlib
qemu-img convert -O raw "$image" "$raw"
check "the partition table" gpt
check "the loader for UEFI" esp
check "the root filesystem" e2fsck -fn "$fs"
check "kernel, initramfs and GRUB's menu" kernel
check "the module igb_uio" igb_uio
check "no ssh host keys" no_keys
check "no machine-id" no_machine_id
check "no password" no_passwords
check "no package sources of the builder" no_sources
check "no resolver of the builder" absent /etc/.resolv.conf.systemd-resolved.bak
check "the list of packages is that of the lock" diff <(sed '/^#/d' "$here/packages.lock") <(grep -v '^millrace-' "$folder/millrace.packages")
check "the SBOM" /usr/bin/python3 "$here/sbom_check.py" "$folder/millrace.cdx.json" --schemas "$schemas" --packages "$folder/millrace.packages"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
