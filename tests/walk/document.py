"""The walk as docs/operations.md has it: commands by step, and the same on other ports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENT = CHECKOUT / "docs" / "operations.md"
PORTS = (3001, 3002, 3003, 3478, 5432, 6379, 8443, 9464, 9465, 9466)
"""Those that the document names."""


def steps() -> dict[str, str]:
    """The commands of each step by its heading, in order."""
    found = re.search(r"<!-- walk -->\n(.*)<!-- /walk -->", DOCUMENT.read_text(), re.DOTALL)
    assert found is not None
    parts = re.split(r"^### (.+)$", found[1], flags=re.MULTILINE)[1:]
    return {
        heading: "\n".join(re.findall(r"```sh\n(.*?)```", body, re.DOTALL))
        for heading, body in zip(parts[::2], parts[1::2], strict=True)
    }


def with_ports(text: str, ports: Mapping[int, int]) -> str:
    """The same with other ports, where a documented one stands as a word."""
    return re.sub(r"\b\d{4}\b", lambda found: str(ports.get(int(found[0]), found[0])), text)
