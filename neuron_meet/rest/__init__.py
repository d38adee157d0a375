"""REST plumbing: routes declared as data, validation, error shapes, CORS. Knows only errors and settings."""
