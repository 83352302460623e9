# SPDX-License-Identifier: Apache-2.0
# Signpost: one file, GNU make, no configure step. `make help` lists the targets.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

FLAVOUR ?= release
BUILD   := build
OBJ     := $(BUILD)/$(FLAVOUR)
# Programs of the release flavour land at build/ itself, the others in their flavour's folder.
BIN     := $(if $(filter release,$(FLAVOUR)),$(BUILD),$(OBJ))

CC  := gcc
CXX := g++
ifneq ($(filter fuzz,$(FLAVOUR)),)
CC  := clang-14
CXX := clang++-14
endif

# Only the release flavour stops at warnings: sanitizers change what the compiler sees of conversions.
WARN := -Wall -Wextra -Wshadow -Wvla -Wswitch-enum $(if $(filter release,$(FLAVOUR)),-Wconversion $(if $(CI),-Werror))
WARN_C := $(WARN) -Wstrict-prototypes -Wmissing-prototypes
FLAVOUR_release := -O2 -g
FLAVOUR_debug   := -O0 -g3
FLAVOUR_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
FLAVOUR_tsan    := -O1 -g -fsanitize=thread
FLAVOUR_cov     := -O0 -g --coverage -fprofile-abs-path
FLAVOUR_fuzz    := -O1 -g -fsanitize=address,undefined,fuzzer-no-link -fno-omit-frame-pointer
ifeq ($(FLAVOUR_$(FLAVOUR)),)
$(error FLAVOUR must be one of release, debug, asan, tsan, cov, fuzz)
endif
# SSE4.2 and its company are what DPDK asks of an x86-64 machine anyway.
ARCH_FLAGS := $(if $(filter x86_64,$(shell uname -m)),-march=x86-64-v2)
# Debian's own hardening; the sanitizers bring their own checks.
HARDEN := $(if $(filter release,$(FLAVOUR)),-D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE)
LDHARDEN_release := -pie -Wl,-z,relro,-z,now
LDHARDEN := $(LDHARDEN_$(FLAVOUR))

VERSION := $(shell cat VERSION 2>/dev/null)
CPPFLAGS := -I. -D_GNU_SOURCE -DSIGNPOST_VERSION='"$(VERSION)"'
CFLAGS_ALL   := -std=gnu17 $(ARCH_FLAGS) $(WARN_C) $(FLAVOUR_$(FLAVOUR)) $(HARDEN) -pthread
CXXFLAGS_ALL := -std=gnu++17 $(ARCH_FLAGS) $(WARN) $(FLAVOUR_$(FLAVOUR)) $(HARDEN) -pthread
LDFLAGS_ALL  := $(FLAVOUR_$(FLAVOUR)) $(LDHARDEN) -pthread

# ---- flags per folder; a folder sees only the libraries that its row in docs/architecture.md names ----
pkg_cflags = $(shell pkg-config --cflags $(1) 2>/dev/null)
pkg_libs   = $(shell pkg-config --libs $(1) 2>/dev/null)
PKG_health  := libuv libcurl libsodium jansson
PKG_shared  := libuv libmicrohttpd
PKG_control := libuv libconfig ldns jansson libmicrohttpd libmaxminddb libsodium
PKG_dbsync  := libpq sqlite3 openssl libzstd libuv jansson libconfig libmicrohttpd
# URCU_INLINE_SMALL_FUNCTIONS: without it every quiescent report is a call through the PLT. liburcu documents the
# inlined functions as small enough not to make the caller a derived work (LGPL-2.1 section 5).
FLAGS_dataplane := -DURCU_INLINE_SMALL_FUNCTIONS
FLAGS_health  := $(call pkg_cflags,$(PKG_health))
FLAGS_shared  := $(call pkg_cflags,$(PKG_shared))
FLAGS_control := $(call pkg_cflags,$(PKG_control))
FLAGS_dbsync  := $(call pkg_cflags,$(PKG_dbsync))
# libdpdk's -march (corei7) reaches only the files that include DPDK. The door files end in _dpdk.c.
# -isystem: the warnings of its headers are not ours.
DPDK_CFLAGS := $(patsubst -I%,-isystem %,$(call pkg_cflags,libdpdk))
DPDK_LIBS   := $(call pkg_libs,libdpdk)

