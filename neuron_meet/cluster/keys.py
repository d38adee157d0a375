"""Names in Redis. A room's keys share a hash tag, so that Redis Cluster has them on one shard."""

from __future__ import annotations

from hashlib import sha256

FORMAT = 2
"""The number of what nodes keep in Redis and say to each other. It rises with each change of that which nodes of the
release before do not understand; then a deployment is not upgraded node by node (docs/scaling.md, "Upgrades")."""
FORMER_FORMAT = 1
"""What the release before the first that had a number counts as."""


class Keys:
    """The names of one deployment. Its database's number is in all of them: channels know no databases.

    What tells who somebody is stands in them as a hash (`hashed`): names of keys get into logs and monitors.
    """

    def __init__(self, database: int = 0) -> None:
        self.former = f"neuron-meet:{database}:"
        """What the keys of the former format begin with, and of those that all formats share."""
        self.former_nodes = f"{self.former}{{nodes}}:leases"
        """Sorted set: the nodes of the former format, by the moment at which their lease ends."""
        self.formats = f"{self.former}{{nodes}}:formats"
        """Sorted set: `<format> <node>`, by the moment at which its lease ends. All formats share it."""
        self._prefix = f"neuron-meet:v{FORMAT}:{database}"
        self.bans_of = f"{self._prefix}:bans"
        """String: the life of Redis' data in which the removals that the database knows were put into it."""
        self.nodes = f"{self._prefix}:{{nodes}}:leases"
        """Sorted set: the nodes, by the moment (ms of Redis' clock) at which their lease ends."""
        self.dead = f"{self._prefix}:{{nodes}}:dead"
        """Sorted set: nodes that were found dead, by when (ms of Redis' clock)."""
        self.epoch = f"{self._prefix}:epoch"
        """Names the life of Redis' data: another one means that everything was lost."""
        self.parked = f"{self._prefix}:parked"
        """Sorted set: `<room> <socket>` of those whose node has gone and may come back, by the end of their time."""

    def room_state(self, code: str) -> str:
        """Hash: a room's version, rules, members, reservations, waiters."""
        return f"{self._prefix}:{{{code}}}:state"

    def room_log(self, code: str) -> str:
        """Stream: a room's newest entries, by version."""
        return f"{self._prefix}:{{{code}}}:log"

    def room_kept_out(self, code: str) -> str:
        """Hash: who is kept out of a room, until when."""
        return f"{self._prefix}:{{{code}}}:out"

    def room_turn(self, code: str, what: str) -> str:
        """String: which node has the turn to do `what` in a room."""
        return f"{self._prefix}:{{{code}}}:turn:{what}"

    def room_channel(self, code: str) -> str:
        """Channel: a room's entries and what is told without one."""
        return f"{self._prefix}:{{{code}}}:events"

    def node_channel(self, node: str) -> str:
        """Channel: messages to one node."""
        return f"{self._prefix}:{{node {node}}}:inbox"

    def node_rooms(self, node: str) -> str:
        """Set: rooms that a node has people in."""
        return f"{self._prefix}:{{node {node}}}:rooms"

    def parked_socket(self, pid: str) -> str:
        """String: a socket whose node has gone, for whichever node it comes back to."""
        return f"{self._prefix}:{{pid {hashed(pid)}}}:parked"

    def moved_socket(self, pid: str) -> str:
        """String: the node that a socket has moved to."""
        return f"{self._prefix}:{{pid {hashed(pid)}}}:node"

    def bucket(self, what: str, key: str) -> str:
        """Hash: a token bucket that all nodes share."""
        return f"{self._prefix}:limit:{what}:{{{hashed(key)}}}"

    def windows(self, what: str) -> str:
        """Prefix of the moving windows of a limit that all nodes share."""
        return f"{self._prefix}:window:{what}"

    def parked_messages(self, sid: str) -> str:
        """List: what was sent to a parked socket by one other."""
        return f"{self._prefix}:{{socket {sid}}}:missed"


def hashed(name: str) -> str:
    """128 bits of a name's SHA-256: for what tells who somebody is, or lets its reader be them."""
    return sha256(name.encode()).hexdigest()[:32]
