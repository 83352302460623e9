# SPDX-License-Identifier: Apache-2.0
$(OBJ)/tests/bench/bench_dbsync: $(OBJ)/tests/bench/bench_dbsync.o $(call objs,$(SRC_dbsync))
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS_ALL) $^ -o $@ $(LIBS_dbsync)
bench-dbsync-sqlite: deps $(OBJ)/tests/bench/bench_dbsync ## rows a second captured, cut and applied by the SQLite door
	@d=$$(mktemp -d) && trap 'rm -rf "$$d"' EXIT && $(OBJ)/tests/bench/bench_dbsync "$$d" $(or $(ROWS),200000) $(or $(RUNS),5)
.PHONY: bench-dbsync-sqlite
