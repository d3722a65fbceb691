# SPDX-License-Identifier: Apache-2.0
# What is made to be deployed: the VM image, and beside it the packages, the container and the descriptors. None of it is part of `make test`: it takes minutes
# and needs Debian's packages from a mirror. Whatever belongs to a release adds itself to `images` by a line `images: NAME`.

DEPS_IMAGES := mmdebstrap gdisk mtools dosfstools e2fsprogs qemu-utils grub-pc-bin grub-efi-amd64-bin python3 zstd xz-utils
IMAGES      := $(BUILD)/images

.PHONY: images qcow2 deps-images

deps-images:
	$(call need,$(DEPS_IMAGES))

images: qcow2 ## all that is deployed, into build/images/: VM image, SBOM, list of packages, container, descriptors

qcow2: build deps-images ## the VM image alone, with its SBOM and list of packages
	nice images/qcow2/build.sh $(IMAGES)
