"""kill -9 under chat: server, engine and PostgreSQL in turn. What was acknowledged or seen is stored, once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.chaos.figures import Figures
from tests.chaos.meeting import entered, program, ready, visitor, works
from tests.chaos.postgres import Postgres, postgres_in
from tests.process.program import ALL_BY_THE_ENGINE, Program, gone, postmaster
from tests.process.visitor import Socket, Visitor
from tests.store.password_server import free_port

TALKERS = 10
CHAT_SECONDS = 0.4
GHOST_SECONDS = 20
"""After a crash nobody who is gone is shown any more after so long (issue 4, Shown by 3)."""


class Chat:
    """Ten people who do not stop talking, and what became of every word."""

    def __init__(self, room: dict[str, Any]) -> None:
        self.room = room
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self.unanswered: list[str] = []
        self.seen: list[list[str]] = []
        self._words: Iterator[int] = itertools.count()

    async def talk(self, socket: Socket, until: asyncio.Event) -> None:
        """Say one thing after the other until told to stop or cut off."""
        while not until.is_set():
            content = f"word {next(self._words)}"
            try:
                answer = await socket.ask("chat-message", {"roomId": self.room["id"], "content": content})
            except (AssertionError, ConnectionError, TimeoutError):
                self.unanswered.append(content)
                return
            (self.acknowledged if answer["success"] else self.refused).append(content)

    def note(self, sockets: list[Socket]) -> None:
        """What these sockets saw, in the order in which they saw it."""
        for socket in sockets:
            self.seen.append([event["content"] for name, event in socket.events if name == "chat-message"])


async def talkers(who: Visitor, code: str) -> list[Socket]:
    """Ten sockets in the room."""
    sockets = [await who.socket(guest=True) for _ in range(TALKERS)]
    for number, socket in enumerate(sockets):
        await entered(socket, code, f"Talker {number}")
    return sockets


async def killed(target: str, running: Program, database: Postgres) -> None:
    """kill -9."""
    if target == "server":
        children = running.descendants()
        await running.kill()
        assert await gone(children, 10)
    elif target == "engine":
        [engine] = running.engines()
        engine.kill()
    else:
        await database.kill()
        await database.start()  # as systemd or an operator does


async def nobody_is_shown_who_is_gone(who: Visitor, room: dict[str, Any], database: Postgres) -> float:
    """Seconds until REST, the snapshot of a join and the open rows agree on who is in the room: only those who are."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    witness = await who.socket(guest=True)
    await works(witness, room, GHOST_SECONDS)
    async with asyncio.timeout(GHOST_SECONDS):
        while True:
            # Those of the rounds before are connected no more; the witness alone is.
            joined = await entered(witness, room["code"], "Witness")
            _, listed = await who.call("GET", f"/api/rooms/code/{room['code']}/participants")
            rows = await database.query(
                'SELECT "guestName" FROM "Participant" WHERE "roomId" = $1 AND "isActive"', room["id"]
            )
            names = [person["displayName"] for person in listed], [row["guestName"] for row in rows]
            if not joined["participants"] and names == (["Witness"], ["Witness"]):
                await witness.close()
                return loop.time() - started
            await asyncio.sleep(0.1)


