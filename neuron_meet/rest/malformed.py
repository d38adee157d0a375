"""Requests that are no HTTP: aiohttp answers them with 400 by itself. This keeps them out of the log."""

from __future__ import annotations

import logging

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

_MALFORMED = (HttpProcessingError, web.RequestPayloadError, ClientPayloadError)


class WithoutMalformedRequests(logging.Filter):
    """Drops what aiohttp logs about requests that it could not parse.

    It is an error with a traceback for each, which anybody can have written as often as they like, and it quotes
    what was sent: the beginning of a token, when that made a header too long.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be logged."""
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, _MALFORMED)


_without = WithoutMalformedRequests()


def keep_out_of_log() -> None:
    """Apply the filter to aiohttp's server log. May be called again."""
    logging.getLogger("aiohttp.server").addFilter(_without)
