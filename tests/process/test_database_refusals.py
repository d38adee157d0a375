"""A database that cannot be used at the start: one sentence, exit code 1, within 10 s, and no password in it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.process.outside_database import OutsideDatabase
from tests.process.program import refused, serving
from tests.store.password_server import ENCODED, PASSWORD, free_port


async def sentence(folder: Path, url: str, **environment: str) -> str:
    """The last line of a refused start; asserts all that every refusal has in common."""
    code, output = await refused(folder, DATABASE_URL=url, **environment)
    assert code == 1, output
    for hidden in (PASSWORD, ENCODED, "wr0ng"):
        assert hidden not in output
    assert "Traceback" not in output
    assert len(output.splitlines()) == 1, output
    return output


async def test_nothing_listens(folder: Path) -> None:
    port = free_port()
    said = await sentence(folder, f"postgresql://meet:{ENCODED}@127.0.0.1:{port}/meet")
    assert f"127.0.0.1:{port}" in said
    assert "DATABASE_URL" in said


async def test_wrong_password_user_and_database(folder: Path, postgres: OutsideDatabase) -> None:
    for url, named in (
        (postgres.url(password="wr0ng"), "password"),
        (postgres.url(user="nobody"), "nobody"),
        (postgres.url(database="none"), '"none"'),
    ):
        said = await sentence(folder, url)
        assert named in said
        assert "DATABASE_URL" in said or "create" in said


async def test_a_server_that_never_answers(folder: Path) -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(swallow, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        said = await sentence(folder, f"postgresql://meet:{ENCODED}@127.0.0.1:{port}/meet")
    assert "did not answer" in said


@pytest.mark.parametrize("url", ["postgresql://a:wr0ng@c:port/d", "postgresql://a:wr0ng@[c/d"])
async def test_an_address_that_is_none(folder: Path, url: str) -> None:
    assert "DATABASE_URL" in await sentence(folder, url)


async def test_a_direct_url_that_leads_nowhere(folder: Path, postgres: OutsideDatabase) -> None:
    direct = f"postgresql://meet:{ENCODED}@127.0.0.1:{free_port()}/postgres"
    assert "cannot be reached" in await sentence(folder, postgres.url(), DIRECT_URL=direct)


async def test_a_password_of_odd_characters_works(folder: Path, postgres: OutsideDatabase) -> None:
    async with serving(folder, DATABASE_URL=postgres.url()) as program:
        assert await program.stop() == 0
        assert PASSWORD not in program.output
        assert ENCODED not in program.output
    assert not (folder / "data/postgres").exists()
