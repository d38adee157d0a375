"""The REST contract as machines read it: a valid document, and a server that keeps to it whatever is sent."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.rest.server import Server

EXAMPLES = 3
"""Requests of each kind for each route, beside those that schemathesis derives from the document's limits."""
NOT_ASKED = ",".join(
    (
        # JSON Schema has no words for some rules: 72 bytes, a name once it is trimmed, an id that exists.
        "positive_data_acceptance",
        "unsupported_method",  # 404, as the former server has it (docs/protocol.md)
        "use_after_free",  # DELETE ends a room; its rows stay
    )
)
SEED = 20_260_101
LONGEST_SECONDS = 300
"""For a machine that does much else. Alone on two cores it takes a fraction of that."""


async def test_the_document_is_valid(server: Server) -> None:
    document = (await server.get("/api/openapi.json")).body
    errors = OpenAPIV31SpecValidator(document).iter_errors()
    assert [f"{list(error.absolute_path)}: {error.message}" for error in errors] == []


async def test_a_walk_through_the_document(server: Server, tmp_path: Path) -> None:
    """schemathesis, with all its checks: no server error, nothing undeclared, no way around the token."""
    _, token = await server.account()
    url = f"{server.session._base_url}".rstrip("/")
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"),
        "run",
        f"{url}/api/openapi.json",
        f"--header=Authorization: Bearer {token}",
        "--checks=all",
        f"--exclude-checks={NOT_ASKED}",
        "--continue-on-failure",
        f"--max-examples={EXAMPLES}",
        f"--seed={SEED}",
        "--generation-database=none",
        "--no-color",
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), LONGEST_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, printed.decode()
