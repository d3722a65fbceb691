#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
case $1 in
remove)
    if running; then
        systemctl --system daemon-reload || true
    fi
    ;;
purge)
    forget_units vnf.socket vnf-agent.socket vnf.service
    rm -rf /var/lib/millrace /etc/millrace
    forget_accounts
    ;;
esac
