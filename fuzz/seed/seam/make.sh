#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the seed corpus of the seam's fuzzer, fuzz/corpus/seam, from the texts here: each file is a conversation, its requests
# separated by lines of three dashes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$root/fuzz/corpus/seam"
for text in "$here"/*.txtpb; do
	out="$root/fuzz/corpus/seam/$(basename "$text" .txtpb)"
	: >"$out"
	rm -f "$tmp"/part.*
	awk -v dir="$tmp" 'BEGIN { n = 100 } /^---$/ { n++; next } { print > (dir "/part." n) }' "$text"
	for part in "$tmp"/part.*; do
		protoc --proto_path="$root/api/proto/dataplane/v1" --encode=millrace.dataplane.v1.Request \
			dataplane.proto <"$part" >"$tmp/frame"
		len=$(wc -c <"$tmp/frame")
		{
			printf '%b' "$(printf '\\0%03o\\0%03o\\0%03o\\0%03o' $((len >> 24 & 255)) $((len >> 16 & 255)) \
				$((len >> 8 & 255)) $((len & 255)))"
			cat "$tmp/frame"
		} >>"$out"
	done
done
