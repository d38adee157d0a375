"""What a node spends as a cluster grows: by channels of rooms, and by one channel for all. `python -m bench.scaling`.

Draws docs/scaling.svg from the measured costs in docs/scaling.json; with `--from bench/results/latest.json` it first
takes those from a run of `make bench ARGS='--only cluster,fanout-20'`.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

DOCS = Path(__file__).resolve().parent.parent / "docs"
SEED = 7
ROOM = 20
HALF = ROOM // 2
OTHERS = 3
"""Nodes that were as busy as the measured one."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What people in meetings do: an assumption, no measurement."""

    people_of_a_room: int = ROOM
    events_a_minute: float = 2.0
    """Toggles, raised hands, chat and typing of one person."""
    minutes_of_a_stay: float = 30.0
    relays_of_a_join: int = 19 * 22
    """For each of 19 others an offer, an answer and ten candidates each way."""

    @property
    def events(self) -> float:
        """Of a person, a second."""
        return self.events_a_minute / 60

    @property
    def joins(self) -> float:
        """Of a person, a second."""
        return 1 / (self.minutes_of_a_stay * 60)

    @property
    def relays(self) -> float:
        """Of a person, a second."""
        return self.joins * self.relays_of_a_join


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU in µs, measured (bench/rows/cluster.py, bench/rows/fanout.py)."""

    deliver: float
    """One delivery of an event without Redis."""
    handle: float
    """An event of this node's own: its step on the room in Redis, without deliveries."""
    hear: float
    """An event of another node in a room that has people here."""
    relay: float
    """A candidate between two of this node."""
    send: float
    receive: float
    join: float
    stock_handle: float
    """python-socketio's Redis manager: an event of this node's own, with its 19 deliveries here."""
    stock_ignore: float
    """… an event of another node that concerns nobody here."""
    stock_relay: float
    stock_ignore_relay: float
    redis_event: float
    redis_join: float

    @classmethod
    def measured(cls, medians: dict[str, float]) -> Costs:
        """From a run's medians by line."""
        deliver, others = medians["fanout-20"], ROOM - 1
        ours, stock = "cluster.neuron-meet", "cluster.stock"
        hear = medians[f"{ours}.remote"] - HALF * deliver
        foreign = (medians[f"{stock}.fanout.four"] - medians[f"{stock}.fanout.beside"]) * others / OTHERS
        foreign_relay = (medians[f"{stock}.relay.four"] - medians[f"{stock}.relay.beside"]) / OTHERS
        return cls(
            deliver=deliver,
            handle=medians[f"{ours}.fanout.alone"] * others - deliver * others,
            hear=max(hear, 0),
            relay=medians[f"{ours}.relay.alone"],
            send=medians[f"{ours}.send"],
            receive=medians[f"{ours}.receive"],
            join=medians[f"{ours}.join"],
            stock_handle=medians[f"{stock}.fanout.alone"] * others,
            stock_ignore=max(foreign, 0),
            stock_relay=medians[f"{stock}.relay.alone"],
            stock_ignore_relay=max(foreign_relay, 0),
            redis_event=medians[f"{ours}.fanout.redis"] * others,
            redis_join=medians[f"{ours}.join.redis"],
        )


@dataclass(frozen=True, slots=True)
class Spent:
    """Cores that one node uses: by channels of rooms, people wherever they land; by one channel for all. And Redis."""

    nodes: int
    rooms: float
    one_channel: float
    redis: float


def simulate(costs: Costs, habits: Habits, people_of_a_node: int, nodes: int) -> Spent:
    """One of `nodes` nodes with so many people, each of whom connects to any node, whatever room they go to."""
    dice = random.Random(SEED)
    rooms = nodes * people_of_a_node // habits.people_of_a_room
    spread = Counter[int]()  # on how many nodes a room is
    at_home = 0  # pairs of people who are on the same node
    sample = min(rooms, 2_000)
    for _ in range(sample):
        places = Counter(dice.randrange(nodes) for _ in range(habits.people_of_a_room))
        spread[len(places)] += 1
        at_home += sum(count * (count - 1) for count in places.values())
    hosting = sum(places * count for places, count in spread.items()) / sample
    together = at_home / (sample * habits.people_of_a_room * (habits.people_of_a_room - 1))
    events, relays = people_of_a_node * habits.events, people_of_a_node * habits.relays
    joins = people_of_a_node * habits.joins
    event = (
        costs.handle + (hosting - 1) * costs.hear + (habits.people_of_a_room - 1) * costs.deliver
    )  # heard at `hosting` nodes, so at each as many of others' as of its own are told to others
    relay = together * costs.relay + (1 - together) * (costs.send + costs.receive)
    foreign = (nodes - 1) * (events * costs.stock_ignore + relays * costs.stock_ignore_relay)
    return Spent(
        nodes,
        (events * event + relays * relay + joins * costs.join) / 1e6,
        (events * costs.stock_handle + relays * costs.stock_relay + foreign) / 1e6,
        nodes * (events * costs.redis_event + joins * costs.redis_join) / 1e6,
    )


