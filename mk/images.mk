# SPDX-License-Identifier: Apache-2.0
# What is made to be deployed: the VM image, and beside it the packages, the container and the descriptors. None of it is part of `make test`: it takes minutes
# and needs Debian's packages from a mirror. Whatever belongs to a release adds itself to `images` by a line `images: NAME`.

DEPS_IMAGES := mmdebstrap gdisk mtools dosfstools e2fsprogs qemu-utils grub-pc-bin grub-efi-amd64-bin python3 dpkg-dev gcc
IMAGES      := $(BUILD)/images

.PHONY: images qcow2 image-lock deps-images

deps-images:
	$(call need,$(DEPS_IMAGES))

images: qcow2 ## all that is deployed, into build/images/: VM image, SBOM, list of packages, container, descriptors

qcow2: packages deps-images ## the VM image alone, with its SBOM and list of packages
	nice images/qcow2/build.sh $(IMAGES) $(BUILD)/packages

image-lock: qcow2 ## take the versions of Debian's packages that the mirror has now as those the image is built of
	(echo "# Versions of Debian's packages that the image is built of; written by make image-lock."; grep -v '^millrace-' $(IMAGES)/millrace.packages) \
		>images/qcow2/packages.lock

# CycloneDX's schemas, by which the SBOM is checked, are in a package of npm.
DEPS_TEST_QCOW2 := python3-jsonschema qemu-utils gdisk mtools e2fsprogs
CYCLONEDX       := $(BUILD)/cyclonedx

.PHONY: test-qcow2 test-libvirt

test-qcow2: deps-images ## look at the built VM image without booting it: partitions, filesystem, what must not be in it, SBOM
	$(call need,$(DEPS_TEST_QCOW2))
	$(if $(shell command -v npm),,$(call need,npm))
	@test -d $(CYCLONEDX)/node_modules || npm install --silent --no-audit --no-fund --ignore-scripts --omit=optional --prefix $(CYCLONEDX) @cyclonedx/cyclonedx-library@10.3.0
	images/qcow2/test.sh $(IMAGES) $(CYCLONEDX)/node_modules/@cyclonedx/cyclonedx-library/res/schema

test-libvirt: ## the domain for libvirt, by libvirt's schemas
	$(call need,libvirt-clients libxml2-utils)
	virt-xml-validate images/libvirt/millrace.xml domain

# What boots the image: MILLRACE_IMAGE and MILLRACE_PACKAGES name others than those just built, RUN=regexp selects tests.
DEPS_TEST_IMAGE   := qemu-system-x86 qemu-utils ovmf genisoimage openssh-client dnsmasq-base dpkg-dev
MILLRACE_IMAGE    ?= $(CURDIR)/$(IMAGES)/millrace.qcow2
MILLRACE_PACKAGES ?= $(CURDIR)/$(BUILD)/packages
RUN               ?= .

.PHONY: test-image

test-image: build deps-test ## boot the built VM image under emulation, as clouds do (half an hour); RUN=regexp
	$(call need,$(DEPS_TEST_IMAGE))
	MILLRACE_BIN=$(CURDIR)/$(BIN) MILLRACE_IMAGE=$(MILLRACE_IMAGE) MILLRACE_PACKAGES=$(MILLRACE_PACKAGES) \
		go test -v -count=1 -timeout 120m -run '$(RUN)' ./integration/image

# The packages are packed by nfpm, which is a Go program with its own go.mod.
DEPS_PACKAGES := dpkg-dev binutils help2man

.PHONY: packages

packages: deps-build ## the Debian packages, into build/packages/
	$(call need,$(DEPS_PACKAGES))
	nice images/packages/build.sh $(BUILD)/packages

# OpenStack's services as Python packages, without the packages that would run them here.
DEPS_OPENSTACK := python3-heat python3-nova python3-glance python3-keystone python3-openstackclient openssl

.PHONY: test-openstack deps-openstack

# Nor is anything started that they bring along.
deps-openstack: export RUNLEVEL := 1
deps-openstack:
	$(call need,$(DEPS_OPENSTACK))

test-openstack: go deps-openstack ## the Heat templates in Heat's engine, their user-data against our schema, the image in a Glance
	MILLRACE_IMAGE=$(MILLRACE_IMAGE) nice images/openstack/tests/run.sh

# The descriptor: CSAR_KEY and CSAR_CERTIFICATE (PEM, RSA or EC) sign it; without, with a key made for it, which nobody else trusts. CSAR_IMAGE_URL says where the
# image is to be fetched; without, it is in the package.
DEPS_CSAR        := python3 python3-yaml openssl
CSAR_KEY         ?=
CSAR_CERTIFICATE ?=
CSAR_IMAGE_URL   ?=

.PHONY: csar test-csar

images: csar

csar: qcow2 ## the descriptor with the image as an ETSI package, signed by CSAR_KEY and CSAR_CERTIFICATE
	$(call need,$(DEPS_CSAR))
	images/vnfd/csar.sh $(IMAGES)/millrace.qcow2 '$(VERSION)' '$(CSAR_KEY)' '$(CSAR_CERTIFICATE)' '$(CSAR_IMAGE_URL)' $(IMAGES)/millrace.csar

test-csar: deps-build ## the ETSI package: checked by us, by openssl and by a TOSCA processor of others; broken ones are found
	$(call need,$(DEPS_CSAR))
	@mkdir -p $(BIN)/tools
	cd images/vnfd/tools && CGO_ENABLED=0 go build -o $(CURDIR)/$(BIN)/tools/ tool
	PUCCINI=$(CURDIR)/$(BIN)/tools/puccini-tosca MILLRACE_CSAR=$(CURDIR)/$(IMAGES)/millrace.csar nice /usr/bin/python3 images/vnfd/tests/test_csar.py

# A Debian of its own is booted in a namespace container: MILLRACE_PACKAGES names others than those just built.
DEPS_TEST_PACKAGES := mmdebstrap systemd-container lintian fping ethtool iproute2 util-linux procps

.PHONY: test-packages test-packages-reproducible

test-packages: packages ## install, run, upgrade, remove and purge the packages, with packets passing meanwhile
	$(call need,$(DEPS_TEST_PACKAGES))
	lintian --fail-on error,warning --allow-root $(BUILD)/packages/*.deb
	nice images/packages/test.sh $(BUILD)/packages $(BUILD)/packages-test

test-packages-reproducible: deps-build ## build the packages twice, in two places: the same bytes?
	$(call need,$(DEPS_PACKAGES))
	nice images/packages/reproducible.sh

DEPS_OCI      := mmdebstrap busybox python3
DEPS_TEST_OCI := runc umoci skopeo iproute2 ethtool iputils-ping ncat

.PHONY: oci test-oci

images: oci

oci: packages ## the container, an OCI archive: build/images/millrace-oci.tar
	$(call need,$(DEPS_OCI))
	nice images/oci/build.sh $(BUILD)/packages $(IMAGES)/millrace-oci.tar

test-oci: oci ## run the container in a pod, with af_packet and af_xdp ports
	$(call need,$(DEPS_TEST_OCI))
	nice images/oci/test.sh $(IMAGES)/millrace-oci.tar $(BUILD)/packages/work/bin/vnfctl
