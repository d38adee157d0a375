"""What is to be done with a database, from what is in it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from neuron_meet.store.history import Contents, Migration, Record, Verdict, edited, judge, migrations_in

FIRST, SECOND = Migration("0_init", "a"), Migration("1_more", "b")
DONE, HALF = Record("0_init", "a", finished=True), Record("1_more", "b", finished=False)
THEIRS = Record("2020_theirs", "x", finished=True)
NO_TABLES: frozenset[str] = frozenset()
TABLES = frozenset({"User"})


@pytest.mark.parametrize(
    ("contents", "verdict"),
    [
        (Contents(NO_TABLES, None), Verdict.BEHIND),
        (Contents(NO_TABLES, ()), Verdict.BEHIND),
        (Contents(TABLES, (DONE,)), Verdict.BEHIND),
        (Contents(TABLES, (DONE, Record("1_more", "b", finished=True))), Verdict.CURRENT),
        (Contents(TABLES, (DONE, Record("1_more", "other", finished=True))), Verdict.CURRENT),
        (Contents(TABLES, (DONE, Record("1_more", "b", finished=True), THEIRS)), Verdict.CURRENT),
        (Contents(TABLES, None), Verdict.UNKNOWN),
        (Contents(TABLES, ()), Verdict.UNKNOWN),
        (Contents(TABLES, (THEIRS,)), Verdict.UNKNOWN),
        (Contents(TABLES, (DONE, HALF)), Verdict.FAILED),
        (Contents(NO_TABLES, (HALF,)), Verdict.FAILED),
    ],
)
def test_verdict(contents: Contents, verdict: Verdict) -> None:
    assert judge((FIRST, SECOND), contents) is verdict


def test_edited_migrations() -> None:
    contents = Contents(TABLES, (DONE, Record("1_more", "other", finished=True)))

    assert edited((FIRST, SECOND, Migration("2_new", "c")), contents) == ("1_more",)


def test_migrations_of_a_folder_in_order(tmp_path: Path) -> None:
    for name in ("20250101_b", "0_init", "20240101_a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "migration.sql").write_text(name)
    (tmp_path / "migration_lock.toml").touch()
    (tmp_path / "empty").mkdir()

    found = migrations_in(tmp_path)

    assert [migration.name for migration in found] == ["0_init", "20240101_a", "20250101_b"]
    assert found[0].checksum == hashlib.sha256(b"0_init").hexdigest()
