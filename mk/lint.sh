#!/usr/bin/env bash
# All static checks; prints what is wrong and fails.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
say() { echo "lint: $*" >&2; bad=1; }

mapfile -t gofiles < <(git ls-files '*.go' | grep -v -e '\.pb\.go$' -e '^yang/oc/')
unformatted=$(gofmt -l "${gofiles[@]}")
[ -z "$unformatted" ] || say "not gofmt'ed (make format): $unformatted"

go vet ./... || say "go vet"
go tool staticcheck ./... || say "staticcheck"

mapfile -t cfiles < <(git ls-files 'dataplane/*.c' 'dataplane/*.h' 'stack/*.c' 'stack/*.h')
clang-format --dry-run --Werror "${cfiles[@]}" 2>&1 | head -20 || true
clang-format --dry-run --Werror "${cfiles[@]}" >/dev/null 2>&1 || say "C not in form (make format)"

mapfile -t scripts < <(git ls-files '*.sh' '.ci/run')
shellcheck "${scripts[@]}" || say "shellcheck"

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
mk/generate.sh "$fresh"
while read -r f; do
    cmp -s "$fresh/${f#./}" "$f" || say "$f is stale: make generate"
done < <(cd "$fresh" && find . -type f)
if [ -d "$fresh/yang" ]; then
    while read -r f; do
        [ -e "$fresh/$f" ] || say "$f is not generated any more: make generate"
    done < <(git ls-files yang/oc)
fi

go mod verify >/dev/null || say "go.sum does not match the modules"
exit $bad
