"""Who goes first: pytest-xdist's `worksteal` gives each worker a run of the collected tests, in their order.

A long test that is begun last is waited for by workers with nothing to do; so each worker begins with its long ones.
"""

from __future__ import annotations

import pytest

TOGETHER = "tests/browser/test_page.py"
"""One worker's: there is one Chromium at a time, which other workers would wait for."""
LONGEST = (
    "tests/chaos/test_cluster_rolling.py",
    "tests/rest/test_openapi.py::test_a_walk_through_the_document",
    "tests/security/test_half_open.py::test_thousands_of_half_open_handshakes",
    "tests/security/test_fuzz.py::test_mutated_packets",
    "tests/rest/test_fuzz.py::test_generated_requests",
    "tests/unit/test_contract_documents.py::test_a_client_compiles_against_the_types",
    "tests/store/test_database_commands.py",
    "tests/package/test_wheel.py",
    "tests/process/test_outage.py::test_a_meeting_outlives_an_outage[hanging]",
    "tests/store/test_engine_at_rest.py",
    "tests/store/test_adoption.py",
    "tests/unit/test_setup.py",
    "tests/hostile/",
    "tests/chaos/",
)
"""By the time that they take, the longest first: one test, a file's, or a folder's."""


def in_order(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """The same tests, so that each of so many workers has its share of the long ones at the head of its run."""
    head = [item for item in items if item.nodeid.startswith(TOGETHER)]
    named = (item for name in LONGEST for item in items if item.nodeid.startswith(name))
    long = list(dict.fromkeys(named))  # a folder's have names of their own among them
    first = {id(item) for item in (*head, *long)}
    rest = [item for item in items if id(item) not in first]
    if workers == 1:
        return [*head, *long, *rest]
    runs = [head, *(long[number :: workers - 1] for number in range(workers - 1))]
    dealt: list[pytest.Item] = []
    for number, run in enumerate(runs):
        others = max(0, (len(items) - len(dealt)) // (workers - number) - len(run))
        dealt += [*run, *rest[:others]]
        rest = rest[others:]
    return [*dealt, *rest]
