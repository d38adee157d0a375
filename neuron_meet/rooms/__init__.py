"""Rooms: codes, settings and the rules of entry."""
