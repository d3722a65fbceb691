#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the maintainer scripts have in common: build.sh puts it before each of them.
set -e

# running says whether systemd runs here: not in a chroot, an image under construction or a container.
running() {
    [ -d /run/systemd/system ]
}

# create_accounts FILE: the accounts and directories that /usr/lib/{sysusers,tmpfiles}.d/FILE describe.
create_accounts() {
    systemd-sysusers "$1"
    # What is below /run is made again at boot.
    systemd-tmpfiles --create "$1" || true
}

# enable_units UNIT...: enables units at their first installation, and afterwards leaves them as the administrator has set them.
enable_units() {
    for unit in "$@"; do
        deb-systemd-helper unmask "$unit" >/dev/null || true
        if deb-systemd-helper --quiet was-enabled "$unit"; then
            deb-systemd-helper enable "$unit" >/dev/null || true
        else
            deb-systemd-helper update-state "$unit" >/dev/null || true
        fi
    done
    if running; then
        systemctl --system daemon-reload || true
    fi
}

# act ACTION UNIT...: start, stop or restart, respecting what the administrator disabled and policy-rc.d.
act() {
    if running; then
        deb-systemd-invoke "$@" || echo "millrace: could not $*: 'systemctl status' and 'vnf preflight' tell why" >&2
    fi
}

# forget_units UNIT...: the last of units whose package is purged.
forget_units() {
    if running; then
        systemctl --system daemon-reload || true
    fi
    if command -v deb-systemd-helper >/dev/null; then
        deb-systemd-helper purge "$@" >/dev/null || true
        deb-systemd-helper unmask "$@" >/dev/null || true
    fi
}

# forget_accounts: removes user and group when no package that uses them is left, nor a file of theirs.
forget_accounts() {
    for file in /usr/lib/sysusers.d/millrace.conf /usr/lib/sysusers.d/millrace-dataplane.conf /var/lib/millrace; do
        [ ! -e "$file" ] || return 0
    done
    rm -rf /run/millrace /run/millrace-dataplane
    if getent passwd millrace >/dev/null; then
        userdel millrace || true
    fi
    if getent group millrace >/dev/null; then
        groupdel millrace || true
    fi
}
