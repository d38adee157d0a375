"""TypeScript types of the events, for `io<ServerToClientEvents, ClientToServerEvents>()` of socket.io-client."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import inspect as shapes

from neuron_meet.signaling.events import CLIENT_EVENTS, SERVER_EVENTS

_SCALARS: dict[type[shapes.Type], str] = {
    shapes.StrType: "string",
    shapes.IntType: "number",
    shapes.FloatType: "number",
    shapes.BoolType: "boolean",
    shapes.NoneType: "null",
    shapes.AnyType: "unknown",
    shapes.RawType: "any",  # forwarded as it is: an RTCSessionDescriptionInit, an RTCIceCandidateInit or what else
}


def typescript() -> str:
    """The declarations: an interface for each payload and reply, and the two maps of events."""
    structs: dict[str, type[msgspec.Struct]] = {}
    for payload in (*CLIENT_EVENTS.values(), *SERVER_EVENTS.values()):
        _collect(payload, structs)
    for payload in CLIENT_EVENTS.values():
        for reply in payload.replies:
            _collect(reply, structs)
    parts = [
        "// Generated from the server's declarations (neuron_meet/signaling/events/). Do not edit.\n",
        *(_interface(struct) for _, struct in sorted(structs.items())),
        _client_map(),
        _server_map(),
    ]
    return "\n".join(parts)


def _collect(struct: type[msgspec.Struct], into: dict[str, type[msgspec.Struct]]) -> None:
    if struct.__name__ in into:
        return
    into[struct.__name__] = struct
    for field in _fields(struct):
        for inner in _structs_in(field.type):
            _collect(inner, into)


def _fields(struct: type[msgspec.Struct]) -> tuple[shapes.Field, ...]:
    described = shapes.type_info(struct)
    assert isinstance(described, shapes.StructType)  # noqa: S101 -- it was made from a Struct
    return described.fields


def _structs_in(described: shapes.Type) -> Iterable[type[msgspec.Struct]]:
    if isinstance(described, shapes.StructType):
        yield described.cls
    elif isinstance(described, shapes.ListType):
        yield from _structs_in(described.item_type)
    elif isinstance(described, shapes.UnionType):
        for option in described.types:
            yield from _structs_in(option)


def _interface(struct: type[msgspec.Struct]) -> str:
    lines = [_comment(struct), f"export interface {struct.__name__} {{"]
    for field in sorted(_fields(struct), key=lambda field: not field.required):
        given = field.required or isinstance(field.type, shapes.LiteralType)
        lines.append(f"  {field.encode_name}{'' if given else '?'}: {_type(field.type)};")
    return "\n".join([*lines, "}\n"])


def _type(described: shapes.Type) -> str:
    if isinstance(described, shapes.LiteralType):
        return " | ".join(_literal(value) for value in described.values)
    if isinstance(described, shapes.StructType):
        return described.cls.__name__
    if isinstance(described, shapes.ListType):
        return f"Array<{_type(described.item_type)}>"
    if isinstance(described, shapes.UnionType):
        return " | ".join(_type(option) for option in described.types)
    return _SCALARS[type(described)]


def _literal(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _client_map() -> str:
    lines = [
        "/** What a client emits. The acknowledgement is optional. */",
        "export interface ClientToServerEvents {",
    ]
    for name, payload in CLIENT_EVENTS.items():
        replies = " | ".join(reply.__name__ for reply in payload.replies)
        lines += [
            f"  {_comment(payload)}",
            f'  "{name}": (payload: {payload.__name__}, ack?: (reply: {replies}) => void) => void;',
        ]
    return "\n".join([*lines, "}\n"])


def _server_map() -> str:
    lines = ["/** What a client gets. */", "export interface ServerToClientEvents {"]
    for name, payload in SERVER_EVENTS.items():
        lines += [f"  {_comment(payload)}", f'  "{name}": (payload: {payload.__name__}) => void;']
    return "\n".join([*lines, "}\n"])


def _comment(struct: type[msgspec.Struct]) -> str:
    text = " ".join((inspect.getdoc(struct) or "").split())
    return f"/** {text} */"
