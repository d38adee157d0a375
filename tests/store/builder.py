"""Builds missing indexes as a server does in the background, and ends when all are there: `builder.py URL`."""

from __future__ import annotations

import asyncio
import sys

from neuron_meet.store.indexes import IndexBuilder


async def main() -> None:
    builder = IndexBuilder(sys.argv[1], poll_seconds=0.1)
    await builder.start()
    try:
        await builder.built()
    finally:
        await builder.stop()


asyncio.run(main())
