"""A real Prometheus with the configuration and the rules of deploy/, faster and on other targets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientSession

from tests.ops.programs import program, run

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yaml"
DEADLINE = 30.0


def tool(name: str) -> str:
    """A program of Debian's package."""
    return program(name, "prometheus")


class Prometheus:
    """Its HTTP API."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    async def asked(self, path: str, **query: str) -> Any:
        """`data` of an answer; None where there is none yet."""
        try:
            async with self._session.get(f"/api/v1/{path}", params=query) as response:
                return (await response.json())["data"] if response.ok else None
        except ClientError:
            return None

    async def value(self, expression: str) -> list[float]:
        """The values of an expression now, one for each series."""
        data = await self.asked("query", query=expression)
        return [float(sample["value"][1]) for sample in data["result"]] if data else []

    async def firing(self) -> set[str]:
        """The alerts that fire now."""
        data = await self.asked("alerts")
        assert data is not None
        return {alert["labels"]["alertname"] for alert in data["alerts"] if alert["state"] == "firing"}


@asynccontextmanager
async def prometheus(
    folder: Path, targets: Sequence[str], *, interval: str, rules: str | None = None
) -> AsyncIterator[Prometheus]:
    """One that asks `targets` (`host:port`) each `interval`, with `rules` instead of those of deploy/ where given."""
    text = (DEPLOY / "prometheus" / "prometheus.yaml").read_text()
    text = re.sub(r"    authorization:\n.*\n", "", text).replace("15s", interval)
    text = text.replace('"127.0.0.1:9464"', ", ".join(f'"{target}"' for target in targets))
    (folder / "alerts.yaml").write_text(RULES.read_text() if rules is None else rules)
    configuration = folder / "prometheus.yaml"
    configuration.write_text(text)
    code, said = await run(tool("promtool"), "check", "config", configuration)
    assert code == 0, said
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            tool("prometheus"),
            f"--config.file={configuration}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--web.listen-address=127.0.0.1:0",
            stdout=log,
            stderr=log,
        )
    try:
        async with ClientSession(await _listening(process, folder / "prometheus.log")) as session:
            yield Prometheus(session)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _listening(process: asyncio.subprocess.Process, log: Path) -> str:
    """Where it listens, by its log: the port is the kernel's choice."""
    async with asyncio.timeout(DEADLINE):
        while not (found := re.search(r'address="?(127\.0\.0\.1:[1-9]\d*)', log.read_text())):
            assert process.returncode is None, log.read_text()
            await asyncio.sleep(0.05)
    return f"http://{found[1]}"
