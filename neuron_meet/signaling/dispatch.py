"""From a decoded packet to a use case and back: event named? payload valid? in order? then handle and reply."""

from __future__ import annotations

import inspect
import math
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable

import structlog
from msgspec import Raw
from msgspec.structs import replace

from neuron_meet import errors, tracing
from neuron_meet.audit import DONE, NOWHERE, Audit
from neuron_meet.durations import Durations
from neuron_meet.errors import Refusal, Refused
from neuron_meet.failure import place
from neuron_meet.repeats import seldom
from neuron_meet.rooms.codes import room_code_in
from neuron_meet.signaling import events, lobby
from neuron_meet.signaling.audited import NO_CONTROL, HostControls
from neuron_meet.signaling.caller import Caller
from neuron_meet.signaling.commands import Command, Order, commands
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.controls import may_rule
from neuron_meet.signaling.departure import walk_out
from neuron_meet.signaling.effects import Drop, Outcome, ToSocket
from neuron_meet.signaling.events import (
    Ack,
    ClientPayload,
    Failure,
    JoinError,
    Success,
    Waiting,
)
from neuron_meet.signaling.join import join_room
from neuron_meet.signaling.lane import Lane
from neuron_meet.signaling.limits import EventLimits, Pace
from neuron_meet.signaling.presence.room import LiveRoom
from neuron_meet.slowness import say_slow_event, watched
from neuron_meet.store.errors import StoreError, code_of

log = structlog.get_logger(__name__)

OK = "OK"
GONE = "GONE"
"""How an event ended whose socket went before it was looked at."""

PACKET_AROUND_PAYLOAD = 20_000
"""Bytes of an event's packet beside its payload: name and id, and further arguments, which mean nothing."""

_TYPING = Pace.TYPING  # looked up at every event: an enum's member costs more than a name of the module

Reply = Callable[[Ack], None]
"""Sends the acknowledgement; None where the client wants none."""


