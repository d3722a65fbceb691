#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
case $1 in
remove)
    if running; then
        systemctl --system daemon-reload || true
    fi
    ;;
purge)
    forget_units millrace-netns.service vnf-dataplane.service
    forget_accounts
    ;;
esac
