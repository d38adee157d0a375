"""Clients of Redis, from REDIS_URL: of a server, of a Redis Cluster, of one shard of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CLUSTER = "+cluster"
"""What the scheme of a Redis Cluster's address ends with."""
DEFAULT_PORT = 6379
MOST_CONNECTIONS = 2**31
"""As for a server alone: none fails because others are under way. How many there are is for the link to say."""


def names_cluster(url: str) -> bool:
    """Whether an address is that of a Redis Cluster: `redis+cluster://` or `rediss+cluster://`."""
    return urlsplit(url).scheme.endswith(CLUSTER)


def of_server(url: str, timeout_seconds: float) -> Any:
    """A client of one server. It connects when it is first used."""
    return Redis.from_url(  # pyright: ignore[reportUnknownMemberType] -- the library is half typed
        url, socket_timeout=None, **_options(timeout_seconds)
    )


def of_cluster(url: str, timeout_seconds: float) -> Any:
    """A client of a Redis Cluster; the address may name several of its servers, separated by commas."""
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    first, *others = hosts.split(",")
    netloc = f"{credentials}@{first}" if credentials else first
    return RedisCluster.from_url(  # pyright: ignore[reportUnknownMemberType] -- the library is half typed
        urlunsplit(parts._replace(scheme=parts.scheme.removesuffix(CLUSTER), netloc=netloc)),
        socket_timeout=None,  # pyright: ignore[reportArgumentType] -- none, as it is passed on
        startup_nodes=[ClusterNode(host, int(port or DEFAULT_PORT)) for host, port in map(_address, others)],
        max_connections=MOST_CONNECTIONS,
        **_options(timeout_seconds),
    )


def of_shard(url: str, timeout_seconds: float, host: str, port: int) -> Any:
    """A client of one server of the Redis Cluster that an address names."""
    parts = urlsplit(url)
    credentials = parts.netloc.rpartition("@")[0]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    netloc = f"{credentials}@{address}" if credentials else address
    return of_server(
        urlunsplit(parts._replace(scheme=parts.scheme.removesuffix(CLUSTER), netloc=netloc)), timeout_seconds
    )


def _options(timeout_seconds: float) -> dict[str, Any]:
    return {
        "socket_connect_timeout": timeout_seconds,
        # One try each: what to do when it fails is decided above, with the state of the rooms in view.
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "protocol": 2,  # messages of channels as plain lists
    }


def _address(host_and_port: str) -> tuple[str, str]:
    host, _, port = host_and_port.rpartition(":") if ":" in host_and_port else (host_and_port, "", "")
    return host.strip("[]"), port
