#!/bin/sh
# SPDX-License-Identifier: Apache-2.0

# The configuration that the first start reads. Not a conffile: what the administrator writes there is nothing to ask about at upgrades.
make_configuration() {
    [ ! -e /etc/millrace/startup.yaml ] || return 0
    install -d -m 0750 -o root -g millrace /etc/millrace
    fresh=/etc/millrace/startup.yaml.new
    cat >"$fresh" <<'EOF'
# Millrace's configuration. An empty one is in force until something is written here, or sent by gNMI, gRPC or vnfctl.
# Every field: /usr/share/doc/millrace-vnf/config.md.gz. To put changes in force: systemctl reload vnf
{}
EOF
    chown root:millrace "$fresh"
    chmod 0640 "$fresh"
    mv "$fresh" /etc/millrace/startup.yaml
}

case $1 in
configure | abort-upgrade | abort-deconfigure | abort-remove)
    create_accounts millrace.conf
    make_configuration
    enable_units vnf.socket vnf-agent.socket vnf.service
    act start vnf.socket vnf-agent.socket
    if [ -z "$2" ]; then
        act start vnf.service
    else
        # The data plane goes on forwarding, and peers keep BGP's routes, until the new one is there.
        act restart vnf.service
    fi
    if running; then
        systemctl --system try-restart vnf-agent.service || true
    fi
    ;;
esac
