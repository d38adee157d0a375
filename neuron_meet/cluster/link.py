"""The connection to Redis: commands with a deadline, and whether it is there."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from redis.exceptions import NoScriptError, RedisError, ResponseError

from neuron_meet.cluster import clients, scripts
from neuron_meet.cluster.keys import Keys
from neuron_meet.cluster.line import Line
from neuron_meet.errors import PresenceUnavailable
from neuron_meet.failure import ForeseenFailure
from neuron_meet.slowness import REDIS, waited

T = TypeVar("T")

TIMEOUT_SECONDS = 2.0
"""After so long a command is given up. It may have been done all the same."""
MOST_AT_ONCE = 64
"""Commands under way at once, each on a connection of its own; further ones wait, within their deadline. Redis does one
after the other anyway, and has connections for 10,000 (`maxclients`) from all nodes."""
SCANNED_AT_A_TIME = 1_000
SHARDED_FROM = 7
"""Redis' first version with channels of shards (SPUBLISH)."""
LINK_ERRORS = (RedisError, OSError, TimeoutError)


class RedisUnreachable(ForeseenFailure):
    """Redis cannot be reached at the start. The text says what to do."""


class WrongKind(PresenceUnavailable):
    """A key holds another kind of value than this server puts there."""


class Script:
    """A Lua script, sent whole only where Redis does not know it yet."""

    def __init__(self, link: Link, source: str) -> None:
        self._link = link
        self._script = link.redis.register_script(source)

    async def __call__(self, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        """Run it. Raises PresenceUnavailable."""
        return await self._link.within(self._run(keys, args))

    async def _run(self, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        command = ("EVALSHA", self._script.sha, len(keys), *keys, *args)
        async with self._link.turns:
            try:
                return await self._link.redis.execute_command(*command)
            except NoScriptError:
                return await self._link.redis.execute_command(
                    "EVAL", self._script.script, len(keys), *keys, *args
                )


class Link:
    """Redis as this node reaches it. Raises PresenceUnavailable wherever it does not answer in time."""

    def __init__(self, url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._url, self._timeout = url, timeout_seconds
        self.clustered = clients.names_cluster(url)
        self.sharded = False
        """Whether channels are those of shards, of a Redis Cluster from 7 on. Known after `check`."""
        self._names_servers = False
        self.turns = asyncio.Semaphore(MOST_AT_ONCE)
        self.redis: Any = (clients.of_cluster if self.clustered else clients.of_server)(url, timeout_seconds)
        database = 0 if self.clustered else self.redis.connection_pool.connection_kwargs.get("db")
        self.keys = Keys(database or 0)
        self.commit = Script(self, scripts.COMMIT)
        self.load = Script(self, scripts.LOAD)
        self.take_turn = Script(self, scripts.TAKE_TURN)
        self.end_turn = Script(self, scripts.END_TURN)
        self.extend_turn = Script(self, scripts.EXTEND_TURN)
        self.take_from_bucket = Script(self, scripts.TAKE_FROM_BUCKET)
        self.beat = Script(self, scripts.BEAT)
        self.find_dead = Script(self, scripts.FIND_DEAD)
        self.drop_room = Script(self, scripts.DROP_ROOM)
        self.keep_out = Script(self, scripts.KEEP_OUT)
        self.enroll = Script(self, scripts.ENROLL)
        self.expect = Script(self, scripts.EXPECT)
        self.lives = Script(self, scripts.LIVES)

    async def check(self) -> None:
        """Return where Redis answers, and know what kind it is. Raises RedisUnreachable."""
        try:
            version, has_slots = await self.within(self._about())
        except PresenceUnavailable as error:
            cause = type(error.__cause__).__name__
            raise RedisUnreachable(
                f"Redis cannot be reached ({cause}). Check REDIS_URL and that Redis runs there."
            ) from error
        if has_slots and not self.clustered:
            raise RedisUnreachable(
                "REDIS_URL names a server of a Redis Cluster: write redis+cluster:// instead of redis://."
            )
        self.sharded = self.clustered and version >= SHARDED_FROM
        self._names_servers = self.clustered and version > 0

    async def _about(self) -> tuple[int, bool]:
        """The major version, and whether it is a server of a Redis Cluster."""
        if self.clustered:
            await self.redis.initialize()
            target = {"target_nodes": self.redis.get_random_node()}
        else:
            target = {}
        try:
            about = await self.redis.execute_command("INFO", **target)
        except ResponseError:  # not everybody may ask that
            return 0, False
        return int(about["redis_version"].split(".")[0]), bool(about.get("cluster_enabled"))

    async def life(self) -> bytes:
        """Names the life of Redis' data: where another answer comes, something may be lost. Raises PresenceUnavailable.

        Of a Redis Cluster it names each shard's server too: one that was started anew, or put in another's place.
        """
        epoch = await self._epoch()
        if not self._names_servers:
            return epoch
        servers = self.redis.get_primaries()
        about = await self.within(self.redis.execute_command("INFO", "server", target_nodes=servers))
        runs = [one["run_id"] for one in about.values()] if len(servers) > 1 else [about["run_id"]]
        return b" ".join([epoch, *(run.encode() for run in sorted(runs))])

    async def _epoch(self) -> bytes:
        found: bytes | None = await self.do("GET", self.keys.epoch)
        if found is not None:
            return found
        await self.do("SET", self.keys.epoch, secrets.token_hex(8), "NX")
        made: bytes = await self.do("GET", self.keys.epoch)  # perhaps by another node
        return made

    # -- channels
    @property
    def publish_command(self) -> str:
        """What publishes, in a script too."""
        return "SPUBLISH" if self.sharded else "PUBLISH"

    async def publish(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Publish messages on channels; those of one channel, and of scripts on its keys, keep their order.

        Raises PresenceUnavailable: some may have gone out.
        """
        await self.within(self._publish(messages))

    async def _publish(self, messages: Iterable[tuple[str, bytes]]) -> None:
        pipeline = self.redis.pipeline(transaction=None if self.clustered else False)
        for channel, data in messages:
            # By the server that has the room's keys: one channel's messages all go the same way.
            target = {"target_nodes": self.redis.get_node_from_key(channel)} if self.clustered else {}
            pipeline.execute_command(self.publish_command, channel, data, **target)
        async with self.turns:
            await pipeline.execute()

    def place(self, channel: str) -> str:
        """Where a channel is listened to: a name that `line` takes. Raises PresenceUnavailable."""
        if not self.sharded:
            return ""
        try:
            return self.redis.get_node_from_key(channel).name
        except LINK_ERRORS as error:
            raise PresenceUnavailable from error

    def line(self, place: str) -> Line:
        """A new connection for channels of that place. Raises PresenceUnavailable."""
        if not self.clustered:
            return Line(self.redis, sharded=False, owned=False)
        server = self.redis.get_node(node_name=place) if place else self.redis.get_random_node()
        if server is None:
            raise PresenceUnavailable
        client = clients.of_shard(self._url, self._timeout, server.host, server.port)
        return Line(client, sharded=self.sharded, owned=True)

    async def find_places(self) -> None:
        """Ask where channels are listened to now. Raises PresenceUnavailable."""
        if self.clustered:
            await self.within(self.redis.nodes_manager.initialize())

    async def do(self, *command: str | bytes | float) -> Any:
        """One command. Raises PresenceUnavailable."""
        return await self.within(self._do(command))

    async def _do(self, command: Sequence[str | bytes | float]) -> Any:
        async with self.turns:
            return await self.redis.execute_command(*command)

    async def within(self, work: Awaitable[T]) -> T:
        """`work`, by its deadline. Raises PresenceUnavailable."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                return await work
        except ResponseError as error:
            # From a script it stands in the middle of the text.
            raise (WrongKind if "WRONGTYPE" in str(error) else PresenceUnavailable) from error
        except LINK_ERRORS as error:
            raise PresenceUnavailable from error
        finally:
            waited(REDIS, time.monotonic() - begun)

    async def names(self, pattern: str, take: Callable[[bytes], Awaitable[None]]) -> None:
        """Call `take` with each key that a glob pattern matches, perhaps more than once. Looks at every key that Redis
        has, in pieces; for starts. Raises PresenceUnavailable.
        """
        found = self.redis.scan_iter(match=pattern, count=SCANNED_AT_A_TIME)
        while (name := await self.within(anext(found, None))) is not None:
            await take(name)

    async def close(self) -> None:
        """Close the connections."""
        await self.redis.aclose()
