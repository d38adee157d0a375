"""Lines to standard error: those of a turn together; what cannot be written is counted."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from neuron_meet import streams
from neuron_meet.ops.json_lines import encoded
from neuron_meet.streams import StandardStream, TurnsLines

DEADLINE = 30.0


@contextmanager
def onto(path: Path) -> Iterator[None]:
    """Standard error goes there."""
    with path.open("w") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", file)
        yield


async def test_the_lines_of_a_turn_are_written_when_it_ends(tmp_path: Path) -> None:
    written = tmp_path / "written"
    lines = TurnsLines(StandardStream("stderr"), encoded)
    with onto(written):
        for turn in ("one\ntwo\n", "three\nfour\n"):
            before = written.read_text()
            for line in turn.splitlines(keepends=True):
                lines.write(line)
            assert written.read_text() == before
            await asyncio.sleep(0)
            assert written.read_text() == before + turn


async def test_what_may_linger_is_written_with_what_later_turns_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tmp_path / "written"
    lines = TurnsLines(StandardStream("stderr"), encoded)
    with onto(written):
        monkeypatch.setattr(streams, "LINGER_SECONDS", 3600.0)
        lines.say("one\n", linger=True)
        await asyncio.sleep(0)
        assert written.read_text() == ""
        lines.say("two\n", linger=True)
        lines.write_out()
        assert written.read_text() == "one\ntwo\n"


async def test_what_lingers_is_written_by_itself(tmp_path: Path) -> None:
    written = tmp_path / "written"
    lines = TurnsLines(StandardStream("stderr"), encoded)
    with onto(written):
        for turn in ("one\n", "one\ntwo\n"):
            lines.say(turn[-4:], linger=True)
            async with asyncio.timeout(DEADLINE):
                while written.read_text() != turn:
                    await asyncio.sleep(0.001)


async def test_what_may_not_takes_it_with_it(tmp_path: Path) -> None:
    written = tmp_path / "written"
    lines = TurnsLines(StandardStream("stderr"), encoded)
    with onto(written):
        for turn in range(2):  # the second time as the first: nothing is left of it
            lines.say("one\n", linger=True)
            await asyncio.sleep(0)
            lines.say("two\n")
            lines.say("three\n", linger=True)
            await asyncio.sleep(0)
            assert written.read_text() == "one\ntwo\nthree\n" * (turn + 1)


def test_what_lingered_as_its_loop_ended_is_written_before_what_follows(tmp_path: Path) -> None:
    lines = TurnsLines(StandardStream("stderr"), encoded)

    async def talk(*texts: str, linger: bool) -> None:
        for text in texts:
            lines.say(text, linger=linger)

    with onto(tmp_path / "written"):
        asyncio.run(talk("one\n", linger=True))
        asyncio.run(talk("two\n", "three\n", linger=False))
        asyncio.run(talk("four\n", linger=True))
        lines.say("five\n")
        assert (tmp_path / "written").read_text() == "one\ntwo\nthree\nfour\nfive\n"


@pytest.mark.parametrize("linger", [False, True])
async def test_a_loop_has_no_business_with_the_timer_of_one_that_ended(linger: bool) -> None:
    lines = TurnsLines(StandardStream("stderr"), encoded)
    ended: list[asyncio.TimerHandle | None] = []

    async def talk() -> None:
        lines.say("one\n", linger=True)
        ended.append(lines._lingering)  # pyright: ignore[reportPrivateUsage]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "LINGER_SECONDS", 3600.0)
        await asyncio.to_thread(asyncio.run, talk())
        lines.say("two\n", linger=linger)
        lines.say("three\n")
        lines.write_out()
    assert ended[0] is not None and not ended[0].cancelled()


def test_what_was_said_as_a_loop_ended_waits_for_no_turn_of_it(tmp_path: Path) -> None:
    lines = TurnsLines(StandardStream("stderr"), encoded)

    async def later() -> None:
        lines.write("two\n")
        await asyncio.sleep(0)

    with onto(tmp_path / "written"):
        loop = asyncio.new_event_loop()
        loop.call_soon(lambda: lines.write("nobody's turn\n"))
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        asyncio.run(later())
        assert (tmp_path / "written").read_text() == "nobody's turn\ntwo\n"


async def test_a_thread_waits_for_no_turn(tmp_path: Path) -> None:
    with onto(tmp_path / "written"):
        await asyncio.to_thread(TurnsLines(StandardStream("stderr"), encoded).write, "at once\n")
        assert (tmp_path / "written").read_text() == "at once\n"


def test_without_a_loop_nothing_waits(tmp_path: Path) -> None:
    with onto(tmp_path / "written"):
        TurnsLines(StandardStream("stderr"), encoded).write("at once\n")
        assert (tmp_path / "written").read_text() == "at once\n"


@pytest.mark.parametrize("linger", [False, True])
@pytest.mark.parametrize("end", ["raise SystemExit(0)", "raise RuntimeError", "loop.stop()"])
def test_what_the_last_turn_said_is_written_however_the_process_ends(end: str, linger: bool) -> None:
    program = f"""
import asyncio
from neuron_meet.ops.json_lines import encoded
from neuron_meet.streams import StandardStream, TurnsLines

lines = TurnsLines(StandardStream("stdout"), encoded)

async def main():
    loop = asyncio.get_running_loop()
    lines.say("the last words\\n", linger={linger})
    {end}

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert done.stdout == b"the last words\n"


def test_lines_that_a_full_disk_refuses_are_counted() -> None:
    stream = StandardStream("stderr")
    with onto(Path("/dev/full")):  # ENOSPC for all that is written (full(4))
        stream.write("one\ntwo\n")
        stream.write("three\n")
    assert stream.lost == 3
