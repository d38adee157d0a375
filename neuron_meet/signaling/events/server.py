"""What the server sends."""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, Raw, Struct, UnsetType

from neuron_meet.ice.servers import IceServer
from neuron_meet.signaling.events.shapes import (
    ChatAuthor,
    HistoryMessage,
    ListedParticipant,
    MessageKind,
    ParticipantView,
    RoomSettingsView,
    WaitingView,
)


class ServerPayload(Struct, rename="camel"):
    """Base of what the server sends; `event` is its name on the wire."""

    event: ClassVar[str]
    volatile: ClassVar[bool] = False
    """Whether it is worthless later, so that it is not kept for one who is away."""


class EncodedPayload(Struct):
    """A payload that is encoded already, by another node or for more than one packet: `body` is its JSON."""

    event: str
    volatile: bool
    body: bytes


FEATURES = ["waiting-room", "chat-ids"]
"""`waiting-room`: who waits is told so (`auth.capabilities`); `chat-ids`: `clientId` in `chat-message` counts."""


class RoomJoined(ServerPayload):
    """To the joiner: the room as it is at this moment."""

    event = "room-joined"
    room_id: str
    room_code: str
    is_host: bool
    participants: list[ListedParticipant]
    messages: list[HistoryMessage]
    settings: RoomSettingsView | None
    features: list[str]
    """What this server offers to front ends that know it."""
    waiting: list[WaitingView] | UnsetType = UNSET
    """For the host: who waits to be let in."""
    ice_servers: list[IceServer] | UnsetType = UNSET
    """STUN and TURN servers for this member, where the server has any."""


class JoinError(ServerPayload):
    """To the joiner: why not."""

    event = "join-error"
    code: str
    message: str


class WaitingRoom(ServerPayload):
    """To one who knocked and whose front end can show it: the host has been asked."""

    event = "waiting-room"
    room_id: str
    room_code: str
    position: int


class WaitingParticipant(ServerPayload):
    """To the host: somebody waits to be let in."""

    event = "waiting-participant"
    socket_id: str
    display_name: str
    user_id: str | None


class WaitingParticipantLeft(ServerPayload):
    """To the host: somebody no longer waits."""

    event = "waiting-participant-left"
    socket_id: str


class UserJoined(ServerPayload):
    """To the others: somebody entered; an offer from them follows."""

    event = "user-joined"
    participant: ParticipantView


class UserLeft(ServerPayload):
    """To the others: somebody is gone."""

    event = "user-left"
    socket_id: str
    user_id: str | None


class OfferRelay(ServerPayload):
    """To the target: an offer."""

    event = "offer"
    sender_id: str
    user_id: str | None
    display_name: str
    sdp: Raw


class AnswerRelay(ServerPayload):
    """To the target: an answer."""

    event = "answer"
    sender_id: str
    sdp: Raw


class IceCandidateRelay(ServerPayload):
    """To the target: a candidate."""

    event = "ice-candidate"
    sender_id: str
    candidate: Raw


class UserToggleAudio(ServerPayload):
    """Somebody's microphone is on or off."""

    event = "user-toggle-audio"
    socket_id: str
    enabled: bool


class UserToggleVideo(ServerPayload):
    """Somebody's camera is on or off."""

    event = "user-toggle-video"
    socket_id: str
    enabled: bool


class ScreenShareStarted(ServerPayload):
    """Somebody shares the screen."""

    event = "screen-share-started"
    socket_id: str


class ScreenShareStopped(ServerPayload):
    """Somebody stopped sharing the screen."""

    event = "screen-share-stopped"
    socket_id: str


class UserHandRaised(ServerPayload):
    """Somebody raised the hand."""

    event = "user-hand-raised"
    socket_id: str
    display_name: str


class UserHandLowered(ServerPayload):
    """Somebody lowered the hand."""

    event = "user-hand-lowered"
    socket_id: str


class ChatMessage(ServerPayload):
    """To everybody in the room: a durable message. `senderId` is the sender's socket id."""

    event = "chat-message"
    id: str
    sender_id: str
    sender_name: str
    content: str
    type: MessageKind
    timestamp: str
    user: ChatAuthor | None


class UserTyping(ServerPayload):
    """Somebody types, or no longer does."""

    event = "user-typing"
    volatile = True
    socket_id: str
    display_name: str
    is_typing: bool


class ForceMute(ServerPayload):
    """To the target: switch the microphone off."""

    event = "force-mute"


class ForceDisconnect(ServerPayload):
    """To the target: it is out of the room."""

    event = "force-disconnect"
    reason: str


class RoomLocked(ServerPayload):
    """To the others: the room was locked or unlocked."""

    event = "room-locked"
    locked: bool


class RoomEnded(ServerPayload):
    """To everybody: the meeting is over."""

    event = "room-ended"
    room_id: str
    reason: str


class RoomSettingsChanged(ServerPayload):
    """To everybody: the host changed the room's settings."""

    event = "room-settings"
    allow_screen_share: bool
    allow_chat: bool
    waiting_room: bool
    allow_guest_access: bool
    mute_participants_on_join: bool
    is_locked: bool
    max_participants: int


class ServerDraining(ServerPayload):
    """To everybody: the server is about to restart; come back after so many milliseconds."""

    event = "server-draining"
    reconnect_in_ms: int


class AuthError(ServerPayload):
    """To one socket: its token proves nothing; it is a guest."""

    event = "auth-error"
    code: str
    message: str


SERVER_EVENTS: dict[str, type[ServerPayload]] = {
    payload.event: payload
    for payload in (
        RoomJoined,
        JoinError,
        WaitingRoom,
        WaitingParticipant,
        WaitingParticipantLeft,
        UserJoined,
        UserLeft,
        OfferRelay,
        AnswerRelay,
        IceCandidateRelay,
        UserToggleAudio,
        UserToggleVideo,
        ScreenShareStarted,
        ScreenShareStopped,
        UserHandRaised,
        UserHandLowered,
        ChatMessage,
        UserTyping,
        ForceMute,
        ForceDisconnect,
        RoomLocked,
        RoomEnded,
        RoomSettingsChanged,
        ServerDraining,
        AuthError,
    )
}
