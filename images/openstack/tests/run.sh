#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The templates and the upload, against OpenStack's own code. Debian's Python is named, since that is the one its packages are of.
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONWARNINGS=ignore

/usr/bin/python3 tests/test_heat.py
# Keystone and Glance listen in a network namespace of their own.
unshare --net sh -c 'ip link set lo up && exec /usr/bin/python3 tests/test_glance.py'
cd ../..
go test -count=1 ./images/openstack/
