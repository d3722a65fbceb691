#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Asks an instance of this package (@SOFTWARE_VERSION@) over gNMI whether it runs; needs gnmic and the orchestrator's certificate.
#   smoke.sh ADDRESS CA CERTIFICATE KEY
set -eu
[ $# -eq 4 ] || { echo "usage: $0 ADDRESS CA CERTIFICATE KEY" >&2; exit 2; }
exec gnmic -a "$1:9339" --tls-ca "$2" --tls-cert "$3" --tls-key "$4" -e json_ietf get --type state --path /interfaces/interface/state/oper-status
