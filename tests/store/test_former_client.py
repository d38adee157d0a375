"""The former server's own client, Prisma's in JavaScript, on a database that was adopted: it reads and writes."""

from __future__ import annotations

import asyncio
import json
import re
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from neuron_meet.store.assets import project_dir
from neuron_meet.store.client import Database
from neuron_meet.store.messages import Messages
from neuron_meet.store.migrations import deploy
from neuron_meet.store.node import find_node
from neuron_meet.store.prisma_cli import PrismaCli
from tests.postgres import SharedPostgres
from tests.store.former import SCHEMA, execute
from tests.store.seeds import a_message, a_room, a_user
from tests.store.test_adoption import NEIGHBOURS

GENERATOR = """generator client {
  provider   = "prisma-client-js"
  engineType = "client"
  output     = "./client"
}
"""
WHAT_IT_DID = """
import { PrismaPg } from '@prisma/adapter-pg'
import { PrismaClient } from './client/index.js'

const prisma = new PrismaClient({ adapter: new PrismaPg(JSON.parse(process.argv[2])) })
const code = process.argv[3]
const everything = { settings: true, host: true, participants: true, messages: { orderBy: { createdAt: 'asc' } } }
const old = await prisma.room.findUnique({ where: { code: 'abc-def-ghi' }, include: everything })
const ours = await prisma.room.findUnique({ where: { code }, include: everything })
const user = await prisma.user.create({ data: { email: 'eve@example.org', name: 'Eve', password: '$2b$10$z' } })
const made = await prisma.room.create({
  data: { code: 'xyz-xyz-xyz', name: 'Theirs', hostId: user.id, settings: { create: { waitingRoom: true } } },
})
await prisma.participant.create({ data: { roomId: ours.id, userId: user.id } })
await prisma.message.create({ data: { roomId: ours.id, userId: user.id, content: 'from there', type: 'FILE' } })
await prisma.roomSettings.update({ where: { roomId: ours.id }, data: { maxParticipants: 7 } })
await prisma.room.update({ where: { id: old.id }, data: { isActive: false, endedAt: new Date() } })
await prisma.message.deleteMany({ where: { roomId: old.id } })
const cascaded = await prisma.room.delete({ where: { id: made.id } })
await prisma.$disconnect()
console.log(JSON.stringify({ old, ours, cascaded: cascaded.id === made.id }))
"""


@pytest.fixture(scope="module")
async def former_client(shared_postgres: SharedPostgres) -> Path:
    """A folder with the client, generated from the five models as the former server had them, once a session."""
    folder = shared_postgres.folder / "former-client"
    with shared_postgres.once("former-client") as first:
        if first:
            folder.mkdir()
            (folder / "node_modules").symlink_to(project_dir() / "node_modules")
            schema = SCHEMA.read_text()
            without = re.sub(r"^generator .*?^}\n", "", schema, flags=re.DOTALL | re.MULTILINE)
            (folder / "schema.prisma").write_text(GENERATOR + without)
            made = await PrismaCli().output("generate", "--schema", str(folder / "schema.prisma"))
            assert made.code == 0, made.complaint
            (folder / "work.mjs").write_text(WHAT_IT_DID)
    return folder


async def test_it_reads_and_writes_beside_this_server(former_url: str, former_client: Path) -> None:
    await execute(former_url, NEIGHBOURS)
    assert await deploy(former_url, print)
    database = Database(former_url)
    await database.start()
    try:
        host = await a_user(database.prisma, name="Ada")
        room = await a_room(database.prisma, host)
        await Messages(database).append([a_message(room.id, "from here")])

        host_folder = former_url.partition("?host=")[2]
        connection = {
            "host": host_folder,
            "user": "postgres",
            "database": former_url.rpartition("?")[0].rpartition("/")[2],
        }
        process = await asyncio.create_subprocess_exec(
            find_node(),
            former_client / "work.mjs",
            json.dumps(connection),
            room.code,
            stdout=PIPE,
            stderr=PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        seen: dict[str, Any] = json.loads(out)

        assert seen["cascaded"]
        assert seen["old"]["host"]["email"] == "ada@example.org"
        assert [message["content"] for message in seen["old"]["messages"]] == ["Grüße 👋", "Bob joined"]
        assert seen["ours"]["host"]["id"] == host.id
        assert [message["content"] for message in seen["ours"]["messages"]] == ["from here"]
        assert seen["ours"]["settings"]["maxParticipants"] == 100

        found = await database.prisma.room.find_unique(
            where={"id": room.id},
            include={"settings": True, "participants": {"include": {"user": True}}, "messages": True},
        )
        assert found is not None and found.settings is not None
        assert found.settings.maxParticipants == 7
        assert [each.user.email for each in found.participants or [] if each.user] == ["eve@example.org"]
        assert {(each.content, each.type) for each in found.messages or []} >= {("from there", "FILE")}
        ended = await database.prisma.room.find_unique(
            where={"code": "abc-def-ghi"}, include={"messages": True}
        )
        assert ended is not None
        assert (ended.isActive, ended.messages) == (False, [])
    finally:
        await database.stop()
