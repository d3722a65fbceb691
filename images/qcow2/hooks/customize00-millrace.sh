#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mmdebstrap's hook after all is installed: makes an appliance of the root filesystem in $1.
set -euo pipefail
root=$1
here=$MILLRACE_HERE

# --- our files, over those of the packages ---
(cd "$here/root" && find . -type f) | while read -r f; do
    install -D -m 644 "$here/root/$f" "$root/$f"
done

# --- igb_uio, for virtual functions where there is no IOMMU: uio_pci_generic wants INTx interrupts, which these do not have ---
"$here/igb-uio.sh" "$root"

# --- identity: none; each machine makes its own at its first boot ---
: >"$root/etc/machine-id"
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id" "$root/var/lib/systemd/random-seed"
echo millrace >"$root/etc/hostname"
printf '127.0.0.1\tlocalhost\n127.0.1.1\tmillrace\n::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n' >"$root/etc/hosts"
chroot "$root" passwd --quiet --lock root
rm "$root/etc/os-release"
{
    cat "$root/usr/lib/os-release"
    echo "IMAGE_ID=millrace"
    echo "IMAGE_VERSION=\"$MILLRACE_VERSION\""
} >"$root/etc/os-release"

# --- what runs, and what only costs time at boot ---
for unit in e2scrub_all.timer e2scrub_reap.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer dpdk.service \
    systemd-pcrphase.service systemd-pcrphase-sysinit.service cloud-init-hotplugd.socket cloud-init-hotplugd.service \
    remote-fs.target rpcbind.service getty-static.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount; do
    ln -sfn /dev/null "$root/etc/systemd/system/$unit"
done
rm -f "$root"/etc/systemd/system/*.wants/{e2scrub_all.timer,e2scrub_reap.service,apt-daily.timer,apt-daily-upgrade.timer,dpkg-db-backup.timer,dpdk.service}
rm -f "$root"/etc/systemd/system/*.wants/{cloud-init-hotplugd.socket,remote-fs.target}
for unit in systemd-networkd.service systemd-resolved.service ssh.service chrony.service fstrim.timer; do
    chroot "$root" systemctl --quiet enable "$unit"
done

# --- Python's compiled files: with SOURCE_DATE_EPOCH in the environment, packages make such as are compared with the hash of their source at each start. By time they are
# compared for nothing, and the times are those of the packages. cloud-init starts Python four times at each boot. ---
find "$root/usr/lib/python3" "$root/usr/lib/python3.11" -newermt "@$SOURCE_DATE_EPOCH" -type f -exec touch -d "@$SOURCE_DATE_EPOCH" {} +
chroot "$root" env -u SOURCE_DATE_EPOCH python3 -m compileall -q -f --invalidation-mode timestamp /usr/lib/python3 /usr/lib/python3.11

# --- boot ---
kernel=$(basename "$(ls -d "$root"/lib/modules/*)")
[ -e "$root/boot/initrd.img-$kernel" ] || { echo "no initramfs for $kernel" >&2; exit 1; }
[ -L "$root/vmlinuz" ] || { echo "no /vmlinuz" >&2; exit 1; }
[ -L "$root/initrd.img" ] || { echo "no /initrd.img" >&2; exit 1; }
rm -f "$root/vmlinuz.old" "$root/initrd.img.old"

# --- the units' order: from a cycle systemd frees itself by leaving units out, at boot ---
if chroot "$root" systemd-analyze --man=no verify multi-user.target 2>&1 | grep -i 'cycle'; then
    echo "the units' order has a cycle" >&2
    exit 1
fi

# --- what dpkg and apt keep to at upgrades ---
mv "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$root/etc/dpkg/dpkg.cfg.d/50-millrace-image"
mv "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/apt/apt.conf.d/50-millrace-image"

# --- nothing of the builder, nothing that differs between builds ---
rm -f "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/* "$root/etc/apt/preferences.d/lock.pref"
rm -f "$root/etc/resolv.conf" "$root/etc/.resolv.conf.systemd-resolved.bak"
ln -s ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/cache/ldconfig/* "$root"/var/log/apt
rm -f "$root"/var/log/*.log "$root"/var/log/dpkg* "$root"/var/log/{btmp,wtmp,lastlog,faillog} "$root"/var/lib/dpkg/*-old "$root"/var/cache/debconf/*-old
rm -f "$root"/etc/*- "$root/etc/.pwd.lock" "$root/etc/ssl/certs/java"
rm -rf "$root"/tmp/* "$root"/var/tmp/* "$root"/run/*
mkdir -p "$root/var/log/journal"
# What cloud-init's package names itself is Debian's default.
sed -nE 's#^deb (\[[^]]*\] )?https?://([^/ ]+)/.*#\2#p' "$MILLRACE_WORK/sources.list" | sort -u | while read -r host; do
    if ! grep -qF "$host" "$root/etc/cloud/cloud.cfg" && found=$(grep -rlF "$host" "$root/etc" "$root/var" "$root/usr/lib/systemd"); then
        echo "a mirror of the builder's is named in $found" >&2
        exit 1
    fi
done
