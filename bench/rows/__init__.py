"""The rows of the benchmark's table; each module measures one kind of thing."""