async def test_nothing_acknowledged_is_lost_and_nothing_is_doubled(
    folder: Path, meetings_data: Path, long: bool, figures: Figures
) -> None:
    rounds, port, ghosts = 20 if long else 5, free_port(), list[float]()
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(postgres_in(folder, meetings_data))
        environment = {"DATABASE_URL": database.url(), "RECOVERY_GRACE_SECONDS": "1"}
        # Every other server has the engine run its queries; the others run them themselves and have no engine.
        engine = itertools.cycle([{}, ALL_BY_THE_ENGINE])
        running = await stack.enter_async_context(program(folder, port, **environment, **next(engine)))
        who = await stack.enter_async_context(visitor(running.url))
        await who.register()
        chat = Chat(await who.room())
        targets = ["server", "engine", "postgresql", "server", "postgresql"]
        for target in itertools.islice(itertools.cycle(targets), rounds):
            sockets, stop = await talkers(who, chat.room["code"]), asyncio.Event()
            talking = [asyncio.create_task(chat.talk(socket, stop)) for socket in sockets]
            await asyncio.sleep(CHAT_SECONDS)  # not a wait for anything: the load before the blow
            await killed(target, running, database)
            if target == "server":
                running = await stack.enter_async_context(
                    program(folder, port, **environment, **next(engine))
                )
            await ready(who, 30, expected=200)
            stop.set()
            await asyncio.wait(talking)
            for task in talking:
                task.result()
            chat.note(sockets)
            for socket in sockets:
                await socket.close()
            ghosts.append(await nobody_is_shown_who_is_gone(who, chat.room, database))
        assert "participant rows differed from presence" not in running.output
        assert await running.stop() == 0
        rows = await database.query(
            'SELECT content FROM "Message" WHERE "roomId" = $1 AND content LIKE \'word %\' ORDER BY "createdAt", id',
            chat.room["id"],
        )
        open_rows = await database.query('SELECT id FROM "Participant" WHERE "isActive"')
    audit(chat, [row["content"] for row in rows], figures, rounds)
    assert open_rows == []
    figures.add("no ghost in REST, snapshot and rows after", max(ghosts), "s at most")


def audit(chat: Chat, stored: list[str], figures: Figures, rounds: int) -> None:
    """Compare what people know with what is in the table."""
    times, place = Counter(stored), {content: number for number, content in enumerate(stored)}
    seen = {content for one in chat.seen for content in one}
    lost = [content for content in chat.acknowledged if content not in times]
    doubled = [content for content, number in times.items() if number > 1]
    assert len(chat.acknowledged) > 10 * rounds
    assert lost == []
    assert doubled == []
    assert seen <= times.keys(), "somebody saw a message that is not stored"
    for one in chat.seen:
        places = [place[content] for content in one if content.startswith("word")]
        assert places == sorted(places), "somebody saw messages in another order than the stored one"
        assert len(places) == len(set(places)), "somebody saw a message twice"
    figures.add("rounds of kill -9 (server, engine, PostgreSQL in turn)", rounds)
    figures.add("acknowledged", len(chat.acknowledged))
    figures.add("of these stored exactly once", sum(times[content] == 1 for content in chat.acknowledged))
    figures.add("lost", len(lost))
    figures.add("doubled", len(doubled))
    figures.add("refused", len(chat.refused))
    figures.add("refused and stored all the same", sum(content in times for content in chat.refused))
    figures.add("cut off before an answer", len(chat.unanswered))


async def test_the_embedded_postgresql_is_started_again(used_folder: Path, figures: Figures) -> None:
    """Nobody else would: it is the server's own. What was acknowledged before is there."""
    async with (
        program(used_folder, free_port(), RECOVERY_GRACE_SECONDS="0") as running,
        visitor(running.url) as who,
    ):
        await who.register()
        room = await who.room()
        guest = await who.socket(guest=True)
        await entered(guest, room["code"])
        said = await guest.ask("chat-message", {"roomId": room["id"], "content": "before"})
        assert said["success"] is True
        killed = postmaster(used_folder)
        family = [killed, *killed.children(recursive=True)]
        killed.kill()
        assert await gone(family, 10)
        took = await works(guest, room, 30)
        await ready(who, 10, expected=200)
        _, messages = await who.call("GET", f"/api/rooms/{room['id']}/messages")
        assert [message["content"] for message in messages] == ["before", "again"]
        again = postmaster(used_folder)
        assert again.pid != killed.pid
        assert await running.stop() == 0
        assert await gone([again], 1)
    figures.add("joins and messages again after", took, "s")
