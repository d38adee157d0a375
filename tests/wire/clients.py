"""The official JavaScript client, many sockets in one Node.js process, as tests talk to it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from neuron_meet.store.node import find_node

DEADLINE = 60.0
"""Seconds after which something that did not happen will not: generous, for a busy machine."""
LONGEST_LINE = 64_000_000

Event = tuple[str, Any]
"""Name and payload of what a socket received; the payload is the list of arguments unless there is just one."""


class ConnectionRefused(Exception):
    """The client's `connect_error`, with its message."""


class Client:
    """One socket. What it received is read in order, each event once."""

    def __init__(self, driver: Driver, number: int) -> None:
        self._driver = driver
        self._number = number
        self._inbox: list[Event] = []
        self._arrived = asyncio.Event()
        self._acks: dict[int, asyncio.Future[list[Any]]] = {}
        self.opening: dict[str, Any] = {}
        self.offset: str | None = None
        """Of the last event that had one."""
        self.quiet: Callable[[Client], Awaitable[None]] | None = None
        """Returns when the other nodes have been told of all that happened; None for the only server."""

    # -- sending
    def emit(self, event: str, *args: Any) -> None:
        """Send an event without a callback."""
        self._driver.tell(op="emit", socket=self._number, event=event, args=list(args))

    def request(self, event: str, *args: Any) -> asyncio.Future[list[Any]]:
        """Send an event with a callback now; the future is what the callback gets, or AssertionError in the end."""
        loop, number = asyncio.get_running_loop(), self._driver.next_number()
        answer = self._acks[number] = loop.create_future()
        loop.call_later(DEADLINE, self._give_up, answer, event)
        self._driver.tell(op="emit", socket=self._number, event=event, args=list(args), ack=number)
        return answer

    async def ask(self, event: str, *args: Any) -> Any:
        """Send an event with a callback. Returns the acknowledgement, which must be a single value."""
        answer = await self.request(event, *args)
        assert len(answer) == 1, answer
        return answer[0]

    @staticmethod
    def _give_up(answer: asyncio.Future[list[Any]], event: str) -> None:
        if not answer.done():
            answer.set_exception(AssertionError(f"no acknowledgement of {event} came"))

    def disconnect(self) -> None:
        """Leave as a front end does: Socket.IO's disconnect packet, then the transport."""
        self._driver.tell(op="close", socket=self._number)

    def kill(self) -> None:
        """Vanish as a dead network does: the TCP connection is cut, nothing is sent. Websocket only."""
        self._driver.tell(op="kill", socket=self._number)

    def drop(self) -> None:
        """Close the transport without a word: `socket.io.engine.close()`, a browser's bare `ws.close()`."""
        self._driver.tell(op="drop", socket=self._number)

    async def reconnect(self, auth: dict[str, Any] | None = None, url: str | None = None) -> bool:
        """Connect a closed socket once more, with another `auth` or to another node if given.

        Whether its state was recovered.
        """
        self._driver.tell(op="connect", socket=self._number, auth=auth, url=url)
        return await self.back()

    async def back(self) -> bool:
        """Wait for the next connection, the client's own too. Whether its state was recovered."""
        await self.opened()
        return bool(self.opening.get("recovered"))  # absent where the server gave no pid

    def forget(self) -> None:
        """Read nothing of what came so far but connections."""
        self._inbox = [event for event in self._inbox if event[0] == "$connected"]

    # -- receiving
    @property
    def sid(self) -> str:
        """The socket id that the server gave."""
        return self.opening["id"]

    async def next(self, event: str) -> Any:
        """The payload of the next unread event of that name; the others stay unread."""
        return await self.first(lambda received: received[0] == event, event)

    async def first(self, wanted: Callable[[Event], bool], what: str) -> Any:
        """The payload of the first unread event that is wanted. AssertionError when none comes."""
        try:
            async with asyncio.timeout(DEADLINE):
                while True:
                    for index, received in enumerate(self._inbox):
                        if wanted(received):
                            return self._inbox.pop(index)[1]
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise AssertionError(f"no {what} came; last unread: {self._inbox[-10:]!r:.2000}") from None

    async def unread(self) -> list[Event]:
        """Everything that the server has sent until now and that was not read before, in order.

        A round trip makes sure of it: packets to one socket keep their order, so what came before the answer
        is all there is.
        """
        await self.sync()
        events, self._inbox = self._inbox, []
        return events

    async def sync(self) -> None:
        """A round trip that changes nothing: an event that no server knows."""
        await self._round_trip()
        if self.quiet is not None:  # what was sent is at the server; now it has to be at this socket's node
            await self.quiet(self)
            await self._round_trip()

    async def _round_trip(self) -> None:
        answer = await self.ask("no-such-event")
        assert answer == {"success": False, "error": "Unknown event"}, answer

    # -- the driver's side
    def take(self, message: dict[str, Any]) -> None:
        """A line from the driver about this socket."""
        if "ack" in message:
            answer = self._acks.pop(message["ack"])
            if not answer.done():
                answer.set_result(message["args"])
            return
        args = message["args"]
        if len(args) == 2 and isinstance(args[1], str):  # with recovery on: Socket.IO's offset
            self.offset = args.pop()
        self._inbox.append((message["event"], args[0] if len(args) == 1 else args))
        self._arrived.set()

    async def opened(self) -> None:
        """Wait for the handshake. Raises ConnectionRefused."""
        said = await self.first(lambda event: event[0] in ("$connected", "$refused"), "connection")
        if isinstance(said, str):
            raise ConnectionRefused(said)
        self.opening = said


class Driver:
    """The Node.js process. `connect` gives sockets."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._clients: dict[int, Client] = {}
        self._numbers = itertools.count()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def connect(self, url: str, **options: Any) -> Client:
        """A connected socket; `options` are socket.io-client's (websocket alone where `transports` is not given).

        Raises ConnectionRefused with the text of `connect_error`.
        """
        client = self.begin(url, **options)
        await client.opened()
        return client

    def begin(self, url: str, **options: Any) -> Client:
        """A socket that connects."""
        number = self.next_number()
        client = self._clients[number] = Client(self, number)
        self.tell(op="open", socket=number, url=url, options={"transports": ["websocket"], **options})
        return client

    def next_number(self) -> int:
        """A number that names nothing else."""
        return next(self._numbers)

    def tell(self, **command: Any) -> None:
        """Send a command; commands are carried out in order."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def listen(self) -> None:
        """Hand out what the process says, until it ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            message = json.loads(line)
            self._clients[message["socket"]].take(message)


@asynccontextmanager
async def driving() -> AsyncIterator[Driver]:
    """A Node.js process with the official client, for as long as the block lasts."""
    process = await asyncio.create_subprocess_exec(
        find_node(),
        Path(__file__).with_name("driver.mjs"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LONGEST_LINE,
    )
    driver = Driver(process)
    listening = asyncio.create_task(driver.listen())
    try:
        yield driver
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening
