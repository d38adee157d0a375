"""Compiling the server's query plans when the client is generated (engine/ready_plans.py)."""

from __future__ import annotations

import asyncio
from typing import Any

from neuron_meet.store.client import Database
from neuron_meet.store.engine.address import DatabaseAddress
from neuron_meet.store.engine.plan_engine import PlanEngine
from neuron_meet.store.engine.pool import Pool
from neuron_meet.store.engine.process import Launch
from neuron_meet.store.engine.query import CompileRequest
from neuron_meet.store.engine.ready_plans import NAMESPACE, ReadyPlans
from neuron_meet.store.engine.supervisor import EngineSupervisor
from neuron_meet.store.generated.client import PACKAGED_SCHEMA_PATH
from neuron_meet.store.node import find_node
from neuron_meet.store.rehearsal import rehearse_all

_SECONDS = 20.0
"""For one plan, on a machine that is busy building."""


class _Recorder(PlanEngine):
    """An engine that keeps what it has compiled."""

    recorded: dict[str, Any]

    async def compile(self, request: CompileRequest) -> Any:
        plan = self.recorded[request.shape] = await super().compile(request)
        return plan


async def compile_ahead() -> None:
    """Compile the plans of the server's queries and write them beside the generated client.

    Needs Node.js and Prisma's npm packages, and no database. Raises NodeMissing, EngineUnavailable.
    """
    ReadyPlans.of(await compiled_now(), PACKAGED_SCHEMA_PATH).write()


async def compiled_now() -> dict[str, Any]:
    """The plans by shape. Raises as :func:`compile_ahead`."""
    nowhere = DatabaseAddress.parse(f"postgresql://nobody@localhost/nowhere?schema={NAMESPACE}")
    launch = Launch(await asyncio.to_thread(find_node), PACKAGED_SCHEMA_PATH, nowhere, 1, _SECONDS)
    supervisor = EngineSupervisor(launch)
    recorder = _Recorder(supervisor, _SECONDS, Pool(nowhere, 1, _SECONDS), {})
    recorder.recorded = {}
    await supervisor.start()
    try:
        await rehearse_all(Database.rehearsing(recorder))
    finally:
        await recorder.close_pool()
        await supervisor.stop()
    return recorder.recorded


if __name__ == "__main__":
    asyncio.run(compile_ahead())
