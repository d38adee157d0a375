"""ICE servers: where browsers learn their addresses (STUN) and who relays for those that cannot meet (TURN)."""
