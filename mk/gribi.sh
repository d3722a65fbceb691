#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the compliance suite of gribigo, pinned in integration/gribi/go.mod, to the file given and runs it against a box:
#   gribi.sh FILE
# MILLRACE_BIN is the folder with the box's programs; MILLRACE_GRIBI_OUT a file that gets all that the suite says.
set -euo pipefail
cd "$(dirname "$0")/.."
suite=$1
mkdir -p "$(dirname "$suite")"
(cd integration/gribi && go test -c -o "$suite" github.com/openconfig/gribigo/cmd/ccli)
MILLRACE_GRIBI_SUITE=$suite go test -count=1 -v -timeout 30m -run '^TestGRIBISuite$' ./integration
