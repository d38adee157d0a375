"""What the former server left behind: a hash, a token, a row."""

from __future__ import annotations

from neuron_meet.store.client import Database

# Made with Node: bcryptjs's hashSync("from the former server", 10) and jsonwebtoken's sign(…).
FORMER_HASH = "$2b$10$9xt.tFSN5bNvy8EmRQbf7OEpysb29FSBy5LLsFw8FZW6TtvcwHgMm"
FORMER_USER = "cl9ebqhxk00008eb8f9v5z3ab"
FORMER_TOKEN = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJjbDllYnFoeGswMDAwOGViOGY5djV6M2FiIiwiZW1haWwiOiJhZGFAZXhhbXBs"
    "ZS5jb20iLCJpYXQiOjE3OTU0MTk3NDksImV4cCI6NDk0OTAxOTc0OX0.Z_9f8k9VpLW2Rtfp0QACl3LPVq_jmBGXQwc_rdfNpWM"
)


async def insert_user(database: Database, email: str, password_hash: str = FORMER_HASH) -> str:
    """A row as the former server left it."""
    user = await database.prisma.user.create(
        data={"email": email, "name": "Former", "password": password_hash}
    )
    return user.id
