#!/usr/bin/env bash
# Runs every fuzzer for FUZZTIME seconds: libFuzzer harnesses of the data plane, from the seeds in fuzz/corpus/NAME (made by
# fuzz/seed), and Go's fuzz tests. What libFuzzer finds on the way is kept in build/fuzz/corpus/NAME, what it finds wrong in
# build/fuzz/.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZTIME:-60}
dir=build/fuzz
if [ ! -f $dir/build.ninja ]; then
    CC=clang meson setup $dir -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 >/dev/null
fi
# FUZZ=stack: only those of the TCP stack, as `make test` has them run for a moment.
if [ "${FUZZ:-}" = stack ]; then
    harnesses=(stack/stack-{options,reass,segment,http,proxy-protocol}-fuzz)
    ninja --quiet -C $dir "${harnesses[@]}"
else
    ninja --quiet -C $dir
fi
for harness in "$dir"/dataplane/*-fuzz "$dir"/stack/*-fuzz; do
    if [ "${FUZZ:-}" = stack ] && [[ $harness != */stack/* ]]; then continue; fi
    name=$(basename "$harness" -fuzz)
    corpus=build/fuzz/corpus/$name
    mkdir -p "$corpus"
    echo "== $name, $seconds s"
    "$harness" -max_total_time="$seconds" -print_final_stats=1 -timeout=10 -artifact_prefix="$dir/" \
        "$corpus" "fuzz/corpus/$name"
done
[ "${FUZZ:-}" != stack ] || exit 0
while IFS=: read -r file name; do
    echo "== $name in $(dirname "$file"), $seconds s"
    go test "./$(dirname "$file")" -run '^$' -fuzz "^$name\$" -fuzztime "${seconds}s"
done < <(git grep -oE 'func (Fuzz[A-Za-z0-9_]+)' -- '*_test.go' | sed -E 's/:func /:/')
