"""The Socket.IO transport: the only code that imports socketio or engineio."""

from __future__ import annotations

import sys


def _import_socketio() -> None:
    """Have `socketio` imported without the client of Redis that it would bring along where one is installed.

    Its Redis managers are not used here (docs/architecture.md), and a server alone shall not pay for them: 4.5 MB and
    0.2 s of CPU time at the start (measured, python-socketio 5.18.1, redis 8.1.0).
    """
    hidden = [name for name in ("redis", "valkey") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type] -- None: an import of it fails
    try:
        import socketio  # noqa: F401, PLC0415 # pyright: ignore[reportUnusedImport]
    finally:
        for name in hidden:
            del sys.modules[name]


_import_socketio()
