"""Chat in a room: durable before anybody sees it, in the order in which it is stored; and who types."""

from __future__ import annotations

import structlog

from neuron_meet import errors
from neuron_meet.errors import Refused, refuse
from neuron_meet.repeats import seldom
from neuron_meet.rooms.policy import refuse_chat
from neuron_meet.signaling.caller import Caller
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.effects import EndTyping, Outcome, RoomEffect, ToRoom, settled
from neuron_meet.signaling.events import (
    ChatAck,
    ChatAuthor,
    ChatMessage,
    HistoryAuthor,
    HistoryMessage,
    SendChatMessage,
    SentAuthor,
    SentMessage,
    TypingStart,
    TypingStop,
    UserTyping,
    timestamp,
)
from neuron_meet.signaling.membership import present
from neuron_meet.signaling.presence.participant import Participant
from neuron_meet.signaling.presence.room import LiveRoom
from neuron_meet.store.errors import StoreError
from neuron_meet.store.ids import message_id, new_id
from neuron_meet.store.messages import NewMessage, Said

log = structlog.get_logger(__name__)


async def send_message(signaling: Signaling, caller: Caller, request: SendChatMessage) -> Outcome:
    """Store a message, then show it to everybody in the room, the sender included.

    One that the sender has sent before, as its `client_id` says, is only acknowledged, as it was stored then.
    Raises Refused; `Failed to send message` where it could not be stored, and then nobody has seen it.
    """
    sender, live = present(signaling, caller, request.room_id)
    refuse(refuse_chat(live.known_rules, is_host=sender.is_host))
    content = _content(request.content, signaling.max_message_length)
    # Held: joins under way must find it in the live room's recent messages.
    async with signaling.presence.hold(live.code), signaling.presence.speaking(live):
        message = NewMessage(
            id=_id(caller, sender, request.client_id),
            room_id=sender.room_id,
            user_id=sender.user_id,
            sender_name=sender.display_name,
            content=content,
        )
        try:
            said = await signaling.journal.append(message)
        except StoreError as error:
            seldom(log.warning, "chat message not stored", by={"error": type(error).__name__})
            raise Refused(errors.SEND_FAILED) from error
        replayed = _replayed(sender, said)
        acknowledged = _acknowledged(sender, replayed)
        if said.repeated:
            return Outcome(ack=ChatAck(message=acknowledged))
        shown = _live(sender, said)

        def step(room: LiveRoom) -> Outcome:
            room.say(replayed)
            effects: list[RoomEffect] = [ToRoom(room.code, shown)]
            if signaling.typing.typing(sender.sid):
                ended = _typing(sender, is_typing=False)
                effects += [EndTyping(sender.sid), ToRoom(room.code, ended, skip=sender.sid)]
            return Outcome(effects, ChatAck(message=acknowledged))

        return await settled(signaling.act(live.code, step, urgent=True))


def start_typing(signaling: Signaling, caller: Caller, request: TypingStart) -> Outcome:
    """Tell the others that the sender types, for the next three seconds."""
    sender, _ = present(signaling, caller, request.room_id)
    signaling.typing.start(sender.sid)
    return Outcome([ToRoom(sender.room_code, _typing(sender, is_typing=True), skip=sender.sid)])


def stop_typing(signaling: Signaling, caller: Caller, request: TypingStop) -> Outcome:
    """Tell the others that the sender no longer types."""
    sender, _ = present(signaling, caller, request.room_id)
    signaling.typing.stop(sender.sid)
    return Outcome([ToRoom(sender.room_code, _typing(sender, is_typing=False), skip=sender.sid)])


def typing_expired(signaling: Signaling, sid: str) -> None:
    """A typing indicator ran out: tell the others, who would show it for ever."""
    sender = signaling.presence.participant(sid)
    if sender is not None:
        signaling.deliver([ToRoom(sender.room_code, _typing(sender, is_typing=False), skip=sid)])


def _id(caller: Caller, sender: Participant, client_id: str | None) -> str:
    """The id of a message: of one that its sender may repeat the same each time, so that the primary key knows it."""
    if client_id is None:
        return new_id()
    identity = f"guest {caller.session}" if sender.user_id is None else f"account {sender.user_id}"
    return message_id(sender.room_id, identity, client_id)


def _content(text: str | None, max_length: int) -> str:
    # PostgreSQL's text has no NUL; nobody means to send one.
    content = (text or "").replace("\x00", "").strip()
    if not content:
        raise Refused(errors.CONTENT_REQUIRED)
    if len(content) > max_length:
        raise Refused(errors.MESSAGE_TOO_LONG)
    return content


def _typing(sender: Participant, *, is_typing: bool) -> UserTyping:
    return UserTyping(socket_id=sender.sid, display_name=sender.display_name, is_typing=is_typing)


def _live(sender: Participant, said: Said) -> ChatMessage:
    message, author = said.message, None
    if sender.user_id is not None:
        author = ChatAuthor(
            id=sender.user_id,
            name=sender.account_name or sender.display_name,
            avatar_url=sender.shown_picture,
        )
    return ChatMessage(
        id=message.id,
        sender_id=sender.sid,
        sender_name=message.sender_name,
        content=message.content,
        type="TEXT",
        timestamp=timestamp(said.created_at),
        user=author,
    )


def _acknowledged(sender: Participant, message: HistoryMessage) -> SentMessage:
    author = message.user
    return SentMessage(
        id=message.id,
        sender_id=message.sender_id,
        sender_name=message.sender_name,
        content=message.content,
        type=message.type,
        timestamp=message.timestamp,
        user=SentAuthor(author.id, author.name, author.display_name, sender.shown_picture)
        if author
        else None,
    )


def _replayed(sender: Participant, said: Said) -> HistoryMessage:
    message, author = said.message, None
    if sender.user_id is not None:
        author = HistoryAuthor(
            id=sender.user_id, name=sender.account_name or "", display_name=sender.account_display_name
        )
    return HistoryMessage(
        id=message.id,
        sender_id=message.user_id,
        sender_name=message.sender_name,
        content=message.content,
        type="TEXT",
        timestamp=timestamp(said.created_at),
        user=author,
    )
