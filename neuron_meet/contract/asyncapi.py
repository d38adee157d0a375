"""AsyncAPI 3 of the Socket.IO events (https://www.asyncapi.com/docs/reference/specification/v3.0.0)."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from neuron_meet import __version__
from neuron_meet.signaling.events import CLIENT_EVENTS, SERVER_EVENTS

_SCHEMAS = "#/components/schemas/{name}"
_OFFSET = {
    "type": "string",
    "description": "Where recovery is on, events carry an offset as a last argument, for the client library's own use.",
}


def asyncapi(url: str | None = None) -> dict[str, Any]:
    """The document; `url` is where this server is reached, if that is known."""
    client = list(CLIENT_EVENTS.values())
    server = list(SERVER_EVENTS.values())
    replies = list(dict.fromkeys(reply for payload in client for reply in payload.replies))
    named, schemas = msgspec.json.schema_components([*client, *server, *replies], ref_template=_SCHEMAS)
    references = dict(zip([*client, *server, *replies], named, strict=True))
    messages: dict[str, Any] = {}
    for payload in (*client, *server):
        # Names repeat in both directions (offer, answer, ice-candidate, chat-message): the class tells them apart.
        messages[payload.__name__] = {
            "name": payload.event,
            "title": payload.event,
            "summary": _summary(payload),
            "payload": references[payload],
        }
    for reply in replies:
        messages[reply.__name__] = {
            "name": f"acknowledgement ({reply.__name__})",
            "summary": _summary(reply),
            "payload": references[reply],
        }
    document: dict[str, Any] = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Neuron Meet signaling",
            "version": __version__,
            "description": "Socket.IO 4 (Engine.IO 4), namespace /, path /socket.io/. The payload is an event's first "
            "argument; an acknowledgement answers where the client gives a callback. "
            + _OFFSET["description"],
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "socket": {
                "address": "/socket.io/",
                "title": "A client's socket",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": {
            **{f"receive {payload.event}": _received(payload) for payload in client},
            **{f"send {payload.event}": _sent(payload) for payload in server},
        },
        "components": {"messages": messages, "schemas": schemas},
    }
    if url is not None:
        document["servers"] = {"this": {"host": url.split("://", 1)[-1], "protocol": "socket.io"}}
    return document


def _received(payload: Any) -> dict[str, Any]:
    return {
        "action": "receive",
        "summary": _summary(payload),
        "channel": {"$ref": "#/channels/socket"},
        "messages": [{"$ref": f"#/channels/socket/messages/{payload.__name__}"}],
        "reply": {
            "channel": {"$ref": "#/channels/socket"},
            "messages": [
                {"$ref": f"#/channels/socket/messages/{reply.__name__}"} for reply in payload.replies
            ],
        },
    }


def _sent(payload: Any) -> dict[str, Any]:
    return {
        "action": "send",
        "summary": _summary(payload),
        "channel": {"$ref": "#/channels/socket"},
        "messages": [{"$ref": f"#/channels/socket/messages/{payload.__name__}"}],
    }


def _summary(struct: Any) -> str:
    return " ".join((inspect.getdoc(struct) or "").split())
