"""Everything that a stranger may do to a server, and what has to become of it. `make hostile` does all of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from tests.hostile import scripts
from tests.hostile.frames import (
    BINARY,
    ENGINE_IO,
    FRAMES,
    LIMIT,
    PING,
    SIZES,
    SOCKET_IO,
    event,
    frame,
    padded,
    text,
)
from tests.hostile.scripts import flooding
from tests.hostile.stranger import ALL, NOTHING, SLOWLY, Script, fragments_of, post

IN, OUT = "in the room", "in no room"
STAYS = "stays"
"""Nothing happens to it: people do this. Whatever has no such word is gone, or costs little (arena.py)."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """An entry. `short`: also in the short form; `kept`: how many connections the server may still have at the end.

    `served`: handled as fast as they come, where nobody else wants the time (shares.py): no bound of the loop's.
    """

    name: str
    group: str
    script: Script
    short: bool = False
    becomes: str = ""
    kept: int | None = None
    served: bool = False
    megabytes: int = 80
    """What it may make the server's memory grow by: what waits for twelve connections that read nothing."""


SHORT_FRAMES = {
    ("ping", 0, NOTHING, OUT),
    ("ping", 125, NOTHING, IN),
    ("text", LIMIT + 1, ALL, IN),
    ("binary", 0, ALL, OUT),
    ("binary", 65_536, NOTHING, IN),
    ("fragments", 0, ALL, OUT),
    ("fragments", 65_536, ALL, OUT),
    ("close", 125, NOTHING, IN),
    ("rsv1", 125, ALL, OUT),
    ("unmasked", 125, ALL, OUT),
    ("not-utf-8", 126, NOTHING, IN),
    ("claims-2**62", 1, ALL, OUT),
}
"""Of each sort something; the long form has all of it."""
SHORT_PACKETS = {
    ("3", ALL, OUT),
    ("6", NOTHING, IN),
    ("40/admin,{}", ALL, IN),
    ('451-["x",{"_placeholder":true,"num":0}]', ALL, OUT),
}
ANSWERED = ("ping", "close", "text")
TYPING = 31, 60, 1000
PADDED = 200, 65_536


def _ways(answered: bool) -> list[tuple[str, str]]:
    """How to read, and where: every way where the server answers; where it says nothing, it makes little difference."""
    if answered:
        return list(itertools.product((ALL, SLOWLY, NOTHING), (IN, OUT)))
    return [(ALL, IN), (ALL, OUT), (SLOWLY, OUT), (NOTHING, IN)]


def _frames() -> Iterator[Stranger]:
    for kind, size in itertools.product(FRAMES, SIZES):
        first, unit = FRAMES[kind]
        for reads, place in _ways(kind in ANSWERED):
            yield Stranger(
                f"{kind} of {size} B, {reads}, {place}",
                "frames",
                # Not made here: all of them together have some hundred MB.
                flooding(partial(unit, size), first=first, joins=place == IN, reads=reads),
                short=(kind, size, reads, place) in SHORT_FRAMES,
            )
    once = {
        "pings of 125 B, coming again": frame(PING, b"x" * 125),
        "pongs of Engine.IO, coming again": text("3"),
    }
    for name, unit in once.items():
        yield Stranger(name, "frames", flooding(unit, joins=False, comes_again="again" in name))
    together = {
        "pings": frame(PING),
        "pings of 125 B": frame(PING, b"x" * 125),
        "events of unknown names": event("nothing", "{}"),
    }
    for name, unit in together.items():
        yield Stranger(
            f"{name} on 100 websockets",
            "frames",
            scripts.flooding_together(100, unit),
            short=name == "pings",
            served=True,  # as much as nobody else wants
        )
    yield Stranger(
        "half a message of 900 kB on 150 websockets",
        "frames",
        scripts.half_messages(150, 900_000),
        short=True,
        megabytes=200,  # 64 MB for a second at most (holdings.py), which a growing buffer takes twice
    )
    for size, piece in ((LIMIT - 100, 1), (LIMIT - 100, 125), (65_536, 1)):
        yield Stranger(
            f"a message of {size} B in pieces of {piece} B",
            "frames",
            flooding(partial(fragments_of, b"4" + b"x" * (size - 1), piece), joins=True),
            short=piece == 125,
        )


