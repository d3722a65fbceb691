#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mmdebstrap's hook before anything is installed: the versions that packages.lock names go before newer ones.
set -e
mkdir -p "$1/etc/apt/preferences.d"
cp "$MILLRACE_WORK/lock.pref" "$1/etc/apt/preferences.d/lock.pref"
