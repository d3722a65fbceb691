#!/usr/bin/env bash
# Makes the Go beside the .proto files, with the plugins pinned in go.mod. An argument is the folder to write to instead
# (lint compares it with what is committed).
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-.}
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
go build -o "$tools/" google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
mapfile -t protos < <(cd api/proto && find . -name '*.proto' | sed 's|^\./||' | sort)
PATH="$tools:$PATH" protoc -I api/proto --go_out="$out" --go_opt=module=millrace \
    --go-grpc_out="$out" --go-grpc_opt=module=millrace "${protos[@]}"
