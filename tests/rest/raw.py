"""HTTP by hand: requests that no client library would send, and answers as they come."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.rest.server import Answer, Server

ANSWER_SECONDS = 20


async def exchange(server: Server, request: bytes) -> Answer:
    """Send these bytes on a connection of their own, and read the answer until the server closes it."""
    url = server.session._base_url
    assert url is not None
    assert url.host is not None
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(request)
        return parsed(await asyncio.wait_for(reader.read(), ANSWER_SECONDS))
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
