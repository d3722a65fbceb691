#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes GRUB's boot.img and core.img into a disk image with a GPT, so that a BIOS starts it.

grub-bios-setup does the same, but asks the kernel for the disk that the image lies on, and for that wants a loop device.

A BIOS loads the first sector of the disk, the boot sector, and starts it. boot.img is made for this place: it loads one sector whose number it has in
itself, by default 1. On a disk with a GPT sector 1 is the table's header, hence the number of the first sector of the "BIOS boot" partition is written there.
That sector is the start of core.img, which loads the rest of core.img by a list of blocks at the sector's end: first sector (8 bytes), number of sectors
(2 bytes), segment to load to (2 bytes). grub-mkimage fills in all but the first sector, which it cannot know.
"""

import argparse
import struct

SECTOR = 512
BOOT_CODE = 440            # bytes of the boot sector before disk signature and partition table, which stay sgdisk's
KERNEL_SECTOR = 0x5C       # in boot.img: number of core.img's first sector, 8 bytes
DRIVE_CHECK = 0x66         # in boot.img: a jump of 2 bytes, see below
BLOCKLIST = SECTOR - 12    # in core.img's first sector: its first block list
NOPS = b"\x90\x90"


def embed(disk, boot, core, at, sectors):
    """Writes boot and core (bytes) into the file disk; at is the first sector of the partition, sectors its length."""
    if len(boot) != SECTOR or boot[-2:] != b"\x55\xaa":
        raise SystemExit("boot.img is not a boot sector")
    if struct.unpack_from("<Q", boot, KERNEL_SECTOR)[0] != 1:
        raise SystemExit("boot.img is of another GRUB: no sector 1 at 0x5c")
    core = core + bytes(-len(core) % SECTOR)
    count = len(core) // SECTOR
    if count > sectors:
        raise SystemExit(f"core.img has {count} sectors, the partition {sectors}")
    start, length = struct.unpack_from("<QH", core, BLOCKLIST)
    if length != count - 1:
        raise SystemExit(f"core.img is of another GRUB: its list has {length} sectors (from {start}), the file {count - 1} after the first")

    code = bytearray(boot[:BOOT_CODE])
    struct.pack_into("<Q", code, KERNEL_SECTOR, at)
    # boot.img jumps over a check of the drive number, which some BIOSes give wrong: for hard disks the check is wanted, and the jump taken out.
    code[DRIVE_CHECK:DRIVE_CHECK + 2] = NOPS
    core = bytearray(core)
    struct.pack_into("<Q", core, BLOCKLIST, at + 1)

    with open(disk, "r+b") as file:
        file.write(code)
        file.seek(at * SECTOR)
        file.write(core)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--disk", required=True)
    parser.add_argument("--boot", required=True)
    parser.add_argument("--core", required=True)
    parser.add_argument("--at", type=int, required=True, help="first sector of the BIOS boot partition")
    parser.add_argument("--sectors", type=int, required=True, help="its length")
    args = parser.parse_args()
    with open(args.boot, "rb") as boot, open(args.core, "rb") as core:
        embed(args.disk, boot.read(), core.read(), args.at, args.sectors)


if __name__ == "__main__":
    main()
