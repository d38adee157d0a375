"""Who is in which room now."""
