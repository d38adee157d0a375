"""The engine that Prisma Client Python calls: sends queries to the host, each with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Literal, NoReturn, cast

import aiohttp
import msgspec

from neuron_meet.store.engine.calls import Calls
from neuron_meet.store.engine.process import HostProcess
from neuron_meet.store.engine.query import CompileRequest, is_read
from neuron_meet.store.engine.supervisor import EngineSupervisor
from neuron_meet.store.errors import EngineUnavailable
from neuron_meet.store.generated._types import TransactionId
from neuron_meet.store.generated.engine._abstract import AsyncAbstractEngine
from neuron_meet.store.generated.engine.utils import handle_response_errors

_UNAVAILABLE = frozenset(
    {"P1000", "P1001", "P1002", "P1003", "P1008", "P1010", "P1011", "P1017", "P2024", "P2037"}
)
"""Prisma's codes for a database that cannot be used now (https://www.prisma.io/docs/orm/reference/error-reference)."""


class _TransactionTimes(msgspec.Struct):
    """Milliseconds that a transaction may wait for its connection, and take."""

    max_wait: int
    timeout: int


class HostEngine(AsyncAbstractEngine):
    """Prisma Client Python's engine interface over the supervised host.

    Every call ends within `timeout_seconds`, with a result, with the library's exception for a database error, or
    with EngineUnavailable.
    """

    def __init__(self, supervisor: EngineSupervisor, timeout_seconds: float) -> None:
        self._supervisor = supervisor
        self._timeout = timeout_seconds
        self.calls = Calls()

    async def connect(
        self,
        timeout: timedelta = timedelta(),  # noqa: ASYNC109 - the library's signature
        datasources: list[Any] | None = None,
    ) -> None:
        """The supervisor is started by :class:`~neuron_meet.store.client.Database`; nothing is left to do."""

    def close(self, *, timeout: timedelta | None = None) -> None:
        """The supervisor is stopped by Database."""

    async def aclose(self, *, timeout: timedelta | None = None) -> None:  # noqa: ASYNC109
        """The supervisor is stopped by Database."""

    def stop(self, *, timeout: timedelta | None = None) -> None:
        """The supervisor is stopped by Database; the library calls this when a client is garbage-collected."""

    async def query(
        self, content: str, *, tx_id: TransactionId | None, repeatable: bool | None = None
    ) -> Any:
        """Run a query or a batch: a document of :mod:`neuron_meet.store.engine.query`.

        `repeatable`: whether it may be sent a second time; None looks whether it is one of Prisma's reads.
        """
        # After a broken connection a write may or may not have been done: only reads are sent a second time.
        repeatable = tx_id is None and (is_read(content) if repeatable is None else repeatable)
        headers = {"x-transaction-id": tx_id} if tx_id else None
        return await self._request("/", content, headers=headers, repeatable=repeatable)

    async def compile(self, request: CompileRequest) -> Any:
        """The plan that a caller may run itself for every query of a shape; None where there is none."""
        answer = await self._request("/compile", request.content, repeatable=True)
        return answer["plan"]

    async def start_transaction(self, *, content: str) -> TransactionId:
        """Begin an interactive transaction; `content` gives its `timeout` and `max_wait` in milliseconds."""
        # Between its queries nothing is under way, and the host must be there all the same.
        given = msgspec.json.decode(content, type=_TransactionTimes)
        with self._supervisor.call((given.max_wait + given.timeout) / 1000):
            answer = await self._request("/transaction/start", content)
        return TransactionId(answer["id"])

    async def commit_transaction(self, tx_id: TransactionId) -> None:
        """Commit. Raises TransactionError if nothing was committed, EngineUnavailable if that is not known."""
        await self._request(f"/transaction/{tx_id}/commit", "")

    async def rollback_transaction(self, tx_id: TransactionId) -> None:
        """Undo the transaction's changes."""
        await self._request(f"/transaction/{tx_id}/rollback", "")

    async def metrics(
        self, *, format: Literal["json", "prometheus"], global_labels: dict[str, str] | None
    ) -> Any:
        """Not offered: the server's own metrics count queries; see Database for the engine's state."""
        raise NotImplementedError("This engine has no metrics of its own.")

    async def _request(
        self, path: str, content: str, *, headers: Mapping[str, str] | None = None, repeatable: bool = False
    ) -> Any:
        with self._supervisor.call():
            status, body = await self._answer(path, content, headers, repeatable)
        if status != HTTPStatus.OK:
            raise EngineUnavailable(f"The query engine refused the call (HTTP {status}).")
        answer = msgspec.json.decode(body)
        if "errors" in answer:
            raise_failure(answer["errors"])
        return answer

    async def _answer(
        self, path: str, content: str, headers: Mapping[str, str] | None, repeatable: bool
    ) -> tuple[int, bytes]:
        host: HostProcess | None = None
        try:
            async with asyncio.timeout(self._timeout):
                host = self._supervisor.current() or await self._supervisor.host()
                while True:
                    try:
                        async with host.session.post(
                            path, data=content.encode(), headers=headers
                        ) as response:
                            return response.status, await response.read()
                    except aiohttp.ClientConnectorError:
                        pass  # never sent: the host has just died
                    except (aiohttp.ClientError, ConnectionError, RuntimeError) as error:
                        # RuntimeError: the session of a host that died was closed before this call could use it.
                        if not repeatable and not host.session.closed:
                            raise EngineUnavailable("The query engine ended during the call.") from error
                    host = await self._supervisor.host(other_than=host)
        except TimeoutError:
            if host is not None:
                self._supervisor.suspect(host)
            message = f"The database did not answer within {self._timeout:g} s."
            if self._supervisor.problem is not None:
                message = f"{message} {self._supervisor.problem}"
            raise EngineUnavailable(message) from None


def raise_failure(errors: list[dict[str, Any]]) -> NoReturn:
    """Raise the exception for error objects of the engine's protocol."""
    facing = errors[0].get("user_facing_error", {})
    code = facing.get("error_code")
    if code in _UNAVAILABLE:
        raise EngineUnavailable(facing["message"], code)
    handle_response_errors(cast("Any", None), errors)
