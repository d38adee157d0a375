"""Puts into wheel and source distribution what is made and not kept in git: see setup/wheel.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PARTS = ("assets", "generated")


class PackageHook(BuildHookInterface[Any]):
    """Adds neuron_meet/store/assets/ and neuron_meet/store/generated/."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Hatchling's hook. Raises FileNotFoundError, saying what to do, where they have not been made."""
        if version == "editable":  # a checkout has them in their own places
            return
        root = Path(self.root)
        unpacked = (root / "PKG-INFO").is_file()  # a source distribution, in which they are where they belong
        for part in PARTS:
            target = f"neuron_meet/store/{part}"
            if unpacked:
                build_data["artifacts"].append(f"/{target}")
                continue
            source = root / "build" / "package" / part
            if not source.is_dir():
                raise FileNotFoundError(f"{source} is not there: build with `make wheel`, from a checkout.")
            build_data["force_include"][str(source)] = target