def _packets() -> Iterator[Stranger]:
    for packet in (*ENGINE_IO, *SOCKET_IO):
        for reads, place in _ways(answered=False):
            yield Stranger(
                f"packet {packet or '(empty)'}, {reads}, {place}",
                "packets",
                flooding(text(packet), joins=place == IN, reads=reads),
                short=(packet, reads, place) in SHORT_PACKETS,
            )
    for packet, size in itertools.product((*ENGINE_IO, *SOCKET_IO), PADDED):
        yield Stranger(
            f"packet {packet or '(empty)'} and nonsense, {size} B",
            "packets",
            flooding(padded(packet, size), joins=True),
            short=(packet, size) == ("3", 65_536),
        )
    yield from _events()


def _events() -> Iterator[Stranger]:
    long_name = json.dumps({"displayName": "A" * (LIMIT - 100)})
    accents = json.dumps({"displayName": "\u0301" * (LIMIT // 2 - 100)}, ensure_ascii=False)
    join = '{"roomCode":"abc-def-ghi","displayName":"%s"}'
    floods = {
        "events of unknown names, 200 B": event("n" * 190, "{}", 1),
        "events of unknown names, 900 kB": event("n" * 900_000, "{}", 1),
        "unknown events that are nested deeply": text('42["x",' + "[" * 50_000 + "]" * 50_000 + "]"),
        "names of 19 kB at the join": event("join-room", join % ("x" * 19_000), 1),
        "names of 900 kB at the join": event("join-room", join % ("x" * 900_000), 1),
        "chat of 50 kB": event("chat-message", '{"roomId":"x","content":"%s"}' % ("x" * 50_000), 1),
        "offers of 90 kB to nobody": event("offer", '{"targetId":"x","sdp":"%s"}' % ("x" * 90_000), 1),
        "candidates to nobody": event("ice-candidate", '{"targetId":"x","candidate":null}', 1),
        "toggles of the hand": event("toggle-hand-raise", '{"roomId":"x","raised":true}'),
        "binary after a placeholder": text('451-["x",{"_placeholder":true,"num":0}]')
        + frame(BINARY, b"x" * 65_536),
    }
    short = {"names of 900 kB at the join", "offers of 90 kB to nobody"}
    for name, unit in floods.items():
        yield Stranger(name, "packets", flooding(unit, joins=True), short=name in short)
    for a_second in TYPING:
        unit = event("typing-start", '{"roomId":"here"}')
        held = a_second < 200
        yield Stranger(
            f"typing, {a_second} a second",
            "packets",
            flooding(unit, joins=True, a_second=a_second),
            short=not held,  # the others have a test of their own, for the whole of their time
            becomes=STAYS if held else "",
        )
    for name, auth in (
        ("a name of 1 MB in the handshake", long_name),
        ("a name of 1 MB of accents in it", accents),
    ):
        yield Stranger(name, "packets", scripts.again_and_again(auth), short=auth is accents)


def _polling() -> Iterator[Stranger]:
    bodies = {
        "1,000 pings": b"\x1e".join([b"2"] * 1000),
        "1,000 pongs": b"\x1e".join([b"3"] * 1000),
        "1,000 empty packets": b"\x1e" * 999,
        "10,000 packets": b"\x1e".join([b"6"] * 10_000),
        "binary": b"\x1e".join([b"bAAAA"] * 1000),
        "not UTF-8": b"4\xff" * 1000,
        "the limit": b"9" * LIMIT,
        "over the limit": b"9" * (LIMIT + 1),
    }
    for name, body in bodies.items():
        yield Stranger(f"polling: posts of {name}", "polling", scripts.posting(body), served=True)
    yield Stranger(
        "polling: 50 posts at once", "polling", scripts.posting(bodies["1,000 pongs"], at_once=50), short=True
    )
    yield Stranger(
        "polling: 20 posts of the limit at once", "polling", scripts.posting(bodies["the limit"], at_once=20)
    )
    yield Stranger("polling: 200 polls at once", "polling", scripts.getting, short=True)
    yield Stranger("polling: never a poll", "polling", scripts.never_polling, short=True, served=True)
    yield Stranger("polling: 500 sessions", "polling", scripts.sessions(500), served=True)
    liar = b"POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    yield Stranger("polling: a length that is a lie", "polling", scripts.holding(100, liar % 900_000 + b"4"))
    yield from _upgrades()


def _upgrades() -> Iterator[Stranger]:
    yield Stranger(
        "upgrade: 300 of one session, which ends",
        "polling",
        scripts.upgrading(300, then=text("5"), ends=True),
        short=True,
        kept=1,
    )
    yield Stranger(
        "upgrade: 300 of one session", "polling", scripts.upgrading(300, then=text("5"), ends=False), kept=1
    )
    yield Stranger(
        "upgrade: half done, 100 of one session",
        "polling",
        scripts.upgrading(100, then=b"", ends=False),
        short=True,
    )
    yield Stranger(
        "upgrade: something else than a probe", "polling", scripts.upgrading(50, then=text("4x"), ends=False)
    )
    for name, unit in (
        ("pings", frame(PING)),
        ("probes", text("2probe")),
        ("binary", frame(BINARY, b"x" * 125)),
    ):
        yield Stranger(
            f"upgrade: half done, then {name}",
            "polling",
            scripts.flooding_the_probe(unit),
            short=name == "pings",
        )
    yield Stranger("upgrade: of no session", "polling", scripts.binary_to_polling)


HEAD = b"%s HTTP/1.1\r\nHost: x\r\n"
HEALTH = HEAD % b"GET /api/health" + b"\r\n"
LOGIN = HEAD % b"POST /api/auth/login" + b"Content-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
MESSAGES = HEAD % b"GET /api/rooms/{room}/messages?limit=200" + b"Authorization: Bearer {token}\r\n\r\n"


def _with_body(head: bytes, body: bytes) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _http() -> Iterator[Stranger]:
    register = HEAD % b"POST /api/auth/register" + b"Content-Type: application/json\r\n"
    named = '{"email":"x@example.com","password":"a password","displayName":"%s"}'
    bodies = {
        "a name of 98 kB": (named % ("x" * 98_000)).encode(),
        "a body of 1 MB": (named % ("x" * 1_000_000)).encode(),
        "deep nesting": b"[" * 49_000 + b"]" * 49_000,
        "an avatar of 95 kB": b'{"avatar":"data:image/png;base64,' + b"A" * 95_000 + b'"}',
    }
    for name, body in bodies.items():
        request = _with_body(register, body)
        yield Stranger(
            f"HTTP: {name}",
            "http",
            scripts.requesting(request, connections=10, pipelined=1, reads=ALL),
            short=name == "a name of 98 kB",
        )
    yield Stranger("HTTP: 500 idle connections", "http", scripts.holding(500, b""), short=True)
    yield Stranger("HTTP: 500 half headers", "http", scripts.holding(500, HEAD % b"GET /" + b"X-Half: "))
    yield Stranger(
        "HTTP: headers byte by byte", "http", scripts.dripping(50, HEAD % b"GET /" + b"X: ", b"x"), short=True
    )
    yield Stranger(
        "HTTP: a body byte by byte",
        "http",
        scripts.dripping(50, LOGIN + b"Content-Length: 9999\r\n\r\n", b" "),
    )
    yield Stranger(
        "HTTP: a header without end",
        "http",
        scripts.endless(HEAD % b"GET /" + b"X: ", b"x" * 1000),
        short=True,
    )
    yield Stranger("HTTP: headers without end", "http", scripts.endless(HEAD % b"GET /", b"X: y\r\n" * 100))
    yield Stranger("HTTP: a path without end", "http", scripts.endless(b"GET /", b"x" * 1000))
    for path in (b"/api/auth/login", b"/socket.io/?EIO=4&transport=polling&sid=x", b"/nowhere"):
        head = HEAD % (b"POST " + path) + CHUNKED
        yield Stranger(
            f"HTTP: chunks without end to {path.decode()[:12]}",
            "http",
            scripts.endless(head, b"4000\r\n" + b"x" * 0x4000 + b"\r\n"),
            short=path == b"/api/auth/login",
        )
        yield Stranger(
            f"HTTP: chunks of one byte to {path.decode()[:12]}",
            "http",
            scripts.endless(head, b"1\r\nx\r\n" * 200),
            short=path == b"/nowhere",
            served=True,
        )
    yield Stranger(
        "HTTP: chunk extensions", "http", scripts.endless(LOGIN + CHUNKED, b"1;" + b"x" * 1000 + b"\r\nx\r\n")
    )
    yield Stranger(
        "HTTP: a length that is a lie",
        "http",
        scripts.holding(100, LOGIN + b"Content-Length: 90000\r\n\r\n{"),
    )
    yield Stranger(
        "HTTP: a body longer than it says", "http", scripts.endless(_with_body(LOGIN, b"{}"), b"x" * 1000)
    )
    for reads, connections, pipelined in ((ALL, 4, 200), (NOTHING, 4, 5000), (SLOWLY, 20, 500)):
        yield Stranger(
            f"HTTP: {pipelined} pipelined requests, {reads}",
            "http",
            scripts.requesting(HEALTH, connections=connections, pipelined=pipelined, reads=reads),
            short=reads == NOTHING,
            served=True,
        )
    page = HEAD % b"GET /" + b"\r\n"
    yield Stranger(
        "HTTP: 60 large answers unread",
        "http",
        scripts.requesting(MESSAGES, connections=60, pipelined=1, reads=NOTHING),
        short=True,
        served=True,
        megabytes=180,  # pages of 3.2 MB are under way four at a time, and the allocator keeps what that took
    )
    yield Stranger(
        "HTTP: large answers, 10 pipelined, unread",
        "http",
        scripts.requesting(MESSAGES, connections=6, pipelined=10, reads=NOTHING),
    )
    yield Stranger(
        "HTTP: 150 readers of one account",
        "http",
        scripts.requesting(MESSAGES, connections=150, pipelined=1, reads=ALL),
        served=True,
    )
    yield Stranger(
        "HTTP: the page, unread",
        "http",
        scripts.requesting(page, connections=60, pipelined=50, reads=NOTHING),
    )
    bad = {
        "an origin that is none": HEAD % b"GET /api/health" + b"Origin: http://[evil\r\n\r\n",
        "no HTTP at all": b"\x16\x03\x01\x02\x00" + b"x" * 200 + b"\r\n\r\n",
        "an unknown method": b"X" * 50 + b" / HTTP/1.1\r\n\r\n",
        "wrong sign-ins": _with_body(LOGIN, b'{"email":"x@example.com","password":"not the password"}'),
        "sockets of no session": post("x" * 20, b"2"),
    }
    for name, request in bad.items():
        yield Stranger(
            f"HTTP: {name}",
            "http",
            scripts.requesting(request, connections=4, pipelined=20, reads=ALL),
            short=name == "wrong sign-ins",
            served=True,
        )


TABLE: tuple[Stranger, ...] = (*_frames(), *_packets(), *_polling(), *_http())
GROUPS = ("frames", "packets", "polling", "http")
