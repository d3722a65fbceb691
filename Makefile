# SPDX-License-Identifier: Apache-2.0
# Millrace. `make demo` and `make test` work on a fresh Debian 12 as root; `make help` lists the rest.

SHELL      := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

BUILD      ?= build
# The modules of openconfig/public v5.9.0, in one folder: for generate and lint.
export YANG_MODELS ?= ../shared/openconfig
BIN        := bin
# CPU the data plane is compiled for; MARCH=native for this machine only.
MARCH      ?= x86-64-v2
# SANITIZE=1: debug build of the data plane with AddressSanitizer and UBSan.
SANITIZE   ?=
# BENCH=regexp selects benchmarks.
BENCH      ?= .
# SEEDS=first..last are the worlds of `make sim`, SCENARIO= one kind of them.
SEEDS      ?= 1..20000
SCENARIO   ?=
# Seconds per fuzzer.
FUZZTIME   ?= 60
# The packetdrill tool and the folder of its scripts, of a checkout with the tool built.
PACKETDRILL         ?= ../packetdrill/gtests/net/packetdrill/packetdrill
PACKETDRILL_SCRIPTS ?= $(dir $(PACKETDRILL))../tcp
# PATTERN=regexp selects scripts.
PATTERN    ?= .
VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

ifeq ($(SANITIZE),)
MESON_BUILD := $(BUILD)/release-$(MARCH)
MESON_ARGS  := -Doptimization=3
else
MESON_BUILD := $(BUILD)/sanitize
MESON_ARGS  := -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false
endif
MESON_ARGS  += -Dmarch=$(MARCH)

GO_PACKAGES := ./...
GO_LDFLAGS  := -X main.version=$(VERSION)
C_FILES      = $(shell git ls-files 'dataplane/*.c' 'dataplane/*.h' 'stack/*.c' 'stack/*.h')
PROTO_FILES  = $(shell git ls-files 'api/proto/*.proto')

export PATH := /usr/local/go/bin:$(PATH)
export GOFLAGS := -buildvcs=false
export GOTOOLCHAIN := auto
export DEBIAN_FRONTEND := noninteractive

include mk/deps.mk
include mk/images.mk

.PHONY: help build dataplane go tools generate lint format test test-go test-c test-fuzz test-integration test-sanitize test-gribi demo bench fuzz packetdrill clean sim

help: ## this list
	@grep -hE '^[a-z][a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 20

build: dataplane go ## the three programs, into bin/

dataplane: deps-build
	@if [ ! -f $(MESON_BUILD)/build.ninja ]; then meson setup $(MESON_BUILD) $(MESON_ARGS) >/dev/null; fi
	@ninja --quiet -C $(MESON_BUILD)
	@mkdir -p $(BIN)
	@if [ -z "$(SANITIZE)" ]; then ln -sfn $(addprefix ../$(MESON_BUILD)/,dataplane/vnf-dataplane stack/stack-bench stack/linux-bench) $(BIN)/; fi

go: deps-build
	@mkdir -p $(BIN)
	CGO_ENABLED=0 go build -ldflags '$(GO_LDFLAGS)' -o $(BIN)/ ./cmd/...

tools: deps-build ## clients of others that the tests use, into bin/tools/
	@mkdir -p $(BIN)/tools
	cd integration/tools && CGO_ENABLED=0 go build -o $(CURDIR)/$(BIN)/tools/ tool

generate: deps-build ## the Go of the .proto files and, from YANG_MODELS, what is made of yang/
	mk/generate.sh

lint: deps-build deps-lint ## formatting, vet, staticcheck, stale generated code, shellcheck
	mk/lint.sh

format: deps-lint ## put Go, C and shell into the project's form
	gofmt -w $$(git ls-files '*.go' | grep -v -e '\.pb\.go$$' -e '^yang/oc/')
	clang-format -i $(C_FILES)

test: test-c test-fuzz test-go test-integration ## everything, as CI runs it

test-c: deps-build deps-test ## unit tests of the data plane under ASan and UBSan
	@$(MAKE) --no-print-directory SANITIZE=1 dataplane
	ASAN_OPTIONS=detect_leaks=1 meson test -C $(BUILD)/sanitize --print-errorlogs --no-rebuild

sim: deps-build deps-test ## worlds of the TCP simulator, under ASan and UBSan; SEEDS=1..20000, SCENARIO=name
	@$(MAKE) --no-print-directory SANITIZE=1 dataplane
	UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 $(BUILD)/sanitize/stack/sim/stack-sim --seeds $(SEEDS) \
		--jobs $$(nproc) --keep-going $(if $(SCENARIO),--scenario $(SCENARIO))

test-fuzz: deps-build deps-lint ## the fuzzers of the TCP stack, for five seconds each
	FUZZ=stack FUZZTIME=5 mk/fuzz.sh

test-go: dataplane deps-test ## unit tests of the Go packages with the race detector
	VNF_DATAPLANE=$(CURDIR)/$(BIN)/vnf-dataplane go test -race -timeout 15m $$(go list $(GO_PACKAGES) | grep -v /integration)

test-integration: build tools deps-test ## the whole system in network namespaces, with real peers
	MILLRACE_BIN=$(CURDIR)/$(BIN) go test -count=1 -timeout 30m ./integration/...

test-sanitize: build tools deps-test ## the whole system again, with a data plane under ASan and UBSan (slower, not part of test)
	@$(MAKE) --no-print-directory SANITIZE=1 dataplane
	MILLRACE_BIN=$(CURDIR)/$(BIN) MILLRACE_DATAPLANE=$(CURDIR)/$(BUILD)/sanitize/dataplane/vnf-dataplane \
		go test -count=1 -timeout 60m ./integration/...

test-gribi: build deps-test ## gribigo's compliance suite against the box, in both modes of forward references
	MILLRACE_BIN=$(CURDIR)/$(BIN) mk/gribi.sh $(CURDIR)/$(BUILD)/gribi-suite

demo: build deps-test ## the lab: hosts, the router, BGP peers
	MILLRACE_BIN=$(CURDIR)/$(BIN) go run ./demo

bench: build deps-test deps-bench ## measurements against peers; BENCH=regexp selects
	@MILLRACE_BIN=$(CURDIR)/$(BIN) go run ./bench -run '$(BENCH)'

fuzz: deps-build deps-lint deps-test ## FUZZTIME seconds of each fuzzer, C and Go
	FUZZTIME=$(FUZZTIME) mk/fuzz.sh

packetdrill: deps-build ## public packetdrill scripts against the TCP engine; PACKETDRILL=tool PATTERN=regexp
	@if [ ! -f $(MESON_BUILD)/build.ninja ]; then meson setup $(MESON_BUILD) $(MESON_ARGS) >/dev/null; fi
	@ninja --quiet -C $(MESON_BUILD) stack/libmillrace-packetdrill.so
	mk/packetdrill.sh $(MESON_BUILD)/stack/libmillrace-packetdrill.so $(PACKETDRILL) $(PACKETDRILL_SCRIPTS) '$(PATTERN)'

clean: ## what the build made
	rm -rf $(BUILD) $(BIN)
