#!/usr/bin/env bash
# Debian 12's own Go is too old to fetch a newer toolchain; the one in backports does that by itself (go.mod names the release).
# The backports suite is taken from wherever this machine takes Debian from.
set -euo pipefail
if [ "$(id -u)" != 0 ]; then
    echo "Go is missing; install Go 1.21 or newer, it fetches the release that go.mod names" >&2
    exit 1
fi
shopt -s nullglob
files=()
for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    [ -f "$f" ] && files+=("$f")
done
uri=$(awk '!done && !/security/ && /^URIs:/ {print $2; done = 1}
    !done && !/security/ && /^deb / {for (i = 2; i <= NF; i++) if ($i ~ /:\/\//) {print $i; done = 1; break}}' "${files[@]}")
if [ -z "$uri" ]; then
    echo "no Debian source found in /etc/apt; install Go 1.21 or newer by hand" >&2
    exit 1
fi
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri bookworm-backports main" \
    >/etc/apt/sources.list.d/bookworm-backports.list
apt-get update -qq
apt-get install -y -qq -t bookworm-backports golang-go >/dev/null
command -v go >/dev/null
