#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Not at an upgrade: packets flow all through it.
if [ "$1" = remove ]; then
    act stop vnf-dataplane.service millrace-netns.service
fi
