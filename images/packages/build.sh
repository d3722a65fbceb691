#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build.sh OUTPUT: builds the programs as they are delivered, and packs them. The same commit gives the same bytes, wherever and whenever it is built, with
# the same compilers and libraries.
#   PACKAGES="millrace-vnf ..."  only these            VERSION=1.2.3  another version than git's (the upgrade test)
#   NO_BUILD=1                   pack what was built before, into WORK=folder
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
mkdir -p "$1"
output=$(cd "$1" && pwd)
work=${WORK:-$output/work}
stage=$work/stage

described=$(git -C "$root" describe --tags --always --dirty)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct)}
VERSION=${VERSION:-$("$here/version.sh")}
MAINTAINER=${MAINTAINER:-Millrace maintainers <maintainers@millrace.example>}
HOMEPAGE=${HOMEPAGE:-https://millrace.example}
export SOURCE_DATE_EPOCH VERSION MAINTAINER HOMEPAGE TZ=UTC LC_ALL=C.UTF-8
umask 022

# build: the programs, without paths of this machine in them, into $work/bin.
build() {
    mkdir -p "$work/bin"
    (cd "$root" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -buildid= -X main.version=$described" -o "$work/bin/" ./cmd/vnf ./cmd/vnfctl)

    local meson=$work/meson again=()
    [ ! -f "$meson/build.ninja" ] || again=(--reconfigure)
    (cd "$root" && meson setup "${again[@]}" "$meson" -Doptimization=3 -Dmarch="${MARCH:-x86-64-v2}" -Db_pie=true \
        -Dc_args="-ffile-prefix-map=$root=/usr/src/millrace -ffile-prefix-map=../../../../=/usr/src/millrace/ -D_FORTIFY_SOURCE=2 -fstack-protector-strong" \
        -Dc_link_args='-Wl,-z,relro,-z,now' >"$work/meson.log") || { cat "$work/meson.log" >&2; exit 1; }
    ninja --quiet -C "$meson" dataplane/vnf-dataplane
    # What was stripped goes beside the packages: gdb finds a core's lines with it.
    objcopy --only-keep-debug "$meson/dataplane/vnf-dataplane" "$output/vnf-dataplane.debug"
    strip --strip-unneeded --remove-section=.comment --remove-section=.note -o "$work/bin/vnf-dataplane" "$meson/dataplane/vnf-dataplane"
}

# manual SECTION PROGRAM TITLE
manual() {
    mkdir -p "$stage/man"
    help2man --no-info --no-discard-stderr --section "$1" --name "$3" --source Millrace --version-string "$VERSION" --locale C.UTF-8 \
        "$work/bin/$2" | gzip -9n >"$stage/man/$2.$1.gz"
}

# modules PROGRAM: the Go modules in a program, each with its licence.
modules() {
    mkdir -p "$stage/doc/$1"
    (
        cd "$root"
        go version -m "$work/bin/$1" | awk '$1 == "dep" { print $2, $3 }' | while read -r path version; do
            directory=$(go list -m -f '{{.Dir}}' "$path" 2>/dev/null || true)
            echo "==== $path $version"
            find "$directory" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' \) | sort | xargs -r cat
            echo
        done
    ) | gzip -9n >"$stage/doc/$1/modules.gz"
}

changelog() {
    mkdir -p "$stage/doc/$1"
    {
        echo "$1 ($VERSION) stable; urgency=medium"
        echo
        # The changes of the release: the first section of the project's own changelog, each item folded anew.
        awk '/^## / { n++; next } n != 1 || /^$/ { next } /^[-A-Z]/ { if (item) print item; item = $0; sub(/^- /, "", item); next } { sub(/^ +/, " "); item = item $0 }
            END { print item }' "$root/CHANGELOG.md" | while read -r item; do
            fold -s -w 72 <<<"$item" | sed -e 's/ *$//' -e '1s/^/  * /' -e '1!s/^/    /'
        done
        echo
        echo " -- $MAINTAINER  $(date -u -R -d "@$SOURCE_DATE_EPOCH")"
    } | gzip -9n >"$stage/doc/$1/changelog.gz"
}

# libraries PROGRAM: the packages of the libraries it is linked to, with the versions whose symbols it uses.
libraries() {
    local dummy
    dummy=$(mktemp -d)
    mkdir "$dummy/debian"
    printf 'Source: millrace\n\nPackage: millrace-dataplane\nArchitecture: amd64\n' >"$dummy/debian/control"
    (cd "$dummy" && dpkg-shlibdeps -O "$1") | sed -n 's/^shlibs:Depends=//p'
    rm -rf "$dummy"
}

# overrides PACKAGE: what lintian would say of it, and why it is so.
overrides() {
    mkdir -p "$stage/lintian"
    [ ! -f "$here/$1/lintian-overrides" ] || cp "$here/$1/lintian-overrides" "$stage/lintian/$1"
}

# script PACKAGE: its maintainer scripts, with what they share.
script() {
    local name
    mkdir -p "$stage/scripts/$1"
    for name in postinst prerm postrm; do
        [ -f "$here/$1/$name.sh" ] || continue
        { cat "$here/lib.sh"; tail -n +3 "$here/$1/$name.sh"; } >"$stage/scripts/$1/$name"
    done
}

PACKAGES=${PACKAGES:-millrace-dataplane millrace-vnf millrace-vnfctl millrace-appliance}
[ -n "${NO_BUILD:-}" ] || build
rm -rf "$stage"
mkdir -p "$stage/doc" "$stage/completions"
cp -r "$work/bin" "$stage/bin"
cp -r "$root/images/systemd" "$stage/systemd"
cp -r "$root/images/appliance" "$stage/appliance"
while read -r file; do
    grep -qF "src: $file," "$here"/*/nfpm.yaml || { echo "images/$file is in no package" >&2; exit 1; }
done < <(cd "$stage" && find systemd appliance -type f ! -name '*.go')
cp "$here/copyright" "$stage/doc/copyright"
gzip -9nc "$root/docs/config.md" >"$stage/doc/config.md.gz"
for shell in bash zsh fish; do
    "$work/bin/vnfctl" completion "$shell" >"$stage/completions/vnfctl.$shell"
done
"$work/bin/vnf" completion bash >"$stage/completions/vnf.bash"
manual 8 vnf 'control plane of Millrace'
manual 8 vnf-dataplane 'data plane of Millrace'
manual 1 vnfctl 'command line of Millrace appliances'
modules vnf
modules vnfctl
LIBRARIES=$(libraries "$work/bin/vnf-dataplane")
DRIVERS=$(grep -v '^#' "$here/drivers.txt" | paste -sd, | sed 's/,/, /g')
export LIBRARIES DRIVERS

rm -f "$output"/*.deb
for package in $PACKAGES; do
    changelog "$package"
    overrides "$package"
    script "$package"
done
find "$stage" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$work/tools"
(cd "$here" && CGO_ENABLED=0 go build -o "$work/tools/" tool)
for package in $PACKAGES; do
    (cd "$stage" && "$work/tools/nfpm" package --packager deb --config "$here/$package/nfpm.yaml" --target "$output/" >"$work/nfpm.log") || { cat "$work/nfpm.log" >&2; exit 1; }
done
(cd "$output" && sha256sum ./*.deb | sed 's, \./, ,' | tee SHA256SUMS)