class Dispatcher:
    """Takes events from the transport, runs their use cases, delivers what they decide, then acknowledges.

    For whoever asks: `handled` counts successes by event, `refused` refusals by code, `refusals` those by event
    and code, `durations` has how long the successes took that had something to wait for, by event.
    """

    def __init__(
        self,
        signaling: Signaling,
        limits: EventLimits,
        *,
        max_sdp_bytes: int,
        audit: Audit = NOWHERE,
        slow_seconds: float = math.inf,
    ) -> None:
        """An event that takes longer than `slow_seconds` is logged (slowness.py)."""
        self._signaling = signaling
        self._controls = HostControls(signaling.presence, audit)
        self._limits = limits
        self._slow_seconds = slow_seconds
        self._commands = commands(
            max_message_length=signaling.max_message_length,
            max_sdp_bytes=max_sdp_bytes,
            clustered=bool(signaling.presence.node),
        )
        self.most_bytes = PACKET_AROUND_PAYLOAD + max(each.max_bytes for each in self._commands.values())
        """An event's packet that is larger has a payload that is too large, whatever event it is."""
        self._lanes: dict[str, Lane] = {}
        self.handled: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.refusals: Counter[tuple[str, str]] = Counter()
        self.durations: defaultdict[str, Durations] = defaultdict(Durations)
        self.draining = False
        """Whether nobody may join any more, because the server goes."""

    def receive(  # noqa: PLR0911 -- one return for each reason not to handle it
        self, caller: Caller, name: str, body: Raw, reply: Reply | None
    ) -> bool:
        """Handle one event; `body` is its payload as JSON, empty where there is none. Never raises, never waits.

        Returns whether it counted towards a limit of its own. One that did not costs as much as a frame that means
        nothing: events of a socket that is being disconnected, which arrive in one piece with what it is disconnected
        for, and surplus typing, which costs nobody their connection.
        """
        if caller.gone:
            return False
        command = self._commands.get(name)
        if command is None:
            self._refuse_invalid(caller, "", errors.UNKNOWN_EVENT, reply)
            return True
        if command.pace is _TYPING:
            ends = name == events.TypingStop.event
            if not self._limits.allow(caller, _TYPING) and not (ends and self._is_typing(caller)):
                if reply is not None:
                    reply(Success())
                return False
        elif (too_fast := self._too_fast(caller, command)) is not None:
            self._refuse_too_fast(caller, name, too_fast, reply)
            return True
        if self.draining and command.use_case is join_room:
            self._refuse(caller, name, errors.UNAVAILABLE, reply)
            return True
        payload = command.decode(body)
        if payload is None:
            unauthorized = command.pace is Pace.HOST and not may_rule(self._signaling, caller)
            refusal = errors.NOT_AUTHORIZED if unauthorized else errors.INVALID_REQUEST
            self._refuse_invalid(caller, name, refusal, reply)
            return True
        lane = self._lanes.get(caller.sid)
        if command.order is Order.AT_ONCE and not (lane and lane.held):
            self._handle_now(caller, name, command, payload, reply)
            return True
        if lane is None:
            lane = self._lanes[caller.sid] = Lane()
        if lane.full:
            self._refuse_too_fast(caller, name, errors.TOO_MANY_REQUESTS, reply)
            return True
        # An event that is usually at once and has to queue behind a join holds up what follows, as the join does:
        # a candidate must not overtake the offer before it.
        begun = time.monotonic()
        lane.add(
            lambda: self._traced(
                caller, name, begun, lambda: self._handle(caller, name, command, payload, reply, begun=begun)
            ),
            holds=command.order is not Order.QUEUED,
        )
        return True

    def types_too_fast(self, caller: Caller, *, stops: bool) -> bool:
        """Whether a typing event is surplus, to be dropped unread. A held key makes 31 to 60 a second."""
        if caller.gone:
            return True
        return self._limits.exhausted(caller, _TYPING) and not (stops and self._is_typing(caller))

    def _is_typing(self, caller: Caller) -> bool:
        """Whether the others see so: there are as many stops as of starts that were let through."""
        return self._signaling.typing.typing(caller.sid)

    def busy(self, sid: str) -> bool:
        """Whether anything that a socket has asked for is still under way."""
        lane = self._lanes.get(sid)
        return lane is not None and lane.busy

    def malformed(self, caller: Caller, reply: Reply | None) -> None:
        """A packet that is no event at all."""
        if not caller.gone:
            self._refuse_invalid(caller, "", errors.INVALID_REQUEST, reply)

    def moved(self, caller: Caller, address: str) -> None:
        """The socket came back, perhaps from another address."""
        caller.address = address
        caller.has_joined = False
        code = self._signaling.presence.whereabouts.inside.get(caller.sid)
        if code is not None:
            self._signaling.act_soon(code, lambda room: _came_from(room, caller))

    async def quiet(self, sid: str, seconds: float) -> None:
        """Return when what a socket has asked for is done; after `seconds` in any case."""
        if lane := self._lanes.get(sid):
            await lane.idle(seconds)

    def moved_away(self, caller: Caller) -> None:
        """The socket is another node's now: nothing of it is handled here any more."""
        caller.gone = True
        self._lanes.pop(caller.sid, None)

    def disconnected(self, caller: Caller) -> None:
        """The socket is gone: its presence goes with it, and what it still had under way finds it gone."""
        caller.gone = True
        self._lanes.pop(caller.sid, None)
        self._signaling.see_to(lobby.withdraw(self._signaling, caller))
        walk_out(self._signaling, caller.sid)

    def _handle_now(
        self, caller: Caller, name: str, command: Command, payload: ClientPayload, reply: Reply | None
    ) -> None:
        try:
            outcome = command.use_case(self._signaling, caller, payload)
            assert isinstance(outcome, Outcome)  # noqa: S101 -- AT_ONCE use cases do not wait
        except Refused as refused:
            self._refuse(caller, name, refused.refusal, reply)
        except Exception as error:
            self._fail(caller, name, payload, error, reply)
        else:
            self.handled[name] += 1
            self._complete(outcome, reply)

    async def _traced(
        self, caller: Caller, name: str, begun: float, handle: Callable[[], Awaitable[str]]
    ) -> None:
        if caller.gone:
            return
        with tracing.event(name, begun) as span:
            span.note(tracing.SOCKET, caller.sid)
            if member := self._signaling.presence.participant(caller.sid):
                span.note(tracing.ROOM, member.room_id)
            started, waits = time.monotonic(), watched()
            result = await handle()
            span.note(tracing.RESULT, result)
        seconds = time.monotonic() - begun
        if seconds >= self._slow_seconds:
            member = member or self._signaling.presence.participant(caller.sid)
            who = {"sid": caller.sid, "room": member.room_code if member else None}
            say_slow_event(name, result, seconds, started - begun, waits, **who)

    async def _handle(
        self,
        caller: Caller,
        name: str,
        command: Command,
        payload: ClientPayload,
        reply: Reply | None,
        *,
        begun: float,
    ) -> str:
        """Handle an event that may wait. Returns how it ended: `OK`, or a refusal's code."""
        if (
            self._limits.shared is not None
            and command.use_case is join_room
            and not await self._limits.allow_join_anywhere(caller.address)
        ):
            self._refuse_too_fast(caller, name, errors.TOO_MANY_REQUESTS, reply)
            return errors.TOO_MANY_REQUESTS.code
        if caller.gone:
            return GONE
        control = self._controls.begin(caller, name, payload) if command.pace is Pace.HOST else NO_CONTROL
        try:
            outcome = command.use_case(self._signaling, caller, payload)
            if inspect.isawaitable(outcome):
                outcome = await outcome
        except Refused as refused:
            control.ended(refused.refusal.code)
            self._refuse(caller, name, refused.refusal, reply)
            return refused.refusal.code
        except Exception as error:
            code = self._fail(caller, name, payload, error, reply)
            control.ended(code)
            return code
        else:
            waits = isinstance(outcome.ack, Waiting)
            if waits:
                self.refusals[name, errors.WAITING_FOR_HOST.code] += 1
            else:
                self.handled[name] += 1
            self.durations[name].add(time.monotonic() - begun)
            control.ended(DONE)
            self._complete(outcome, reply)
            return errors.WAITING_FOR_HOST.code if waits else OK

    def _complete(self, outcome: Outcome, reply: Reply | None) -> None:
        if outcome.effects:
            self._signaling.carry_out(outcome.effects)
        if reply is not None:
            reply(outcome.ack)

    def _fail(
        self, caller: Caller, name: str, payload: ClientPayload, error: Exception, reply: Reply | None
    ) -> str:
        """Something broke: the client learns that it did and nothing about how (contract, Joining).

        Returns the code of what it is told.
        """
        tracing.fail(type(error).__name__)
        where: dict[str, object] = {"sid": caller.sid, "room": self._room_of(caller, payload)}
        if isinstance(error, StoreError):
            what = {"socket_event": name, "error": type(error).__name__, "code": code_of(error)}
            seldom(log.warning, "store failed", by=what, **where)
            refusal = errors.UNAVAILABLE
        else:
            found = place(error)
            what = {"socket_event": name, "error": found.pop("error")}
            seldom(log.error, "event handler failed", by=what, **where, **found)
            refusal = errors.UNAVAILABLE if name == events.JoinRoom.event else errors.INTERNAL
        self._refuse(caller, name, refusal, reply)
        return refusal.code

    def _room_of(self, caller: Caller, payload: ClientPayload) -> str | None:
        """The code of the room that an event is about, for the log; None for what is no code."""
        if isinstance(payload, events.JoinRoom):
            return room_code_in(payload.room_code)
        participant = self._signaling.presence.participant(caller.sid)
        return participant.room_code if participant else None

    def _too_fast(self, caller: Caller, command: Command) -> Refusal | None:
        """Why the caller may not send this now, or None."""
        pace = command.pace
        if not self._limits.allow(caller, pace):
            return errors.TOO_MANY_MESSAGES if pace is Pace.CHAT else errors.TOO_MANY_REQUESTS
        if command.use_case is join_room:
            return None if self._limits.allow_join_from(caller.address) else errors.TOO_MANY_REQUESTS
        if self._signaling.presence.participant(caller.sid) is None and not self._limits.allow(
            caller, Pace.UNJOINED
        ):
            return errors.TOO_MANY_REQUESTS
        return None

    def _refuse_invalid(self, caller: Caller, name: str, refusal: Refusal, reply: Reply | None) -> None:
        if self._limits.allow(caller, Pace.INVALID):
            self._refuse(caller, name, refusal, reply)
        else:
            self._refuse_too_fast(caller, name, errors.TOO_MANY_REQUESTS, reply)

    def _refuse_too_fast(self, caller: Caller, name: str, refusal: Refusal, reply: Reply | None) -> None:
        """Refuse; a socket that goes on regardless is dropped."""
        self._refuse(caller, name, refusal, reply)
        if not self._limits.allow(caller, Pace.PATIENCE):
            seldom(
                log.warning,
                "socket dropped, it goes on too fast",
                by={"address": caller.address},
                sid=caller.sid,
            )
            caller.gone = True
            self._signaling.deliver([Drop(caller.sid, "too many requests")])

    def _refuse(self, caller: Caller, name: str, refusal: Refusal, reply: Reply | None) -> None:
        self.refused[refusal.code] += 1
        self.refusals[name, refusal.code] += 1
        if name == events.JoinRoom.event:
            failed = JoinError(code=errors.JOIN_FAILED_CODE, message=refusal.message)
            self._signaling.deliver([ToSocket(caller.sid, failed)])
        if reply is not None:
            reply(Failure(refusal.message))


def _came_from(room: LiveRoom, caller: Caller) -> Outcome:
    """A member's socket has another address now."""
    if participant := room.members.get(caller.sid):
        room.update(replace(participant, address=caller.address))
    return Outcome()