def nodes_needed(costs: Costs, habits: Habits, people: int, share_of_a_core: float = 0.5) -> int:
    """How many nodes carry so many people, each using no more than that share of a core."""
    nodes = 1
    while (
        simulate(costs, habits, max(habits.people_of_a_room, -(-people // nodes)), nodes).rooms
        > share_of_a_core
    ):
        nodes += max(1, nodes // 20)
    return nodes


NODES = (1, 2, 4, 8, 16, 32, 64, 128)
PEOPLE = 2_000
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 640, 320, 60, 20, 50
MOST_CORES = 2.0


def drawing(spent: list[Spent]) -> str:
    """Cost against nodes as SVG; both axes from the figures, the upright one cut at two cores."""

    def point(index: int, cores: float) -> tuple[float, float]:
        x = LEFT + index * (WIDTH - LEFT - 150) / (len(spent) - 1)
        return x, HEIGHT - BOTTOM - min(cores, MOST_CORES) / MOST_CORES * (HEIGHT - TOP - BOTTOM)

    def line(values: list[float], colour: str, title: str) -> str:
        inside = [
            n
            for n, value in enumerate(values)
            if value <= MOST_CORES or n == 0 or values[n - 1] <= MOST_CORES
        ]
        points = [point(n, values[n]) for n in inside]
        path = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
        x, y = points[-1]
        return (
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
            f'<text x="{x + 6:.0f}" y="{y + 4:.0f}" fill="{colour}">{title}</text>'
        )

    marks = [
        f'<text x="{point(n, 0)[0]:.0f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{each.nodes}</text>'
        for n, each in enumerate(spent)
    ]
    for cores in (0.0, 0.5, 1.0, 1.5, 2.0):
        x, y = point(0, cores)
        marks.append(
            f'<path d="M{x:.0f} {y:.0f}H{WIDTH - 150}" stroke="#ddd"/>'
            f'<text x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{cores:g}</text>'
        )
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
            'font-size="12">',
            '<rect width="100%" height="100%" fill="white"/>',
            *marks,
            line([each.one_channel for each in spent], "#b3261e", "one channel for all"),
            line([each.rooms for each in spent], "#0b57d0", "channels of rooms"),
            f'<text x="{(WIDTH - 150 + LEFT) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">nodes, '
            f"{PEOPLE:,} people in meetings at each</text>",
            f'<text x="14" y="{HEIGHT / 2:.0f}" text-anchor="middle" transform="rotate(-90 14 {HEIGHT / 2:.0f})">'
            "cores that one node uses</text>",
            "</svg>\n",
        )
    )


def load(file: Path = DOCS / "scaling.json") -> Costs:
    """The measured costs that the documents have."""
    return Costs(**json.loads(file.read_text())["costs"])


def table(costs: Costs, habits: Habits) -> list[Spent]:
    """The figures of the drawing."""
    return [simulate(costs, habits, PEOPLE, nodes) for nodes in NODES]


@click.command()
@click.option(
    "--from", "run", type=click.Path(path_type=Path, exists=True), help="Take the costs from this run."
)
def main(run: Path | None) -> None:
    """Draw docs/scaling.svg, and print the figures."""
    if run is not None:
        document: dict[str, Any] = json.loads(run.read_text())
        medians = {line["key"]: line["median"]["neuron-meet"] for line in document["lines"] if line["median"]}
        costs = Costs.measured(medians)
        facts = {name: document[name] for name in ("date", "rounds", "machine", "versions", "disturbance")}
        rounded = {name: float(f"{value:.3g}") for name, value in asdict(costs).items()}
        (DOCS / "scaling.json").write_text(json.dumps({"costs": rounded, **facts}, indent=1) + "\n")
    costs, habits = load(), Habits()
    spent = table(costs, habits)
    (DOCS / "scaling.svg").write_text(drawing(spent))
    for each in spent:
        print(
            f"{each.nodes:4} nodes: {each.rooms:.2f} cores, one channel {each.one_channel:.2f}, Redis {each.redis:.2f}"
        )
    for people in (1_000, 100_000, 1_000_000):
        nodes = nodes_needed(costs, habits, people)
        redis = simulate(costs, habits, -(-people // nodes), nodes).redis
        print(f"{people:,} people: {nodes} nodes, Redis {redis:.2f} cores")


if __name__ == "__main__":
    main()
