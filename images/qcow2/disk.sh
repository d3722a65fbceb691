#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes a disk of a root filesystem, bootable by BIOS and by UEFI: disk.sh ROOT DISK SEED
# Everything is written into a plain file at an offset: no loop device, no mount. SEED (the commit) decides what would be random: the identifiers.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$1 disk=$2 seed=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Sizes in MiB. 3 GiB leave room for logs and for an upgrade of packages on the smallest flavor.
size=3072 bios_at=1 bios_size=1 esp_at=2 esp_size=16 root_at=18
root_size=$((size - root_at - 1))

# uuid NAME: always the same one for a commit and name, in the form of a random one (version 4).
uuid() {
    local h
    h=$(printf 'millrace %s %s' "$seed" "$1" | sha256sum)
    printf '%s-%s-4%s-8%s-%s\n' "${h:0:8}" "${h:8:4}" "${h:13:3}" "${h:17:3}" "${h:20:12}"
}

rm -f "$disk"
truncate -s ${size}M "$disk"
# 8304 is the type "root of x86-64", by which systemd-repart finds what to grow.
sgdisk --clear --disk-guid="$(uuid disk)" --set-alignment=2048 \
    --new=1:$((bios_at * 2048)):+${bios_size}M --typecode=1:ef02 --change-name=1:bios-boot --partition-guid=1:"$(uuid bios-boot)" \
    --new=2:$((esp_at * 2048)):+${esp_size}M --typecode=2:ef00 --change-name=2:esp --partition-guid=2:"$(uuid esp)" \
    --new=3:$((root_at * 2048)):+${root_size}M --typecode=3:8304 --change-name=3:millrace --partition-guid=3:"$(uuid root)" \
    "$disk" >/dev/null

# --- the boot loader: it has its modules in it, and its prefix is the third partition of the disk that it was read from ---
common=(part_gpt ext2 normal configfile linux search echo test true cat ls serial terminal gzio minicmd reboot halt sleep)
grub-mkimage -O i386-pc -o "$work/core.img" -p '(,gpt3)/boot/grub' "${common[@]}" biosdisk
grub-mkimage -O x86_64-efi -o "$work/BOOTX64.EFI" -p '(,gpt3)/boot/grub' "${common[@]}" fat efi_gop efi_uga all_video
python3 "$here/bios_boot.py" --disk "$disk" --boot /usr/lib/grub/i386-pc/boot.img --core "$work/core.img" --at $((bios_at * 2048)) --sectors $((bios_size * 2048))

# --- the EFI system partition: only the fallback path, since a new machine's firmware has no boot entries ---
truncate -s ${esp_size}M "$work/esp"
esp_id=$(uuid esp-volume)
mkfs.vfat --invariant -F 16 -n ESP -i "${esp_id:0:8}" "$work/esp" >/dev/null
touch -d "@$SOURCE_DATE_EPOCH" "$work/BOOTX64.EFI"
mmd -i "$work/esp" ::EFI ::EFI/BOOT
mcopy -m -i "$work/esp" "$work/BOOTX64.EFI" ::EFI/BOOT/BOOTX64.EFI
dd if="$work/esp" of="$disk" bs=1M seek=$esp_at conv=notrunc,sparse status=none

# --- the root filesystem. GRUB 2.06 does not know orphan_file and metadata_csum_seed; a new file is zeros, so no table needs to be written ---
export E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH
mke2fs -q -t ext4 -L millrace -U "$(uuid root-filesystem)" -m 1 -O '^orphan_file,^metadata_csum_seed' \
    -E offset=$((root_at * 1048576)),hash_seed="$(uuid hash)",assume_storage_prezeroed=1 -d "$root" "$disk" ${root_size}M
# mke2fs takes the times at which the files were unpacked here; those are the builder's.
target="$disk?offset=$((root_at * 1048576))"
dumpe2fs "$target" 2>/dev/null | python3 "$here/used_inodes.py" | while read -r inode; do
    for field in atime ctime crtime; do
        echo "set_inode_field <$inode> $field @$SOURCE_DATE_EPOCH"
        echo "set_inode_field <$inode> ${field}_extra 0"
    done
done >"$work/times"
debugfs -w -f "$work/times" "$target" >/dev/null 2>"$work/debugfs.log" || { cat "$work/debugfs.log" >&2; exit 1; }
