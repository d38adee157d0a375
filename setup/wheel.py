"""`make wheel`: everything that a server needs, in a wheel and a source distribution in dist/.

Beside the Python code that is the generated database client, schema and migrations, the query-engine host with all
that it imports from npm in one file (by esbuild), and those files of npm's packages that the server serves.
hatch_build.py puts what this collects in build/package/ into the package.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from neuron_meet.contract.routes import ASSETS
from neuron_meet.store.assets import CLI_FILES
from neuron_meet.store.node import find_node
from neuron_meet.web_client import SOCKET_IO_CLIENT

PROJECT = Path(__file__).resolve().parent.parent
NPM = PROJECT / "node_modules"
COLLECTED = PROJECT / "build" / "package"
SERVED = {
    "socket.io-client": (str(SOCKET_IO_CLIENT),),
    "swagger-ui-dist": ASSETS,
}
"""Files of npm's packages that the server serves."""


def collect(into: Path) -> None:
    """Write `assets/` and `generated/`, as they go into neuron_meet/store/."""
    shutil.rmtree(into, ignore_errors=True)
    assets = into / "assets"
    assets.mkdir(parents=True)
    for name in CLI_FILES:
        source = PROJECT / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, assets / name)
    bundled = _bundle_host(assets / "host.mjs")
    for package, files in SERVED.items():
        for file in files:
            target = assets / "npm" / package / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(NPM / package / file, target)
    (assets / "LICENSES.txt").write_text(_licenses({*bundled, *SERVED}))
    _copy_generated(into / "generated")


def _bundle_host(target: Path) -> list[str]:
    """The query-engine host in one file; the npm packages that are in it."""
    done = subprocess.run(  # noqa: S603 - this checkout's own
        [find_node(), PROJECT / "setup" / "bundle.mjs", target],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    packages: list[str] = json.loads(done.stdout)
    return packages


def _licenses(packages: set[str]) -> str:
    """What the licences of npm's packages want to go along."""
    parts: list[str] = []
    for package in sorted(packages):
        description = json.loads((NPM / package / "package.json").read_text())
        texts = [
            file.read_text().strip()
            for file in sorted((NPM / package).iterdir())
            if file.is_file() and file.name.lower().startswith(("licen", "notice", "copying"))
        ]
        head = f"{package} {description['version']} ({description.get('license', 'see below')})"
        parts.append("\n\n".join([head, *texts]))
    return f"\n\n{'-' * 80}\n\n".join(parts) + "\n"


def _copy_generated(target: Path) -> None:
    """The generated database client, without the place where it was generated, which means nothing elsewhere."""
    shutil.copytree(
        PROJECT / "neuron_meet" / "store" / "generated", target, ignore=shutil.ignore_patterns("__pycache__")
    )
    for file in target.rglob("*"):
        if file.is_file() and str(PROJECT).encode() in file.read_bytes():
            file.write_text(file.read_text().replace(f"{PROJECT}/", ""))


def main() -> int:
    """Collect and build; the exit code."""
    collect(COLLECTED)
    return subprocess.run(  # noqa: S603 - this environment's own
        [sys.executable, "-m", "hatchling", "build", "-d", *(sys.argv[1:] or ["dist"])],
        cwd=PROJECT,
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
