# SPDX-License-Identifier: Apache-2.0
# What the targets need from Debian 12, installed if it is missing and we may. `dpkg -s` is quick, so nothing is asked of apt when all is there.

DEPS_BUILD := build-essential git ca-certificates pkg-config meson ninja-build libdpdk-dev libpcap-dev libmnl-dev libprotobuf-c-dev \
	protobuf-c-compiler protobuf-compiler
DEPS_LINT  := clang clang-format libclang-rt-14-dev shellcheck
DEPS_TEST  := iproute2 ethtool nftables iputils-ping fping iputils-arping iputils-tracepath traceroute ndisc6 tcpdump tshark iperf3 ncat curl wrk openssl procps \
	python3-scapy frr bird2 libasan8 libubsan1 libyang2-tools
DEPS_BENCH := dpdk-dev util-linux linux-perf

define need
	@missing=; for p in $(1); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" != 0 ]; then echo "missing Debian packages; as root: apt-get install$$missing" >&2; exit 1; fi; \
		echo "installing$$missing"; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
endef

.PHONY: deps-build deps-lint deps-test deps-bench
# Debian 12 has no Go as new as go.mod asks for: an older one fetches it by itself, so any Go from bookworm-backports or go.dev serves.
deps-build:
	$(call need,$(DEPS_BUILD))
	@command -v go >/dev/null || { mk/install-go.sh; }

deps-lint:
	$(call need,$(DEPS_LINT))

deps-test:
	$(call need,$(DEPS_TEST))

deps-bench:
	$(call need,$(DEPS_BENCH))
