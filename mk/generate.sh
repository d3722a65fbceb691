#!/usr/bin/env bash
# Makes what is generated, with the tools pinned in go.mod: the Go beside the .proto files and, if the OpenConfig modules are in
# YANG_MODELS, what is made from yang/. An argument is the folder to write to instead (lint compares it with what is committed).
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-.}
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
go build -o "$tools/" google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
mapfile -t protos < <(cd api/proto && find . -name '*.proto' | sed 's|^\./||' | sort)
PATH="$tools:$PATH" protoc -I api/proto --go_out="$out" --go_opt=module=millrace \
    --go-grpc_out="$out" --go-grpc_opt=module=millrace "${protos[@]}"
if [ -d "${YANG_MODELS:=../shared/openconfig}" ]; then
    go run ./yang/gen -models "$YANG_MODELS" -out "$out"
else
    echo "generate: yang/ left as it is: YANG_MODELS=$YANG_MODELS is not a folder with the modules of openconfig/public v5.9.0" >&2
fi
