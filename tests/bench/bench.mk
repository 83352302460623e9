# SPDX-License-Identifier: Apache-2.0
$(OBJ)/tests/bench/bench_answer: $(OBJ)/tests/bench/bench_answer.o $(call objs,$(SRC_dataplane) $(SRC_table) $(SRC_log))
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LIBS_pure_dp)
bench-answer: deps $(OBJ)/tests/bench/bench_answer ## ns and instructions per answer of the pure path
	@scripts/bench-answer
.PHONY: bench-answer
$(OBJ)/tests/bench/bench_worst: $(OBJ)/tests/bench/bench_worst.o $(call objs,$(SRC_dataplane) $(SRC_table) $(SRC_log))
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LIBS_pure_dp)
bench-worst: deps $(OBJ)/tests/bench/bench_worst ## instructions and time of the zones and messages that cost most
	@scripts/bench-worst
.PHONY: bench-worst
$(OBJ)/tests/bench/make_images: $(OBJ)/tests/bench/make_images.o $(OBJ)/dataplane/image_map.o $(call objs,$(SRC_table))
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) $^ -o $@
bench-failover: deps all ## from a fault to the changed answer, seven faults, TRIALS (200) of each
	@scripts/bench-failover --trials $(or $(TRIALS),200)
.PHONY: bench-failover
bench-probes: deps all ## what 10,000 probes a second cost
	@scripts/bench-probes
.PHONY: bench-probes
$(OBJ)/tests/bench/plain_answers: $(OBJ)/tests/bench/plain_answers.o $(call objs,$(SRC_dataplane) $(SRC_table) $(SRC_log))
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LIBS_pure_dp)
$(OBJ)/tests/bench/publish_images: $(OBJ)/tests/bench/publish_images.o $(OBJ)/dataplane/image_socket.o $(OBJ)/dataplane/image_map.o $(call objs,$(SRC_table) $(SRC_log))
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) $^ -o $@
$(OBJ)/tests/bench/bench_workers: $(OBJ)/tests/bench/bench_workers_dpdk.o $(call objs,$(SRC_dp_all) $(SRC_table) $(SRC_log))
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LIBS_dataplane)
$(OBJ)/tests/bench/exception_load: $(OBJ)/tests/bench/exception_load_dpdk.o $(OBJ)/dataplane/kernel_tap.o
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) $^ -o $@ $(DPDK_LIBS)
$(OBJ)/tests/bench/core_distance: $(OBJ)/tests/bench/core_distance.o
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) $^ -o $@ -pthread
BENCH_BINS := $(foreach t,bench_answer make_images plain_answers publish_images bench_workers exception_load core_distance,$(OBJ)/tests/bench/$(t))
bench-peers: deps all $(BENCH_BINS) ## answers a second beside Knot, NSD and gdnsd over veth
	@scripts/bench-peers
bench-link: deps all $(BENCH_BINS) ## answers a second over memif beside testpmd 5tswap
	@scripts/bench-link
bench-publish: deps all $(BENCH_BINS) ## answers and their latency while tables are published
	@scripts/bench-publish
bench-scale: deps all $(BENCH_BINS) ## a million names, ten thousand services, half a million prefixes, two workers, starting up
	@scripts/bench-scale
bench: deps all $(BENCH_BINS) ## all of these within 30 minutes, and docs/performance.md from their figures
	@scripts/install-deps lab
	@scripts/bench
bench-smoke: deps all $(BENCH_BINS) ## each of them for a few seconds, to see that it works
	@scripts/bench --smoke
.PHONY: bench-peers bench-link bench-publish bench-scale bench bench-smoke
test-bins: $(BENCH_BINS)
$(OBJ)/tests/bench/bench_regions: $(OBJ)/tests/bench/bench_regions.o $(call objs,$(SRC_table))
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) $^ -o $@
bench-regions: deps all $(OBJ)/tests/bench/bench_regions ## what a map of 500,000 prefixes costs
	@scripts/bench-regions
.PHONY: bench-regions
