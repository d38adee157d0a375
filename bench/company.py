"""Peers in rooms: who connects, who joins, and how they all leave."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass

from bench.contenders import Contender
from bench.failure import BenchFailed
from bench.pace import at_a_time
from bench.peer import Peer

LEAVE_SECONDS = 30.0
_groups = itertools.count()


@dataclass(slots=True)
class Company:
    """Rooms of peers. For the floor a room is a group of connections."""

    rooms: list[list[Peer]]

    @property
    def peers(self) -> list[Peer]:
        """All of them."""
        return [peer for room in self.rooms for peer in room]

    async def leave(self) -> None:
        """Close all connections and wait until they are closed."""
        await leave(self.peers)


def newcomers(contender: Contender, count: int) -> list[Peer]:
    """Peers that are not connected yet: accounts and guests in turn, each account once."""
    if contender.bare:
        return [Peer(None, contender.alarm) for _ in range(count)]
    made: list[Peer] = []
    for number in range(count):
        name = f"Guest {number}"
        if number % 2:
            peer = Peer(json.dumps({"displayName": name}).encode(), contender.alarm)
        else:
            account = contender.rooms.accounts[number // 2]
            name = f"User {number // 2}"
            token = contender.tokens.issue(account.id, account.email)
            peer = Peer(
                json.dumps({"token": token, "userId": account.id, "displayName": name}).encode(),
                contender.alarm,
            )
            peer.account_id = account.id
        peer.name = name
        made.append(peer)
    return made


async def connect(
    contender: Contender, peers: Sequence[Peer], *, compression: bool = False, group: str = "g"
) -> None:
    """Connect peers, some at a time. `group` is what they share where the server is the floor."""
    base = contender.server.url.replace("http:", "ws:")
    path = f"/{group}" if contender.bare else "/socket.io/?EIO=4&transport=websocket"
    await at_a_time(peers, lambda peer: peer.connect(base + path, compression=compression))


async def gather(contender: Contender, rooms: int, size: int, *, compression: bool = False) -> Company:
    """`rooms` rooms with `size` peers each, all of them connected and inside."""
    peers = newcomers(contender, rooms * size)
    company = Company([peers[room * size : (room + 1) * size] for room in range(rooms)])
    if contender.bare:
        for room in company.rooms:
            await connect(contender, room, compression=compression, group=f"room{next(_groups)}")
        return company
    await connect(contender, peers, compression=compression)
    await enter(company, await contender.rooms.rooms(rooms))
    await contender.server.quiet()
    return company


async def enter(company: Company, codes: Sequence[str]) -> None:
    """Let every peer join its room, some at a time, one of each room after the other."""
    turns = zip(*company.rooms, strict=True)
    entries = [entry for turn in turns for entry in zip(turn, codes, strict=True)]
    await at_a_time(entries, lambda entry: entry[0].join(entry[1]))


async def leave(peers: Sequence[Peer]) -> None:
    """Close connections at once and wait until the server has closed them, too. Raises BenchFailed."""
    for peer in peers:
        peer.leave()
    _, late = await asyncio.wait([peer.closed for peer in peers], timeout=LEAVE_SECONDS)
    if late:
        raise BenchFailed(f"{len(late)} connections were not closed within {LEAVE_SECONDS:.0f} s.")
