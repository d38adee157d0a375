"""Chat: durable messages of a room."""
