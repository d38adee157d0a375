"""The soak as one drawing: five panels above each other, and what was done to the nodes as lines across all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.soak.samples import NodeSample, Sample

WIDTH, PANEL, GAP, LEFT, RIGHT, TOP = 900, 120, 34, 60, 150, 40
COLOURS = ("#0b57d0", "#b3261e", "#188038", "#e37400")

Value = Callable[[Sample], float | None]


@dataclass(frozen=True)
class Curve:
    """A line of a panel; where `value` is None it has a gap."""

    name: str
    value: Value


@dataclass(frozen=True)
class Panel:
    """Curves over the same time, on a scale from nothing to their greatest value."""

    title: str
    curves: Sequence[Curve]


def of_node(number: int, value: Callable[[NodeSample], float]) -> Value:
    """A value of one node."""

    def read(sample: Sample) -> float | None:
        node = sample.nodes[number]
        return None if node is None else value(node)

    return read


def each_node(value: Callable[[NodeSample], float]) -> list[Curve]:
    """The same value of each of three nodes."""
    return [Curve(f"node {name}", of_node(number, value)) for number, name in enumerate("ABC")]


PANELS = (
    Panel("memory of the servers, MB", each_node(lambda node: node.memory)),
    Panel("open files", each_node(lambda node: node.files)),
    Panel("tasks of the event loop", each_node(lambda node: node.tasks)),
    Panel("threads", each_node(lambda node: node.threads)),
    Panel(
        "people by presence, open rows",
        [
            Curve("open rows", lambda sample: sample.rows),
            Curve("people", lambda sample: sample.participants),
        ],
    ),
)


def drawing(samples: Sequence[Sample], events: Sequence[tuple[float, str]]) -> str:
    """The run as SVG."""
    end = samples[-1].seconds
    height = TOP + len(PANELS) * (PANEL + GAP) + 10

    def across(seconds: float) -> float:
        return LEFT + seconds / end * (WIDTH - LEFT - RIGHT)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        'font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, (seconds, what) in enumerate(events):
        x, y = across(seconds), 14 + 13 * (number % 2)
        parts.append(
            f'<path d="M{x:.0f} {TOP - 8}V{height - 30}" stroke="#bbb" stroke-dasharray="3 3"/>'
            f'<text x="{x:.0f}" y="{y}" font-size="10" text-anchor="middle" fill="#555">{what}</text>'
        )
    for place, panel in enumerate(PANELS):
        parts += _panel(panel, samples, across, TOP + place * (PANEL + GAP) + 14)
    for minute in range(int(end // 60) + 1):
        parts.append(
            f'<text x="{across(minute * 60):.0f}" y="{height - 12}" text-anchor="middle">{minute} min</text>'
        )
    return "\n".join([*parts, "</svg>\n"])


def _panel(
    panel: Panel, samples: Sequence[Sample], across: Callable[[float], float], top: float
) -> list[str]:
    values = [[curve.value(sample) for sample in samples] for curve in panel.curves]
    most = max((value for row in values for value in row if value is not None), default=1) or 1
    bottom = top + PANEL - 14
    parts = [
        f'<text x="{LEFT}" y="{top - 4:.0f}" font-weight="bold">{panel.title}</text>',
        f'<path d="M{LEFT} {bottom:.0f}H{WIDTH - RIGHT}M{LEFT} {top:.0f}H{WIDTH - RIGHT}" stroke="#ddd"/>',
        f'<text x="{LEFT - 6}" y="{bottom + 4:.0f}" text-anchor="end">0</text>',
        f'<text x="{LEFT - 6}" y="{top + 8:.0f}" text-anchor="end">{most:g}</text>',
    ]
    for number, (curve, row) in enumerate(zip(panel.curves, values, strict=True)):
        colour, pen = COLOURS[number], "M"
        path: list[str] = []
        for sample, value in zip(samples, row, strict=True):
            if value is None:
                pen = "M"
                continue
            path.append(f"{pen}{across(sample.seconds):.1f} {bottom - value / most * (bottom - top):.1f}")
            pen = "L"
        parts.append(f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(
            f'<text x="{WIDTH - RIGHT + 8}" y="{top + 12 + 16 * number:.0f}" fill="{colour}">{curve.name}</text>'
        )
    return parts
