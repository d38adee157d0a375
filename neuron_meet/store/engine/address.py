"""Where a PostgreSQL is: a Prisma connection URL, taken apart.

Parameters: https://www.prisma.io/docs/orm/overview/databases/postgresql#arguments, and libpq's names for the same
things. Unknown ones are passed over, as Prisma's engine does; time-outs are the server's own settings.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

_DEFAULT_PORT = 5432
_HINT = "it must look like postgresql://user:password@host:5432/database"
_TLS_MODES = {"disable": "disable", "allow": "prefer", "prefer": "prefer"}
"""Every other mode (`require`, `verify-ca`, `verify-full`) demands TLS."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How TLS is used: `mode` disable, prefer or require; which certificates, and what is checked of the server's."""

    mode: str
    verify: bool
    verify_host: bool
    ca: str | None
    identity: str | None
    password: str | None = field(repr=False)

    def for_python(self) -> str | bool | ssl.SSLContext:
        """asyncpg's `ssl`. Raises OSError where the certificates cannot be read."""
        if self.mode == "disable":
            return False
        if not self.verify:
            return self.mode
        context = ssl.create_default_context(cafile=self.ca)
        context.check_hostname = self.verify_host
        return context


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """A PostgreSQL database and how to reach it. `host` is a name, an address, or a socket's folder."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    schema: str
    options: str
    application_name: str
    connection_limit: int | None
    pooled: bool
    """Whether a pooler stands before it (`pgbouncer=true`, or found: pooler.py), which refuses connections that bring
    settings."""
    tls: Tls

    @classmethod
    def parse(cls, url: str) -> DatabaseAddress:
        """The parts of a Prisma connection URL. Raises ValueError with a sentence that never quotes the URL."""
        try:
            parts = urlsplit(url)
            port = parts.port or _DEFAULT_PORT
        except ValueError:
            raise ValueError(
                f"DATABASE_URL is not a valid address: {_HINT}, with @ : / ? # % in a password percent-encoded."
            ) from None
        if parts.scheme not in {"postgresql", "postgres"}:
            raise ValueError(f"DATABASE_URL is not a PostgreSQL address: {_HINT}.")
        given = dict(parse_qsl(parts.query))
        user = unquote(parts.username or "postgres")
        schema = given.get("schema", "public")
        return cls(
            host=given.get("host") or unquote(parts.hostname or "localhost"),
            port=int(given["port"]) if given.get("port", "").isdigit() else port,
            user=user,
            password=unquote(parts.password or ""),
            database=unquote(parts.path.lstrip("/")) or user,
            schema=schema,
            options=_options(given, schema),
            application_name=given.get("application_name", "neuron-meet"),
            connection_limit=_connection_limit(given),
            pooled=given.get("pgbouncer") == "true",
            tls=_tls(given),
        )

    @property
    def quoted_schema(self) -> str:
        """The schema's name as SQL writes it."""
        return '"' + self.schema.replace('"', '""') + '"'

    def through_pooler(self) -> DatabaseAddress:
        """The same address where a pooler was found before it: connections bring no settings."""
        return replace(self, pooled=True, options="")

    def __str__(self) -> str:
        """Host, port and database, for messages."""
        return f'"{self.database}" at {self.host}:{self.port}'

    def for_asyncpg(self) -> dict[str, Any]:
        """Arguments of `asyncpg.connect` that say where the database is and who comes, the password included.

        A client identity of Prisma's kind (a .p12 file) is nothing that Python's ssl can read, and is left out.
        """
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password or None,
            "database": self.database,
            "ssl": None if self.host.startswith("/") else self.tls.for_python(),
        }

    def for_host(self) -> dict[str, Any]:
        """What the engine host needs (connections.mjs), the password included."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "schema": self.schema,
            "options": self.options,
            "pooled": self.pooled,
            "applicationName": self.application_name,
            "tls": {
                "mode": self.tls.mode,
                "verify": self.tls.verify,
                "verifyHost": self.tls.verify_host,
                "ca": self.tls.ca,
                "identity": self.tls.identity,
                "password": self.tls.password,
            },
        }


def _options(given: dict[str, str], schema: str) -> str:
    """Settings for each connection: raw queries look into `schema` first.

    Not through a pooler (`pgbouncer=true`): it refuses connections that bring settings.
    """
    options = given.get("options", "")
    if schema != "public" and given.get("pgbouncer") != "true":
        name = '"' + schema.replace('"', '""') + '"'
        options += " -c search_path=" + name.replace("\\", "\\\\").replace(" ", "\\ ")
    return options.strip()


def _connection_limit(given: dict[str, str]) -> int | None:
    limit = given.get("connection_limit", "")
    return max(1, int(limit)) if limit.isdigit() else None


def _tls(given: dict[str, str]) -> Tls:
    mode = given.get("sslmode", "prefer")
    strict = given.get("sslaccept") == "strict"
    return Tls(
        mode=_TLS_MODES.get(mode, "require"),
        verify=strict or mode in {"verify-ca", "verify-full"},
        verify_host=strict or mode == "verify-full",
        ca=_file(given, "sslrootcert") or _file(given, "sslcert"),
        identity=_file(given, "sslidentity"),
        password=given.get("sslpassword"),
    )


def _file(given: dict[str, str], parameter: str) -> str | None:
    path = given.get(parameter)
    if path and not Path(path).is_file():
        raise ValueError(f"DATABASE_URL names a file in `{parameter}` that does not exist: {path}.")
    return path or None
