#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The others have done their work, and their stopping would undo nothing.
if [ "$1" = remove ]; then
    act stop vnf-console.service
fi
