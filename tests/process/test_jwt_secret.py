"""Who signs the tokens: JWT_SECRET, or a random secret that one development server makes and keeps."""

from __future__ import annotations

import asyncio
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import pytest

from local_cluster.redis import redis
from neuron_meet.jwt_secret import with_secret
from neuron_meet.settings import Settings
from tests.process.program import Program, refused, serving
from tests.process.test_workers import two_workers, workers
from tests.process.visitor import visiting

KNOWN = "your-super-secret-jwt-key-change-in-production"
"""The former server's example of a .env."""


async def test_a_development_server_makes_one_and_keeps_it(folder: Path, database_url: str) -> None:
    file = folder / "data" / "jwt-secret"
    async with serving(folder, DATABASE_URL=database_url) as program, visiting(program.url) as ada:
        await ada.register()
        secret = file.read_text().strip()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert len(secret) >= 32
        assert jwt.decode(ada.token, secret, ["HS256"])["sub"] == ada.id
        forged = jwt.encode(
            {"sub": ada.id, "email": "a@b.example", "exp": 4102444800},
            "neuron-meet-development-secret-do-not-use-in-production",
            "HS256",
        )
        assert (await ada.call("GET", "/api/auth/me", token=forged))[0] == 401
        assert secret not in program.output
        assert await program.stop() == 0
    async with serving(folder, DATABASE_URL=database_url) as program, visiting(program.url) as again:
        assert (await again.call("GET", "/api/auth/me", token=ada.token))[0] == 200, (
            "the same one is used again"
        )
        assert await program.stop() == 0
    assert [each.name for each in file.parent.iterdir() if "jwt" in each.name] == [file.name]


async def test_the_token_command_signs_with_it(folder: Path, database_url: str) -> None:
    async with serving(folder, DATABASE_URL=database_url) as program, visiting(program.url) as ada:
        await ada.register()
        command = await Program.start(
            folder, "token", ada.email, DATABASE_URL=database_url, NEURON_MEET_DATA_DIR=str(folder / "data")
        )
        try:
            assert await command.ended() == 0, command.output
            token = command.output.splitlines()[-1]
        finally:
            await command.clean_up()
        assert (await ada.call("GET", "/api/auth/me", token=token))[0] == 200


async def test_many_nodes_must_be_given_one(folder: Path, database_url: str) -> None:
    """Each would make its own, and refuse the others' tokens."""
    given = {"DATABASE_URL": database_url, "REDIS_URL": "redis://127.0.0.1:1"}
    code, output = await refused(folder, **given)
    assert code == 2
    assert output.startswith(
        "neuron-meet: JWT_SECRET is missing: with REDIS_URL all servers must be given the same"
    )
    assert len(output.splitlines()) == 1
    assert not (folder / "data").exists()
    program = await Program.start(folder, "serve", "--workers", "2", PORT="0", **given)
    try:
        assert await program.ended() == 2
        assert program.output == output
    finally:
        await program.clean_up()


async def test_where_none_can_be_kept_none_is_made(folder: Path, database_url: str) -> None:
    (folder / "file").write_text("")  # no folder: to one that is only shut, root could write all the same
    code, output = await refused(
        folder, DATABASE_URL=database_url, NEURON_MEET_DATA_DIR=str(folder / "file" / "data")
    )
    assert code == 2
    assert re.match(r"neuron-meet: JWT_SECRET is not set, and none can be kept in .*/file/data \(", output)
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("short", 0o600, "holds no secret of 32 bytes"),
        ("x" * 43, 0o640, "is open to others"),
        ("", 0o600, "holds no"),
    ],
)
async def test_a_file_that_is_none(folder: Path, database_url: str, text: str, mode: int, said: str) -> None:
    file = folder / "data" / "jwt-secret"
    file.parent.mkdir()
    file.write_text(text)
    file.chmod(mode)
    code, output = await refused(folder, DATABASE_URL=database_url)
    assert code == 2
    assert f"{file} {said}" in output
    assert file.read_text() == text


async def test_a_known_one_is_warned_of(folder: Path, database_url: str) -> None:
    async with serving(folder, DATABASE_URL=database_url, JWT_SECRET=KNOWN) as program:
        assert "JWT_SECRET is a known default" in program.output
        assert KNOWN not in program.output
        assert await program.stop() == 0
    assert not (folder / "data" / "jwt-secret").exists()


async def test_a_worker_that_starts_later_has_the_others_secret(folder: Path) -> None:
    """`.env` may have been changed since."""
    (folder / ".env").write_text(f"JWT_SECRET={'a' * 40}\n")
    async with (
        redis(folder) as server,
        two_workers(folder, server, JWT_SECRET="") as program,
        visiting(program.url) as ada,
    ):
        await ada.register()
        assert jwt.decode(ada.token, "a" * 40, ["HS256"])["sub"] == ada.id
        (folder / ".env").write_text(f"JWT_SECRET={'b' * 40}\n")
        said = program.output.count("worker serves")
        for worker in workers(program):
            worker.kill()
        async with asyncio.timeout(60):
            while program.output.count("worker serves") < said + 2:
                await asyncio.sleep(0.05)
        assert (await ada.call("GET", "/api/auth/me"))[0] == 200


def test_many_starts_at_once_make_one(tmp_path: Path) -> None:
    for number in range(20):
        settings = Settings(_env_file=None, node_env="test", neuron_meet_data_dir=tmp_path / str(number))  # type: ignore[call-arg]
        with ThreadPoolExecutor(16) as starts:
            made = set(starts.map(lambda _, given=settings: with_secret(given).signing_key, range(16)))
        assert len(made) == 1
        assert [each.name for each in (tmp_path / str(number)).iterdir()] == ["jwt-secret"]
