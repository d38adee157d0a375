"""Requests as hypothesis makes them: to every route, mostly right or almost, sometimes anything at all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
from yarl import URL

from tests.rest.server import new_email

TEXTS = st.one_of(
    st.text(max_size=40),
    st.text(st.characters(), max_size=300),
    st.sampled_from(
        [
            *(
                "",
                " ",
                "\0",
                "\ud800",
                "\u202e",
                "null",
                "undefined",
                "NaN",
                "true",
                "0",
                "-1",
                "1e999",
                "__proto__",
            ),
            *(
                "' OR '1'='1",
                '"; DROP TABLE "User"; --',
                "%",
                "_",
                "\\",
                "%00",
                "../../etc/passwd",
                "{field}",
                "%s",
            ),
            *("{{7*7}}", "${7*7}", "<script>", "\r\nX-Injected: 1", "a" * 5000, "🐴" * 20, "\u0000\uffff"),
            *("ada@example.com", "ADA@EXAMPLE.COM", "a@b", "@", "a@" + "b" * 300, '"a b"@example.com'),
            *("https://example.com/a.png", "javascript:alert(1)", "http://[::1", "http://\udc00"),
            *("abc-def-ghi", "ABC-DEF-GHI", "cl9ebqhxk00008eb8f9v5z3ab", "correct horse"),
        ]
    ),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 210),
    st.sampled_from([2**31, 2**63, 2**64, -(2**63) - 1, 10**400]),
    st.floats(allow_nan=True, allow_infinity=True),
    TEXTS,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
# Stand-ins for what exists only when the requests are sent: the attacker's own room, somebody else's.
STAND_INS = ["OWN", "OWN_CODE", "FOREIGN", "FOREIGN_CODE", "MALLORY", "VICTIM", "me", "code"]
SEGMENTS = st.sampled_from(STAND_INS) | TEXTS.map(
    lambda text: URL.build(path="/" + text.encode("utf-8", "replace").decode()).raw_path[1:]
)
ROOM = {"name": st.just("A room"), "waitingRoom": st.booleans(), "maxParticipants": st.integers(2, 100)}
ROOM_SETTINGS = {
    "maxParticipants": st.integers(2, 100),
    **dict.fromkeys(
        (
            "isLocked",
            "allowChat",
            "allowScreenShare",
            "allowGuestAccess",
            "muteParticipantsOnJoin",
            "waitingRoom",
        ),
        st.booleans(),
    ),
}
PROFILE = {
    "displayName": st.just("Ünï  🐴"),
    "avatarUrl": st.sampled_from([None, "https://example.com/a.png"]),
}
CREDENTIALS = {"email": st.just("ada@example.com"), "password": st.just("correct horse")}
NOTHING: dict[str, st.SearchStrategy[Any]] = {}

ROUTES: list[tuple[str, str, dict[str, st.SearchStrategy[Any]]]] = [
    ("POST", "/api/rooms", ROOM),
    ("PATCH", "/api/rooms/{id}/settings", ROOM_SETTINGS),
    ("PATCH", "/api/users/me", PROFILE),
    ("DELETE", "/api/rooms/{id}", NOTHING),
    ("GET", "/api", NOTHING),
    ("GET", "/api/", NOTHING),
    ("GET", "/api/auth/me", NOTHING),
    ("GET", "/api/health", NOTHING),
    ("GET", "/api/ice-servers", NOTHING),
    ("GET", "/api/ready", NOTHING),
    ("GET", "/api/rooms/code/{code}", NOTHING),
    ("GET", "/api/rooms/code/{code}/participants", NOTHING),
    ("GET", "/api/rooms/{id}", NOTHING),
    ("GET", "/api/rooms/{id}/messages", NOTHING),
    ("GET", "/api/rooms/{id}/participants", NOTHING),
    ("GET", "/api/users/me/rooms", NOTHING),
    ("GET", "/api/users/{id}", NOTHING),
]
HASHING: list[tuple[str, str, dict[str, st.SearchStrategy[Any]]]] = [
    ("POST", "/api/auth/login", CREDENTIALS),
    ("POST", "/api/auth/register", CREDENTIALS | {"displayName": st.just("Ada")}),
]
"""Routes that cost 60 ms of a processor each time they are taken seriously: less often."""
CREATED = {"/api/auth/login", "/api/auth/register", "/api/rooms"}


@st.composite
def bodies(draw: st.DrawFn, fields: dict[str, st.SearchStrategy[Any]]) -> bytes:
    """A JSON object that is mostly right or almost; sometimes any JSON, sometimes any bytes."""
    kind = draw(st.integers(0, 19))
    if kind == 0:
        return draw(st.binary(max_size=200))
    if kind == 1:
        return json.dumps(draw(VALUES)).encode()
    wrong = draw(st.sets(st.sampled_from(sorted(fields)), max_size=2)) if fields and kind < 10 else set()
    body = {name: draw(VALUES if name in wrong else good) for name, good in fields.items()}
    if kind < 5:
        body |= draw(
            st.dictionaries(TEXTS | st.sampled_from(["id", "hostId", "__proto__"]), VALUES, max_size=2)
        )
    return json.dumps(body, ensure_ascii=bool(kind % 2)).encode("utf-8", "surrogatepass")


@st.composite
def paths(draw: st.DrawFn, route: str) -> str:
    """The route's path with something for each variable; mostly what is there."""
    likely = "FOREIGN_CODE" if "{code}" in route else "VICTIM" if "users" in route else "OWN"
    segment = draw(st.sampled_from([likely, likely, "FOREIGN"])) if draw(st.booleans()) else draw(SEGMENTS)
    return route.replace("{id}", segment).replace("{code}", segment)


