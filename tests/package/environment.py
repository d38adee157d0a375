"""An environment with a wheel and what it declares to need, linked from the one that the tests run in; nothing else.

So it is made in seconds and without network, and what is used but not declared is missing in it.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
import venv
import zipfile
from email.parser import HeaderParser
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def requirements(wheel: Path) -> list[str]:
    """What its metadata say that it requires."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(metadata).decode()).get_all("Requires-Dist") or []


def needed(requires: list[str], extras: set[str]) -> dict[str, Distribution]:
    """The distributions that meet the requirements, and theirs, by name. AssertionError where one is of a version that
    is not allowed.
    """
    found: dict[str, Distribution] = {}
    waiting = [(each, frozenset(extras)) for each in requires]
    seen = set[tuple[str, frozenset[str]]]()
    while waiting:
        text, asked = waiting.pop()
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in (asked or {""})):
            continue
        name, wanted = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        found[name] = made = distribution(name)
        assert made.version in requirement.specifier, (text, made.version)
        waiting += [(each, wanted) for each in made.requires or []]
    return found


def environment(folder: Path, distributions: dict[str, Distribution]) -> Path:
    """Make a new environment in `folder` with these, without their programs. Returns its folder of programs."""
    venv.create(folder, with_pip=False, symlinks=True)
    at = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    for each in distributions.values():
        for file in each.files or []:
            if ".." not in file.parts:
                _link(Path(str(each.locate_file(file))), Path(at) / file)
    return folder / "bin"


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
