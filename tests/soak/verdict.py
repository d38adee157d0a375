"""Whether it stayed flat: what is compared with what, and how much more is allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.soak.samples import NodeSample, Sample

LASTING = 2
"""The node that is never restarted."""
BURIED = 1
"""The list of nodes that were found dead."""
DIFFERED = "participant rows differed from presence"
"""What a node's log says of them; its own counter ends with its process."""


@dataclass(frozen=True)
class Check:
    """Something that was `before` and is `after`; it may be `allowed` more."""

    what: str
    before: float
    after: float
    allowed: float

    @property
    def holds(self) -> bool:
        return self.after - self.before <= self.allowed


def verdict(samples: Sequence[Sample], first: Sample, last: Sample, said: Mapping[str, int]) -> list[Check]:
    """`first` and `last` are taken when nobody is there, before and after the meetings.

    `said`: how many times all nodes' logs have each warning and error, those of nodes that were replaced included.
    """
    node = _node(first), _node(last)

    def over_time(what: str, value: Callable[[NodeSample], float], allowed: float) -> Check:
        """The second quarter against the last one: the first warms up pools, caches and the allocator."""
        series = [value(sample.nodes[LASTING]) for sample in samples if sample.nodes[LASTING] is not None]  # type: ignore[arg-type]
        quarter = len(series) // 4
        return Check(what, median(series[quarter : 2 * quarter]), median(series[-quarter:]), allowed)

    return [
        over_time("memory of the node that lasts, second quarter to last one, MB", lambda n: n.memory, 15),
        over_time("its threads", lambda n: n.threads, 2),
        over_time("its open files beside one for each connection", lambda n: n.files - n.connections, 5),
        Check(
            "its open files beside those to PostgreSQL and Redis, with nobody there",
            node[0].files - node[0].stores,
            node[1].files - node[1].stores,
            3,
        ),
        Check("its tasks, with nobody there", node[0].tasks, node[1].tasks, 3),
        Check("open rows, with nobody there", first.rows, last.rows, 0),
        Check("people by presence, with nobody there", first.participants, last.participants, 0),
        Check(
            "keys in Redis that do not expire, with nobody there", first.redis_keys, last.redis_keys, BURIED
        ),
        Check(
            "rows that differed from presence",
            0,
            said.get(DIFFERED, 0),
            0,
        ),
    ]


def _node(sample: Sample) -> NodeSample:
    node = sample.nodes[LASTING]
    assert node is not None
    return node
