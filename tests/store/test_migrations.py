"""Migrations: applied once, in order, as a whole; and told about where they are not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from neuron_meet.store.migrations import LOCK_KEY, MigrationRefused, deploy, status
from neuron_meet.store.session import address_of, session
from tests.process.program import slowness
from tests.store.former import APPLIED, SCHEMA, dump, execute, value
from tests.store.password_server import PasswordServer, free_port
from tests.store.scratch import COLUMNS, HISTORY, MakeScratch

LATER = ("20990101000000_motto", 'ALTER TABLE "User" ADD COLUMN motto TEXT;')


async def test_migrations_go_over_direct_url(scratch: MakeScratch, empty_database_url: str) -> None:
    checkout = scratch(
        DATABASE_URL=f"postgresql://pooler:x@127.0.0.1:{free_port()}/none", DIRECT_URL=empty_database_url
    )

    deployed = await checkout.run("db", "deploy")

    assert deployed.code == 0, deployed.err
    assert await value(empty_database_url, HISTORY) == APPLIED


async def test_later_migrations_follow_an_adoption(scratch: MakeScratch, former_url: str) -> None:
    checkout = scratch(DATABASE_URL=former_url)
    checkout.add_migration(*LATER)

    deployed = await checkout.run("db", "deploy")

    assert deployed.code == 0, deployed.err
    assert await value(former_url, HISTORY) == f"{APPLIED},{LATER[0]}"
    assert await value(former_url, COLUMNS) == "motto"
    assert await value(former_url, 'SELECT count(*) FROM "Message"') == 2


async def test_a_migration_that_fails_is_rolled_back_and_then_asked_about(
    scratch: MakeScratch, empty_database_url: str
) -> None:
    checkout = scratch(DATABASE_URL=empty_database_url)
    checkout.add_migration(LATER[0], LATER[1] + " SELECT 1/0;")

    failed = await checkout.run("db", "deploy")
    refused = await checkout.run("db", "deploy")

    assert failed.code == 1
    assert "division by zero" in failed.err
    assert "Traceback" not in failed.err
    assert await value(empty_database_url, COLUMNS) is None
    assert refused.code == 1
    assert f"Migration {LATER[0]} failed or was cut off" in refused.err
    assert f'prisma migrate resolve --applied "{LATER[0]}"' in refused.err
    state = await checkout.run("db", "status")
    assert (state.code, f"{LATER[0]}: FAILED" in state.out) == (1, True)


async def test_semicolons_in_a_migration_are_not_cut(scratch: MakeScratch, empty_database_url: str) -> None:
    checkout = scratch(DATABASE_URL=empty_database_url)
    checkout.add_migration(
        LATER[0], "CREATE FUNCTION f() RETURNS text AS $$ BEGIN RETURN 'a;b'; END; $$ LANGUAGE plpgsql;"
    )

    deployed = await checkout.run("db", "deploy")

    assert deployed.code == 0, deployed.err
    assert await value(empty_database_url, "SELECT f()") == "a;b"


async def test_a_migration_that_is_interrupted_leaves_no_trace(
    scratch: MakeScratch, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = scratch()
    checkout.add_migration(LATER[0], LATER[1] + " SELECT pg_sleep(600);")
    monkeypatch.setattr("neuron_meet.store.assets.migrations_dir", lambda: checkout.folder / "migrations")
    deploying = asyncio.create_task(deploy(database_url, print))
    async with session(address_of(database_url)) as onlooker:
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
        while not await onlooker.fetchval(sleeping):
            assert not deploying.done()

    deploying.cancel()
    await asyncio.wait([deploying])

    assert await value(database_url, COLUMNS) is None
    (checkout.folder / "migrations" / LATER[0] / "migration.sql").write_text(LATER[1])
    assert await deploy(database_url, print)
    assert await value(database_url, COLUMNS) == "motto"


async def test_a_migration_that_cannot_be_part_of_a_transaction(
    scratch: MakeScratch, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = scratch()
    checkout.add_migration(LATER[0], 'CREATE INDEX CONCURRENTLY by_name ON "User" (name);')
    monkeypatch.setattr("neuron_meet.store.assets.migrations_dir", lambda: checkout.folder / "migrations")

    assert await deploy(database_url, print)

    assert await status(database_url, print)
    assert await value(database_url, "SELECT count(*) FROM pg_indexes WHERE indexname = 'by_name'") == 1


async def test_an_edited_migration_is_told_about(scratch: MakeScratch, database_url: str) -> None:
    checkout = scratch(DATABASE_URL=database_url)
    script = checkout.folder / "migrations" / "0_init" / "migration.sql"
    script.write_text(script.read_text() + "-- edited\n")

    state = await checkout.run("db", "status")

    assert state.code == 0
    assert "Warning: the migration 0_init was edited after it was applied" in state.out


async def test_nothing_to_do_starts_no_node(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuron_meet.store.assets.prisma_cli", lambda: Path("/nowhere"))
    said: list[str] = []

    assert not await deploy(database_url, said.append)
    assert said == []


async def test_a_schema_of_its_own(empty_database_url: str) -> None:
    await execute(empty_database_url, "CREATE TABLE invoices (id int PRIMARY KEY)")
    url = f"{empty_database_url}&schema=meet%20ings"

    assert await deploy(url, print)

    assert await value(empty_database_url, 'SELECT count(*) FROM "meet ings"."User"') == 0
    assert await value(empty_database_url, "SELECT to_regclass('public.\"User\"')") is None
    assert await status(url, print)
    assert not await deploy(url, print)


async def test_servers_that_start_at_once_take_turns(empty_database_url: str) -> None:
    done = await asyncio.gather(*(deploy(empty_database_url, print) for _ in range(4)))

    assert sorted(done) == [False, False, False, True]
    assert await value(empty_database_url, HISTORY) == APPLIED


async def test_another_deployment_that_does_not_end(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuron_meet.store.migrations.LOCK_SECONDS", 1)
    async with session(address_of(empty_database_url)) as other:
        await other.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)

        with pytest.raises(MigrationRefused, match="Another process has been migrating"):
            await deploy(empty_database_url, print)


async def test_the_frozen_schema_is_what_the_first_migration_makes(
    former_url: str, database_url: str
) -> None:
    """Adoption compares with the one, and stands for the other."""
    await execute(former_url, 'TRUNCATE "User" CASCADE')

    assert dump(former_url) == dump(database_url)


async def test_the_frozen_schema_is_the_contracts() -> None:
    models = [line.split()[1] for line in SCHEMA.read_text().splitlines() if line.startswith("model ")]

    assert models == ["User", "Room", "RoomSettings", "Participant", "Message"]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://meet:geheim@127.0.0.1:{port}/meetings", "refuses the user meet"),
        ("postgresql://meet:{password}@127.0.0.1:{port}/none", "does not exist: create it (createdb none)"),
        ("postgresql://meet:geheim@127.0.0.1:{closed}/meetings", "cannot be reached"),
        ("postgresql://meet:geheim@host:port/meetings", "DATABASE_URL is not a valid address"),
    ],
)
async def test_a_sentence_for_a_database_that_cannot_be_used(
    url: str, sentence: str, scratch: MakeScratch, password_server: PasswordServer
) -> None:
    password = password_server.url().split(":")[2].partition("@")[0]
    checkout = scratch(
        DATABASE_URL=url.format(port=password_server.port, password=password, closed=free_port())
    )

    async with asyncio.timeout(10 * slowness()):
        failed = await checkout.run("db", "deploy")

    assert (failed.code, failed.out) == (1, "")
    assert sentence in failed.err
    assert "Traceback" not in failed.err
    assert "geheim" not in failed.err
