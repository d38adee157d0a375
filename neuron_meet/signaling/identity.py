"""What a socket's identity becomes: a verified account, or a guest."""

from __future__ import annotations

from neuron_meet import errors
from neuron_meet.signaling.applicant import Applicant
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.effects import ToSocket
from neuron_meet.signaling.events import AuthError

AUTH_ERROR = AuthError(code=errors.INVALID_TOKEN.code, message=errors.INVALID_TOKEN.message)
"""Sent to a socket whose token proves nothing (contract, Handshake)."""


def demote(signaling: Signaling, applicant: Applicant) -> None:
    """The token was good but its account is gone or disabled: they are a guest from now on, and are told."""
    applicant.user_id = None
    if applicant.caller is not None:
        applicant.caller.user_id = None
    signaling.deliver([ToSocket(applicant.sid, AUTH_ERROR)])
