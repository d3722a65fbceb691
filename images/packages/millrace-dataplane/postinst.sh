#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
case $1 in
configure | abort-upgrade | abort-deconfigure | abort-remove)
    create_accounts millrace-dataplane.conf
    enable_units millrace-netns.service vnf-dataplane.service
    if running && systemctl --quiet is-active vnf-dataplane.service; then
        echo "millrace-dataplane: the data plane that runs goes on, as it was, until 'systemctl restart vnf-dataplane'"
    elif [ -z "$2" ]; then
        act start millrace-netns.service vnf-dataplane.service
    fi
    ;;
esac
