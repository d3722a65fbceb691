#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads what dumpe2fs says of an ext4 filesystem and prints the numbers of the inodes in use, other than the reserved ones but with the root folder's (2)."""

import re
import sys


def used(lines):
    """Yields the numbers, from the "Free inodes:" of each group."""
    total = first = 0
    free = set()
    for line in lines:
        if match := re.match(r"Inode count:\s+(\d+)", line):
            total = int(match[1])
        elif match := re.match(r"First inode:\s+(\d+)", line):
            first = int(match[1])
        elif match := re.match(r"\s+Free inodes: (.*)", line):
            for low, high in re.findall(r"(\d+)(?:-(\d+))?", match[1]):
                free.update(range(int(low), int(high or low) + 1))
    if not total or not free:
        raise SystemExit("not the output of dumpe2fs")
    yield 2
    yield from (number for number in range(first, total + 1) if number not in free)


if __name__ == "__main__":
    for inode in used(sys.stdin):
        print(inode)
