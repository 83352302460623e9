bench-outage: deps-lab all ## how long users are without service in each failure, with one address and with the list
	@scripts/bench-outage --runs $(or $(RUNS),1)
.PHONY: bench-outage
