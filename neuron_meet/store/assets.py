"""Where the files are that are not Python: schema, migrations, Prisma's configuration, what npm's packages give.

In a checkout they lie at its top, npm's packages in `node_modules/`. In an installed wheel they lie inside the
package, in `store/assets/` (setup/wheel.py puts them there): of npm's packages only the files that are served, and
the query-engine host as one file with everything that it imports.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_INSTALLED = _PACKAGE / "store" / "assets"
_CHECKOUT = _PACKAGE.parent

CLI_FILES = ("package.json", "package-lock.json", "prisma.config.mjs", "schema.prisma", "migrations")
"""What the Prisma CLI needs beside npm's packages."""


def is_installed() -> bool:
    """Whether this is an installed wheel rather than a checkout."""
    return (_INSTALLED / "schema.prisma").is_file()


def project_dir() -> Path:
    """The folder with schema.prisma, migrations/, prisma.config.mjs and package.json."""
    return _INSTALLED if is_installed() else _CHECKOUT


def schema_file() -> Path:
    """The Prisma schema."""
    return project_dir() / "schema.prisma"


def migrations_dir() -> Path:
    """The folder of Prisma's migrations."""
    return project_dir() / "migrations"


def npm_package(name: str) -> Path:
    """The folder of an npm package of which files are served; it may not be there."""
    return project_dir() / ("npm" if is_installed() else "node_modules") / name


def engine_host() -> Path:
    """The query-engine host, which Node.js runs."""
    return _INSTALLED / "host.mjs" if is_installed() else _PACKAGE / "store" / "engine" / "host.mjs"


def cli_dir() -> Path:
    """The folder with the Prisma CLI's node_modules: the checkout, or one in the user's cache for this very version.

    An installed package may be read-only, and its CLI is only installed when it is first needed.
    """
    if not is_installed():
        return _CHECKOUT
    digest = hashlib.sha256()
    for name in CLI_FILES:
        found = _INSTALLED / name
        for file in sorted(found.rglob("*")) if found.is_dir() else (found,):
            digest.update(file.read_bytes() if file.is_file() else b"")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "neuron-meet" / f"prisma-{digest.hexdigest()[:16]}"


def prisma_config() -> Path:
    """Prisma's configuration file (how the CLI reaches the database), beside the CLI's node_modules."""
    return cli_dir() / "prisma.config.mjs"


def prisma_cli() -> Path:
    """The Prisma CLI's script, which Node.js runs; it may not be installed."""
    return cli_dir() / "node_modules" / "prisma" / "build" / "index.js"
