"""Connection URLs as Prisma understands them."""

from __future__ import annotations

import pytest

from neuron_meet.store.engine.address import DatabaseAddress


def test_every_part() -> None:
    address = DatabaseAddress.parse(
        "postgresql://us%40er:p%2Fw%23@db.example:6543/na%20me?schema=app&sslmode=disable"
    )
    assert (address.user, address.password) == ("us@er", "p/w#")
    assert (address.host, address.port, address.database) == ("db.example", 6543, "na me")
    assert (address.schema, address.options, address.tls.mode) == ("app", '-c search_path="app"', "disable")
    assert "p/w#" not in f"{address} {address!r}"
    assert str(address) == '"na me" at db.example:6543'


def test_defaults() -> None:
    address = DatabaseAddress.parse("postgres://localhost")
    assert (address.user, address.password, address.database) == ("postgres", "", "postgres")
    assert (address.port, address.schema, address.options) == (5432, "public", "")
    assert (address.tls.mode, address.tls.verify, address.connection_limit) == ("prefer", False, None)


def test_a_unix_socket() -> None:
    address = DatabaseAddress.parse("postgresql://postgres:@/meet?host=/run/pg&port=5433")
    assert (address.host, address.port, address.database, address.password) == ("/run/pg", 5433, "meet", "")


def test_a_pooler_gets_no_settings_with_the_connection() -> None:
    address = DatabaseAddress.parse("postgresql://a:b@c/d?pgbouncer=true&schema=app&connection_limit=1")
    assert (address.options, address.connection_limit) == ("", 1)


@pytest.mark.parametrize(
    ("parameters", "mode", "verify", "verify_host"),
    [
        ("sslmode=require", "require", False, False),
        ("sslmode=require&sslaccept=strict", "require", True, True),
        ("sslmode=verify-ca", "require", True, False),
        ("sslmode=verify-full", "require", True, True),
        ("sslmode=allow", "prefer", False, False),
    ],
)
def test_tls(parameters: str, mode: str, verify: bool, verify_host: bool) -> None:
    tls = DatabaseAddress.parse(f"postgresql://a:b@c/d?{parameters}").tls
    assert (tls.mode, tls.verify, tls.verify_host) == (mode, verify, verify_host)
