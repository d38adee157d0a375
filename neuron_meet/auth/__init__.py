"""Accounts: passwords, tokens, and the identity that a verified token proves."""
