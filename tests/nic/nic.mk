# SPDX-License-Identifier: Apache-2.0
$(OBJ)/tests/nic/show_counters: $(OBJ)/tests/nic/guest/show_counters.o $(call objs,$(SRC_table))
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) $^ -o $@
test-nic: deps all $(OBJ)/tests/nic/show_counters ## the data plane on emulated cards, in a QEMU guest; no root, no KVM
	@scripts/run-tests nic
.PHONY: test-nic
bench-exception: deps all $(OBJ)/tests/bench/exception_load ## what a flood for the kernel costs answers on a port that DPDK owns
	@scripts/bench-exception
bench-exception-tcp: deps all $(OBJ)/tests/bench/exception_load ## what TCP through the data plane to the kernel is worth beside queries
	@scripts/bench-exception-tcp
.PHONY: bench-exception bench-exception-tcp
