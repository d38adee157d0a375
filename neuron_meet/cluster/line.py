"""A connection on which channels are listened to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

from redis.exceptions import RedisError


class Heard(NamedTuple):
    """What came: `kind` is Redis' word for it, without the mark of a shard's channel; `data` a message's bytes."""

    kind: bytes
    channel: str
    data: Any


class Line:
    """Channels of one server. Everything raises the library's errors and OSError.

    `sharded`: they are channels of a shard. `owned`: the client is this line's alone, and is closed with it.
    """

    def __init__(self, client: Any, *, sharded: bool, owned: bool) -> None:
        self._client = client
        self._sharded, self._owned = sharded, owned
        self._pubsub = client.pubsub()
        self.unanswered = 0
        """Pings since something came."""

    async def subscribe(self, channels: Iterable[str]) -> None:
        """Ask for channels; `read` tells of each when it is listened to."""
        if not self._sharded:
            await self._pubsub.subscribe(*channels)
            return
        for channel in channels:  # one command takes those of one slot only
            await self._pubsub.ssubscribe(channel)

    async def unsubscribe(self, channel: str) -> None:
        """Ask for a channel no more."""
        await (self._pubsub.sunsubscribe if self._sharded else self._pubsub.unsubscribe)(channel)

    async def ping(self) -> None:
        """Ask for an answer."""
        self.unanswered += 1
        await self._pubsub.ping()

    async def read(self) -> Heard:
        """What comes next. To be called after the first `subscribe`."""
        message = await self._pubsub.parse_response(block=True)
        self.unanswered = 0
        if not isinstance(message, list):  # an answer to a ping, where no channel is listened to any more
            return Heard(b"pong", "", None)
        kind, channel, *rest = cast("list[Any]", message)
        if kind.endswith(b"unsubscribe"):
            await self._pubsub.handle_message(message)  # strikes it off the library's books, no more
        return Heard(
            kind.removeprefix(b"s") if self._sharded else kind, channel.decode(), rest[0] if rest else None
        )

    async def drop(self) -> None:
        """Cut it: `read` raises."""
        if self._pubsub.connection is not None:
            await self._pubsub.connection.disconnect(nowait=True)

    async def close(self) -> None:
        """Close it."""
        with contextlib.suppress(RedisError, OSError):
            await self._pubsub.aclose()
        if self._owned:
            with contextlib.suppress(RedisError, OSError):
                await self._client.aclose()
