"""A PgBouncer of a test's own, before a PostgreSQL that listens on 127.0.0.1."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
START_SECONDS = 30.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def pgbouncer(
    port: int, *, user: str, password: str, database: str, mode: str, size: int = 20, more: str = ""
) -> AsyncIterator[int]:
    """Its port, while it pools connections of `user` to the PostgreSQL on `port`; `mode` as PgBouncer names it.

    As installed, but for what it must be told: it takes no setting that it does not know.
    """
    assert PROGRAM is not None
    own = _free_port()
    with tempfile.TemporaryDirectory(prefix="nm-bouncer-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # it reads its files as another user where the tests run as root
        (folder / "users.txt").write_text(f'"{user}" "{password}"\n')
        (folder / "pgbouncer.ini").write_text(
            "[databases]\n"
            f"* = host=127.0.0.1 port={port}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {own}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {folder}/users.txt\n"
            f"pool_mode = {mode}\ndefault_pool_size = {size}\n{more}\n"
        )
        as_other = ("-u", "nobody") if os.geteuid() == 0 else ()
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                PROGRAM, "-q", *as_other, folder / "pgbouncer.ini", stdout=log, stderr=log
            )
        try:
            await _ready(process, folder / "log", port=own, user=user, password=password, database=database)
            yield own
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _ready(process: asyncio.subprocess.Process, log: Path, **connection: Any) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            assert process.returncode is None, log.read_text()
            try:
                opened = await asyncpg.connect(host="127.0.0.1", **connection)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                await opened.close()
                return
