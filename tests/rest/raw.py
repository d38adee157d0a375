"""HTTP by hand: requests that no client library would send, and answers as they come."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

from tests.rest.server import Answer, Server

ANSWER_SECONDS = 20


async def exchange(server: Server, request: bytes) -> Answer:
    """Send these bytes on a connection of their own, and read the answer until the server closes it."""
    return parsed(await answered(str(server.session._base_url), request))


async def exchange_at(url: str, request: bytes) -> tuple[str, str]:
    """The same at any address: head and body of the answer, as they come."""
    head, _, body = (await answered(url, request)).partition(b"\r\n\r\n")
    return head.decode("latin-1"), body.decode()


async def answered(url: str, request: bytes) -> bytes:
    """What is answered at an address to these bytes until the server closes the connection."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), ANSWER_SECONDS)
    finally:
        writer.close()


def parsed(raw: bytes) -> Answer:
    """A whole response. Its body is JSON where it says so, else text. Header names are in lower case."""
    head, _, body = raw.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    text: Any = body.decode()
    if headers.get("content-type", "").startswith("application/json") and body:
        text = json.loads(body)
    return Answer(int(status_line.split(" ")[1]), text, headers)
