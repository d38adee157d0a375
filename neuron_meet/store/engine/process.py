"""One run of the query-engine host: a Node.js child process that ends when this process does."""

from __future__ import annotations

import asyncio
import os
import secrets
from asyncio.subprocess import PIPE, Process
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import structlog

from neuron_meet.store.assets import engine_host
from neuron_meet.store.engine.address import DatabaseAddress
from neuron_meet.store.errors import EngineUnavailable
from neuron_meet.store.node import NodeMissing, find_node

_START_SECONDS = 8.0
"""Node.js and the query compiler need about 0.3 s; a loaded machine many times that."""
_STOP_SECONDS = 2.0
"""The host ends within 1 s of SIGTERM (CLOSE_MS in host.mjs)."""
_CONNECT_SHARE = 0.7
_QUERY_SHARE = 0.9
"""The host gives up a little before its caller does, so that the caller hears why."""
_IDLE_SECONDS = 60.0
_ENVIRONMENT = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "SYSTEMROOT",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
"""All that the host sees of the environment: no secret of the server, nothing that makes a library log data."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Launch:
    """What a host is started with."""

    node: Path | None
    """The program; None for the one that is found."""
    schema: Path
    address: DatabaseAddress
    pool_size: int
    timeout_seconds: float


class HostProcess:
    """A running host. `session` sends it requests, already carrying the secret that it asks for."""

    def __init__(self, process: Process, port: int, secret: str, stderr: asyncio.Task[None]) -> None:
        self._process = process
        self._output = stderr
        self.url = f"http://127.0.0.1:{port}"
        self.headers = {"x-engine-secret": secret}
        self.session = aiohttp.ClientSession(
            self.url,
            headers=self.headers,
            # The host never closes an idle connection; this side does, so none is written to while it closes.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),
            timeout=aiohttp.ClientTimeout(
                total=None, connect=None
            ),  # the engine's deadline is around each call
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    @classmethod
    async def start(cls, launch: Launch) -> HostProcess:
        """Start a host and wait until it listens, 8 s at most.

        Raises EngineUnavailable, saying why, when it does not come up; no process is left then.
        """
        try:
            node = launch.node or await asyncio.to_thread(find_node)
        except NodeMissing as error:
            raise EngineUnavailable(str(error)) from None
        try:
            process = await asyncio.create_subprocess_exec(
                node,
                engine_host(),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            )
        except OSError as error:
            raise EngineUnavailable(f"{node} could not be started: {error.strerror}") from error
        last_lines: deque[str] = deque(maxlen=5)
        output = asyncio.create_task(_log_lines(process, last_lines), name="engine host output")
        secret = secrets.token_urlsafe(32)
        try:
            async with asyncio.timeout(_START_SECONDS):
                port = await _configure(process, launch, secret)
        except TimeoutError:
            reason = f"The query engine did not start within {_START_SECONDS:.0f} s."
        except (OSError, ValueError, msgspec.DecodeError):
            await asyncio.wait((output,), timeout=1)
            reason = f"The query engine ended while it started. {' '.join(last_lines)}".strip()
        except _HostRefused as refusal:
            reason = str(refusal)
        except BaseException:
            await _end(process, output)
            raise
        else:
            return cls(process, port, secret, output)
        await _end(process, output)
        raise EngineUnavailable(reason)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait until the process ends; its exit code, negative for a signal."""
        return await self._process.wait()

    async def answers(self, timeout_seconds: float) -> bool:
        """Whether the host answers its status request in time, over a connection of its own."""
        timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        try:
            async with (
                aiohttp.ClientSession(headers=self.headers, timeout=timeout) as session,
                session.get(f"{self.url}/status") as response,
            ):
                return response.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def kill(self) -> None:
        """End the process at once, a stopped one too."""
        if self._process.returncode is None:
            self._process.kill()

    async def stop(self) -> None:
        """End the process: politely for 2 s, then by force. Returns when it is gone."""
        await self.session.close()
        if self._process.returncode is None:
            self._process.terminate()
        await _end(self._process, self._output, _STOP_SECONDS)


class _HostRefused(Exception):
    """The host says what is missing."""


async def _configure(process: Process, launch: Launch, secret: str) -> int:
    """Send the host its configuration and return the port that it listens on."""
    if process.stdin is None or process.stdout is None:
        raise OSError("no pipes")
    configuration: dict[str, Any] = {
        "secret": secret,
        "schemaPath": str(launch.schema),
        "database": launch.address.for_host(),
        "limits": {
            "poolSize": min(launch.pool_size, launch.address.connection_limit or launch.pool_size),
            "connectMs": int(launch.timeout_seconds * _CONNECT_SHARE * 1000),
            "queryMs": int(launch.timeout_seconds * _QUERY_SHARE * 1000),
        },
    }
    if process.stdin.is_closing():  # it has ended already; uvloop would raise a RuntimeError of its own
        raise OSError("no pipe")
    process.stdin.write(msgspec.json.encode(configuration) + b"\n")
    await process.stdin.drain()
    answer = msgspec.json.decode(await process.stdout.readline())
    if "error" in answer:
        raise _HostRefused(answer["error"])
    return int(answer["port"])


async def _log_lines(process: Process, last_lines: deque[str]) -> None:
    """Write the host's standard error to the log; it holds no data (host.mjs, `trace`)."""
    if process.stderr is None:
        return
    while True:
        try:
            line = await process.stderr.readline()
        except ValueError:  # longer than the reader's 64 kB: it goes on behind it
            continue
        if not line:
            return
        text = line.decode(errors="replace").strip()[:500]
        if text:
            last_lines.append(text)
            log.warning("query engine", line=text)


async def _end(process: Process, output: asyncio.Task[None], grace_seconds: float = 0.0) -> None:
    """Wait for a process to end, by force after the grace, and release its pipes."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(grace_seconds):
            await process.wait()
    except TimeoutError:
        if process.returncode is None:
            process.kill()
        await process.wait()
    await asyncio.wait((output,), timeout=1)
    output.cancel()
