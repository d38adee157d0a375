"""Media state and hands: what the others see of a participant, kept for those who come later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from neuron_meet.errors import refuse
from neuron_meet.rooms.policy import refuse_screen_share
from neuron_meet.signaling.caller import Caller
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.effects import Decision, Outcome, ToRoom
from neuron_meet.signaling.events import (
    ScreenShareStarted,
    ScreenShareStopped,
    ServerPayload,
    StartScreenShare,
    StopScreenShare,
    ToggleAudio,
    ToggleHandRaise,
    ToggleVideo,
    UserHandLowered,
    UserHandRaised,
    UserToggleAudio,
    UserToggleVideo,
)
from neuron_meet.signaling.membership import code_of, member
from neuron_meet.signaling.presence.participant import Participant
from neuron_meet.signaling.presence.room import LiveRoom


def toggle_audio(signaling: Signaling, caller: Caller, request: ToggleAudio) -> Decision:
    """The sender's microphone."""
    shown = UserToggleAudio(socket_id=caller.sid, enabled=request.enabled)
    return _show(signaling, caller, request.room_id, shown, is_muted=not request.enabled)


def toggle_video(signaling: Signaling, caller: Caller, request: ToggleVideo) -> Decision:
    """The sender's camera."""
    shown = UserToggleVideo(socket_id=caller.sid, enabled=request.enabled)
    return _show(signaling, caller, request.room_id, shown, is_video_off=not request.enabled)


def start_screen_share(signaling: Signaling, caller: Caller, request: StartScreenShare) -> Decision:
    """The sender shares the screen, where the room allows it."""

    def allowed(room: LiveRoom, sender: Participant) -> None:
        refuse(refuse_screen_share(room.known_rules, is_host=sender.is_host))

    shown = ScreenShareStarted(socket_id=caller.sid)
    return _show(signaling, caller, request.room_id, shown, allowed, is_screen_sharing=True)


def stop_screen_share(signaling: Signaling, caller: Caller, request: StopScreenShare) -> Decision:
    """The sender stopped sharing the screen."""
    shown = ScreenShareStopped(socket_id=caller.sid)
    return _show(signaling, caller, request.room_id, shown, is_screen_sharing=False)


def toggle_hand_raise(signaling: Signaling, caller: Caller, request: ToggleHandRaise) -> Decision:
    """The sender's hand."""
    shown: ServerPayload = UserHandLowered(socket_id=caller.sid)
    if request.raised and (sender := signaling.presence.participant(caller.sid)):
        shown = UserHandRaised(socket_id=caller.sid, display_name=sender.display_name)
    return _show(signaling, caller, request.room_id, shown, is_hand_raised=request.raised)


def _show(
    signaling: Signaling,
    caller: Caller,
    room_id: str,
    shown: ServerPayload,
    allowed: Callable[[LiveRoom, Participant], None] | None = None,
    **state: Any,
) -> Decision:
    """Keep the sender's new state, and show it to the others."""

    def step(room: LiveRoom) -> Outcome:
        sender = member(room, caller, room_id)
        if allowed is not None:
            allowed(room, sender)
        room.update(replace(sender, **state))
        return Outcome([ToRoom(room.code, shown, skip=sender.sid)])

    return signaling.act(code_of(signaling, caller, room_id), step, urgent=True)
