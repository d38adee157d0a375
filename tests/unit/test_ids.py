"""Ids that the server makes: their form, where they differ, and what a Participant's id tells."""

from __future__ import annotations

import re

from neuron_meet.store.ids import INSTANCE_LENGTH, PARTICIPANT_PREFIX, new_id, new_instance, participant_id

CUID = re.compile(r"c[0-9a-z]{24}")


def test_ids_fit_where_prismas_cuids_are() -> None:
    ids = {new_id() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(CUID.fullmatch(made) for made in ids)
    for place in range(1, 25):  # every character at every place: no part of an id can be guessed
        assert len({made[place] for made in ids}) == 36


def test_a_participants_id_tells_its_run_and_is_told_from_a_cuid() -> None:
    one, other = new_instance(), new_instance()
    assert one != other
    assert re.fullmatch(rf"[0-9a-z]{{{INSTANCE_LENGTH}}}", one)
    ids = {participant_id(one) for _ in range(1000)}
    assert len(ids) == 1000
    assert PARTICIPANT_PREFIX != "c"
    assert all(re.fullmatch(rf"{PARTICIPANT_PREFIX}{one}[0-9a-z]{{14}}", made) for made in ids)
