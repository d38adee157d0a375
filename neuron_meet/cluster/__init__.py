"""Many nodes as one, by way of Redis: the only code that imports it. Knows keys, bytes and time, and no meetings."""
