#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Uploads the VM image to Glance with the properties that a router's machine needs, and checks what arrived.
set -euo pipefail

usage() {
	cat <<'EOF'
usage: upload.sh [options] millrace.qcow2

Uploads the image to the cloud that openstack(1) is signed in to (OS_CLOUD, or the variables of an openrc file).

  --name NAME          of the image (millrace)
  --version VERSION    of the appliance, as a property
  --firmware uefi|bios what the machine starts by (uefi)
  --hugepages          the machine's memory is of the host's large pages; for clouds whose flavors do not say so
  --viommu MODEL       the machine has an IOMMU: intel, virtio or auto; Nova 26 (Zed) or newer
  --property KEY=VALUE any other, or another value for one of those below; may be repeated
  --public, --shared, --community, --private
                       who sees the image (private)
  --replace            rename an image that has the name already; without, that is an error
  --dry-run            print the command only
EOF
}

fail() {
	echo "upload.sh: $*" >&2
	exit 1
}

name=millrace version='' firmware=uefi hugepages='' viommu='' visibility=--private replace='' dry='' file=''
own=()
while [ $# -gt 0 ]; do
	case $1 in
	--name | --version | --firmware | --viommu | --property)
		[ $# -gt 1 ] || fail "$1 needs a value"
		case $1 in
		--name) name=$2 ;;
		--version) version=$2 ;;
		--firmware) firmware=$2 ;;
		--viommu) viommu=$2 ;;
		--property) own+=("$2") ;;
		esac
		shift
		;;
	--hugepages) hugepages=1 ;;
	--public | --shared | --community | --private) visibility=$1 ;;
	--replace) replace=1 ;;
	--dry-run) dry=1 ;;
	-h | --help)
		usage
		exit
		;;
	-*) fail "$1: no such option; --help tells those there are" ;;
	*)
		[ -z "$file" ] || fail "one image at a time, not $file and $1"
		file=$1
		;;
	esac
	shift
done
[ -n "$file" ] || fail "which image? --help tells more"
[ -r "$file" ] || fail "$file cannot be read"
[ "$(head -c 4 "$file" | od -An -tx1 | tr -d ' ')" = 514649fb ] || fail "$file is no qcow2"
[ -n "$name" ] || fail "--name: empty"
case $firmware in uefi | bios) ;; *) fail "--firmware: $firmware is neither uefi nor bios" ;; esac
case $viommu in '' | intel | virtio | auto) ;; *) fail "--viommu: $viommu is none of intel, virtio, auto" ;; esac
for p in "${own[@]}"; do
	case $p in ?*=*) ;; *) fail "--property: $p is not KEY=VALUE" ;; esac
done

# The virtual size is at byte 24 of the header (qcow2's specification), big-endian; Glance wants GiB.
size=$((0x$(od -An -tx1 -j24 -N8 "$file" | tr -d ' \n')))
min_disk=$(((size + (1 << 30) - 1) >> 30))

declare -A properties=(
	[architecture]=x86_64
	[os_type]=linux
	[os_distro]=debian
	[os_version]=12
	[hw_machine_type]=q35        # PCI Express, which a virtual IOMMU and passed-through NICs want
	[hw_firmware_type]=$firmware
	[hw_disk_bus]=virtio
	[hw_vif_model]=virtio
	[hw_vif_multiqueue_enabled]=true # a queue for each vCPU, so that workers share none
	[hw_qemu_guest_agent]=yes   # it is in the image
	[hw_rng_model]=virtio        # keys are made at the first boot
	[trait:HW_CPU_X86_SSE42]=required # Nehalem or newer
)
[ -z "$version" ] || properties[millrace_version]=$version
[ -z "$hugepages" ] || properties[hw_mem_page_size]=large
[ -z "$viommu" ] || properties[hw_viommu_model]=$viommu
for p in "${own[@]}"; do
	properties[${p%%=*}]=${p#*=}
done

command=(openstack image create --file "$file" --disk-format qcow2 --container-format bare --min-ram 2048 --min-disk "$min_disk" "$visibility")
while read -r key; do
	command+=(--property "$key=${properties[$key]}")
done < <(printf '%s\n' "${!properties[@]}" | sort)
command+=(-f value -c id "$name")
if [ -n "$dry" ]; then
	printf '%q ' "${command[@]}"
	echo
	exit
fi

command -v openstack >/dev/null || fail "there is no openstack(1): apt-get install python3-openstackclient"
list=$(openstack image list --name "$name" -f value -c ID)
old=()
[ -z "$list" ] || mapfile -t old <<<"$list"
if [ "${#old[@]}" -gt 0 ] && [ -z "$replace" ]; then
	fail "there is an image $name already (${old[*]}); --replace renames it"
fi
id=$("${command[@]}")

# Glance hashes what it stored.
want=$(sha512sum "$file")
got=$(openstack image show "$id" -f json | sed -n 's/^.*"os_hash_value": *"\([0-9a-f]*\)".*$/\1/p')
if [ "${want%% *}" != "$got" ]; then
	openstack image delete "$id"
	fail "Glance stored something else: SHA-512 ${got:-unknown}, not ${want%% *}; the image is deleted again"
fi
for o in "${old[@]}"; do
	openstack image set --name "$name-$o" "$o"
	echo "renamed the image $o to $name-$o" >&2
done
echo "$id"
