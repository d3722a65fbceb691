#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
case $1 in
remove)
    if running; then
        systemctl --system daemon-reload || true
    fi
    ;;
purge)
    forget_units vnf-mgmt.service vnf-boot.service vnf-console.service
    rm -rf /var/lib/millrace-appliance
    ;;
esac
