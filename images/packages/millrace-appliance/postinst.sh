#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# These units prepare the machine while it boots: installing the package starts none of them.
case $1 in
configure | abort-upgrade | abort-deconfigure | abort-remove)
    enable_units vnf-mgmt.service vnf-boot.service vnf-console.service
    if running && systemctl --quiet is-active vnf-console.service; then
        act restart vnf-console.service
    elif [ -z "$2" ] && running; then
        echo "millrace-appliance: this machine becomes an appliance at its next boot"
    fi
    ;;
esac
