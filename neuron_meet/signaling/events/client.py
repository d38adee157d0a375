"""What clients send. Fields that are not declared here are ignored: front ends send more than they must."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeAlias

from msgspec import Meta, Raw, Struct

from neuron_meet.signaling.events.replies import ChatAck, Failure, RoomJoinedAck, Success, Waiting

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
"""A room's or socket's id. The bound only keeps nonsense out of memory and logs."""

ClientId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
"""What a client calls a message of its own."""


class ClientPayload(Struct, rename="camel"):
    """Base of what a client sends."""

    event: ClassVar[str]
    replies: ClassVar[tuple[type[Struct], ...]] = (Success, Failure)
    """What the acknowledgement may be."""


class JoinRoom(ClientPayload):
    """Enter a room. `userId` is a hint that grants nothing: identity is the token's. A name of any length is cut."""

    event = "join-room"
    replies = (RoomJoinedAck, Waiting, Failure)
    room_code: Annotated[str, Meta(max_length=128)]
    user_id: Any = None
    display_name: str | None = None


class RoomOnly(ClientPayload):
    """A payload that names nothing but the room."""

    room_id: Id


class LeaveRoom(RoomOnly):
    """Leave the room."""

    event = "leave-room"


class Offer(ClientPayload):
    """An SDP offer for one participant, forwarded as it is."""

    event = "offer"
    target_id: Id
    sdp: Raw


class Answer(ClientPayload):
    """An SDP answer for one participant, forwarded as it is."""

    event = "answer"
    target_id: Id
    sdp: Raw


class IceCandidate(ClientPayload):
    """An ICE candidate for one participant; null or an empty string mean the end of candidates."""

    event = "ice-candidate"
    target_id: Id
    candidate: Raw


class ToggleAudio(ClientPayload):
    """The sender's microphone went on or off."""

    event = "toggle-audio"
    room_id: Id
    enabled: bool


class ToggleVideo(ClientPayload):
    """The sender's camera went on or off."""

    event = "toggle-video"
    room_id: Id
    enabled: bool


class StartScreenShare(RoomOnly):
    """The sender shares the screen."""

    event = "start-screen-share"


class StopScreenShare(RoomOnly):
    """The sender stopped sharing the screen."""

    event = "stop-screen-share"


class ToggleHandRaise(ClientPayload):
    """The sender raised or lowered the hand."""

    event = "toggle-hand-raise"
    room_id: Id
    raised: bool


class SendChatMessage(ClientPayload):
    """A chat message for everybody in the room, the sender included.

    With a `clientId`, which its sender gives to no other one, it is stored and shown once, however often it is sent.
    """

    event = "chat-message"
    replies = (ChatAck, Failure)
    room_id: Id
    content: str | None = None
    client_id: ClientId | None = None


class TypingStart(RoomOnly):
    """The sender types."""

    event = "typing-start"


class TypingStop(RoomOnly):
    """The sender stopped typing."""

    event = "typing-stop"


class TargetPayload(ClientPayload):
    """A host control aimed at one participant, named `targetId` or, by published client types, `participantId`."""

    room_id: Id
    target_id: Id | None = None
    participant_id: Id | None = None

    @property
    def target(self) -> str | None:
        """The socket id aimed at, None where the payload names nobody."""
        return self.target_id or self.participant_id


class MuteParticipant(TargetPayload):
    """Host: mute one participant."""

    event = "mute-participant"


class RemoveParticipant(TargetPayload):
    """Host: remove one participant from the meeting."""

    event = "remove-participant"


class AdmitParticipant(TargetPayload):
    """Host: let somebody in from the waiting room."""

    event = "admit-participant"


class DenyParticipant(TargetPayload):
    """Host: do not let somebody in."""

    event = "deny-participant"


class LockRoom(ClientPayload):
    """Host: let nobody else in, or let people in again."""

    event = "lock-room"
    room_id: Id
    locked: bool


CLIENT_EVENTS: dict[str, type[ClientPayload]] = {
    payload.event: payload
    for payload in (
        JoinRoom,
        LeaveRoom,
        Offer,
        Answer,
        IceCandidate,
        ToggleAudio,
        ToggleVideo,
        StartScreenShare,
        StopScreenShare,
        ToggleHandRaise,
        SendChatMessage,
        TypingStart,
        TypingStop,
        MuteParticipant,
        RemoveParticipant,
        AdmitParticipant,
        DenyParticipant,
        LockRoom,
    )
}
