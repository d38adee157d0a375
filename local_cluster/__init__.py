"""A cluster on one machine, to try out: three nodes, Redis, nginx. Also what tests and the benchmark start of it."""
