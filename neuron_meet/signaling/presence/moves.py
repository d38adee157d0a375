"""A socket comes back at another node than the one that it dropped from: it moves, and nobody notices.

The node that it comes to asks the one that has it. First who it is, so that the new node follows its room and expects
it; then for the socket itself: the old node changes the member's node in the room, which is the moment from which the
new one delivers, and sends what was missed until then. A node that is stopped parks its sockets instead (`parking.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable

from msgspec.structs import replace

from neuron_meet.signaling.presence.cluster import ClusterPresence
from neuron_meet.signaling.presence.interface import Step
from neuron_meet.signaling.presence.luggage import (
    ANSWER,
    ASK,
    FRAME,
    Answer,
    Following,
    Luggage,
    MovingSockets,
    Question,
    answer_of,
    encode,
    following_of,
    question_of,
)
from neuron_meet.signaling.presence.parking import Parking, to_node
from neuron_meet.signaling.presence.participant import PARKED_NODE
from neuron_meet.signaling.presence.reach import Reach

ANSWER_SECONDS = 1.5
"""A node that does not answer for so long is taken for gone: the client starts anew."""
FORWARD_SECONDS = 30.0
"""How long messages for a socket that has moved are sent after it."""
MOST_ROOMS = 3
"""So many rooms that a socket goes to while it moves are followed."""


class Moves:
    """Brings sockets from node to node."""

    def __init__(
        self,
        presence: ClusterPresence,
        reach: Reach,
        depart: Callable[[str], Step],
        row_moved: Callable[[str], None],
    ) -> None:
        """`depart`: the step by which a socket leaves a room. `row_moved`: told the row of each who moves."""
        self._presence, self._reach = presence, reach
        self._depart, self._row_moved = depart, row_moved
        self._link, self._keys = presence.hosting.link, presence.hosting.keys
        self._parking = Parking(presence, reach, depart)
        self.expire = self._parking.expire
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._moved_to: dict[str, str] = {}
        self._gates: dict[str, tuple[asyncio.Lock, int]] = {}
        self.sockets: MovingSockets | None = None
        self.lives: Callable[[str], Awaitable[bool]] = _for_all_that_is_known
        """Whether a node is there to be asked. Raises PresenceUnavailable."""
        reach.forward = self._moved_to.get

    # -- at the node to which a socket comes
    async def fetch(
        self, pid: str, offset: str, user_id: str | None, expect: Callable[[Luggage], None]
    ) -> Luggage | None:
        """Get a socket from where it is. `expect` is called once, before anything is delivered to it here.

        None: it is nowhere, or there is no way back for it; what was expected does not come. Raises
        PresenceUnavailable.
        """
        expected: list[str] = []
        luggage: Luggage | None = None

        def expect_it(found: Luggage) -> None:
            if not expected:
                expected.append(found.sid)
                expect(found)

        try:
            luggage = await self._find(pid, offset, user_id, expect_it)
        finally:
            for sid in expected if luggage is None else ():
                # Only the answer may have been lost that it had moved: then nobody else would see it out.
                member = self._presence.participant(sid)
                if member is not None and member.node == self._presence.node:
                    self._presence.hosting.walk_out(sid)
        return luggage

    async def _find(
        self, pid: str, offset: str, user_id: str | None, expect: Callable[[Luggage], None]
    ) -> Luggage | None:
        if (parked := await self._parking.find(pid)) is not None:
            return await self._parking.get(pid, parked, offset, user_id, expect)
        luggage = await self._from_its_node(pid, offset, user_id, expect)
        # A node that is being stopped may have parked it while it was asked.
        if luggage is None and (parked := await self._parking.find(pid)) is not None:
            return await self._parking.get(pid, parked, offset, user_id, expect)
        return luggage

    async def _from_its_node(
        self, pid: str, offset: str, user_id: str | None, expect: Callable[[Luggage], None]
    ) -> Luggage | None:
        presence, link = self._presence, self._link
        owner = await link.do("GET", self._keys.moved_socket(pid))
        node = owner.decode() if owner else pid.rpartition(".")[2]
        if node == presence.node or not await self.lives(node):
            return None
        found = await self._ask(node, Question(secrets.token_hex(8), presence.node, pid, user_id))
        if found is None:
            return None
        for _ in range(MOST_ROOMS):
            async with presence.hold(found.code):
                expect(found)
                luggage = await self._ask(
                    node, Question(secrets.token_hex(8), presence.node, pid, user_id, offset, found.code)
                )
                if luggage is None:
                    return None
                if luggage.code == found.code:
                    await presence.hosting.catch_up(found.code, luggage.version)
                    await self._parking.note_node(pid)
                    return luggage
            found = luggage  # what it had asked for last was to go to another room
        return None

    async def _ask(self, node: str, question: Question) -> Luggage | None:
        answered = self._waiting[question.id] = asyncio.get_running_loop().create_future()
        self._reach.publish(self._keys.node_channel(node), ASK + encode(question))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return (await answered).luggage
        except TimeoutError:
            return None
        finally:
            del self._waiting[question.id]

    def answered(self, data: bytes) -> None:
        """An answer came."""
        answer = answer_of(data)
        future = self._waiting.get(answer.id)
        if future is not None and not future.done():
            future.set_result(answer)

    # -- at the node from which it goes
    def asked(self, data: bytes) -> None:
        """A question came."""
        self._presence.hosting.spawn(self._answer(question_of(data)))

    async def _answer(self, question: Question) -> None:
        luggage = None
        try:
            luggage = await self._let_go(question)
        finally:
            answer = Answer(question.id, luggage)
            self._reach.publish(self._keys.node_channel(question.asker), ANSWER + encode(answer))

    async def _let_go(self, question: Question) -> Luggage | None:
        sockets = self.sockets
        if sockets is None:
            return None
        async with self._going(question.pid):  # it may just be parked, or fetched by another node
            luggage = sockets.seek(question.pid, question.user_id)
            if luggage is None or question.offset is None:
                return luggage
            await sockets.quiet(luggage.sid)
            luggage = sockets.seek(question.pid, question.user_id)
            if luggage is None or luggage.code != question.code:
                return luggage
            return await self._hand_over(sockets, question, luggage)

    async def _hand_over(
        self, sockets: MovingSockets, question: Question, luggage: Luggage
    ) -> Luggage | None:
        presence = self._presence
        sid, code, offset = luggage.sid, luggage.code, question.offset or ""
        member = presence.participant(sid)  # now: once the last one has gone the room may not be in use here
        await presence.act(code, to_node(sid, question.asker))
        room = presence.room(code)
        version = room.version if room else 0
        frames = sockets.hand_over(question.pid, offset, lambda frame: self._send_after(sid, frame))
        if frames is None:
            # More was missed than is kept: it starts anew, and its place is free.
            await presence.act(code, self._depart(sid))
            sockets.give_up(question.pid)
            return None
        self._moved_to[sid] = question.asker
        if member is not None:
            self._row_moved(member.record_id)
        asyncio.get_running_loop().call_later(FORWARD_SECONDS, self._moved_to.pop, sid, None)
        return replace(luggage, frames=frames, version=version)

    def _send_after(self, sid: str, frame: bytes) -> None:
        """An answer to what a socket had asked of this node, before it moved."""
        if node := self._moved_to.get(sid):
            self._reach.publish(self._keys.node_channel(node), FRAME + encode(Following(sid, frame)))

    def followed(self, data: bytes) -> None:
        """Such an answer came; perhaps the socket has moved once more."""
        following = following_of(data)
        if self.sockets is not None and not self.sockets.follow(following.sid, following.frame):
            self._send_after(following.sid, following.frame)

    @contextlib.asynccontextmanager
    async def _going(self, pid: str) -> AsyncGenerator[None]:
        """One way at a time for a socket to go: to one node, to another, into the keeping of Redis."""
        lock, users = self._gates.get(pid, (asyncio.Lock(), 0))
        self._gates[pid] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._gates.pop(pid)
            if users > 1:
                self._gates[pid] = lock, users - 1

    # -- a node is stopped
    async def park(self, pid: str, seconds: float, look: Callable[[], Luggage | None]) -> None:
        """Keep a socket in Redis for its return to any node.

        `look` is asked for it with all that was kept for it, twice: None where it is not here any more, or has no way
        back. After the second time it is let go. Raises PresenceUnavailable.
        """

        def take() -> Luggage | None:
            luggage = look()
            if luggage is not None:
                self._moved_to[luggage.sid] = PARKED_NODE
                if self.sockets is not None:
                    self.sockets.put_down(pid)
            return luggage

        async with self._going(pid):
            if (found := look()) is not None:
                async with self._presence.hold(found.code) as room:
                    await self._parking.put(pid, found.sid, room, seconds, take)


async def _for_all_that_is_known(_node: str) -> bool:
    return True
