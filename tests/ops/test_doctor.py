"""`neuron-meet doctor` on environments that are broken for real, each in one way."""

from __future__ import annotations

import re
import resource
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from neuron_meet.doctor import Finding, examine
from neuron_meet.settings import Settings
from neuron_meet.store.client import Database
from tests.ops.collector import collecting
from tests.process.program import Program
from tests.store.seeds import a_message, a_room, a_row

FINE = {
    "JWT_SECRET",
    "PostgreSQL",
    "clock",
    "connections",
    "migrations",
    "indexes",
    "messages",
    "query engine",
    "port",
    "open files",
}
SECRET = "a-secret-of-these-tests-of-32-bytes-or-more"


async def found(more_connections: int = 0, **given: Any) -> dict[str, Finding]:
    """What a server with these settings would find, by subject."""
    settings = Settings(_env_file=None, **({"port": 0, "node_env": "test", "jwt_secret": SECRET} | given))  # type: ignore[call-arg]
    if more_connections:  # than settings allow, and than any PostgreSQL here has
        settings = settings.model_copy(update={"database_pool_size": more_connections})
    return {finding.subject: finding for finding in await examine(settings)}


def failed(findings: dict[str, Finding]) -> dict[str, str]:
    return {subject: finding.text for subject, finding in findings.items() if finding.state == "failed"}


async def test_where_all_is_well(database_url: str) -> None:
    async with collecting() as collector:
        findings = await found(
            database_url=database_url, direct_url=database_url, otel_exporter_otlp_endpoint=collector.url
        )

    assert failed(findings) == {}
    assert {subject for subject, finding in findings.items() if finding.state == "ok"} == FINE | {
        "DIRECT_URL",
        "tracing",
    }
    assert re.fullmatch(r'"t_\w+" at .*, version 1\d.*', findings["PostgreSQL"].text)


async def test_a_database_that_is_not_there(database_url: str) -> None:
    findings = await found(database_url="postgresql://meet:geheim@127.0.0.1:1/meet")

    assert failed(findings).keys() == {"PostgreSQL"}
    text = findings["PostgreSQL"].text
    assert '"meet" at 127.0.0.1:1 cannot be reached' in text
    assert "geheim" not in text
    assert findings["migrations"].text == "without PostgreSQL this cannot be told"
    wrong_name = await found(database_url=database_url.replace("/t_", "/no_"))
    assert re.search("does not exist: create it", failed(wrong_name)["PostgreSQL"])


async def test_a_database_that_lacks_an_index(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute('DROP INDEX "Room_endedAt_idx"')
    await connection.close()

    problems = failed(await found(database_url=database_url))

    assert problems.keys() == {"indexes"}
    assert "Room_endedAt_idx" in problems["indexes"]
    assert "`neuron-meet db deploy`" in problems["indexes"]


async def test_a_database_that_lacks_the_tables(empty_database_url: str) -> None:
    problems = failed(await found(database_url=empty_database_url))

    assert problems.keys() == {"migrations", "query engine"}
    assert problems["migrations"].startswith("Migrations are missing: `neuron-meet db deploy`")
    assert problems["query engine"].endswith("Run: neuron-meet db deploy")


async def test_messages_that_are_ahead_of_the_clock(database_url: str) -> None:
    database = Database(database_url)
    await database.start()
    try:
        room = await a_room(database.prisma)
        for seconds in (-5, 30, 3600, 7200):
            moment = datetime.now(UTC) + timedelta(seconds=seconds)
            await a_row(database.prisma, a_message(room.id, "text"), moment)
    finally:
        await database.stop()
    problems = failed(await found(database_url=database_url))
    assert problems.keys() == {"messages"}
    assert problems["messages"].startswith("2 messages in 1 room(s) are more than 60 s ahead")


async def test_a_standby_and_too_few_connections(database_url: str) -> None:
    admin = await asyncpg.connect(database_url)
    try:
        name = await admin.fetchval("SELECT current_database()")
        await admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        assert failed(await found(database_url=database_url))["PostgreSQL"].startswith(
            "The database takes no writes"
        )
        await admin.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    finally:
        await admin.close()
    problems = failed(await found(more_connections=9_999, database_url=database_url))
    assert re.match(
        r"PostgreSQL has \d+ of \d+ connections left, this server wants 10000: ", problems["connections"]
    )


async def test_what_does_not_answer(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as other:
        port, admin_port = taken.getsockname()[1], other.getsockname()[1]
        problems = failed(
            await found(
                database_url=database_url,
                redis_url="redis://127.0.0.1:1/0",
                turn_server_url="turn:127.0.0.1:1",
                turn_secret="geheim",
                port=port,
                admin_port=admin_port,
                audit_log=str(tmp_path),
                neuron_meet_data_dir=tmp_path / "data",
                otel_exporter_otlp_endpoint="http://127.0.0.1:1",
            )
        )
    assert problems.keys() == {"Redis", "TURN", "port", "admin port", "audit log", "tracing"}
    assert problems["tracing"].startswith("http://127.0.0.1:1 takes no traces")
    assert problems["Redis"].endswith("Check REDIS_URL and that Redis runs there.")
    assert problems["TURN"].startswith("turn:127.0.0.1:1 gives no allocation: nothing listens there.")
    assert problems["port"].startswith(f"PORT {port} on 127.0.0.1 cannot be used (Address already in use)")
    assert problems["admin port"].startswith(f"ADMIN_PORT {admin_port} on 127.0.0.1 cannot be used")
    assert (
        problems["audit log"] == f"{tmp_path} cannot be written: grant that, or name another with AUDIT_LOG."
    )
    assert "geheim" not in str(problems)


async def test_settings_that_do_not_fit_together(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    problems = failed(
        await found(
            direct_url="postgresql://h/d",
            turn_secret="geheim",
            neuron_meet_data_dir=tmp_path / "file" / "data",
        )
    )
    assert problems == {
        "DIRECT_URL": "DIRECT_URL counts only beside DATABASE_URL: set that as well, or neither.",
        "TURN": "TURN credentials are set, but TURN_SERVER_URL is not.",
        "data folder": f"{tmp_path / 'file'} cannot be written: grant that, or name another place with "
        "NEURON_MEET_DATA_DIR.",
    }
    turn = failed(await found(turn_server_url="turn:relay.example.org", neuron_meet_data_dir=tmp_path))
    assert turn["TURN"].startswith("TURN_SERVER_URL is set without credentials")


async def test_too_few_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        text = failed(await found())["open files"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert text.startswith("This process may open 1024 files, and each connection takes one")


async def test_the_command(tmp_path: Path, database_urls: Callable[..., Awaitable[str]]) -> None:
    well = {"DATABASE_URL": await database_urls(), "PORT": "0"}
    program = await Program.start(tmp_path, "doctor", **well)
    try:
        assert await program.ended() == 0, program.output
        assert re.search(r"^ok       PostgreSQL    ", program.output, re.MULTILINE)
    finally:
        await program.clean_up()
    program = await Program.start(
        tmp_path, "doctor", **well, REDIS_URL="redis://127.0.0.1:1/0", JWT_SECRET=SECRET
    )
    try:
        assert await program.ended() == 1
        assert re.search(r"^failed   Redis         Redis cannot be reached", program.output, re.MULTILINE)
    finally:
        await program.clean_up()
