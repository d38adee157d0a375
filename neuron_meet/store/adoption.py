"""Recognising a database that the former server made with `prisma db push`.

Prisma reads the database's schema into a file, and compares that with the schema as the former server had it,
which lies beside the first migration. Neither step writes to the database.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from neuron_meet.store.prisma_cli import PrismaCli

_DIFFERENT = 2
"""Exit code of `prisma migrate diff --exit-code` for a difference."""


class IntrospectionFailed(Exception):
    """Prisma could not read the database's schema. The message is Prisma's."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a database differs from the former server's: not at all where `difference` is empty.

    `foreign` names tables and enums that are only there in addition, and do not matter.
    """

    difference: str
    foreign: tuple[str, ...]


async def compare(cli: PrismaCli, former_schema: Path) -> Comparison:
    """Compare the CLI's database with the former server's schema. Raises IntrospectionFailed."""
    ours = models(former_schema)
    with tempfile.TemporaryDirectory(prefix="neuron-meet-") as folder:
        former, found = Path(folder, "former.prisma"), Path(folder, "found.prisma")
        for copy in (former, found):
            shutil.copyfile(former_schema, copy)
        pulled = await cli.output("db", "pull", "--force", "--schema", str(found))
        if pulled.code:
            raise IntrospectionFailed(pulled.complaint)
        diff = await cli.output(
            "migrate",
            "diff",
            "--from-schema-datamodel",
            str(former),
            "--to-schema-datamodel",
            str(found),
            "--exit-code",
        )
    if diff.code not in (0, _DIFFERENT):
        raise IntrospectionFailed(diff.complaint)
    if diff.code == 0:
        return Comparison("", ())
    return judge_difference(diff.stdout, ours)


def models(schema: Path) -> frozenset[str]:
    """The names of a schema's models."""
    return frozenset(re.findall(r"^model (\w+)", schema.read_text(), re.MULTILINE))


def judge_difference(summary: str, ours: frozenset[str]) -> Comparison:
    """Take what does not matter out of Prisma's summary: additions that leave the tables of `ours` as they are. Pure.

    The summary has sections with a line such as "[+] Added tables", "[*] Changed the `User` table" or
    "[-] Removed enums" and indented lines below it.
    """
    foreign: list[str] = []
    matters: list[str] = []
    for section in re.split(r"\n(?=\[)", summary.strip()):
        head, *lines = section.splitlines()
        if head in ("[+] Added tables", "[+] Added enums"):
            foreign += [line.strip(" -") for line in lines if line.strip()]
            continue
        changed = re.fullmatch(r"\[\*\] Changed the `(.+)` table", head)
        if not (changed and changed[1] not in ours and changed[1] in foreign):
            matters.append(section.rstrip())
    return Comparison("\n".join(matters), tuple(foreign))