QUERIES = st.just("") | st.dictionaries(
    st.sampled_from(["before", "limit", "id", "token"]) | st.text(max_size=5), TEXTS, max_size=3
).map(
    lambda query: str(URL.build(query={k: v.encode("utf-8", "replace").decode() for k, v in query.items()}))
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Authorization": st.sampled_from(["Bearer", "Bearer x.y.z", "Basic YTpi", "Bearer " + "." * 5000]),
        "Content-Type": st.sampled_from(
            ["application/json", "text/plain", "multipart/form-data", ";", "a/b; charset=x"]
        ),
        "Content-Encoding": st.sampled_from(["gzip", "deflate", "identity", "x"]),
        "Origin": st.sampled_from(["https://evil.example", "null", "", "\x7f"]),
        "Access-Control-Request-Method": st.sampled_from(["PATCH", ""]),
        "X-Forwarded-For": st.sampled_from(["203.0.113.1", "::1, x", "," * 500]),
        "Accept": st.sampled_from(["text/html", "application/xml", "*/*;q=x"]),
        "Range": st.sampled_from(["bytes=0-1", "x"]),
        "If-None-Match": st.sampled_from(["*", '"x"']),
        "Cookie": st.sampled_from(["a=b; ;=", "token=x"]),
    },
)


@dataclass(frozen=True)
class Request:
    """One generated request. `who` calls: nobody, the attacker, or what the headers say."""

    method: str
    path: str
    query: str
    who: str
    body: bytes
    headers: dict[str, str]

    def written(self, scene: dict[str, Any]) -> bytes:
        """The request as it is sent, with what exists for what stands in for it."""
        target = self.path + self.query
        for name, value in scene["names"].items():
            target = target.replace(name, value)
        headers = {"Host": "x", "Connection": "close"} | self.headers
        if self.who == "attacker":
            headers.setdefault("Authorization", f"Bearer {scene['attacker']}")
        # An address that is free, so that some registrations succeed.
        body = self.body.replace(b"ada@example.com", new_email().encode())
        headers["Content-Length"] = str(len(body))
        lines = [f"{self.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """A request to a route, now and then with another method or to another path."""
    odd = draw(st.integers(0, 29))
    method, route, fields = draw(st.sampled_from(HASHING if odd == 17 else ROUTES))
    path = draw(paths(route))
    if odd == 28:
        method = draw(st.sampled_from(["HEAD", "PUT", "OPTIONS", "TRACE", "PURGE", "POST", "DELETE"]))
    if odd == 29:
        path = draw(st.lists(SEGMENTS, max_size=4).map(lambda segments: "/api/" + "/".join(segments)))
    return Request(
        method=method,
        path=path,
        query=draw(QUERIES) if draw(st.booleans()) else "",
        who="nobody" if draw(st.integers(0, 7)) == 0 else "attacker",
        body=draw(bodies(fields)),
        headers=draw(HEADERS) if draw(st.integers(0, 3)) == 0 else {},
    )
