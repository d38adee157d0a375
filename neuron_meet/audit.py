"""Audit: who did what to whom, where and when, as a line of JSON each, to a sink of their own.

What strangers can cause at will is written once, and then counted: a refusal from the second one of the same address
and account on, what is done from the thirty-first one in a minute on. A line with `count` stands for so many
(neuron_meet/repeats.py).

Records hold ids, room codes and addresses, and of a sign-in the e-mail address; never passwords, tokens, chat or SDP.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from typing import TextIO, cast

import msgspec

from neuron_meet.rates import address_key
from neuron_meet.repeats import Facts, Repeats
from neuron_meet.streams import StandardStream

STDOUT = "stdout"
DONE = "done"
OPERATOR = "operator"
"""Who has the admin address's token: nobody's flood is to be feared, and nothing that they do goes uncounted."""
MOST_DONE = 30
"""Of one action, done by one account in a minute, before only their count is recorded."""


class Audit:
    """Writes records to a file (made anew where it was moved away, as logrotate does) or to standard output.

    What cannot be written is counted in `lost`, and the server goes on: a full disk stops no meeting.
    """

    def __init__(self, sink: str | None, node: str = "") -> None:
        """`sink`: a file's path, `stdout`, or None for none."""
        self.node = node
        self._stdout = StandardStream("stdout")
        self._lost = 0
        self._lock = threading.Lock()
        self._repeats = Repeats()
        self._handler: logging.Handler | None = None
        if sink == STDOUT:
            self._handler = logging.StreamHandler(cast("TextIO", self._stdout))
        elif sink is not None:
            self._handler = WatchedFileHandler(sink, encoding="utf-8", delay=True)
        if self._handler is not None:
            self._handler.handleError = self._failed

    @property
    def lost(self) -> int:
        """How many records could not be written."""
        return self._lost + self._stdout.lost

    @property
    def on(self) -> bool:
        """Whether anything is recorded."""
        return self._handler is not None

    def record(
        self,
        action: str,
        *,
        outcome: str = DONE,
        actor: str | None = None,
        socket: str | None = None,
        address: str | None = None,
        room: str | None = None,
        subject: str | None = None,
        subject_socket: str | None = None,
        detail: object = None,
    ) -> None:
        """Record an action. `actor` and `subject` are account ids (None: a guest), `operator`, or an e-mail address.

        Left out of the line where they are None. `outcome` is `done` or the code of the refusal. Never fails.
        """
        if self._handler is None:
            return
        now = _now()  # that of the deed, not of its line
        owner = address_key(address) if address else actor or ""

        def first() -> None:
            self._write(
                {
                    "time": now,
                    "node": self.node or None,
                    "action": action,
                    "outcome": outcome,
                    "actor": actor,
                    "socket": socket,
                    "address": address,
                    "room": room,
                    "subject": subject,
                    "subjectSocket": subject_socket,
                    "detail": detail,
                }
            )

        if actor == OPERATOR:
            first()
            return

        def again(by: Facts, count: int) -> None:
            line = {"time": _now(), "node": self.node or None, "action": action, "outcome": outcome}
            self._write({**line, **by, "count": count})

        by = {"actor": actor} if actor else {"subject": subject}
        if address:
            by["address"] = owner
        burst = MOST_DONE if outcome == DONE else 1
        self._repeats.say(f"{action} {outcome}", by, first, again, owner=owner, burst=burst)

    def _write(self, fields: Mapping[str, object]) -> None:
        if self._handler is None:
            return
        line = msgspec.json.encode(
            {name: value for name, value in fields.items() if value is not None}
        ).decode()
        try:
            self._handler.handle(logging.makeLogRecord({"msg": line}))
        except OSError:  # of opening it; what writing raises goes to handleError
            self._failed(None)

    def close(self) -> None:
        """Record what was counted, and close the file."""
        self._repeats.flush()
        if self._handler is not None and not isinstance(self._handler, WatchedFileHandler):
            return
        if self._handler is not None:
            try:
                self._handler.close()
            except OSError:
                self._failed(None)

    def _failed(self, record: logging.LogRecord | None) -> None:
        with self._lock:
            self._lost += 1


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


NOWHERE = Audit(None)
"""Records nothing."""
