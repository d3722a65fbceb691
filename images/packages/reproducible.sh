#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the packages of the commit that is checked out twice, in two clones at different places and at different times: are they the same, byte by byte?
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
commit=$(git -C "$root" rev-parse HEAD)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for place in one another/place; do
    git clone --quiet --no-hardlinks "$root" "$work/$place"
    (cd "$work/$place" && git checkout --quiet --detach "$commit" && images/packages/build.sh build/packages >/dev/null)
done
status=0
for deb in "$work"/one/build/packages/*.deb; do
    if cmp "$deb" "$work/another/place/build/packages/$(basename "$deb")"; then
        echo "same    $(basename "$deb")"
    else
        status=1
    fi
done
exit $status