LIBS_table     :=
LIBS_dataplane := $(DPDK_LIBS) -lxdp -lbpf $(call pkg_libs,libsodium) -lurcu-qsbr -lurcu-common
LIBS_pure_dp   := $(call pkg_libs,libsodium) -lurcu-qsbr -lurcu-common
LIBS_health    := $(call pkg_libs,$(PKG_health))
LIBS_control   := $(call pkg_libs,$(PKG_control) $(PKG_health)) -lm
LIBS_dbsync    := $(call pkg_libs,$(PKG_dbsync)) -lm

# ---- sources: found, not listed. Files named *_main.c are programs; *_dpdk.c see DPDK ----
MAINS := $(wildcard dataplane/*_main.c control/*_main.c dbsync/*_main.c)
src_of = $(filter-out $(MAINS) %.bpf.c,$(wildcard $(1)/*.c))
objs   = $(patsubst %.c,$(OBJ)/%.o,$(1))
SRC_table     := $(call src_of,table)
SRC_health    := $(call src_of,health)
SRC_shared    := $(call src_of,shared)
SRC_log       := shared/log.c shared/card.c
SRC_control   := $(call src_of,control) $(SRC_shared)
SRC_dbsync    := $(call src_of,dbsync) $(SRC_shared)
SRC_dp_all    := $(call src_of,dataplane)
SRC_dp_dpdk   := $(filter %_dpdk.c,$(SRC_dp_all))
# What needs the kernel's BPF library goes into the data plane only.
SRC_dp_bpf    := dataplane/port_filter.c dataplane/guardian.c dataplane/stranded.c
SRC_dataplane := $(filter-out %_dpdk.c $(SRC_dp_bpf),$(SRC_dp_all))

PROGRAMS := $(if $(wildcard dataplane/dataplane_main.c),$(BIN)/signpost-dataplane) \
            $(if $(wildcard dataplane/standby_main.c),$(BIN)/signpost-standby) \
            $(if $(wildcard control/control_main.c),$(BIN)/signpost-control) \
            $(if $(wildcard control/ctl_main.c),$(BIN)/signpostctl) \
            $(if $(wildcard dbsync/dbsync_main.c),$(BIN)/signpost-dbsync)

.DEFAULT_GOAL := all

all: deps $(PROGRAMS) ## build the programs to build/

deps: $(BUILD)/.deps ## install what is missing, by apt
$(BUILD)/.deps: scripts/install-deps scripts/packages
	@mkdir -p $(BUILD)
	@scripts/install-deps
	@touch $@

$(OBJ)/%_dpdk.o: %_dpdk.c | $(BUILD)/.deps
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(FLAGS_$(firstword $(subst /, ,$<))) $(DPDK_CFLAGS) -MMD -MP -c $< -o $@
$(OBJ)/%.o: %.c | $(BUILD)/.deps
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(FLAGS_$(firstword $(subst /, ,$<))) -MMD -MP -c $< -o $@
$(OBJ)/%.o: %.cc | $(BUILD)/.deps
	@mkdir -p $(@D)
	@echo "  CXX  $<"
	@$(CXX) $(CPPFLAGS) $(CXXFLAGS_ALL) $(if $(filter tests/dpdk/%,$<),$(DPDK_CFLAGS)) -MMD -MP -c $< -o $@

# The kernel's BPF machine knows no flavours. Its headers stand where the target's do.
PORT_FILTER_OBJECT := $(BUILD)/bpf/port_filter.bpf.o
$(PORT_FILTER_OBJECT): dataplane/port_filter.bpf.c dataplane/port_filter_map.h | $(BUILD)/.deps
	@mkdir -p $(@D)
	@echo "  BPF  $<"
	@clang-14 -target bpf -O2 -g -Wall -Wextra -Werror -I. -I/usr/include/$(shell gcc -print-multiarch) -c $< -o $@
$(OBJ)/dataplane/port_filter.o: $(PORT_FILTER_OBJECT)
$(OBJ)/dataplane/port_filter.o: CPPFLAGS += -DPORT_FILTER_OBJECT='"$(PORT_FILTER_OBJECT)"'

$(BIN)/signpost-dataplane: $(call objs,dataplane/dataplane_main.c $(SRC_dp_all) $(SRC_table) $(SRC_log))
	@echo "  LD   $@"
	@$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LIBS_dataplane)
$(BIN)/signpost-standby: $(call objs,dataplane/standby_main.c $(SRC_dataplane) $(SRC_table) $(SRC_log))
	@echo "  LD   $@"
	@$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LIBS_pure_dp)
$(BIN)/signpost-control: $(call objs,control/control_main.c $(SRC_control) $(SRC_health) $(SRC_table))
	@echo "  LD   $@"
	@$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LIBS_control)
$(BIN)/signpostctl: $(call objs,control/ctl_main.c $(SRC_control) $(SRC_health) $(SRC_table))
	@echo "  LD   $@"
	@$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LIBS_control)
$(BIN)/signpost-dbsync: $(call objs,dbsync/dbsync_main.c $(SRC_dbsync))
	@echo "  LD   $@"
	@$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LIBS_dbsync)

# ---- tests ----
GTEST_LIBS := -lgmock_main -lgmock -lgtest -lstdc++
unit_src = $(wildcard tests/unit/$(1)/*_test.cc) $(wildcard tests/support/$(1)_*.cc)
UNIT_FOLDERS := $(foreach f,table shared dataplane health control dbsync,$(if $(wildcard tests/unit/$(f)/*_test.cc),$(f)))
UNIT_BINS := $(patsubst %,$(OBJ)/tests/unit_%,$(UNIT_FOLDERS)) $(if $(wildcard tests/sim/*_test.cc),$(OBJ)/tests/all_sim) \
             $(if $(wildcard tests/sim/dbsync_*_test.cc),$(OBJ)/tests/all_sim_dbsync) \
             $(if $(wildcard tests/race/*_test.cc),$(OBJ)/tests/all_race)
$(OBJ)/tests/unit_table: $(patsubst %.cc,$(OBJ)/%.o,$(call unit_src,table)) $(call objs,$(SRC_table))
$(OBJ)/tests/unit_shared: $(patsubst %.cc,$(OBJ)/%.o,$(call unit_src,shared)) $(call objs,$(SRC_log))
$(OBJ)/tests/unit_dataplane: $(patsubst %.cc,$(OBJ)/%.o,$(call unit_src,dataplane)) $(call objs,$(SRC_dataplane) $(SRC_table) $(SRC_log))
$(OBJ)/tests/unit_health: $(patsubst %.cc,$(OBJ)/%.o,$(call unit_src,health)) $(call objs,$(SRC_health) $(SRC_table))
$(OBJ)/tests/unit_control: $(patsubst %.cc,$(OBJ)/%.o,$(call unit_src,control)) $(call objs,$(SRC_control) $(SRC_health) $(SRC_table))
$(OBJ)/tests/unit_dbsync: $(patsubst %.cc,$(OBJ)/%.o,$(call unit_src,dbsync)) $(call objs,$(SRC_dbsync))
$(OBJ)/tests/all_sim: $(patsubst %.cc,$(OBJ)/%.o,$(filter-out tests/sim/dbsync_%,$(wildcard tests/sim/*.cc))) $(call objs,$(SRC_control) $(SRC_health) $(SRC_table))
$(OBJ)/tests/all_sim_dbsync: $(patsubst %.cc,$(OBJ)/%.o,$(wildcard tests/sim/dbsync_*.cc tests/support/dbsync_*.cc)) $(call objs,$(SRC_dbsync))
$(OBJ)/tests/all_race: $(patsubst %.cc,$(OBJ)/%.o,$(wildcard tests/race/*.cc)) $(call objs,$(SRC_dataplane) $(SRC_table) $(SRC_log))
$(OBJ)/tests/all_dpdk: $(patsubst %.cc,$(OBJ)/%.o,$(wildcard tests/dpdk/*.cc)) $(call objs,$(SRC_dp_all) $(SRC_table) $(SRC_log))
# Needs two PostgreSQL clusters: tests/lab and tests/system start them and run it.
$(OBJ)/tests/dbsync_pg: $(patsubst %.cc,$(OBJ)/%.o,$(wildcard tests/pg/*_test.cc)) $(call objs,$(SRC_dbsync))
LIBS_dbsync_pg := $(LIBS_dbsync)
PG_PROGRAMS := $(OBJ)/tests/dbsync_pg
LIBS_unit_table := $(LIBS_table)
LIBS_unit_shared :=
LIBS_unit_dataplane := $(LIBS_pure_dp) $(call pkg_libs,jansson)
LIBS_all_race := $(LIBS_pure_dp)
LIBS_all_dpdk := $(LIBS_dataplane) -lrte_net_ring
LIBS_unit_health := $(LIBS_health)
LIBS_unit_control := $(LIBS_control)
LIBS_all_sim := $(LIBS_control)
LIBS_all_sim_dbsync := $(LIBS_dbsync)
LIBS_unit_dbsync := $(LIBS_dbsync)
$(foreach t,unit_table unit_shared unit_dataplane unit_health unit_control unit_dbsync dbsync_pg all_sim all_sim_dbsync all_race all_dpdk,$(OBJ)/tests/$(t)):
	@mkdir -p $(@D)
	@echo "  LD   $@"
	@$(CXX) $(LDFLAGS_ALL) $(filter %.o,$^) -o $@ $(LIBS_$(notdir $@)) $(GTEST_LIBS)
DPDK_TESTS := $(if $(wildcard tests/dpdk/*_test.cc),$(OBJ)/tests/all_dpdk)

# ---- fuzz targets: tests/fuzz/fuzz_<folder>_<name>.c; with clang a libFuzzer binary, else a corpus replayer ----
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BINS := $(patsubst tests/fuzz/%.c,$(OBJ)/fuzz/%,$(FUZZ_SRC))
fuzz_folder = $(word 2,$(subst _, ,$(notdir $(1))))
FUZZ_OBJS_table := $(SRC_table)
FUZZ_OBJS_dataplane := $(SRC_dataplane) $(SRC_table) $(SRC_log)
FUZZ_OBJS_health := $(SRC_health) $(SRC_table)
FUZZ_OBJS_control := $(SRC_control) $(SRC_health) $(SRC_table)
FUZZ_OBJS_dbsync := $(SRC_dbsync)
LIBS_fuzz_table := $(LIBS_table)
LIBS_fuzz_dataplane := $(LIBS_pure_dp) $(call pkg_libs,ldns)
LIBS_fuzz_health := $(LIBS_health)
LIBS_fuzz_control := $(LIBS_control)
LIBS_fuzz_dbsync := $(LIBS_dbsync)
FUZZ_DRIVER := $(if $(filter fuzz,$(FLAVOUR)),,$(OBJ)/tests/fuzz/replay.o)
define fuzz_rule
$(OBJ)/fuzz/$(1): $(OBJ)/tests/fuzz/$(1).o $(FUZZ_DRIVER) $(call objs,$(FUZZ_OBJS_$(call fuzz_folder,$(1))))
	@mkdir -p $$(@D)
	@echo "  LD   $$@"
	@$$(CC) $$(LDFLAGS_ALL) $(if $(filter fuzz,$(FLAVOUR)),-fsanitize=fuzzer) $$^ -o $$@ $$(LIBS_fuzz_$(call fuzz_folder,$(1)))
endef
$(foreach t,$(notdir $(basename $(FUZZ_SRC))),$(eval $(call fuzz_rule,$(t))))
fuzz-bins: $(FUZZ_BINS)

test-bins: $(UNIT_BINS) $(DPDK_TESTS) $(FUZZ_BINS) $(PG_PROGRAMS) $(OBJ)/tests/bench/make_images
test: deps all test-bins ## unit tests, DPDK tests, corpus replay, system tests; under 10 minutes
	@FLAVOUR=$(FLAVOUR) scripts/run-tests unit fuzz-replay dpdk system
test-unit: $(UNIT_BINS) $(FUZZ_BINS) ## only what needs no network namespace and no EAL
	@FLAVOUR=$(FLAVOUR) scripts/run-tests unit fuzz-replay
check: deps all test-bins ## test, and the long simulator runs
	@FLAVOUR=$(FLAVOUR) SIGNPOST_SIM_RUNS=10000 scripts/run-tests unit fuzz-replay dpdk system
test-lab: deps-lab all $(PG_PROGRAMS) $(OBJ)/tests/all_sim_dbsync ## the claims on two whole sites of real servers, and comparisons; about 20 minutes
	@scripts/run-tests lab
chaos: deps-lab all ## random faults on two whole sites for SECONDS (600); SEED replays them
	@scripts/chaos --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED))
bench-dbsync: deps-lab all ## two PostgreSQL clusters kept in step, beside Bucardo, and its tables of docs/performance.md; an hour, or a third of one with SHORT=1
	@scripts/bench-dbsync $(if $(SHORT),--runs 1 --seconds 8 --outage 30)
	@scripts/bench-report
deps-lab: $(BUILD)/.deps-lab
$(BUILD)/.deps-lab: scripts/install-deps scripts/packages
	@mkdir -p $(BUILD)
	@scripts/install-deps lab
	@touch $@
test-sanitizers: deps ## unit tests and corpus replay under AddressSanitizer and UBSan
	@$(MAKE) --no-print-directory FLAVOUR=asan test-unit
race: deps ## publish and reclaim under ThreadSanitizer
	@$(MAKE) --no-print-directory FLAVOUR=tsan build/tsan/tests/all_race
	@build/tsan/tests/all_race
fuzz: deps ## run each fuzz target for SECONDS (30)
	@$(MAKE) --no-print-directory FLAVOUR=fuzz fuzz-bins
	@scripts/run-fuzz $(or $(SECONDS_EACH),30)
demo: deps all ## a two-site cluster answers, fails over and comes back (KEEP=1 leaves it up)
	@scripts/demo $(if $(KEEP),--keep)
demo-dbsync: deps all ## two sites' databases are kept in step (DB=sqlite, or DB=postgres)
	@scripts/demo-dbsync --db $(or $(DB),sqlite)
lint: deps ## format, layer arrows, headers alone in C and C++, sizes
	@scripts/lint
cov: deps ## branch coverage of the unit tests to build/cov
	@$(MAKE) --no-print-directory FLAVOUR=cov test-unit
	@mkdir -p build/cov/report && gcovr --branches -r . --exclude 'tests/.*' --html-details build/cov/report/index.html --print-summary build/cov
-include $(wildcard tests/bench/*.mk tests/nic/*.mk)

PREFIX ?= /usr/local
install: all ## install programs, unit files, manual pages under DESTDIR and PREFIX
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 755 $(filter-out %/signpostctl,$(PROGRAMS)) $(DESTDIR)$(PREFIX)/sbin
	install -m 755 $(filter %/signpostctl,$(PROGRAMS)) $(DESTDIR)$(PREFIX)/bin
	install -m 755 scripts/nic $(DESTDIR)$(PREFIX)/sbin/signpost-nic
	install -m 755 scripts/hugepages $(DESTDIR)$(PREFIX)/sbin/signpost-hugepages
	install -m 644 $(wildcard deploy/*.service) $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed -i 's|/usr/sbin/|$(PREFIX)/sbin/|; s|/usr/bin/|$(PREFIX)/bin/|' $(patsubst deploy/%,$(DESTDIR)$(PREFIX)/lib/systemd/system/%,$(wildcard deploy/*.service))
	install -D -m 644 deploy/signpost.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/signpost.conf
	install -D -m 644 deploy/signpostctl.bash-completion $(DESTDIR)$(PREFIX)/share/bash-completion/completions/signpostctl
	scripts/man-pages $(BUILD)/man
	install -d $(foreach s,1 5 8,$(DESTDIR)$(PREFIX)/share/man/man$(s))
	$(foreach s,1 5 8,install -m 644 $(BUILD)/man/*.$(s) $(DESTDIR)$(PREFIX)/share/man/man$(s) &&) true
	install -d $(DESTDIR)$(PREFIX)/share/doc/signpost
	cp -r docs/*.md docs/examples deploy/alerts.yml deploy/dashboard.json $(DESTDIR)$(PREFIX)/share/doc/signpost
clean: ## remove everything that was built
	rm -rf $(BUILD)
help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## /\1\t/p' Makefile $(wildcard tests/bench/*.mk tests/nic/*.mk) | sort | awk -F'\t' '{printf "  %-18s %s\n", $$1, $$2}'

.PHONY: all deps deps-lab bench-dbsync chaos test test-bins test-unit check test-lab test-sanitizers race fuzz fuzz-bins demo demo-dbsync lint cov install clean help
-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)
