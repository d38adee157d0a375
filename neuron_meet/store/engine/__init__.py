"""The query-engine process and the connection to it."""
