"""The generated models: one row of each table, as pydantic models. Nothing else imports `generated`."""

from __future__ import annotations

from neuron_meet.store.generated.enums import MessageType
from neuron_meet.store.generated.models import Message, Participant, Room, RoomRemoval, RoomSettings, User

__all__ = ["Message", "MessageType", "Participant", "Room", "RoomRemoval", "RoomSettings", "User"]
