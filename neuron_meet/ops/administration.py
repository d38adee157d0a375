"""What an operator may ask and do at the admin address, as JSON, and the page for it. Every action is audited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from aiohttp import hdrs, web

from neuron_meet.audit import OPERATOR, Audit
from neuron_meet.ops.configuration import effective
from neuron_meet.ops.health import Health
from neuron_meet.ops.logs import LEVELS, STATE, set_level
from neuron_meet.settings import Settings
from neuron_meet.signaling.operator import Operator

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'none'"
)

Stop = Callable[[], None]
"""Has the server drain and end, as SIGTERM does."""


@dataclass(frozen=True, slots=True)
class Administration:
    """Its routes. `stop` is None where the server is not a program of its own (mounted into another)."""

    settings: Settings
    operator: Operator
    health: Health
    audit: Audit
    stop: Stop | None

    def routes(self) -> list[web.RouteDef]:
        """All of them; `admin_server` asks for the token."""
        return [
            web.get("/", _file("admin.html", "text/html")),
            web.get("/admin.js", _file("admin.js", "text/javascript")),
            web.get("/admin.css", _file("admin.css", "text/css")),
            web.get("/status", self._status),
            web.get("/settings", self._settings),
            web.get("/rooms", self._rooms),
            web.get("/rooms/{code}", self._room),
            web.post("/rooms/{code}/end", self._end),
            web.get("/participants/{sid}", self._participant),
            web.post("/participants/{sid}/kick", self._kick),
            web.post("/accounts/{id}/disable", self._disable),
            web.post("/accounts/{id}/enable", self._enable),
            web.get("/log-level", self._log_level),
            web.put("/log-level", self._set_log_level),
            web.post("/drain", self._drain),
        ]

    async def _status(self, _request: web.Request) -> web.Response:
        return web.json_response(
            {
                "version": self.health.version,
                "uptimeSeconds": self.health.uptime_seconds,
                "draining": self.health.draining,
                "checks": await self.health.dependencies(),
                "logLevel": STATE.level,
            }
        )

    async def _settings(self, _request: web.Request) -> web.Response:
        return web.json_response(effective(self.settings))

    async def _rooms(self, _request: web.Request) -> web.Response:
        return web.json_response(self.operator.rooms())

    async def _room(self, request: web.Request) -> web.Response:
        return _found(await self.operator.room(request.match_info["code"]))

    async def _participant(self, request: web.Request) -> web.Response:
        return _found(await self.operator.participant(request.match_info["sid"]))

    async def _kick(self, request: web.Request) -> web.Response:
        sid = request.match_info["sid"]
        kicked = await self.operator.kick(sid)
        room, subject = (kicked.room_code, kicked.user_id) if kicked else (None, None)
        self._record(
            request, "kick", found=kicked is not None, room=room, subject=subject, subject_socket=sid
        )
        return _found({"kicked": sid} if kicked else None)

    async def _end(self, request: web.Request) -> web.Response:
        code = request.match_info["code"]
        ended = await self.operator.end(code)
        self._record(request, "end-room", found=ended, room=code)
        return _found({"ended": code} if ended else None)

    async def _disable(self, request: web.Request) -> web.Response:
        account = request.match_info["id"]
        found = await self.operator.disable(account)
        self._record(request, "disable-account", found=found, subject=account)
        return _found({"disabled": account} if found else None)

    async def _enable(self, request: web.Request) -> web.Response:
        account = request.match_info["id"]
        found = await self.operator.enable(account)
        self._record(request, "enable-account", found=found, subject=account)
        return _found({"enabled": account} if found else None)

    async def _log_level(self, _request: web.Request) -> web.Response:
        return web.json_response({"logLevel": STATE.level})

    async def _set_log_level(self, request: web.Request) -> web.Response:
        try:
            body: Any = await request.json()
        # LookupError: an unknown character set. ConnectionError: it broke off.
        except (ValueError, LookupError, RecursionError, ConnectionError, web.RequestPayloadError):
            body = None
        level = body.get("logLevel") if isinstance(body, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        if not isinstance(level, str) or level not in LEVELS:
            example = '{"logLevel": "debug"}'
            return web.json_response({"message": f"Send one of {', '.join(LEVELS)}: {example}"}, status=400)
        set_level(level)
        self._record(request, "log-level", detail=level)
        return web.json_response({"logLevel": level})

    async def _drain(self, request: web.Request) -> web.Response:
        if self.stop is None:
            return web.json_response({"message": "This server is part of another program."}, status=409)
        self._record(request, "drain")
        self.stop()
        return web.json_response({"draining": True}, status=202)

    def _record(self, request: web.Request, action: str, *, found: bool = True, **fields: Any) -> None:
        outcome = {} if found else {"outcome": "NOT_FOUND"}
        self.audit.record(f"admin.{action}", actor=OPERATOR, address=request.remote, **outcome, **fields)


def _found(answer: dict[str, Any] | None) -> web.Response:
    if answer is None:
        return web.json_response({"message": "Not found"}, status=404)
    return web.json_response(answer)


def _file(name: str, content_type: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    text = files("neuron_meet.ops").joinpath("page", name).read_text(encoding="utf-8")

    async def serve(_request: web.Request) -> web.Response:
        headers = {hdrs.CONTENT_SECURITY_POLICY: PAGE_POLICY} if name.endswith(".html") else {}
        return web.Response(text=text, content_type=content_type, headers=headers)

    return serve
