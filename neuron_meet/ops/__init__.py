"""Operation: health, logs, draining."""
