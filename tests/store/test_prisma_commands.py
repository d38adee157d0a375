"""Prisma's CLI as people call it in a checkout: by npx, whether or not the Python environment is activated."""

from __future__ import annotations

import asyncio
import os
import shutil
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from pathlib import Path

import pytest

from neuron_meet.store.assets import migrations_dir, project_dir
from neuron_meet.store.engine.address import DatabaseAddress
from neuron_meet.store.history import migrations_in
from neuron_meet.store.node import find_node
from neuron_meet.store.scripts import apply, open_history
from neuron_meet.store.session import session
from tests.store.former import execute
from tests.store.scratch import MakeScratch, Scratch

CONSTRAINED = (
    (migrations_dir() / "0_init" / "migration.sql").read_text()
    + """
ALTER TABLE "User" ADD CONSTRAINT "User_email_check" CHECK (email LIKE '%@%');
CREATE TABLE bookings (id int PRIMARY KEY, during tsrange, EXCLUDE USING gist (during WITH &&));
"""
)


async def prisma(checkout: Scratch, *arguments: str, path: str, **environment: str) -> tuple[int | None, str]:
    """Exit code and output of what `npx prisma` starts, with that PATH and no other variable of Python's."""
    process = await asyncio.create_subprocess_exec(
        find_node(),
        checkout.folder / "node_modules" / "prisma" / "build" / "index.js",
        *arguments,
        cwd=checkout.folder,
        env={"PATH": path, "HOME": str(checkout.folder), **environment},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


@pytest.fixture
def without_environment() -> str:
    """A PATH without any Python environment."""
    if shutil.which("prisma-client-py", path="/usr/bin:/bin"):
        pytest.skip("prisma-client-py is installed for all")
    return f"{find_node().parent}:/usr/bin:/bin"


async def test_generating_where_the_environment_is_not_activated(
    scratch: MakeScratch, without_environment: str
) -> None:
    checkout = scratch()
    made = checkout.folder / "neuron_meet" / "store" / "generated" / "client.py"
    made.unlink()

    code, said = await prisma(checkout, "generate", path=without_environment)
    assert code != 0
    assert "prisma-client-py is not installed" in said
    assert "make setup" in said

    (checkout.folder / ".venv").symlink_to(project_dir() / ".venv")
    code, said = await prisma(checkout, "generate", path=without_environment)
    assert code == 0, said
    assert made.is_file()


async def test_a_database_with_constraints_of_any_kind_is_read(
    scratch: MakeScratch, empty_database_url: str
) -> None:
    """Prisma's engine panics of what PostgreSQL says of them, unless it is told as a character."""
    await execute(empty_database_url, CONSTRAINED)

    code, said = await prisma(
        scratch(), "db", "pull", "--print", path=os.environ["PATH"], DATABASE_URL=empty_database_url
    )

    assert code == 0, said
    assert "model bookings" in said
    assert 'Model: "User", constraint: "User_email_check"' in said


async def test_a_command_without_a_database_says_so(scratch: MakeScratch) -> None:
    code, said = await prisma(scratch(), "db", "pull", "--print", path=os.environ["PATH"])

    assert code != 0
    assert "DATABASE_URL is not set: set it, or use `neuron-meet db`" in said


async def test_a_limit_of_the_roles_for_queries_is_none_for_migrations(
    empty_database_url: str, tmp_path: Path
) -> None:
    for name, script in (("1_slow", "SELECT pg_sleep(0.3);"), ("2_alone", "VACUUM;")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "migration.sql").write_text(script)
    address = DatabaseAddress.parse(empty_database_url)
    await execute(
        empty_database_url, f"ALTER DATABASE \"{address.database}\" SET statement_timeout = '100ms'"
    )
    async with session(address) as connection:
        await open_history(connection, address)
        for migration in migrations_in(tmp_path):
            await apply(connection, address, migration, tmp_path)
        # Nothing stays set for whoever gets the connection next.
        assert await connection.fetchval("SHOW statement_timeout") == "100ms"
        assert await connection.fetchval("SHOW search_path") == '"$user", public'
