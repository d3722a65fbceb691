#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# csar.sh IMAGE VERSION KEY CERTIFICATE URL OUT: packs and checks. KEY and CERTIFICATE may be empty: one is made beside OUT.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
image=$1 version=$2 key=$3 certificate=$4 url=$5 out=$6

[ -f "$image" ] || { echo "csar: there is no image $image; make qcow2" >&2; exit 1; }
if [ -z "$key" ] && [ -z "$certificate" ]; then
	key=$(dirname "$out")/csar.key certificate=$(dirname "$out")/csar.pem
	if [ ! -f "$key" ]; then
		(umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj '/CN=Millrace, a key for trying' \
			-keyout "$key" -out "$certificate" 2>/dev/null)
	fi
	echo "csar: signed with $key, which nobody trusts; CSAR_KEY and CSAR_CERTIFICATE name yours" >&2
elif [ -z "$key" ] || [ -z "$certificate" ]; then
	echo "csar: CSAR_KEY and CSAR_CERTIFICATE are needed both" >&2
	exit 1
fi
date=$(git -C "$here" log -1 --format=%cI 2>/dev/null || date -u +%Y-%m-%dT%H:%M:%S+00:00)
/usr/bin/python3 "$here/build.py" --image "$image" --version "$version" --date "$date" --key "$key" --certificate "$certificate" --image-url "$url" --out "$out"
/usr/bin/python3 "$here/validate.py" "$out"
