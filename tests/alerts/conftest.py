"""Figures are written down and shown as those of chaos."""

from __future__ import annotations

from tests.chaos.conftest import figures, pytest_terminal_summary

__all__ = ["figures", "pytest_terminal_summary"]
