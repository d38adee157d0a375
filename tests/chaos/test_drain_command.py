"""`neuron-meet drain`, and SIGHUP, which does the same."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.chaos.meeting import program, visitor
from tests.process.program import Program
from tests.store.password_server import free_port


async def run(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and output of a command of the program."""
    command = await Program.start(
        folder, *arguments, **{"NEURON_MEET_DATA_DIR": str(folder / "data"), **environment}
    )
    try:
        return await command.ended(30), command.output
    finally:
        await command.clean_up()


async def test_it_drains_the_server_on_the_port_and_waits_for_its_end(
    folder: Path, database_url: str
) -> None:
    port = free_port()
    async with program(folder, port, DATABASE_URL=database_url) as running, visitor(running.url) as who:
        guest = await who.socket(guest=True)
        code, output = await run(folder, "drain", PORT=str(port))
        assert (code, output.splitlines()[-1]) == (0, "The server has ended.")
        assert str(running.pid) in output
        await guest.next("server-draining")
        await guest.end()
        assert await running.ended() == 0


async def test_a_process_id_and_a_drain_that_takes_longer_than_one_waits(
    folder: Path, database_url: str
) -> None:
    environment = {"DATABASE_URL": database_url, "DRAIN_SECONDS": "600"}
    async with program(folder, free_port(), **environment) as running, visitor(running.url) as who:
        for _ in range(5):
            await who.socket(guest=True)
        code, output = await run(folder, "drain", "--wait", "0.2", "--pid", str(running.pid))
        assert code == 1
        assert "still draining" in output
        running.signal(signal.SIGTERM)
        assert await running.ended(10) == 0


async def test_nothing_to_drain(folder: Path, database_url: str) -> None:
    """No server, a killed one's file, a number that is another program's."""
    port = str(free_port())
    code, output = await run(folder, "drain", PORT=port)
    assert code == 1
    assert f"No server runs on port {port}" in output
    async with program(folder, int(port), DATABASE_URL=database_url) as running:
        await running.kill()
        code, output = await run(folder, "drain", PORT=port)
        assert code == 1
        assert f"process {running.pid} is gone" in output
        assert len(output.splitlines()) == 1
    code, output = await run(folder, "drain", "--pid", "1")
    assert (code, output) == (1, "neuron-meet: Process 1 is no neuron-meet server: nothing was done.")


async def test_sighup_drains_as_well(folder: Path, database_url: str) -> None:
    async with (
        program(folder, free_port(), DATABASE_URL=database_url) as running,
        visitor(running.url) as who,
    ):
        guest = await who.socket(guest=True)
        running.signal(signal.SIGHUP)
        await guest.next("server-draining")
        await guest.end()
        assert await running.ended() == 0
        assert "Traceback" not in running.output
