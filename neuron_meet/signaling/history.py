"""Messages as the wire shows them, replayed from rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from neuron_meet.names import shown_name
from neuron_meet.signaling.events import HistoryAuthor, HistoryMessage, MessageKind, timestamp
from neuron_meet.store.entrance import AuthorRow, MessageRow


def replayed(newest_first: Sequence[MessageRow], known: Mapping[str, HistoryMessage]) -> list[HistoryMessage]:
    """A room's newest messages, which the query gave newest first, in ascending order of creation.

    What is `known` by its id from a replay before is taken as it is if it still is what the row says.
    """
    messages: list[HistoryMessage] = []
    for row in reversed(newest_first):
        message = known.get(row["id"])
        messages.append(message if message is not None and _says(message, row) else _message(row))
    return messages


def _message(row: MessageRow) -> HistoryMessage:
    """One stored message."""
    return HistoryMessage(
        row["id"],
        row["userId"],
        _sender_name(row),
        row["content"],
        cast("MessageKind", row["type"]),
        timestamp(row["createdAt"]),
        _author(row["user"]),
    )


def _says(message: HistoryMessage, row: MessageRow) -> bool:
    """Whether a message is the row's. Time and kind of a row do not change; accounts get other names."""
    author, user = message.user, row["user"]
    if user is None or author is None:
        return (
            user is author and message.content == row["content"] and message.sender_name == _sender_name(row)
        )
    return (
        author.name == shown_name(user["name"])
        and author.display_name == shown_name(user["displayName"])
        and author.id == user["id"]
        and message.content == row["content"]
        and message.sender_name == _sender_name(row)
    )


def _sender_name(row: MessageRow) -> str | None:
    """The author is named by the row, else by the account."""
    user = row["user"]
    return shown_name(row["senderName"] or (user and (user["displayName"] or user["name"])) or None)


def _author(user: AuthorRow | None) -> HistoryAuthor | None:
    if user is None:
        return None
    return HistoryAuthor(user["id"], shown_name(user["name"]), shown_name(user["displayName"]))
