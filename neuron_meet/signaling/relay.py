"""WebRTC relay: offers, answers and candidates between two members of one room, forwarded as they are."""

from __future__ import annotations

from neuron_meet import errors
from neuron_meet.errors import refuse
from neuron_meet.signaling.caller import Caller
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.effects import Outcome, ToSocket
from neuron_meet.signaling.events import (
    Answer,
    AnswerRelay,
    IceCandidate,
    IceCandidateRelay,
    Offer,
    OfferRelay,
)
from neuron_meet.signaling.membership import companion, present
from neuron_meet.signaling.presence.participant import Participant


def relay_offer(signaling: Signaling, caller: Caller, offer: Offer) -> Outcome:
    """Forward an offer together with who sends it."""
    sender, live = present(signaling, caller)
    target = _reachable(signaling, companion(live, sender, offer.target_id))
    relayed = OfferRelay(
        sender_id=sender.sid, user_id=sender.user_id, display_name=sender.display_name, sdp=offer.sdp
    )
    return Outcome([ToSocket(target.sid, relayed)])


def relay_answer(signaling: Signaling, caller: Caller, answer: Answer) -> Outcome:
    """Forward an answer."""
    sender, live = present(signaling, caller)
    target = _reachable(signaling, companion(live, sender, answer.target_id))
    return Outcome([ToSocket(target.sid, AnswerRelay(sender_id=sender.sid, sdp=answer.sdp))])


def relay_candidate(signaling: Signaling, caller: Caller, message: IceCandidate) -> Outcome:
    """Forward a candidate."""
    sender, live = present(signaling, caller)
    target = _reachable(signaling, companion(live, sender, message.target_id))
    return Outcome(
        [ToSocket(target.sid, IceCandidateRelay(sender_id=sender.sid, candidate=message.candidate))]
    )


def _reachable(signaling: Signaling, target: Participant) -> Participant:
    refuse(None if signaling.presence.reachable(target) else errors.UNAVAILABLE)
    return target
