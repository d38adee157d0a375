"""One TCP connection of aiohttp's server: what its peer sends and takes is bounded (rest/connections.py counts all)."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from aiohttp import StreamReader, web

from neuron_meet.forwarded import address_text
from neuron_meet.rates import counted
from neuron_meet.rest.malformed import ErrorShaping
from neuron_meet.shares import Share, Turn

if TYPE_CHECKING:
    from neuron_meet.rest.connections import Connections

HEAD_BYTES = 131_072
"""A request's whole head, as far as it comes in reads of its own: four such headers. Node.js takes 16 kB by default."""
SLICE_BYTES = 2_048
"""What is given to aiohttp's parser at once: 340 chunks of one byte."""
SMALL_BYTES = 512
BYTES_A_FRAME = 40
"""So much of a small read counts as a frame, the time of which six chunks of one byte take; a larger one is timed."""
MOST_PIECES = 1_000
"""Chunks of a body that wait to be read; who reads takes them all at once, in some 10 ms."""
PIECES_SECONDS = 0.02
"""When it is looked again whether they have been read."""


class HttpConnection(ErrorShaping):
    """A connection. `address` is the peer's, "" where it has none (a unix socket)."""

    __slots__ = (
        "_body",
        "_book",
        "_head_bytes",
        "_rest",
        "_share",
        "_turn",
        "address",
        "admitted",
        "looked_at",
        "made_at",
        "stalled_at",
        "unread",
        "unread_then",
    )

    def __init__(self, manager: web.Server, book: Connections, **options: Any) -> None:
        super().__init__(manager, **options)
        self._book = book
        self._head_bytes = 0
        self._share: Share
        """Of its peer's address."""
        self._rest = b""
        """What was read and waits for later turns of the loop."""
        self._turn: Turn | asyncio.TimerHandle | None = None
        """The turn in which more of it is taken; None while aiohttp has no room. The transport is paused meanwhile."""
        self._body: StreamReader | None = None
        """Of the last request that came, until it is whole."""
        self.address = ""
        self.admitted = False
        self.made_at = 0.0
        self.stalled_at = 0.0
        """Since when its answer waits for its reader."""
        self.unread = 0
        self.looked_at, self.unread_then = 0.0, 0
        """When it was looked at whether the answer is taken, and what was unread then."""

    @property
    def is_waiting(self) -> bool:
        """Whether no request is under way: none has come yet, or its head is not finished, or the last is answered."""
        return self._waiter is not None and not self._waiter.done()

    @property
    def has_asked(self) -> bool:
        """Whether the head of a request has come, ever."""
        return self._request_count > 0

    @property
    def is_websocket(self) -> bool:
        """Whether it is one now: its bytes are the engine's affair."""
        return self._payload_parser is not None

    def counts_for(self, key: str) -> bool:
        """Whether it is counted for `key` (rates.py)."""
        return any(each.key == key for each in counted(self.address))

    def held_bytes(self) -> int:
        """Bytes of a head that is not whole, or of a body that nobody has read yet (holdings.py)."""
        body = self._body
        unread: int = 0 if body is None else getattr(body, "_size", 0)  # aiohttp has no public name for it
        return self._head_bytes + unread + len(self._rest)

    def give_up(self) -> None:
        """All that is held for this peer and its neighbours is too much."""
        self.cut()

    def unsent(self) -> int:
        """Bytes that the peer has not taken: this process's, and the kernel's."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return 0
        return transport.get_write_buffer_size() + _in_kernel(transport)

    def cut(self) -> None:
        """End it, whatever is under way."""
        self._book.left(self)
        transport = self.transport
        self.force_close()
        if transport is not None:
            transport.abort()

    # -- what the event loop tells
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or answer that there are too many and close it."""
        place = transport.get_extra_info("peername")
        self.address = _address(place)
        self._share = self._book.shares.of(self.address)
        refusal = self._book.refuse(self.address)
        if refusal is not None:
            self._force_close = True
            stream = cast("asyncio.Transport", transport)
            stream.write(refusal)
            stream.close()
            return
        self._book.joined(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is over."""
        self._book.left(self)
        self._rest = b""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came: a websocket's, a body's, or those of a head, which are counted until it is whole."""
        parser = self._payload_parser
        if parser is not None:  # what aiohttp's does then, without a call more: this is each packet's way
            if not (self._force_close or self._close):
                parser.feed_data(data)
            return
        share = self._share
        if self._rest and data:  # none: aiohttp goes on with what it has
            self._rest += data  # what was read before the pause took hold
        elif data and (
            len(data) > SLICE_BYTES
            or share.used >= share.limit
            or (self._body is not None and self._is_in_pieces())
        ):
            self._rest = data
            self._go_on()
        else:
            self._take(data)

    def _go_on(self) -> None:
        """Take what was read in slices, as far as aiohttp has room and the address a share of this turn of the loop;
        the rest later, before anything more is read.
        """
        self._turn = None
        share, rest, start = self._share, self._rest, 0
        self._rest = b""
        while start < len(rest) and self._payload_parser is None and not self._is_full():
            if self._is_in_pieces() or (share.used >= share.limit and share.is_out()):
                break
            self._take(rest[start : start + SLICE_BYTES])
            start += SLICE_BYTES
        rest = rest[start:]
        if self._payload_parser is not None:  # a websocket since, which has turns of its own
            self.data_received(rest)
        elif rest and self.transport is not None:
            self._rest = rest
            self._pause_transport_reading()
            if self._is_in_pieces():  # nobody tells when they have been read
                self._turn = asyncio.get_running_loop().call_later(PIECES_SECONDS, self._go_on)
            elif not self._is_full():
                self._turn = share.wait(self._go_on)
            self._book.holds_much(self)
            return
        if not self._is_full():
            self._resume_transport_reading()

    def _is_full(self) -> bool:
        """Whether aiohttp has no room for more, or there is nobody to take it."""
        return self._reading_paused or self._buffer_paused or self.transport is None

    def _is_in_pieces(self) -> bool:
        """Whether the body that is read waits in so many pieces that reading them at once would take too long."""
        pieces: Any = getattr(self._body, "_buffer", None)
        return pieces is not None and len(pieces) > MOST_PIECES

    def _resume_transport_reading(self) -> None:
        """aiohttp has room for more: first for what is here."""
        if not self._rest:
            super()._resume_transport_reading()
        elif self._turn is None:
            self._turn = self._share.wait(self._go_on)

    def _take(self, data: bytes) -> None:
        """Have aiohttp parse it, and see what it was. Nothing: what aiohttp has kept, asked for at each piece of a body
        that is read.
        """
        heads = self._request_count
        if not data:
            super().data_received(data)
        elif len(data) <= SMALL_BYTES:  # what reading the clock twice costs is a twentieth of the parsing
            super().data_received(data)
            self._share.used += 1 + len(data) // BYTES_A_FRAME
        else:
            began = monotonic()
            super().data_received(data)
            self._share.spend(monotonic() - began)
        if self._request_count != heads:  # the newest is last: it is taken out in a later turn of the loop
            body = self._messages[-1][1] if self._messages else None
            self._body = None if body is None or body.is_eof() else body
            self._head_bytes = 0
        elif not data:
            return
        elif self._reads_a_body():
            self._head_bytes = 0
            self._book.holds_much(self)
        else:
            self._head_bytes += len(data)
            self._book.holds_much(self)
            if self._head_bytes > HEAD_BYTES:
                self.cut()

    def _reads_a_body(self) -> bool:
        """Whether what came was of a body, or the end of one. Its request may not be handled yet, or no more: much can
        come in one turn of the loop, and an answer may be given before all of the body is there.
        """
        if self._body is None:
            return False
        if self._body.is_eof():
            self._body = None
        return True

    def pause_writing(self) -> None:
        """What is written is not taken at once."""
        super().pause_writing()
        if not self.is_websocket:
            self._book.stalled(self)

    def resume_writing(self) -> None:
        """It has been taken."""
        self._book.flows(self)
        super().resume_writing()


def _address(place: object) -> str:
    if not isinstance(place, tuple):
        return ""
    return address_text(str(cast("tuple[object, ...]", place)[0]))


def _in_kernel(transport: asyncio.Transport) -> int:
    """Bytes in the kernel that the peer has not acknowledged (tcp(7), SIOCOUTQ)."""
    socket = transport.get_extra_info("socket")
    try:
        return int(struct.unpack("i", fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0])
    except (OSError, ValueError, AttributeError):
        return 0
