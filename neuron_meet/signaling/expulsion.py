"""The sockets of an account go, wherever they are: the account was disabled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from neuron_meet import errors
from neuron_meet.signaling.context import Signaling
from neuron_meet.signaling.effects import Drop, ToSocket
from neuron_meet.signaling.events import ForceDisconnect

if TYPE_CHECKING:
    from neuron_meet.signaling.node import ClusterNode

log = structlog.get_logger(__name__)

EXPEL = b"X"
"""What a message to a node begins with that names an account to be thrown out."""


class Expulsion:
    """Throws accounts out of this node, and out of the others where there are any."""

    def __init__(
        self, signaling: Signaling, sockets_of: Callable[[str], list[str]], node: ClusterNode | None
    ) -> None:
        """`sockets_of`: the sockets of an account at this node, in a room or not."""
        self._signaling, self._sockets_of, self._node = signaling, sockets_of, node
        if node is not None:
            node.inbox[EXPEL] = lambda message: self._expel_here(message[len(EXPEL) :].decode())

    async def expel(self, user_id: str) -> None:
        """Tell the account's sockets that they are removed, and close them.

        Raises PresenceUnavailable where the other nodes cannot be told; those here are gone then.
        """
        self._expel_here(user_id)
        if self._node is not None:
            await self._node.tell_all(EXPEL + user_id.encode())

    def _expel_here(self, user_id: str) -> None:
        told = ForceDisconnect(reason=errors.REMOVED_BY_OPERATOR)
        sids = self._sockets_of(user_id)
        for sid in sids:
            self._signaling.deliver_here([ToSocket(sid, told), Drop(sid, "account disabled")])
        if sids:
            log.info("account thrown out", user=user_id, sockets=len(sids))
