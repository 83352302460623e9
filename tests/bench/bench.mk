# SPDX-License-Identifier: Apache-2.0
$(OBJ)/tests/bench/bench_answer: $(OBJ)/tests/bench/bench_answer.o $(call objs,$(SRC_dataplane) $(SRC_table))
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LIBS_pure_dp)
bench-answer: deps $(OBJ)/tests/bench/bench_answer ## ns and instructions per answer of the pure path
	@scripts/bench-answer
.PHONY: bench-answer
$(OBJ)/tests/bench/bench_worst: $(OBJ)/tests/bench/bench_worst.o $(call objs,$(SRC_dataplane) $(SRC_table))
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LIBS_pure_dp)
bench-worst: deps $(OBJ)/tests/bench/bench_worst ## instructions and time of the zones and messages that cost most
	@scripts/bench-worst
.PHONY: bench-worst
$(OBJ)/tests/bench/make_images: $(OBJ)/tests/bench/make_images.o $(call objs,$(SRC_table))
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) $^ -o $@
bench-failover: deps all ## from a fault to the changed answer, six faults, TRIALS (200) of each
	@scripts/bench-failover --trials $(or $(TRIALS),200)
.PHONY: bench-failover
bench-probes: deps all ## what 10,000 probes a second cost
	@scripts/bench-probes
.PHONY: bench-probes
bench-peers: deps all ## answers a second beside Knot and NSD over veth
	@scripts/bench-peers
.PHONY: bench-peers
bench-scale: deps all $(OBJ)/tests/bench/bench_answer ## what a million names cost
	@scripts/bench-scale
.PHONY: bench-scale
