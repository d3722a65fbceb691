#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Not at an upgrade: postinst restarts what has to be.
if [ "$1" = remove ]; then
    act stop vnf.socket vnf.service vnf-agent.socket vnf-agent.service
fi
